"""Attacks that want to hold the batch up, or to spoil it for others."""

from tests.attacks.attack import Control, Goal, attack

KILLED = "after the limit an interrupt, after a second SIGKILL, which nothing can catch or delay"
PIDFD = "it is killed from outside; whether it can run makes no difference"
WITH_ROOT = "the folder is not there"


def stall(name, does, stopped, code="", **more):
    return attack(Goal.STALL, name, does, stopped, code, **more)


def sabotage(name, does, stopped, code="", **more):
    return attack(Goal.SABOTAGE, name, does, stopped, code, **more)


STALLS = (
    stall(
        "ignores-interrupts",
        "loops, and catches whatever comes",
        KILLED,
        """
            import time
            end = time.monotonic() + 11
            while time.monotonic() < end:
                try:
                    while time.monotonic() < end:
                        pass
                except BaseException:
                    pass
        """,
    ),
    stall(
        "blocks-signals",
        "blocks all signals, then sleeps",
        KILLED,
        """
            import signal, time
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            time.sleep(11)
        """,
    ),
    stall(
        "stops-itself",
        "stops itself with SIGSTOP; a child wakes it much later",
        PIDFD,
        """
            import os, time
            parent = os.getpid()
            if os.fork() == 0:
                time.sleep(11)
                os.kill(parent, 18)
                os._exit(0)
            os.kill(parent, 19)
        """,
    ),
    stall(
        "native-loop",
        "stays in one long call of C",
        KILLED,
        """
            import signal
            import hashlib
            signal.alarm(12)
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 10**9)
        """,
    ),
    stall(
        "regular-expression",
        "lets a regular expression backtrack",
        KILLED,
        """
            import re, signal
            signal.alarm(12)
            re.match(r"(a+)+$", "a" * 40 + "b")
        """,
    ),
    stall(
        "hanging-message",
        "raises an error whose message takes for ever",
        KILLED,
        """
            import time

            end = time.monotonic() + 11

            class Slow(Exception):
                def __str__(self):
                    while time.monotonic() < end:
                        try:
                            time.sleep(1)
                        except BaseException:
                            pass
                    return "done"

            raise Slow
        """,
    ),
    stall(
        "hanging-answer",
        "sleeps when the grader calls, and catches interrupts",
        KILLED,
        answer="""
            import time

            def answer(x, tag=''):
                end = time.monotonic() + 11
                while time.monotonic() < end:
                    try:
                        time.sleep(1)
                    except BaseException:
                        pass
                return x
        """,
    ),
    stall(
        "endless-items",
        "returns a dictionary whose items take for ever",
        KILLED,
        answer="""
            import time

            class Slow(dict):
                def items(self):
                    time.sleep(11)
                    return super().items()
                __iter__ = keys = values = items
                __len__ = lambda self: len(list(self.items()))

            def answer(x, tag=''):
                return Slow(a=1)
        """,
        control=Control.INTERPRETER,
        naive="sorted(answer(None).items())",
    ),
    stall(
        "drips-answer",
        "writes one byte of an answer at a time to the engine's socket",
        "a limit for the whole answer",
        answer="""
            import os, signal, stat, time
            signal.signal(signal.SIGINT, signal.SIG_IGN)

            def answer(x, tag=''):
                for number in range(3, 64):
                    try:
                        if stat.S_ISSOCK(os.fstat(number).st_mode):
                            socket = number
                    except OSError:
                        pass
                header = (50).to_bytes(4, "little")
                for byte in header + bytes(40):
                    os.write(socket, bytes([byte]))
                    time.sleep(0.25)
                os._exit(0)
        """,
    ),
    stall(
        "print-flood",
        "prints without end",
        "output is cut; the time limit holds",
        """
            import time
            end = time.monotonic() + 11
            while time.monotonic() < end:
                try:
                    print("x" * 100_000)
                except BaseException:
                    pass
        """,
    ),
    stall(
        "descriptor-flood",
        "writes to descriptors 1 and 2 without end",
        "both are read to a limit and thrown away beyond it",
        """
            import os, time
            end = time.monotonic() + 11
            while time.monotonic() < end:
                try:
                    os.write(1, b"x" * 65536)
                    os.write(2, b"x" * 65536)
                except BaseException:
                    pass
        """,
    ),
    stall(
        "hangs-at-exit",
        "ends the process with hanging exit handlers and threads",
        KILLED,
        """
            import atexit, sys, threading, time
            atexit.register(time.sleep, 11)
            threading.Thread(target=time.sleep, args=(11,)).start()
            sys.exitfunc = lambda: time.sleep(11)
            try:
                sys.exit(0)
            finally:
                try:
                    time.sleep(11)
                except BaseException:
                    time.sleep(11)
        """,
    ),
    stall(
        "deaths-in-turn",
        "uses its time up to the limit, then dies often, so that the cells before run again and again",
        "a limit of the whole notebook's time, and of the number of restarts",
        "import time\ntime.sleep(0.9)\nruns = 1",
        mangle=lambda notebook: notebook["cells"].extend(
            {
                "cell_type": "code",
                "id": f"death-{n}",
                "metadata": {},
                "outputs": [],
                "execution_count": None,
                "source": "import time, os\ntime.sleep(0.8)"
                if n < 3
                else "os._exit(0)"
                if n % 2
                else "time.sleep(0.8)",
            }
            for n in range(12)
        ),
    ),
    stall(
        "leaves-stream-open",
        "dies and leaves a child behind that keeps the streams open",
        "the end of a process is seen by its handle, not by its streams",
        """
            import os, time
            if os.fork() == 0:
                time.sleep(11)
                os._exit(0)
            os._exit(0)
        """,
        control=Control.ARGUED,
        why_no_control="a reader that waits for the end of a stream would hang; ours does so in no tier",
    ),
    stall(
        "program-sleeps",
        "waits for a program that ignores interrupts",
        KILLED,
        """
            import subprocess
            process = subprocess.Popen(["sh", "-c", "trap '' INT TERM; sleep 11"])
            while process.poll() is None:
                try:
                    process.wait()
                except BaseException:
                    pass
        """,
        programs=True,
    ),
)

SABOTAGES = (
    sabotage(
        "overwrites-victim",
        "overwrites what the next student has handed in",
        WITH_ROOT,
        """
            open(TARGET.victim, "w").write("{}")
        """,
        stopped_b="Landlock: no file of the course can be opened",
    ),
    sabotage(
        "removes-victim",
        "removes what the next student has handed in",
        WITH_ROOT,
        "import os\nos.unlink(TARGET.victim)",
        stopped_b="Landlock: no file of the course can be changed",
    ),
    sabotage(
        "replaces-victim",
        "puts its own empty notebook in the place of the next student's",
        WITH_ROOT,
        """
            import os
            open(TARGET.victim + ".new", "w").write('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}')
            os.replace(TARGET.victim + ".new", TARGET.victim)
        """,
        stopped_b="Landlock: no file of the course can be changed",
    ),
    sabotage(
        "makes-victim-a-link",
        "turns the next student's notebook into a link to a device",
        WITH_ROOT,
        """
            import os
            os.unlink(TARGET.victim)
            os.symlink("/dev/zero", TARGET.victim)
        """,
        stopped_b="Landlock: no file of the course can be changed",
    ),
    sabotage(
        "kills-zygote",
        "kills the process that it was forked from",
        "a process tree of its own: its parent has no number here",
        "import os\nos.getppid() > 1 and os.kill(os.getppid(), 9)",
        stopped_b="another user id, and Landlock: no signals to the outside",
    ),
    sabotage(
        "stops-zygote-later",
        "lets the tested function kill the process that all were forked from",
        "a process tree of its own: its parent has no number here",
        "import os\nzygote = os.getppid()",
        answer="""
            def answer(x, tag=''):
                if zygote > 1:
                    os.kill(zygote, 9)
                return x
        """,
        stopped_b="another user id, and Landlock: no signals to the outside",
    ),
    sabotage(
        "kills-worker",
        "kills the process that judges it",
        "a process tree of its own: the worker has no number here",
        """
            import os
            def parent(process):
                return int(open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[1])
            grading = parent(parent(os.getppid()))
            for process in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if "tensorgrade.worker" in open(f"/proc/{process}/cmdline").read():
                        parent(parent(process)) == grading and os.kill(int(process), 9)
                except OSError:
                    pass
        """,
        stopped_b="another user id, and Landlock: no signals to the outside",
    ),
    sabotage(
        "kills-everyone",
        "sends SIGKILL to every process that it may signal",
        "a process tree of its own: it can only meet itself",
        """
            import os
            confined = True
            try:
                os.listdir("/")  # refused in tiers A and B; anywhere else this must not go on
                confined = False
            except PermissionError:
                pass
            if confined:
                os.kill(-1, 9)
        """,
        stopped_b="a user id that nobody else has, and Landlock",
        control=Control.ARGUED,
        why_no_control="it would kill the machine that the tests run on; kills-canary and kills-zygote stand for it",
    ),
    sabotage(
        "kills-own-group",
        "kills its own process group",
        "it has a session of its own",
        "import os\nos.killpg(0, 9)",
        control=Control.INTERPRETER,
    ),
    sabotage(
        "closes-everything",
        "closes every descriptor",
        "its own failed submission",
        "import os\nos.closerange(0, 512)",
        control=Control.INTERPRETER,
    ),
    sabotage(
        "floods-engine",
        "writes garbage to every descriptor that it has inherited",
        "frames are bounded and checked; anything else costs the submission its process",
        """
            import os
            for number in range(3, 64):
                try:
                    os.set_blocking(number, False)
                    os.write(number, os.urandom(60000))
                except OSError:
                    pass
        """,
        control=Control.ARGUED,
        why_no_control="the protocol's reader is the same in all tiers; its own tests fuzz it",
    ),
    sabotage(
        "forged-frame",
        "answers for the engine with frames of its own",
        "frames are bounded and checked, with numbers of requests",
        """
            import os, sys
            codec = sys.modules["tensorgrade.codec"]
            for number in range(3, 64):
                for request in range(1, 9):
                    try:
                        os.set_blocking(number, False)
                        answer = {"id": request, "outputs": [], "ok": True, "value": 2.0, "error": None}
                        os.write(number, codec.encode(answer))
                    except OSError:
                        break
        """,
        control=Control.ARGUED,
        why_no_control="the protocol's reader is the same in all tiers; its own tests forge frames",
    ),
    sabotage(
        "segfaults",
        "dies in C, in a cell and when the grader calls",
        "it is a process of its own",
        "import ctypes\nctypes.string_at(0)",
        answer="import ctypes\n\ndef answer(x, tag=''):\n    return ctypes.string_at(0)",
        control=Control.INTERPRETER,
    ),
    sabotage(
        "exits",
        "leaves with os._exit(0), sys.exit and os.abort",
        "a process that ends is no answer",
        """
            import os, sys
            os._exit(0)
        """,
        answer="import os, sys\n\ndef answer(x, tag=''):\n    os.abort()",
        after="import sys\nsys.exit(0)",
        control=Control.INTERPRETER,
    ),
    sabotage(
        "deep-recursion",
        "recurses without a limit",
        "it is a process of its own",
        """
            import sys
            sys.setrecursionlimit(10**9)

            class Deep:
                def __getattr__(self, name):
                    return getattr(self, name + "x")

            Deep().a
        """,
        control=Control.INTERPRETER,
    ),
    sabotage(
        "nested-answer",
        "returns a list that contains itself, and one nested 100,000 deep",
        "observations are bounded in depth and number",
        answer="""
            def answer(x, tag=''):
                ring = []
                ring.append(ring)
                deep = ring
                for _ in range(100_000):
                    deep = [deep]
                return [ring, deep]
        """,
        control=Control.ARGUED,
        why_no_control="Python's own serialisers raise RecursionError here; it is tested that ours holds, too",
    ),
    sabotage(
        "display-bomb",
        "displays pages, scripts and forged outputs of every kind",
        "student-made outputs are bounded and made inert",
        """
            from IPython.display import HTML, Javascript, display
            display(HTML("<script>document.title='x'</script>" + "<b>" * 50_000))
            display({"text/plain": "3", "application/json": {"deep": [[[]]]}, "image/png": "not base64"}, raw=True)
            payload = {"source": "set_next_input", "text": "import os", "replace": False}
            get_ipython().payload_manager.write_payload(payload)
            get_ipython().display_formatter.formatters["text/plain"].for_type(int, lambda *facts: 1 / 0)
            7
        """,
        control=Control.ARGUED,
        why_no_control="notebooks are made inert in all tiers; their own tests have stock nbgrader's view",
    ),
)

ATTACKS = (*STALLS, *SABOTAGES)
