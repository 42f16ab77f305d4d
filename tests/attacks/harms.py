"""Attacks that want to change or use up what is not theirs, and attacks that want out."""

from tests.attacks.attack import Control, Goal, attack
from tests.attacks.leaks import LANDLOCK, LIBC, NO_ROOT, NO_TERMINAL, OWN_TERMINALS, OWN_TREE, PROC, SECCOMP

SIGNALS = "another user id, and Landlock: no signals to the outside"
USER = "another user id, without capabilities"
NPROC = "RLIMIT_NPROC and a count of all processes and threads"
SPACE = "RLIMIT_DATA, and a sum over all processes"
TMPFS = "file systems in memory of a fixed size and number of files"
DISK = "RLIMIT_FSIZE, and a look at the folder five times a second"
NAMELESS = "RLIMIT_FSIZE, and a look at what is open or mapped five times a second"
NETWORK = "an empty network, and seccomp: no sockets but unix ones"
NO_SOCKETS = "seccomp: no sockets that could reach the outside"
TREE_DIES = "when the first process of its tree is killed, the kernel kills all of it"
GROUP_DIES = "seccomp: no process can leave its group, which is killed; orphans become the zygote's, which kills them"
USER_DIES = "the zygote kills what it inherits, and at last all that runs under the user id"

MARK = """
            import ctypes, os, time
            def wear_the_mark():
                ctypes.CDLL(None).prctl(15, TARGET.mark.encode(), 0, 0, 0)
"""


def harm(name, does, stopped, code="", **more):
    return attack(Goal.HARM, name, does, stopped, code, **more)


def on_files(name, does, code, **more):
    return harm(name, does, NO_ROOT, code, stopped_b=more.pop("stopped_b", LANDLOCK), **more)


def on_process(name, does, code, **more):
    return harm(name, does, OWN_TREE, code, stopped_b=more.pop("stopped_b", SIGNALS), **more)


def escape(name, does, stopped, code="", **more):
    return attack(Goal.ESCAPE, name, does, stopped, code, **more)


CHANGES = "seccomp: changes of mode, owner and time only seem to succeed, or another user id"
FILES = (
    on_files(
        "writes-file",
        "overwrites a file that everybody may write",
        "open(TARGET.folder + '/canary', 'w').write('dead')",
    ),
    on_files(
        "makes-file",
        "makes a file in a folder that everybody may write",
        "open(TARGET.folder + '/new', 'w').write('x')",
    ),
    on_files(
        "appends-file",
        "appends to a file through a descriptor of its folder",
        """
            import os
            folder = os.open(TARGET.folder, os.O_PATH)
            os.write(os.open("canary", os.O_APPEND | os.O_WRONLY, dir_fd=folder), b"!")
        """,
    ),
    on_files("truncates-file", "truncates a file by its path", "import os\nos.truncate(TARGET.folder + '/canary', 0)"),
    on_files(
        "changes-mode",
        "changes the mode of a file",
        "import os\nos.chmod(TARGET.folder + '/canary', 0)",
        stopped_b=CHANGES,
    ),
    on_files(
        "changes-owner",
        "gives a file away",
        "import os\nos.chown(TARGET.folder + '/canary', 4242, 4242)",
        stopped_b=CHANGES,
        root=True,
    ),
    on_files(
        "changes-time",
        "sets the time of a file",
        "import os\nos.utime(TARGET.folder + '/canary', (5, 5))",
        stopped_b=CHANGES,
    ),
    on_files(
        "sets-attribute",
        "gives a file an extended attribute",
        "import os\nos.setxattr(TARGET.folder + '/canary', 'user.note', b'x')",
        stopped_b=SECCOMP,
    ),
    on_files(
        "renames-file", "renames a file", "import os\nos.rename(TARGET.folder + '/canary', TARGET.folder + '/gone')"
    ),
    on_files("removes-file", "removes a file", "import os\nos.unlink(TARGET.folder + '/canary')"),
    on_files("makes-folder", "makes a folder", "import os\nos.mkdir(TARGET.folder + '/new')"),
    on_files(
        "makes-pipe",
        "makes a named pipe and a symbolic link",
        "import os\nos.symlink('canary', TARGET.folder + '/link')\nos.mkfifo(TARGET.folder + '/pipe')",
    ),
    on_files(
        "hardlinks-file",
        "makes a hard link to a file",
        "import os\nos.link(TARGET.folder + '/canary', TARGET.folder + '/link')",
    ),
    on_files(
        "writes-through-link",
        "writes through a symbolic link in its own folder",
        "import os\nos.symlink(TARGET.folder + '/canary', 'mine')\nopen('mine', 'w').write('dead')",
    ),
    on_files(
        "swaps-link",
        "swaps a file for a link while another thread keeps opening it for writing",
        """
            import os, threading
            def swap():
                for number in range(2000):
                    name = f"swap{number % 2}"
                    if os.path.lexists(name):
                        os.unlink(name)
                    os.symlink(TARGET.folder + "/canary", name) if number % 4 > 1 else open(name, "w").close()
                    os.replace(name, "target")
            thread = threading.Thread(target=swap)
            thread.start()
            while thread.is_alive():
                try:
                    open("target", "a").write("!")
                except OSError:
                    pass
        """,
    ),
    on_files(
        "sqlite-file",
        "lets SQLite make a database there",
        """
            import sqlite3
            sqlite3.connect(TARGET.folder + "/new.db").execute("CREATE TABLE mine (x)")
        """,
    ),
    on_files(
        "native-write",
        "writes a file from C++, through torch.save's own writer",
        "torch._C.PyTorchFileWriter(TARGET.folder + '/new.pt').write_end_of_file()",
    ),
    on_files(
        "shared-memory-left",
        "leaves a file in /dev/shm",
        "open(f'/dev/shm/{TARGET.label}', 'w').write('x')",
        stopped_b="Landlock, or it is removed at the end",
    ),
)

PROCESSES = (
    on_process("kills-canary", "kills another process", "import os\nos.kill(TARGET.canary, 9)"),
    on_process("stops-canary", "stops another process", "import os\nos.kill(TARGET.canary, 19)"),
    on_process(
        "kills-by-thread",
        "kills another process's thread by tgkill and tkill",
        LIBC + "            try:\n                call(234, TARGET.canary, TARGET.canary, 9)\n"
        "            finally:\n                call(200, TARGET.canary, 9)",
    ),
    on_process("kills-group", "kills another process group", "import os\nos.killpg(TARGET.canary, 9)"),
    on_process(
        "kills-by-handle",
        "kills another process by a pidfd",
        "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(TARGET.canary), 9)",
        stopped_b=SECCOMP,
    ),
    on_process(
        "queues-signal",
        "queues a signal with data to another process",
        LIBC
        + """
            information = (ctypes.c_int * 32)(9, 0, -1)
            call(129, TARGET.canary, 9, information)
        """,
        stopped_b=SECCOMP,
    ),
    on_process(
        "signal-by-descriptor",
        "lets the kernel send SIGKILL when a pipe becomes readable (F_SETOWN, F_SETSIG)",
        """
            import fcntl, os
            reading, writing = os.pipe()
            fcntl.fcntl(reading, fcntl.F_SETOWN, TARGET.canary)
            fcntl.fcntl(reading, fcntl.F_SETSIG, 9)
            fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
            os.write(writing, b"x")
        """,
    ),
    on_process(
        "lowers-limits",
        "sets the CPU limit of another process",
        "import resource\nresource.prlimit(TARGET.canary, resource.RLIMIT_CPU, (1, 1))",
        stopped_b=SECCOMP,
    ),
    on_process(
        "lowers-priority",
        "lowers another process's priority",
        "import os\nos.setpriority(os.PRIO_PROCESS, TARGET.canary, 19)",
        stopped_b=SECCOMP,
    ),
    on_process(
        "pins-canary",
        "ties another process to one processor",
        "import os\nos.sched_setaffinity(TARGET.canary, {min(os.sched_getaffinity(0))})",
        stopped_b=USER,
    ),
    on_process(
        "offers-canary",
        "offers another process to the out-of-memory killer",
        "open(f'/proc/{TARGET.canary}/oom_score_adj', 'w').write('1000')",
        stopped_b=PROC,
        root=True,
    ),
    on_process(
        "traces-canary",
        "attaches a debugger that takes its process along when it ends (PTRACE_O_EXITKILL)",
        LIBC
        + """
            child = os.fork()
            if child == 0:
                libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
                libc.ptrace(0x4206, TARGET.canary, None, 0x100000)
                os._exit(0)
            os.waitpid(child, 0)
        """,
        stopped_b=SECCOMP,
        root=True,
    ),
    on_process(
        "limits-own-user",
        "lowers its own limits so that the whole user can start nothing any more, then kills as that user",
        """
            import os
            child = os.fork()
            if child == 0:
                try:
                    os.setuid(os.getuid())
                    os.kill(TARGET.canary, 15)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
        """,
    ),
)

RESOURCES = (
    harm(
        "memory",
        "fills 1.2 GiB of memory",
        SPACE,
        "import time\nkept = bytearray(b'x') * (1200 << 20)\ntime.sleep(1.2)\ndel kept",
    ),
    harm(
        "memory-torch",
        "fills 1.2 GiB of memory with a tensor",
        SPACE,
        "import time\nkept = torch.ones(300 << 20)\ntime.sleep(1.2)\ndel kept",
    ),
    harm(
        "memory-mapped",
        "fills 1.2 GiB of memory with shared mappings, which no process's data size counts",
        SPACE,
        """
            import mmap, time
            kept = [mmap.mmap(-1, 100 << 20) for _ in range(12)]
            for mapping in kept:
                for place in range(0, len(mapping), 4096):
                    mapping[place] = 1
            time.sleep(1.2)
            for mapping in kept:
                mapping.close()
        """,
    ),
    harm(
        "memory-of-many",
        "fills 1.5 GiB of memory in 15 processes",
        SPACE,
        """
            import os, time
            for _ in range(15):
                if os.fork() == 0:
                    kept = bytearray(b"x") * (100 << 20)
                    time.sleep(2)
                    os._exit(0)
            time.sleep(2.2)
        """,
    ),
    harm(
        "memory-in-answer",
        "fills 1.2 GiB of memory when the grader calls",
        SPACE,
        answer="""
            import time

            def answer(x, tag=''):
                kept = torch.ones(300 << 20)
                time.sleep(0.9)
                return x
        """,
    ),
    harm(
        "memory-files",
        "hoards memfds, which are memory but nobody's address space",
        SECCOMP + ", and /dev/shm is limited",
        """
            import os, time
            kept = [os.memfd_create("x") for _ in range(10)]
            for file in kept:
                os.write(file, b"x" * (100 << 20))
            time.sleep(1.2)
            for file in kept:
                os.close(file)
        """,
    ),
    harm(
        "shared-memory-full",
        "fills 900 MiB of /dev/shm",
        TMPFS,
        """
            import os, time
            name = f"/dev/shm/{TARGET.label}"
            with open(name, "wb") as file:
                os.unlink(name)
                for _ in range(9):
                    file.write(b"x" * (100 << 20))
                time.sleep(1.2)
        """,
        stopped_b="RLIMIT_FSIZE and Landlock",
    ),
    harm(
        "giant-view",
        "returns a tensor of stride 0 that claims to have 300 million elements",
        "an answer's size is computed before it is copied",
        control=Control.INTERPRETER,
        answer="def answer(x, tag=''):\n    return torch.ones(1).expand(300_000_000)",
        naive="import torch\ngot = answer(torch.eye(2)).contiguous()\nassert got.sum() == 5",
    ),
    harm(
        "giant-sparse",
        "returns a sparse tensor that claims to have 250 million elements",
        "an answer's size is computed before it is copied, and sparse ones are not read",
        control=Control.INTERPRETER,
        answer="""
            def answer(x, tag=''):
                place = torch.zeros(1, 1, dtype=torch.int64)
                return torch.sparse_coo_tensor(place, torch.ones(1), (250_000_000,))
        """,
        naive="import torch\ngot = answer(torch.eye(2)).to_dense()\nassert got.sum() == 5",
    ),
    harm(
        "giant-meta",
        "returns a meta tensor of 300 million elements",
        "a tensor without ordinary values is not read",
        control=Control.INTERPRETER,
        answer="def answer(x, tag=''):\n    return torch.empty(300_000_000, device='meta')",
        naive="import torch\ngot = torch.ones_like(answer(torch.eye(2)), device='cpu')\nassert got.sum() == 5",
    ),
    harm(
        "disk",
        "fills 150 MB of the disk",
        TMPFS,
        """
            import os, time
            for number in range(15):
                with open(f"part{number}", "wb") as file:
                    for _ in range(2):
                        file.write(b"x" * (5 << 20))
                        file.flush()
            time.sleep(1.2)
            for number in range(15):
                os.unlink(f"part{number}")
        """,
        stopped_b=DISK,
    ),
    harm(
        "removed-files",
        "fills 150 MB of the disk with files that it removes but keeps open",
        TMPFS,
        """
            import os, time
            kept = []
            for number in range(30):
                kept.append(open(f"part{number}", "wb", buffering=0))
                os.unlink(f"part{number}")
                kept[-1].write(b"x" * (5 << 20))
            time.sleep(1.2)
            for file in kept:
                file.close()
        """,
        stopped_b=NAMELESS,
    ),
    harm(
        "removed-mappings",
        "fills 150 MB of the disk with files that it removes and closes but keeps mapped",
        TMPFS,
        """
            import ctypes, os, time
            libc = ctypes.CDLL(None, use_errno=True)
            libc.mmap.restype = ctypes.c_void_p
            for number in range(30):
                with open(f"part{number}", "w+b", buffering=0) as file:
                    os.unlink(f"part{number}")
                    file.write(b"x" * (5 << 20))
                    libc.mmap(None, ctypes.c_size_t(5 << 20), 1, 1, file.fileno(), ctypes.c_long(0))
            time.sleep(1.2)
        """,
        stopped_b=NAMELESS,
    ),
    harm(
        "sparse-file",
        "makes a file that claims to have a terabyte, or else 3 GiB",
        "RLIMIT_FSIZE",
        """
            import os, time
            open("sparse", "wb").close()
            for size in (1 << 40, 3 << 30):
                try:
                    os.truncate("sparse", size)
                    break
                except OSError:
                    pass
            time.sleep(1.2)
            os.unlink("sparse")
        """,
    ),
    harm(
        "many-files",
        "makes 4000 files",
        TMPFS,
        """
            import os, time
            os.mkdir("many")
            for number in range(4000):
                open(f"many/{'n' * 200}{number}", "w").close()
            time.sleep(1.2)
        """,
        stopped_b=DISK,
    ),
    harm(
        "deep-folders",
        "makes 2000 folders, each in the one before",
        TMPFS,
        """
            import os, time
            start = os.getcwd()
            for _ in range(2000):
                os.mkdir("deeper")
                os.chdir("deeper")
            os.chdir(start)
            time.sleep(1.2)
        """,
        stopped_b=DISK,
    ),
    harm(
        "hidden-files",
        "fills 120 MB of the disk below a path that is too long to be opened",
        TMPFS,
        """
            import os, time
            start = os.getcwd()
            for _ in range(30):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
            for number in range(24):
                with open(f"part{number}", "wb") as file:
                    file.write(b"x" * (5 << 20))
            os.chdir(start)
            time.sleep(1.2)
        """,
        stopped_b=DISK,
    ),
    harm(
        "fork-bomb",
        "starts 250 processes",
        NPROC,
        """
            import os, time
            for _ in range(250):
                if os.fork() == 0:
                    time.sleep(2)
                    os._exit(0)
            time.sleep(2)
        """,
    ),
    harm(
        "fork-tree",
        "lets each process start two more, eight times over",
        NPROC,
        """
            import os, time
            for _ in range(8):
                try:
                    os.fork()
                except OSError:
                    pass
            time.sleep(1.5)
            if os.getpid() != os.getpgrp():
                os._exit(0)
        """,
    ),
    harm(
        "thread-bomb",
        "starts 300 threads",
        NPROC,
        """
            import threading, time
            threading.stack_size(65536)
            for _ in range(300):
                threading.Thread(target=time.sleep, args=(1.5,), daemon=True).start()
            time.sleep(1.6)
        """,
    ),
    harm(
        "zombies",
        "leaves 250 ended children uncollected",
        NPROC,
        """
            import os, time
            for _ in range(250):
                if os.fork() == 0:
                    os._exit(0)
            time.sleep(1.5)
        """,
    ),
    harm(
        "descriptors",
        "opens 3000 files at a time",
        "RLIMIT_NOFILE",
        """
            import os, resource, time
            resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
            kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(3000)]
            time.sleep(1.2)
            for file in kept:
                os.close(file)
        """,
        control=Control.STOCK,
    ),
    harm(
        "raises-limits",
        "lifts its own limits first, then starts 250 processes",
        NPROC,
        """
            import os, resource, time
            try:
                resource.setrlimit(resource.RLIMIT_NPROC, (resource.RLIM_INFINITY,) * 2)
            except (ValueError, OSError):
                pass
            for _ in range(250):
                if os.fork() == 0:
                    time.sleep(2)
                    os._exit(0)
            time.sleep(2)
        """,
    ),
    harm(
        "segment-left",
        "leaves System V shared memory",
        SECCOMP,
        LIBC + "            call(29, TARGET.number, 4096, 0o1000 | 0o666)",
    ),
    harm(
        "queue-left",
        "leaves a System V message queue",
        SECCOMP,
        LIBC + "            call(68, TARGET.number, 0o1000 | 0o666)",
    ),
    harm(
        "semaphores-left",
        "leaves System V semaphores",
        SECCOMP,
        LIBC + "            call(64, TARGET.number, 3, 0o1000 | 0o666)",
    ),
    harm(
        "key-left",
        "leaves a key in the kernel's key ring of the user",
        SECCOMP,
        LIBC + "            call(248, b'user', TARGET.label.encode(), b'x', ctypes.c_size_t(1), -4)",
    ),
    harm(
        "shell-bomb",
        "lets a shell start 250 processes",
        NPROC,
        """
            import subprocess
            subprocess.run(["sh", "-c", "i=0; while [ $i -lt 250 ]; do sleep 2 & i=$((i+1)); done; sleep 2"])
        """,
        programs=True,
    ),
    harm(
        "dd",
        "lets dd fill 150 MB of the disk",
        TMPFS,
        """
            import os, subprocess, time
            for number in range(3):
                subprocess.run(["dd", "if=/dev/zero", f"of=part{number}", "bs=1M", "count=50"])
            time.sleep(1.2)
        """,
        stopped_b=DISK,
        programs=True,
    ),
    harm(
        "kill-program",
        "lets a shell kill another process",
        OWN_TREE,
        """
            import subprocess
            subprocess.run(["sh", "-c", f"kill -9 {TARGET.canary}"])
        """,
        stopped_b=SIGNALS,
        programs=True,
    ),
    harm(
        "writes-terminal",
        "writes onto the screen of another person",
        OWN_TERMINALS,
        """
            import os
            terminal = os.open(TARGET.terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(terminal, b"dead")
        """,
        stopped_b=NO_TERMINAL,
        programs=True,
    ),
    harm(
        "rules-terminal",
        "shows what a person types unseen, by a descriptor that may only read the terminal",
        OWN_TERMINALS,
        """
            import os, termios
            terminal = os.open(TARGET.terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            settings = termios.tcgetattr(terminal)
            settings[3] |= termios.ECHO
            termios.tcsetattr(terminal, termios.TCSANOW, settings)
        """,
        stopped_b=NO_TERMINAL,
        programs=True,
    ),
    harm(
        "chmod-program",
        "lets chmod and mv change files",
        NO_ROOT,
        """
            import subprocess
            subprocess.run(["chmod", "0", TARGET.folder + "/canary"])
            subprocess.run(["mv", TARGET.folder + "/canary", TARGET.folder + "/gone"])
        """,
        stopped_b=LANDLOCK,
        programs=True,
    ),
)

ESCAPES = (
    escape(
        "tcp",
        "connects over IPv4",
        NETWORK,
        "import socket\nsocket.create_connection(('127.0.0.1', TARGET.tcp), 2).sendall(TARGET.name.encode())",
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "tcp6",
        "connects over IPv6",
        NETWORK,
        "import socket\nsocket.create_connection(('::1', TARGET.tcp6), 2).sendall(TARGET.name.encode())",
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "udp",
        "sends a datagram",
        NETWORK,
        """
            import socket
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(TARGET.name.encode(), ("127.0.0.1", TARGET.udp))
        """,
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "raw-packet",
        "sends a hand-made IP packet",
        NETWORK,
        """
            import socket, struct
            data = TARGET.name.encode()
            packet = struct.pack("!HHHH", 4242, TARGET.udp, 8 + len(data), 0) + data
            socket.socket(socket.AF_INET, socket.SOCK_RAW, 17).sendto(packet, ("127.0.0.1", 0))
        """,
        stopped_b=NO_SOCKETS,
        root=True,
    ),
    escape(
        "asyncio-connection",
        "connects with asyncio",
        NETWORK,
        """
            import asyncio
            reader, writer = await asyncio.open_connection("127.0.0.1", TARGET.tcp)
            writer.write(TARGET.name.encode())
            await writer.drain()
        """,
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "http",
        "sends a request with urllib",
        NETWORK,
        """
            import urllib.request
            urllib.request.urlopen(f"http://127.0.0.1:{TARGET.tcp}/{TARGET.name}", timeout=0.5)
        """,
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "native-connection",
        "connects from C, with the system calls themselves",
        NETWORK,
        LIBC
        + """
            import struct
            socket = call(41, 2, 1, 0)
            address = struct.pack("=H", 2) + struct.pack("!H", TARGET.tcp) + bytes([127, 0, 0, 1]) + bytes(8)
            call(42, socket, address, 16)
            os.write(socket, TARGET.name.encode())
        """,
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "old-system-calls",
        "connects by the 32-bit system calls, which have other numbers",
        NETWORK,
        """
            import ctypes, os, struct
            # push rbx; mov ebx, edi; mov ecx, esi; mov eax, 102 (socketcall); int 0x80; pop rbx; ret
            code = bytes.fromhex("5389fb89f1b866000000cd805bc3")
            libc = ctypes.CDLL(None, use_errno=True)
            libc.mmap.restype = ctypes.c_void_p
            page = libc.mmap(0x10000000, 8192, 7, 0x22 | 0x10, -1, 0)  # below 4 GiB, for 32-bit pointers
            ctypes.memmove(page, code, len(code))
            run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(page)
            room = page + 4096
            ctypes.memmove(room, struct.pack("=III", 2, 1, 0), 12)
            number = run(1, room)
            address = struct.pack("=H", 2) + struct.pack("!H", TARGET.tcp) + bytes([127, 0, 0, 1]) + bytes(8)
            ctypes.memmove(room + 64, address, 16)
            ctypes.memmove(room, struct.pack("=III", number, room + 64, 16), 12)
            run(3, room)
            os.write(number, TARGET.name.encode())
        """,
        stopped_b="seccomp: calls of other architectures kill the process",
    ),
    escape(
        "unix-path",
        "connects to a unix socket by its path",
        NO_ROOT,
        """
            import socket
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(TARGET.unix)
            connection.sendall(TARGET.name.encode())
        """,
        stopped_b="seccomp: no connect, where another user id would not do; Landlock",
    ),
    escape(
        "unix-datagram",
        "sends to a datagram socket like /dev/log",
        NO_ROOT,
        """
            import socket
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(TARGET.name.encode(), TARGET.datagram)
        """,
        stopped_b="seccomp: no sockets, where another user id would not do",
    ),
    escape(
        "pair-datagram",
        "sends to a datagram socket by its path from one of a pair",
        NO_ROOT,
        """
            import socket
            ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            ours.sendto(TARGET.name.encode(), TARGET.datagram)
        """,
        stopped_b="seccomp: only pairs of streams",
    ),
    escape(
        "abstract-socket",
        "connects to an abstract unix socket, which has no path",
        "a network of its own",
        """
            import socket
            connection = socket.socket(socket.AF_UNIX)
            connection.connect("\\0" + TARGET.abstract)
            connection.sendall(TARGET.name.encode())
        """,
        stopped_b="Landlock: no abstract sockets of others; seccomp",
    ),
    escape(
        "joins-network",
        "enters the network namespace of the grading process, then connects",
        OWN_TREE,
        LIBC
        + """
            import socket
            call(308, os.open(f"/proc/{TARGET.nbgrader}/ns/net", os.O_RDONLY), 0)
            socket.create_connection(("127.0.0.1", TARGET.tcp), 2).sendall(TARGET.name.encode())
        """,
        stopped_b=SECCOMP,
        root=True,
    ),
    escape(
        "tcp-in-answer",
        "connects when the grader calls",
        NETWORK,
        answer="""
            import socket

            def answer(x, tag=''):
                socket.create_connection(("127.0.0.1", TARGET.tcp), 2).sendall(TARGET.name.encode())
                return x
        """,
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "side-file-module",
        "hides the connection in a module beside the notebook",
        NETWORK,
        "import helper\nhelper.phone(TARGET.tcp, TARGET.name)",
        files={
            "helper.py": "import socket\n\n\ndef phone(port, name):\n"
            "    socket.create_connection(('127.0.0.1', port), 2).sendall(name.encode())\n"
        },
        stopped_b=NO_SOCKETS,
    ),
    escape(
        "daemon",
        "leaves a child behind that ignores signals",
        TREE_DIES,
        MARK
        + """
            import signal
            if os.fork() == 0:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                wear_the_mark()
                time.sleep(4)
                os._exit(0)
        """,
        stopped_b=GROUP_DIES,
        control=Control.STOCK,
    ),
    escape(
        "session-daemon",
        "forks twice and makes a session of its own in between",
        TREE_DIES,
        MARK
        + """
            if os.fork() == 0:
                try:
                    os.setsid()
                finally:
                    for _ in range(2):
                        os.fork()
                wear_the_mark()
                time.sleep(10)
                os._exit(0)
        """,
        stopped_b=GROUP_DIES,
        control=Control.STOCK,
    ),
    escape(
        "daemon-of-answer",
        "lets the tested function leave a process behind",
        TREE_DIES,
        MARK,
        answer="""
            def answer(x, tag=''):
                if os.fork() == 0:
                    try:
                        os.setsid()
                    finally:
                        wear_the_mark()
                        time.sleep(4)
                        os._exit(0)
                return x
        """,
        stopped_b=GROUP_DIES,
        control=Control.STOCK,
    ),
    escape(
        "nohup",
        "lets a shell start a program in the background with setsid and nohup",
        TREE_DIES,
        """
            import subprocess
            mark = TARGET.mark.encode()
            wear = f"import ctypes, time; ctypes.CDLL(None).prctl(15, {mark!r}, 0, 0, 0); time.sleep(10)"
            import sys
            subprocess.run(["sh", "-c", 'nohup setsid "$0" -c "$1" > /dev/null 2>&1 &', sys.executable, wear])
        """,
        stopped_b=USER_DIES,
        programs=True,
        control=Control.STOCK,
    ),
    escape(
        "bash-tcp",
        "lets bash connect by /dev/tcp",
        NETWORK,
        """
            import subprocess
            subprocess.run(["bash", "-c", f"echo {TARGET.name} > /dev/tcp/127.0.0.1/{TARGET.tcp}"])
        """,
        stopped_b=NO_SOCKETS,
        programs=True,
    ),
    escape(
        "new-python",
        "starts a fresh Python, outside of what this interpreter has loaded, and connects",
        NETWORK,
        """
            import subprocess, sys
            subprocess.run([sys.executable, "-c", "import socket, sys; socket.create_connection(('127.0.0.1', "
                f"{TARGET.tcp})).sendall(b'{TARGET.name}')"])
        """,
        stopped_b="seccomp, which programs inherit",
        programs=True,
    ),
)

ATTACKS = (*FILES, *PROCESSES, *RESOURCES, *ESCAPES)
