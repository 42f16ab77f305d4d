"""Specification of the confinement: what a submission process sees and has in each tier, and that it fails closed."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tensorgrade.errors import EngineError
from tensorgrade.sandbox import Confinement, Narrowed, runtime_paths, temporary_folder
from tensorgrade.slots import UserSlot
from tensorgrade.supervisor import open_zygote
from tests import machine

LIMITS = {"memory": 700 << 20, "cpu_seconds": 50, "processes": 20, "disk": 8 << 20, "files": 100}

WORLD = """
    import json, os, resource, sys, tempfile
    print(json.dumps({
        "status": dict(line.rstrip(chr(10)).split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line),
        "mounts": open("/proc/self/mounts").read(),
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "namespaces": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "pid", "net", "ipc", "uts")},
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if "RLIMIT_" in name},
        "argv": sys.argv,
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "temporary": tempfile.gettempdir(),
        "network": [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line],
    }))
"""
TRY = """
    def attempt(action):
        try:
            action()
        except OSError as error:
            return type(error).__name__
        return "done"
"""


@pytest.fixture(params=["A", "B", "C"], scope="module")
def zygote(request, zygote_of):
    """A zygote of each tier."""
    return zygote_of(request.param)


@pytest.fixture
def confined(zygote):
    """A zygote of a tier that confines."""
    if zygote.tier == "C":
        pytest.skip("tier C promises less")
    return zygote


@pytest.fixture(scope="module")
def world(zygote, tmp_path_factory):
    """What one process with `LIMITS` says of itself, and its folder."""
    folder = Path(tmp_path_factory.getbasetemp(), f"world-{zygote.tier}")
    folder.mkdir()
    process = zygote.start(Confinement("demo", str(folder), **LIMITS), seed=0)
    said = process.run_cell(textwrap.dedent(WORLD), 10, 1 << 20)["outputs"]
    process.close()
    return {**json.loads(said[0]["text"]), "folder": str(folder)}


def run(process, source, seconds=10.0):
    """What a cell printed; it must not raise."""
    answer = process.run_cell(textwrap.dedent(TRY) + textwrap.dedent(source), seconds, 1 << 20)
    assert answer["ok"], answer["outputs"]
    return "".join(output.get("text", "") for output in answer["outputs"])


# ------------------------------------------------------------------------------------------ what it has


def test_a_submission_has_no_privileges(confined, world):
    """It has no capability but to read, gets none from a program, and each of its system calls is filtered."""
    status = world["status"]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    kept = 1 << 2 if confined.tier == "B" and os.getuid() == 0 else 0  # CAP_DAC_READ_SEARCH, for a private Python
    sets = ["CapEff", "CapPrm", "CapInh", "CapAmb", *(["CapBnd"] if os.getuid() == 0 else [])]
    assert not any(int(status[name], 16) & ~kept for name in sets)


def test_a_submission_of_root_has_a_user_id_that_nobody_has(confined, world):
    """Where root grades, it has one id for all, that of the zygote's slot, and no group; else it has the grader's."""
    ids = {os.getuid()} if os.getuid() else set(world["ids"]) - {0}
    assert set(world["ids"]) == ids
    if os.getuid() == 0:
        assert len(ids) == 1
        assert world["groups"] == []
        assert 61184 <= ids.pop() <= 65519


def test_tier_a_shares_no_namespace(zygote, world):
    """In tier A mounts, processes, network, messages and host name are its own; in the other tiers they are shared."""
    ours = {kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in world["namespaces"]}
    shared = {kind for kind in ours if ours[kind] == world["namespaces"][kind]}
    assert shared == (set() if zygote.tier == "A" else set(ours))
    if zygote.tier == "A":
        assert world["network"] == ["lo"]


def test_tier_a_can_write_to_one_small_file_system(zygote_of, world, zygote):
    """What is not read-only in tier A is devices, /proc and one file system in memory, as large as its limit."""
    if zygote.tier != "A":
        pytest.skip("mounts are those of the machine")
    mounts = [line.split() for line in world["mounts"].splitlines()]
    writable = {place: kind for _, place, kind, options, *_ in mounts if "rw" in options.split(",")}
    own = {"/student", "/dev/shm", temporary_folder(zygote.facts.runtime)}
    assert {place for place in writable if not place.startswith("/dev/")} | {"/dev/shm"} == {*own, "/proc"}
    sizes = {place: options for _, place, _, options, *_ in mounts if place in own}
    assert all(f"size={LIMITS['disk'] >> 10}k" in options for options in sizes.values())


def test_a_submissions_limits_are_set(world):
    """The kernel's limits are those of the confinement, and cannot be raised."""
    limits = {name: soft for name, (soft, hard) in world["limits"].items() if soft == hard}
    assert limits["RLIMIT_CPU"] == LIMITS["cpu_seconds"]
    assert limits["RLIMIT_FSIZE"] == LIMITS["disk"]
    assert limits["RLIMIT_NOFILE"] == 512
    assert LIMITS["memory"] < limits["RLIMIT_DATA"] < limits["RLIMIT_AS"] < LIMITS["memory"] + (4 << 30)
    assert limits["RLIMIT_NPROC"] >= LIMITS["processes"]
    assert limits["RLIMIT_CORE"] == limits["RLIMIT_MEMLOCK"] == limits["RLIMIT_MSGQUEUE"] == 0


def test_a_submission_looks_like_a_kernel_in_a_folder_of_the_assignments_name(zygote, world):
    """Its working folder has the assignment's name, in a home that in tier A is the same for everyone."""
    home = "/student" if zygote.tier == "A" else world["folder"]
    temporary = temporary_folder(zygote.facts.runtime) if zygote.tier == "A" else home
    environment = world["environment"]
    assert (world["cwd"], environment["HOME"]) == (f"{home}/demo", home)
    assert environment["TMPDIR"] == world["temporary"] == temporary
    assert world["argv"][:2] == ["ipykernel_launcher.py", "-f"]
    assert environment["USER"] == "student"
    known = {"PATH", "LANG", "HOME", "USER", "LOGNAME", "TMPDIR", "CUDA_VISIBLE_DEVICES", "MPLBACKEND"}
    known |= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "JPY_PARENT_PID"}
    torchs = (
        "TORCH",
        "OPENBLAS",
        "KMP",
        "TRITON",
        "PYTORCH",
        "CUDA",
        "CLICOLOR",
        "FORCE_COLOR",
        "TERM",
        "PAGER",
        "GIT_",
    )
    assert not {name for name in environment if name not in known and not name.startswith(torchs)}


def test_the_graders_umask_does_not_matter(confined):
    """A zygote of a grader whose files are private gives the same tier."""
    before = os.umask(0o077)
    try:
        with open_zygote(confined.tier) as other:
            assert other.facts.runtime == confined.facts.runtime
    finally:
        os.umask(before)


def test_shared_memory_goes_with_its_submission(confined, start):
    """Locks of processes work, files in /dev/shm end with their submission, and what others have there is unseen."""
    if os.getuid() != 0 and confined.tier == "B":
        pytest.skip("/dev/shm holds files of the person who grades")
    before = set(os.listdir("/dev/shm"))
    first, second = start(programs=True), start()
    run(first, "import multiprocessing; lock = multiprocessing.Lock(); open('/dev/shm/left', 'w').write('x')")
    assert run(second, "import os; print(attempt(lambda: os.listdir('/dev/shm')))") in ("done\n", "PermissionError\n")
    run(first, "import os; attempt(lambda: os.mkdir('/dev/shm/folder'))")
    first.close()
    assert set(os.listdir("/dev/shm")) <= before


# --------------------------------------------------------------------------------------------- side files


@pytest.fixture
def handed_in(tmp_path):
    """A folder with all kinds of files beside a notebook."""
    folder = tmp_path / "handed in"
    (folder / "data" / "deep").mkdir(parents=True)
    for name in ("helper.py", "data/points.csv", "data/deep/más.txt", "demo.ipynb", "data/other.ipynb"):
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    with (folder / "huge").open("wb") as huge:
        huge.truncate(1 << 40)
    (folder / "program").write_text("x")
    (folder / "program").chmod(0o4755)
    return folder


TREE = """
    import json, os
    tree = {}
    for root, _, names in os.walk("."):
        for name in names:
            path = os.path.join(root, name)
            tree[path[2:]] = [open(path, encoding="utf-8").read(), oct(os.lstat(path).st_mode)]
    print(json.dumps(tree))
"""


def test_ordinary_files_beside_the_notebook_are_copied(start, handed_in):
    """A submission finds copies in the same places; no notebook, link or special file, nothing too large."""
    tree = json.loads(run(start(files=handed_in, read_only=["data/points.csv"]), TREE))
    assert tree == {
        "helper.py": ["helper.py", "0o100600"],
        "data/points.csv": ["data/points.csv", "0o100400"],
        "data/deep/más.txt": ["data/deep/más.txt", "0o100600"],
        "program": ["x", "0o100600"],
    }


def test_what_a_submission_does_to_its_files_stays_with_it(start, handed_in):
    """Copies may be removed and replaced; the files that were handed in and those of the next process do not change."""
    run(start(files=handed_in), "import os; os.unlink('helper.py'); open('helper.py', 'w').write('other')")
    assert (handed_in / "helper.py").read_text() == "helper.py"
    assert run(start(files=handed_in), "print(open('helper.py').read())") == "helper.py\n"


def test_files_never_fill_the_room_of_a_submission(start, tmp_path):
    """Of many files in many folders no more are copied than leave half of the room, so that the process starts."""
    for number in range(200):
        folder = tmp_path / "many" / str(number) / "deep"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    process = start(files=tmp_path / "many", disk=256 << 10)
    assert 0 < len(json.loads(run(process, TREE))) <= 32
    assert run(process, "print(attempt(lambda: open('own', 'wb').write(bytes(50_000))))") == "done\n"


# ------------------------------------------------------------------------------------------------ devices


@pytest.mark.parametrize("tier", ["A", "B"])
def test_devices_can_be_given(zygote_of, tmp_path, tier):
    """A device that is named can be used, and no other; without one accelerators are hidden from CUDA as well."""
    zygote_of(tier)  # or else skip
    source = """
        import os
        def number(path):
            try:
                os.close(os.open(path, os.O_RDWR))
            except OSError as error:
                return error.errno
            return 0
        print(number("/dev/tty"), number("/dev/full"), number("/dev/kmsg"), "CUDA_VISIBLE_DEVICES" in os.environ)
    """
    with open_zygote(tier, devices=("/dev/tty",)) as zygote:
        process = zygote.start(Confinement("demo", str(tmp_path), memory=1 << 30, cpu_seconds=10), seed=0)
        given, full, other, hidden = run(process, source).split()
        process.close()
    no_terminal = "6"  # ENXIO: the device was there and could be opened, but this session has no terminal
    assert (given, full, hidden) == (no_terminal, "0", "False")
    assert other in {"2", "13", "1"}


def test_no_device_is_there_that_was_not_given(confined, process):
    """Terminals and other devices cannot be opened."""
    assert run(process, "import os; print(attempt(lambda: os.open('/dev/tty', os.O_RDWR)))") in (
        "FileNotFoundError\n",
        "PermissionError\n",
    )


# ---------------------------------------------------------------------------------------------- snapshots


TERMINAL = """
    import os, sys, tempfile
    from tensorgrade.sandbox import Confinement
    from tensorgrade.supervisor import open_zygote
    master, slave = os.openpty()
    os.write(master, b"typed" + bytes([10]))
    with open_zygote(sys.argv[1]) as zygote, tempfile.TemporaryDirectory() as folder:
        process = zygote.start(Confinement("demo", folder, memory=1 << 28, cpu_seconds=10, programs=True), seed=0)
        attack = f"terminal = {os.ttyname(slave)!r}" + chr(10) + sys.argv[2]
        for source in (attack, "!echo shell; exit 3", "print(_exit_code)"):
            print(*(output["text"] for output in process.run_cell(source, 10, 10_000)["outputs"]), end="")
        process.close()
"""
OPEN_TERMINAL = """
import os
for mode in (os.O_RDONLY, os.O_WRONLY):
    try:
        opened = os.open(terminal, mode | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        print("refused")
    else:
        print(os.read(opened, 9) if mode == os.O_RDONLY else os.write(opened, b"x"))
"""


@pytest.mark.parametrize("user", [0, machine.USER])
def test_terminals_of_others_cannot_be_opened(confined, user):
    """Where programs may be run, shell commands work, and what is typed into another terminal cannot be read."""
    if not machine.available():
        pytest.skip("other machines are made by root")
    said = machine.run(TERMINAL, confined.tier, OPEN_TERMINAL, user=user)
    assert said.split() == ["refused", "refused", "shell", "3"]


def test_a_private_python_does_not_open_terminals(confined):
    """The power to read every file, which root's submissions need to reach such a Python, reads no terminal."""
    command = [sys.executable, "-c", textwrap.dedent(TERMINAL), confined.tier, OPEN_TERMINAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused", "refused", "shell", "3"]


def test_the_runtime_holds_no_exchange_and_no_keys():
    """The folders where nbgrader's exchange and the machine's private keys lie by default are no part of it."""
    for place in ("/usr/local/share/nbgrader/exchange", "/etc/ssl/private/ssl-cert-snakeoil.key"):
        assert not any(place == path or place.startswith(f"{path}/") for path in runtime_paths())


def test_a_snapshot_may_use_less(zygote, start):
    """A snapshot has limits of its own, never more than its process, and may lose the right to run programs."""
    process = start(programs=True)
    snapshot = process.snapshot(Narrowed(memory=100 << 20, cpu_seconds=7))
    wider = process.snapshot(Narrowed(memory=1 << 40, cpu_seconds=1000, programs=True))
    source = textwrap.dedent(TRY) + textwrap.dedent("""
        import resource, subprocess
        print(resource.getrlimit(resource.RLIMIT_CPU)[1], resource.getrlimit(resource.RLIMIT_DATA)[1])
        print(attempt(lambda: subprocess.run(["true"])))
    """)
    said = []
    for one in (snapshot, wider):
        answer = one.request({"do": "cell", "source": source, "output_limit": 10_000}, 10)
        said.append("".join(output.get("text", "") for output in answer["outputs"]).split())
        one.close()
    own = run(process, "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[1])")
    assert said[0][0] == "7"
    assert int(said[0][1]) < int(own) == int(said[1][1])
    assert said[0][2] == ("done" if zygote.tier == "C" else "PermissionError")
    assert said[1] == ["60", own.strip(), "done"]


# -------------------------------------------------------------------------------------------- fails closed

LEFT_OUT = {
    "AB-seccomp": "privileges.SystemCallFilter.load = nothing",
    "AB-Landlock": "privileges.restrict_files = nothing",
    "AB-capabilities are dropped": "namespaces.bound_capabilities = nothing",
    "AB-no groups of others": "os.setgroups = lambda groups: setgroups([7])",
    "AB-an own user id": "site = dataclasses.replace(site, user=None)",
    "AB-the limit of memory": "sandbox.limit_memory_and_time = nothing",
    "AB-no network": "privileges._allow_some_sockets = lambda rules, by_path: rules.add_rule(allow, 'socket')",
    "A-an own process tree": "namespaces.ProcessTrees.before_fork = nothing",
    "A-namespaces of its own": "namespaces._NEWNET = 0",
    "A-a read-only root": (
        "mount = namespaces._mount; namespaces._mount = lambda *a, **k: a[1] == '/' and a[3] & 1 or mount(*a, **k)"
    ),
    "A-a file system of limited size": (
        "mount = namespaces._mount; namespaces._mount = lambda *a: mount(*a[:4], *(x.split(',', 1)[1] for x in a[4:]))"
    ),
}
WEAKENED = """
import dataclasses, os, sys
import pyseccomp
from tensorgrade import namespaces, privileges, sandbox, zygote
nothing = lambda *arguments, **keywords: None
allow, setgroups = pyseccomp.ALLOW, os.setgroups
site = sandbox.Site(sys.argv[2], int(sys.argv[3]))
{weakness}
zygote.main(int(sys.argv[1]), site)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives submissions a user id of their own")
@pytest.mark.parametrize(
    ("tier", "protection", "weakness"),
    [
        pytest.param(tier, name, code, id=f"{tier}-{name}")
        for tiers, name, code in ((*key.split("-", 1), code) for key, code in LEFT_OUT.items())
        for tier in tiers
    ],
)
def test_a_zygote_without_a_protection_refuses_to_fork(zygote_of, tier, protection, weakness):
    """A zygote whose forks lack one protection finds that out by itself, names it and runs nothing of a student's."""
    zygote_of(tier)  # or else skip
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    slot = UserSlot()
    arguments = [str(theirs.fileno()), tier, str(slot.user)]
    script = [sys.executable, "-I", "-c", WEAKENED.format(weakness=weakness), *arguments]
    with subprocess.Popen(script, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True) as weakened:
        theirs.close()
        with ours:
            said = json.loads(ours.recv(1 << 16) or "{}")
        assert said == {"refused": f"this protection does not hold: {protection}"}, weakened.stderr.read()
    slot.release()


def test_a_submission_that_cannot_be_confined_runs_nothing(zygote, tmp_path):
    """A fork that fails while it is confined is an error of the engine that says what failed; the next one works."""
    missing = Confinement("demo/" * 3000, str(tmp_path), memory=1 << 30, cpu_seconds=10)
    with pytest.raises(EngineError, match=r"could not be confined: .*too long"):
        zygote.start(missing, seed=0)


# ------------------------------------------------------------------------------------------ other machines

OPEN = """
    import sys
    from tensorgrade.errors import ConfinementError
    from tensorgrade.supervisor import open_zygote
    try:
        zygote = open_zygote(sys.argv[1])
    except ConfinementError as error:
        print(f"refused: {error}")
    else:
        print(zygote.tier)
        zygote.close()
"""
GRADE = """
    import os, sys, tempfile
    from pathlib import Path
    from tensorgrade.job import CellJob, Job
    from tensorgrade.runner import grade
    from tensorgrade.sandbox import Confinement, Narrowed
    from tensorgrade.supervisor import open_zygote
    with open_zygote(sys.argv[1]) as zygote, tempfile.TemporaryDirectory() as folder:
        Path(folder, "helper.py").write_text("x = 5")
        cell = CellJob("import helper, torch.distributions; print(helper.x, __import__('os').getuid())", 10.0)
        print(*(output["text"] for output in grade(Job((cell,), Path(folder), None, "en", Path(folder), 60.0),
            zygote).runs[0].outputs), end="")
        with tempfile.TemporaryDirectory() as home:
            process = zygote.start(Confinement("demo", home, memory=1 << 30, cpu_seconds=10), seed=0)
            request = {"do": "cell", "source": "print('snapshot')", "output_limit": 1000}
            print(process.snapshot(Narrowed(1 << 30, 10)).request(request, 10)["outputs"][0]["text"])
            process.close()
"""
needs_other_machines = pytest.mark.skipif(not machine.available(), reason="other machines are made by root")


@needs_other_machines
@pytest.mark.parametrize("tier", ["A", "B"])
def test_an_ordinary_user_can_grade(zygote_of, tier):
    """Without root, tier A is made of user namespaces; in both tiers submissions then have the grader's user id."""
    zygote_of(tier)  # or else skip
    assert machine.run(GRADE, tier, user=machine.USER).split() == ["5", str(machine.USER), "snapshot"]


@needs_other_machines
def test_root_of_a_container_can_grade():
    """With the capabilities and system calls of a container, and a public Python, root grades in tier B."""
    said = machine.run(GRADE, "auto", container=True, forbidden="unshare,mount,setns").split()
    assert (said[0], said[2]) == ("5", "snapshot")
    assert 61184 <= int(said[1]) <= 65519


@needs_other_machines
@pytest.mark.parametrize("options", [{"user": machine.USER, "forbidden": "unshare"}, {"container": True}])
def test_a_machine_without_namespaces_says_so_and_gives_tier_b(options):
    """Where namespaces are forbidden tier A is refused with the reason, and ``auto`` is B."""
    said = machine.run(OPEN, "A", **options)
    assert said.startswith("refused: tier A of the confinement is not possible here: [Errno 1] unshare(")
    assert machine.run(OPEN, "auto", **options) == "B\n"


@needs_other_machines
def test_a_machine_without_landlock_gives_nothing_by_itself():
    """Where neither A nor B is possible ``auto`` is refused with both reasons, and never C; C can be asked for."""
    kernel = {"forbidden": "landlock_create_ruleset"}
    said = machine.run(OPEN, "auto", **kernel)
    assert said.startswith("refused: tier ")
    assert said.count("Landlock") >= 2
    assert machine.run(OPEN, "C", **kernel) == "C\n"
