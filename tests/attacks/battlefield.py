"""A course under attack: what attackers may aim at, real runs of nbgrader, and the evidence of what became of it.

Everything is looked at from the outside: the gradebook, what students get to read, processes, files, listeners. What an
attack prints counts only where printing a secret is its goal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import secrets
import selectors
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import nbformat

from tests.attacks.attack import Attack, Goal, write_files
from tests.nbgrader_course import REPOSITORY, NbgraderCourse, cell_of

RIGHT = "def answer(x, tag='', *place):\n    return x @ x.T + 1"
LIMITS = "{seconds: 1, cpu_seconds: 20, memory: 256 MiB, processes: 32, disk: 8 MiB, files: 200}"
LIFTED = "{seconds: 60, cpu_seconds: 600, memory: 8 GiB, processes: 4000, disk: 4 GiB, files: 100000, output: 1 MiB}"
CELL_SECONDS = 2
IN_MEMORY = ("student", "tmp", "var/tmp", "dev/shm")
NOTEBOOK_SECONDS = 5
STALLED_SECONDS = 10.0
"""A submission that takes longer has stalled the batch: the notebook's limit, a call's, graces, and a margin."""
SUSTAINED_SECONDS = 0.7
"""Using more than the limits counts when it lasts; where files and processes are counted, that is 5 times a second."""
MOST = {"tasks": 100, "memory": 768 << 20, "disk": 64 << 20, "files": 800, "descriptors": 1500}
"""Beyond these the limits above do not hold; far above them, because a sum is only looked at from time to time."""
FEW = 12
"""Removed files are looked for while a run has fewer processes than this; an attack of one process has about six."""

EXERCISE = """\
schema: 1
title: {en: Gram matrix, zh: 格拉姆矩阵}
prompt: {en: "`answer(x, tag)` returns `x @ x.T + 1`, whatever the tag.", zh: "请编写 `answer`。"}
difficulty: 1
starter: |
  def answer(x, tag='', *place):
      ...
solution: |
  def answer(x, tag='', *place):
      return x @ x.T + 1
examples: |
  answer(torch.eye(2))
clauses:
  values: {points: 2, text: {en: the values, zh: 数值}}
"""
ASSIGNMENT = """\
schema: 1
title: {en: Target, zh: 目标}
introduction: {en: Welcome., zh: 欢迎。}
exercises: [target]
limits: %s
"""
GRADER = """\
import pytest
import torch
from tensorgrade import expect

SECRET = %r
TAG = %r


@pytest.mark.parametrize("rows", [2, 1, 3])
def test_values(submission, rows):
    x = torch.arange(4.0 * rows).reshape(rows, 4) / 8
    expected = x @ x.T + 1
    %s
"""
ASKED = {
    "plain": 'expect(submission.call("answer", x, tag=TAG)).close_to(expected)',
    "ranks": """ranks = submission.ranks(2)
    for attempt in ranks.call("answer", lambda rank: (x, TAG, rank.rank, rank.size, rank.init_method)):
        expect(attempt.returned()).close_to(expected)""",
}

_BUILDING = threading.Lock()
"""nbgrader, when it builds in this process, changes the working folder."""


@dataclass(frozen=True)
class Target:
    """What an attack is told: ``TARGET`` in its first cell.

    Attributes:
        name: of the attack, to be sent to listeners.
        mark: what processes of the attack in this batch are called.
        batch: how names begin of what attacks of this batch leave.
        label: such a name for this attack.
        number: unique to the attack in this batch, for keys and the like.
        canary: a process that only waits; its standard input is a file with a secret, as is its environment.
        folder: may be written by everyone, as may the file ``canary`` in it; nothing there may change.
        victim: the notebook of another student who is graded next.
        note: a text for an accomplice; empty for most.
        exchange: a course's folder where nbgrader's exchange lies by default; empty where only root can make it.
        keys: a folder with a private key of this machine; empty where only root can make it.
        terminal: somebody's, who has just typed a secret; empty for attacks that may not run programs.
    """

    name: str
    mark: str
    batch: str
    label: str
    number: int
    student: str
    canary: int
    folder: str
    victim: str
    note: str
    grader: str
    gradebook: str
    other: str
    temporary: str
    nbgrader: int
    shared_memory: str
    segment: int
    tcp: int
    tcp6: int
    udp: int
    unix: str
    datagram: str
    abstract: str
    exchange: str
    keys: str
    terminal: str


@dataclass(frozen=True)
class Sample:
    """What the processes of a run used at a moment."""

    time: float
    use: dict[str, int]
    marked: frozenset[str]


@dataclass
class Evidence:
    """What became of one attack."""

    points: float | None = None
    flagged: bool = False
    victim_points: float | None = None
    published: str = ""
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    canary: str = ""
    folder: str = ""
    terminal: str = ""
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0
    exceeded: dict[str, int] = field(default_factory=dict)
    outlived: bool = False

    def proof(self, attack: Attack, hidden: dict[str, str]) -> str | None:
        """What shows that the attack has reached its goal, or None."""
        name = attack.name.encode()
        heard = [f"{kind} heard {data[:60]!r}" for kind, data in self.heard if name in data]
        told = [f"{kind} secret" for kind, text in hidden.items() if text in self.published]
        told += [f"{kind} sent" for kind, text in hidden.items() for _, data in self.heard if text.encode() in data]
        found = {
            Goal.SCORE: [f"{self.points} points"] if self.points else [],
            Goal.LEAK: told,
            Goal.HARM: [
                *filter(None, [self.canary, self.folder, self.terminal]),
                *self.left,
                *(f"{key}: {value}" for key, value in self.exceeded.items()),
            ],
            Goal.ESCAPE: [*heard, *(["a process outlived its job"] if self.outlived else [])],
            Goal.STALL: [f"{self.seconds:.1f} s"] if self.seconds > STALLED_SECONDS else [],
            Goal.SABOTAGE: [
                *(["a victim lost points"] if self.victim_points not in (None, 2.0) else []),
                *(["a person has to look at it"] if self.flagged else []),
            ],
        }[attack.goal]
        return "; ".join(found) or None


@dataclass
class Outcome:
    """What became of a batch."""

    evidence: dict[str, Evidence]
    honest: dict[str, float | None]
    hidden: dict[str, str]
    seconds: float
    log: str
    left: list[str]

    def proof(self, attack: Attack) -> str | None:
        """What shows that an attack won, or None."""
        return self.evidence[attack.name].proof(attack, self.hidden)


class Battlefield:
    """A course with secrets in a folder that everyone may enter, so that nothing but the confinement protects it."""

    def __init__(self, attacks: Sequence[Attack], config: str, limits: str, *, honest: int = 3) -> None:
        self.attacks = attacks
        self.hidden = {kind: f"{kind}-{secrets.token_hex(8)}" for kind in ("grader", "input", "gradebook", "other")}
        self.hidden |= {kind: f"{kind}-{secrets.token_hex(8)}" for kind in ("environ", "canary", "file", "ipc", "note")}
        self.hidden |= {kind: f"{kind}-{secrets.token_hex(8)}" for kind in ("exchange", "keyname", "key", "terminal")}
        self._token = secrets.token_hex(2)  # other batches have others
        self.home = Path(tempfile.mkdtemp(prefix="attacks-"))
        self.home.chmod(0o755)
        self.temporary = self.home / "temporary"
        self.temporary.mkdir()
        self.temporary.chmod(0o1777)
        self._honest = [f"{letter}-honest" for letter in "amz"][:honest]
        self.course = NbgraderCourse(self.home / "course")
        self._config = config
        self._limits = limits

    # -------------------------------------------------------------------------------------------- the course

    def _build(self) -> None:
        course, hidden = self.course, self.hidden
        with _BUILDING:
            for name in self._assignments():
                self._make(name)
        with course.gradebook() as gradebook:
            gradebook.add_student("somebody", last_name=hidden["gradebook"])
        for assignment in self._assignments():
            for student in self._honest:
                course.submit(student, self._notebook(assignment, RIGHT, f"# {hidden['other']}"), assignment)
        for path in course.root.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _make(self, name: str) -> None:
        """Make an assignment and its release."""
        course = self.course
        course.write("nbgrader_config.py", (REPOSITORY / "nbgrader_config.py").read_text() + self._config)
        programs = f", subprocesses: {str(name == 'programs').lower()}}}"
        course.write(f"assignments/{name}/assignment.yaml", ASSIGNMENT % self._limits.replace("}", programs))
        course.write(f"assignments/{name}/target.yaml", EXERCISE)
        facts = self.hidden["grader"], self.hidden["input"], ASKED.get(name, ASKED["plain"])
        course.write(f"graders/{name}/test_target.py", GRADER % facts)
        course.build(name)

    def _assignments(self) -> list[str]:
        return sorted({attack.assignment for attack in self.attacks})

    def _notebook(self, assignment: str, answer: str, *before: str, after: Sequence[str] = ()) -> dict[str, Any]:
        notebook = self.course.released(assignment)
        place = notebook.cells.index(cell_of(notebook, "target"))
        cell_of(notebook, "target").source = answer
        notebook.cells[place:place] = [nbformat.v4.new_code_cell(source) for source in before]
        notebook.cells += [nbformat.v4.new_code_cell(source) for source in after]
        return notebook

    def _submit(self, attack: Attack, target: Target) -> None:
        prelude = f"from types import SimpleNamespace\nTARGET = SimpleNamespace(**{asdict(target)!r})"
        notebook = self._notebook(attack.assignment, attack.answer, prelude, *attack.cells, after=attack.after)
        if attack.mangle:
            attack.mangle(notebook)
        path = self.course.submit(target.student, notebook, attack.assignment)
        write_files(attack, path.parent, asdict(target))
        if attack.goal is Goal.SABOTAGE:
            victim = self.course.submit(
                _victim(target.student), self._notebook(attack.assignment, RIGHT), attack.assignment
            )
            victim.chmod(0o666)
            victim.parent.chmod(0o777)

    # ------------------------------------------------------------------------------------------------ the run

    def fight(self) -> Outcome:
        """Hand everything in, grade it with nbgrader, and look what became of it."""
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            # not shutil.rmtree, which a deep folder exhausts before Python 3.13
            stack.callback(subprocess.run, ["rm", "-rf", str(self.home)], check=True)
            self._build()
            listeners = stack.enter_context(Listeners(self.home))
            canaries = stack.enter_context(Canaries(self.home, self.hidden))
            ipc = stack.enter_context(
                SharedThings(
                    self.hidden["ipc"], {one.name: (self._label(one), self._number(one)) for one in self.attacks}
                )
            )
            places = stack.enter_context(PlacesOfSystem(self.hidden))
            terminals = stack.enter_context(Terminals(self.hidden["terminal"]))
            evidence = {attack.name: Evidence() for attack in self.attacks}
            logs: list[str] = []
            left: list[str] = []
            for assignment in self._assignments():
                mine = [attack for attack in self.attacks if attack.assignment == assignment]
                with self._nbgrader(["autograde", assignment]) as run:
                    targets = {}
                    for attack in mine:
                        targets[attack.name] = self._target(
                            attack, run.pid, listeners, canaries, ipc, places, terminals
                        )
                        self._submit(attack, targets[attack.name])
                    logs.append(run.finish())
                    left = [*left, *run.still_there()]
                self._judge_times(assignment, mine, targets, run, evidence)
                self._read(assignment, mine, targets, evidence)
            for attack in self.attacks:
                found = evidence[attack.name]
                found.heard = listeners.heard
                found.canary, found.folder = canaries.problems(attack.name)
                found.terminal = terminals.problem(attack.name)
                found.left = ipc.left(attack.name)
            honest = {
                f"{assignment}/{student}": self._points(assignment).get(student, (None, False))[0]
                for assignment in self._assignments()
                for student in self._honest
            }
            left += left_in(self.home)
        return Outcome(evidence, honest, self.hidden, time.monotonic() - started, "\n".join(logs), left)

    def _target(
        self,
        attack: Attack,
        pid: int,
        listeners: Listeners,
        canaries: Canaries,
        ipc: SharedThings,
        places: PlacesOfSystem,
        terminals: Terminals,
    ) -> Target:
        student = _student(self.attacks, attack)
        root = self.course.root
        canary, folder = canaries.add(attack.name)
        return Target(
            name=attack.name,
            mark=self._mark(attack),
            batch=f"tg:{self._token}:",
            label=self._label(attack),
            number=self._number(attack),
            student=student,
            canary=canary,
            folder=str(folder),
            victim=str(root / "submitted" / _victim(student) / attack.assignment / f"{attack.assignment}.ipynb"),
            note=self.hidden["note"] if attack.name == "dead-drop-left" else "",
            grader=str(root / "graders" / attack.assignment / "test_target.py"),
            gradebook=str(root / "gradebook.db"),
            other=str(root / "submitted" / self._honest[0] / attack.assignment / f"{attack.assignment}.ipynb"),
            temporary=str(self.temporary),
            nbgrader=pid,
            shared_memory=ipc.file.name,
            segment=ipc.segment,
            exchange=places.exchange,
            keys=places.keys,
            terminal=terminals.add(attack.name) if attack.programs else "",
            **listeners.addresses,
        )

    @contextlib.contextmanager
    def _nbgrader(self, arguments: Sequence[str]) -> Iterator[Run]:
        """A process that will be ``nbgrader ARGUMENTS``, waiting, so that its number is known to the attacks."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "PYTEST", "NBGRADER"))}
        own = {"HOME": str(self.course.root), "PYTHONWARNINGS": "ignore", "TMPDIR": str(self.temporary)}
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'read _; exec "$@" < /dev/null', "sh", sys.executable, "-m", "nbgrader", *arguments],
            cwd=self.course.root,
            env={**kept, **own, "GRADING_TOKEN": self.hidden["environ"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        run = Run(process, self.temporary)
        try:
            yield run
        finally:
            run.stop()

    # --------------------------------------------------------------------------------------------- the evidence

    def _mark(self, attack: Attack) -> str:
        """The name of a process of an attack, which the kernel cuts at 15 characters; other batches have others."""
        return f"tg{self._token}{self._number(attack):x}"

    def _label(self, attack: Attack) -> str:
        """How a file or key is called that the attack leaves in this batch; others may run at the same time."""
        return f"tg:{self._token}:{attack.name}:"

    def _number(self, attack: Attack) -> int:
        return zlib.crc32(self._label(attack).encode()) & 0xFFFFFF | 0x7E000000

    def _judge_times(
        self,
        assignment: str,
        attacks: Sequence[Attack],
        targets: dict[str, Target],
        run: Run,
        evidence: dict[str, Evidence],
    ) -> None:
        """Cut the run into the times of its students: each ends when its graded notebook is written."""
        files = {path.parent.parent.name: path for path in self.course.root.glob(f"autograded/*/{assignment}/*.ipynb")}
        ends = sorted((path.stat().st_mtime, student) for student, path in files.items())
        begins = dict(zip((student for _, student in ends), [run.began, *(end for end, _ in ends)], strict=False))
        usual = run.usual
        by_student = {end[1]: end[0] for end in ends}
        for attack in attacks:
            student, found = targets[attack.name].student, evidence[attack.name]
            begin, end = begins.get(student, run.began), by_student.get(student, time.time())
            found.seconds = end - begin
            found.exceeded = _sustained([sample for sample in run.samples if begin < sample.time <= end], usual)
            late = [sample for sample in run.samples if sample.time > end + 0.5]
            found.outlived = any(self._mark(attack) in sample.marked for sample in late)

    def _read(
        self, assignment: str, attacks: Sequence[Attack], targets: dict[str, Target], evidence: dict[str, Evidence]
    ) -> None:
        """Read the gradebook, and what the students get."""
        points = self._points(assignment)
        if any(attack.goal is Goal.LEAK for attack in attacks):
            with self._nbgrader(["generate_feedback", assignment, "--student=*-leak-*"]) as run:
                run.finish()
        for attack in attacks:
            student, found = targets[attack.name].student, evidence[attack.name]
            found.points, found.flagged = points.get(student, (None, False))
            if attack.goal is Goal.SABOTAGE:
                found.victim_points = points.get(_victim(student), (0.0, False))[0]
            files = [
                path
                for folder in ("autograded", "feedback")
                for path in self.course.root.glob(f"{folder}/{student}/{assignment}/**/*")
                if path.is_file()
            ]
            own = repr(targets[attack.name].note)  # the accomplice's own copy is no leak
            found.published = "\n".join(path.read_text(errors="replace") for path in files).replace(own, "")

    def _points(self, assignment: str) -> dict[str, tuple[float | None, bool]]:
        grades = self.course.grades(assignment)
        found = {}
        for student, cells in grades.items():
            fact = cells.get("test_target")
            found[student] = (fact["score"], fact["needs_manual_grade"]) if fact else (None, False)
        return found


def _student(attacks: Sequence[Attack], attack: Attack) -> str:
    return f"s{attacks.index(attack):03}-{attack.goal}-{attack.name}"


def _victim(student: str) -> str:
    return student.split("-", maxsplit=1)[0] + "-victim"


def _sustained(samples: Sequence[Sample], usual: dict[str, int]) -> dict[str, int]:
    """What was used beyond `MOST`, for how long at a stretch, when that is long enough."""
    found = {}
    for key, most in MOST.items():
        since, longest, highest = None, 0.0, 0
        for sample in samples:
            value = sample.use[key] - usual.get(key, 0)
            since = None if value <= most else since or sample.time
            highest = max(highest, value)
            longest = max(longest, sample.time - since if since else 0.0)
        if longest >= SUSTAINED_SECONDS:
            found[key] = highest
    return found


class Run:
    """A run of nbgrader, its processes watched."""

    def __init__(self, process: subprocess.Popen[str], temporary: Path) -> None:
        self._process = process
        self._temporary = temporary
        self.pid = process.pid
        self.began = time.time()
        self.samples: list[Sample] = []
        self.seen: set[int] = set()
        self._shared = _shared_memory()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def usual(self) -> dict[str, int]:
        """What a run uses while nobody does anything special."""
        middle = len(self.samples) // 2
        return {key: sorted(sample.use[key] for sample in self.samples)[middle] for key in ("tasks", "memory")}

    def finish(self) -> str:
        """Let it run; returns what it said."""
        self.began = time.time()
        self._watcher.start()
        said, _ = self._process.communicate("go\n", timeout=400)
        time.sleep(0.7)  # time for what outlives its job to be seen
        return f"{said}\nexit status {self._process.returncode}"

    def still_there(self) -> list[str]:
        """The processes of this run that have not ended, after a few seconds of patience."""
        alive: list[str] = []
        for _ in range(30):
            alive = [line for pid in sorted(self.seen) if (line := _described(pid))]
            if not alive:
                break
            time.sleep(0.1)
        return alive

    def stop(self) -> None:
        """End it, and the watching."""
        self._over.set()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(0.15):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        parents, names = {}, {}
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, IndexError):
                if entry.isdigit():
                    name, _, rest = Path(f"/proc/{entry}/stat").read_text().partition("(")[2].rpartition(")")
                    parents[int(entry)], names[int(entry)] = int(rest.split()[1]), name
        family = {self.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        self.seen |= family
        use = dict.fromkeys(MOST, 0)
        places = {self._temporary}
        memory = {}
        nameless: dict[tuple[int, int], int] = {}
        for pid in family:
            with contextlib.suppress(OSError, IndexError):  # it has ended meanwhile
                use["tasks"] += len(os.listdir(f"/proc/{pid}/task"))
                use["descriptors"] = max(use["descriptors"], len(os.listdir(f"/proc/{pid}/fd")))
                status = Path(f"/proc/{pid}/status").read_text()
                memory[pid] = int(status.split("RssAnon:")[1].split()[0]) << 10
                if len(family) < FEW:  # it is slow, and would miss how long many processes are there
                    nameless |= _nameless(pid)
                if Path(f"/proc/{pid}/ns/mnt").samefile("/proc/self/ns/mnt"):
                    continue
                folders = ((Path(f"/proc/{pid}/root/{name}"), Path("/", name)) for name in IN_MEMORY)
                places |= {there for there, here in folders if _is_in_memory(there, here)}
        # a fork shares what its parent had; what it has beyond that is its own
        own = sum(max(0, anonymous - memory.get(parents[pid], 0)) for pid, anonymous in memory.items())
        use["memory"] = own + max(0, _shared_memory() - self._shared)
        roots = {}
        for place in places:
            with contextlib.suppress(OSError):
                roots[place.stat().st_dev, place.stat().st_ino] = place
        for place in roots.values():
            count, size = _files(place)
            use["files"] += count
            use["disk"] += size
        use["files"] += len(nameless)
        use["disk"] += sum(nameless.values())
        return Sample(time.time(), use, frozenset(name for name in names.values() if name.startswith("tg")))


def _nameless(pid: int) -> dict[tuple[int, int], int]:
    """The files that a process has open or mapped although they were removed, and the bytes that they take."""
    found: dict[tuple[int, int], int] = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith(" (deleted)") and not line.endswith(" /dev/zero (deleted)"):  # which is shared memory
            place, _, _, device, inode, _ = line.split(maxsplit=5)
            (start, end), (major, minor) = (
                (int(number, 16) for number in text.split(sign)) for text, sign in ((place, "-"), (device, ":"))
            )
            file = os.makedev(major, minor), int(inode)
            found[file] = found.get(file, 0) + end - start
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # it is closed meanwhile
            facts = Path(f"/proc/{pid}/fd/{number}").stat()
            if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 0:
                found[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return found


def _is_in_memory(there: Path, here: Path) -> bool:
    """Whether a folder as a process sees it is the submission's own: not this machine's, and no part of the runtime."""
    if not there.is_dir() or (here.exists() and there.samefile(here)):  # just leaving this machine's root
        return False
    # a root that is being made has the runtime in it; and below a finished one the runtime may lie in /tmp
    return not (there / "usr").exists() and not os.statvfs(there).f_flag & os.ST_RDONLY


def _described(pid: int) -> str:
    try:
        return f"process {pid}: {Path(f'/proc/{pid}/stat').read_text()[:60]}"
    except OSError:
        return ""


def _shared_memory() -> int:
    return int(Path("/proc/meminfo").read_text().split("Shmem:")[1].split()[0]) << 10


def _files(place: Path) -> tuple[int, int]:
    """The number of files and folders below, and the bytes that they claim to hold, however deep they are hidden."""
    count = size = 0
    waiting = []
    with contextlib.suppress(OSError):  # it may just have ended
        waiting.append(os.open(place, os.O_RDONLY | os.O_DIRECTORY))
    while waiting:  # by descriptors: paths may be too long, and recursion too deep
        folder = waiting.pop()
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                count += 1
                facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder))
                else:
                    size += facts.st_size
        os.close(folder)
    return count, size


class Listeners:
    """Everything on this machine that an attack may send to; remembers what came."""

    def __init__(self, home: Path) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._selector = selectors.DefaultSelector()
        abstract = f"attacks-{os.getpid()}-{secrets.token_hex(4)}"
        self._sockets = {
            "tcp": _bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "tcp6": _bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            "udp": _bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": _bound(socket.AF_UNIX, socket.SOCK_STREAM, str(home / "listener")),
            "datagram": _bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(home / "log")),
            "abstract": _bound(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        }
        for path in ("listener", "log"):
            (home / path).chmod(0o777)
        for kind, listener in self._sockets.items():
            self._selector.register(listener, selectors.EVENT_READ, kind)
        inet = {kind: self._sockets[kind].getsockname()[1] for kind in ("tcp", "tcp6", "udp")}
        self.addresses: dict[str, Any] = {
            **inet, "unix": str(home / "listener"), "datagram": str(home / "log"), "abstract": abstract
        }  # fmt: skip
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listeners:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(timeout=0.1):
                listener: Any = key.fileobj
                with contextlib.suppress(OSError):
                    if listener.type == socket.SOCK_STREAM and listener in self._sockets.values():
                        connection, _ = listener.accept()
                        self._selector.register(connection, selectors.EVENT_READ, key.data)
                        continue
                    data = listener.recv(1 << 16)
                    self.heard.append((key.data, data))
                    if not data and listener.type == socket.SOCK_STREAM:
                        self._selector.unregister(listener)
                        listener.close()


def _bound(family: int, kind: int, address: Any) -> socket.socket:
    listener = socket.socket(family, kind)
    listener.bind(address)
    if kind == socket.SOCK_STREAM:
        listener.listen(64)
    listener.setblocking(False)
    return listener


class Canaries:
    """For each attack a process and a folder of its own that must stay as they are."""

    def __init__(self, home: Path, hidden: dict[str, str]) -> None:
        self._home = home / "canaries"
        self._home.mkdir()
        self._hidden = hidden
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._before: dict[str, tuple[Any, Any]] = {}

    def __enter__(self) -> Canaries:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def add(self, name: str) -> tuple[int, Path]:
        """Start and make them; returns the process's id and the folder."""
        with tempfile.TemporaryFile() as file:
            file.write(self._hidden["file"].encode())
            file.seek(0)
            environment = {"PATH": os.defpath, "CANARY_TOKEN": self._hidden["canary"]}
            process = subprocess.Popen(["sleep", "900"], stdin=file, env=environment, start_new_session=True)
        folder = self._home / name
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "canary").write_text("alive")
        (folder / "canary").chmod(0o666)
        os.utime(folder, (1e9, 1e9))
        os.utime(folder / "canary", (1e9, 1e9))
        self._processes[name] = process
        time.sleep(0)
        self._before[name] = _process_facts(process.pid), _folder_facts(folder)
        return process.pid, folder

    def problems(self, name: str) -> tuple[str, str]:
        """What happened to the process, and to the folder; empty when nothing did."""
        process = self._processes[name]
        ended = process.poll()
        facts = None if ended is not None else _process_facts(process.pid)
        folder = _folder_facts(self._home / name)
        return (
            f"the canary ended with {ended}" if ended is not None
            else f"the canary: {facts}" if facts != self._before[name][0]
            else "",
            f"the folder: {folder}" if folder != self._before[name][1] else "",
        )  # fmt: skip


def _process_facts(pid: int) -> tuple[object, ...]:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return (
        state in "Tt",
        resource.prlimit(pid, resource.RLIMIT_CPU),
        os.getpriority(os.PRIO_PROCESS, pid),
        len(os.sched_getaffinity(pid)),
        Path(f"/proc/{pid}/oom_score_adj").read_text(),
    )


def _folder_facts(folder: Path) -> list[tuple[object, ...]]:
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        facts = path.lstat()
        content = path.read_bytes()[:100] if path.is_file() else b""
        attributes = os.listxattr(path, follow_symlinks=False)
        found.append(
            (path.name, oct(facts.st_mode), facts.st_uid, facts.st_nlink, int(facts.st_mtime), content, attributes)
        )
    return found


class SharedThings:
    """Shared memory and a key with a secret in them; and a look at what attacks leave of that kind."""

    def __init__(self, secret: str, made: Mapping[str, tuple[str, int]]) -> None:
        """Put them there; `made` has the name and the number that each attack gives to what it leaves."""
        self._made = made
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.shmat.restype = ctypes.c_void_p
        self.segment = secrets.randbelow(1 << 24) | 0x7D000000
        self._id = self._libc.shmget(self.segment, 4096, 0o1000 | 0o666)
        address = self._libc.shmat(self._id, None, 0)
        ctypes.memmove(address, secret.encode(), len(secret))
        self._libc.shmdt(ctypes.c_void_p(address))
        self.file = tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="attacks-")  # noqa: SIM115 - closed on exit
        self.file.write(secret.encode())
        self.file.flush()
        Path(self.file.name).chmod(0o644)

    def __enter__(self) -> SharedThings:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self._libc.shmctl(self._id, 0, None)  # IPC_RMID
        for line in [text for name in self._made for text in self.left(name)]:
            kind, _, facts = line.partition(":")
            number = facts.split()[-1]
            if kind == "shm":
                self._libc.shmctl(int(number), 0, None)
            elif kind == "msg":
                self._libc.msgctl(int(number), 0, None)
            elif kind == "sem":
                self._libc.semctl(int(number), 0, 0)
            elif kind == "key":
                self._libc.syscall(250, 9, int(number, 16), -4)  # KEYCTL_UNLINK from the user's keyring
            elif kind == "file":
                Path(number).unlink(missing_ok=True)

    def left(self, name: str) -> list[str]:
        """What exists that the attack `name` has made in this batch."""
        label, number = self._made[name]
        found = []
        for kind in ("shm", "msg", "sem"):
            for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]:
                if int(line.split()[0]) == number:
                    found.append(f"{kind}: {number} left {line.split()[1]}")
        with contextlib.suppress(FileNotFoundError):
            keys = (line for line in Path("/proc/keys").read_text().splitlines() if label in line)
            found += [f"key: {label} left {line.split()[0]}" for line in keys]
        places = (Path(place, label) for place in ("/dev/shm", "/tmp", "/var/tmp"))
        return found + [f"file: {label} left {path}" for path in places if path.exists()]


class PlacesOfSystem:
    """Secrets in folders of the system that the runtime lies around: nbgrader's exchange, and private keys.

    Only root can put them there; whoever made a folder for that removes it.
    """

    _lock: ClassVar = threading.Lock()
    _made: ClassVar[list[Path]] = []

    def __init__(self, hidden: dict[str, str]) -> None:
        name = f"attacks-{secrets.token_hex(4)}"
        self._secrets = {
            Path("/usr/local/share/nbgrader/exchange", name, "inbound", "somebody.ipynb"): (hidden["exchange"], 0o755),
            Path("/etc/ssl/private", name, f"{hidden['keyname']}.key"): (hidden["key"], 0o700),
        }
        exchange, keys = self._secrets
        self.exchange, self.keys = (str(exchange.parents[1]), str(keys.parent)) if os.getuid() == 0 else ("", "")

    def __enter__(self) -> PlacesOfSystem:
        with self._lock, contextlib.ExitStack() as undo:
            undo.callback(self._remove)
            for file, (secret, mode) in self._secrets.items() if self.exchange else ():
                for folder in reversed(file.parents):
                    if not folder.exists():
                        self._made.append(folder)
                        folder.mkdir()
                        folder.chmod(mode)
                file.write_text(secret)
                file.chmod(mode & 0o644)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._remove()

    def _remove(self) -> None:
        for file in self._secrets if self.exchange else ():
            file.unlink(missing_ok=True)
        for folder in reversed(self._made.copy()):
            with contextlib.suppress(OSError):  # another batch has files there, and will remove it
                folder.rmdir()
                self._made.remove(folder)


class Terminals:
    """For each attack a person's terminal: a line was typed that nobody has read, and nothing may happen to it."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._terminals: dict[str, tuple[int, int, object]] = {}

    def __enter__(self) -> Terminals:
        return self

    def __exit__(self, *_: object) -> None:
        for screen, terminal, _ in self._terminals.values():
            os.close(terminal)
            os.close(screen)

    def add(self, name: str) -> str:
        """Make one; returns its path."""
        screen, terminal = os.openpty()
        settings = termios.tcgetattr(terminal)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, settings)
        os.set_blocking(screen, False)
        os.write(screen, f"{self._secret}\n".encode())
        self._terminals[name] = screen, terminal, _terminal_facts(terminal)
        return os.ttyname(terminal)

    def problem(self, name: str) -> str:
        """What happened to it; empty when nothing did."""
        if name not in self._terminals:
            return ""
        screen, terminal, before = self._terminals[name]
        with contextlib.suppress(BlockingIOError):
            return f"the terminal shows {os.read(screen, 100)!r}"
        facts = _terminal_facts(terminal)
        return "" if facts == before else f"the terminal: {facts}"


def _terminal_facts(terminal: int) -> tuple[object, ...]:
    facts = os.fstat(terminal)
    return facts.st_mode, facts.st_uid, facts.st_gid, termios.tcgetattr(terminal)


def left_in(home: Path) -> list[str]:
    """Processes, sockets and files that a run has left behind in a battlefield's folder."""
    found = [f"file {path}" for path in (home / "temporary").iterdir()]
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and str(home) in (folder := str(Path(f"/proc/{entry}/cwd").readlink())):
                found.append(f"process {entry} {Path(f'/proc/{entry}/comm').read_text().strip()} in {folder}")
    sockets = (line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return found + [f"socket {path}" for path in sockets if path.startswith(str(home / "temporary"))]


def left_on_machine() -> set[str]:
    """Mounts, shared memory and keys, which no run of nbgrader may leave; without what batches put there themselves."""
    facts = {f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines()}
    facts |= {f"file {path}" for path in Path("/dev/shm").iterdir() if not path.name.startswith(("attacks-", "tg:"))}
    for kind in ("shm", "msg", "sem"):
        keys = (int(line.split()[0]) for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:])
        facts |= {f"{kind} {key}" for key in keys if not 0x7D000000 <= key < 0x7F000000}
    return facts
