"""Attacks by submissions that work in several processes: the hidden grader asks each of two ranks for the answer."""

from tests.attacks.attack import Control, Goal, attack
from tests.attacks.harms import GROUP_DIES, MARK, NETWORK, NO_SOCKETS, SIGNALS, TREE_DIES
from tests.attacks.leaks import LANDLOCK, NO_ROOT, OWN_TREE

DEADLINE = "the ranks of a call have its time limit together; one that has not answered by then is killed"
SOCKETS = """
            import os, stat
            from tensorgrade.codec import encode

            def sockets():
                found = []
                for number in range(3, 64):
                    try:
                        if stat.S_ISSOCK(os.fstat(number).st_mode):
                            found.append(number)
                    except OSError:
                        pass
                return found
"""


def by_rank(goal, name, does, stopped, answer, code="", **more):
    return attack(goal, f"rank-{name}", does, stopped, code, answer=answer, ranks=True, **more)


ATTACKS = (
    by_rank(
        Goal.ESCAPE,
        "tcp",
        "connects from a rank",
        NETWORK,
        """
            import socket

            def answer(x, tag='', *place):
                socket.create_connection(("127.0.0.1", TARGET.tcp), 2).sendall(TARGET.name.encode())
                return x
        """,
        stopped_b=NO_SOCKETS,
    ),
    by_rank(
        Goal.ESCAPE,
        "unix",
        "connects from a rank to a unix socket by its path, and sends to one of datagrams",
        NO_ROOT,
        """
            import socket

            def answer(x, tag='', *place):
                try:
                    connection = socket.socket(socket.AF_UNIX)
                    connection.connect(TARGET.unix)
                    connection.sendall(TARGET.name.encode())
                finally:
                    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
                    ours.sendto(TARGET.name.encode(), TARGET.datagram)
                return x
        """,
        stopped_b="seccomp: no connect, and only pairs of streams; Landlock",
    ),
    by_rank(
        Goal.ESCAPE,
        "abstract",
        "connects from a rank to an abstract unix socket, with a descriptor that its mesh had",
        "a network of its own",
        """
            import os, socket

            def answer(x, tag='', *place):
                connection = socket.socket(socket.AF_UNIX)
                for number in range(3, 64):
                    if number != connection.fileno() and place and place[0] == 1:
                        try:
                            os.dup2(connection.fileno(), number)
                            break
                        except OSError:
                            pass
                connection.connect("\\0" + TARGET.abstract)
                connection.sendall(TARGET.name.encode())
                return x
        """,
        stopped_b="Landlock: no abstract sockets of others; seccomp",
    ),
    by_rank(
        Goal.ESCAPE,
        "daemon",
        "leaves a process behind in each rank, with the sockets of its group",
        TREE_DIES,
        """
            def answer(x, tag='', *place):
                if os.fork() == 0:
                    try:
                        os.setsid()
                    finally:
                        wear_the_mark()
                        time.sleep(4)
                        os._exit(0)
                return x
        """,
        MARK,
        stopped_b=GROUP_DIES,
        control=Control.STOCK,
    ),
    by_rank(
        Goal.HARM,
        "leaves-files",
        "leaves files of a rank in /dev/shm, /tmp and /var/tmp",
        NO_ROOT,
        """
            def answer(x, tag='', *place):
                for folder in ("/dev/shm", "/tmp", "/var/tmp"):
                    try:
                        open(f"{folder}/{TARGET.label}", "w").write("x")
                    except OSError:
                        pass
                return x
        """,
        stopped_b=LANDLOCK,
    ),
    by_rank(
        Goal.HARM,
        "kills-relatives",
        "kills a process of the machine, then its parent and its siblings",
        OWN_TREE,
        """
            import os

            def answer(x, tag='', *place):
                try:
                    os.kill(TARGET.canary, 9)
                except OSError:
                    pass
                parent = os.getppid()
                if place and parent > 0:
                    for relative in open(f"/proc/{parent}/task/{parent}/children").read().split():
                        if int(relative) != os.getpid():
                            os.kill(int(relative), 9)
                    os.kill(parent, 9)
                return x
        """,
        stopped_b=SIGNALS,
    ),
    by_rank(
        Goal.STALL,
        "floods",
        "fills all sockets of its group, reads none, and never answers",
        DEADLINE,
        """
            def answer(x, tag='', *place):
                end = time.monotonic() + 11
                while time.monotonic() < end:
                    try:
                        for peer in ranks._here.mesh._peers.values():
                            try:
                                peer.send(struct.pack("<IQ", 8, 1 << 40) + bytes(1 << 16))
                            except OSError:
                                pass
                        time.sleep(0.01)
                    except BaseException:
                        pass
                return x
        """,
        """
            import struct, time
            from tensorgrade import ranks
        """,
    ),
    by_rank(
        Goal.STALL,
        "waits-for-another",
        "waits for a rank that never comes, in every test and whatever interrupts it",
        DEADLINE,
        """
            import time

            def answer(x, tag='', *place):
                end = time.monotonic() + 11
                while time.monotonic() < end:
                    try:
                        if place and place[0] == 1:
                            break
                        time.sleep(1)
                    except BaseException:
                        pass
                return x
        """,
    ),
    by_rank(
        Goal.SCORE,
        "answers-for-others",
        "makes comparisons true, and sends answers in the name of the other rank, twice and with other numbers",
        "each rank has a connection of its own to the trusted side; values are compared there",
        """
            def answer(x, tag='', *place):
                for number in sockets() if place else ():
                    for request in (1, 2, 3):
                        frame = encode({"id": request, "value": None, "ok": True, "verdict": "passed", "points": 2})
                        os.set_blocking(number, False)
                        try:
                            os.write(number, frame + frame)
                        except OSError:
                            pass
                return x
        """,
        SOCKETS
        + """
            import torch
            torch.testing.assert_close = lambda *arguments, **options: None
        """,
        control=Control.INTERPRETER,
    ),
    by_rank(
        Goal.LEAK,
        "keeps-input",
        "writes a rank's hidden input to a file, and reads it in the last cell",
        "exercises are judged when all cells have run",
        """
            import os

            kept = os.path.abspath("kept")

            def answer(x, tag='', *place):
                open(kept, "a").write(tag)
                return x
        """,
        after="print(open(kept).read())",
        control=Control.INTERPRETER,
    ),
)
