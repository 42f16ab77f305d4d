"""Other machines for the tests, made of this one: an ordinary user's, a container, an old kernel.

Each is a command that Python scripts are run by. They are made as root, of mount namespaces, capabilities and seccomp,
so that the kernel refuses for real what such a machine refuses.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tensorgrade.sandbox import runtime_paths

USER = 60577
"""A user id that nobody has."""

_OF_CONTAINERS = "chown dac_override fowner fsetid kill mknod net_bind_service net_raw setfcap setgid setpcap setuid"
_FORBID = """
import errno, os, sys
import pyseccomp as seccomp
rules = seccomp.SyscallFilter(seccomp.ALLOW)
for name in sys.argv[1].split(","):
    rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
rules.load()
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def available() -> bool:
    """Whether other machines can be made of this one."""
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "mount"))):
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


def run(script: str, *arguments: str, user: int = 0, container: bool = False, forbidden: str = "") -> str:
    """What a Python script prints on a machine where every user can get to Python.

    Args:
        script: its text.
        *arguments: those of the script.
        user: who runs it.
        container: whether root has no more capabilities than in a container.
        forbidden: system calls that fail, with commas between.
    """
    privileges = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    if container:
        privileges += ["--inh-caps=-all", "--bounding-set=-all," + ",".join(f"+{n}" for n in _OF_CONTAINERS.split())]
    command = [sys.executable, *(["-c", _FORBID, forbidden] if forbidden else []), "-c", textwrap.dedent(script)]
    with tempfile.TemporaryDirectory() as stage:
        prepare = f'set -e; umask 022; {"; ".join(_passable(stage))}; cd /; exec setpriv {shlex.join(privileges)} "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", prepare, "sh", *command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/"},
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _passable(stage: str) -> list[str]:
    """Commands of a shell that put public folders in the place of private ones that Python lies in."""
    hidden = {path: folder for path in runtime_paths() if (folder := _private_folder(path))}
    places = {path: f"{stage}/{number}" for number, path in enumerate(hidden)}
    return [
        ":",
        *(f"mkdir {place}; mount --bind {path} {place}" for path, place in places.items()),
        *(f"mount -t tmpfs -o mode=755 tmpfs {folder}" for folder in sorted(set(hidden.values()))),
        *(f"mkdir -p {path}; mount --bind {place} {path}" for path, place in places.items()),
    ]


def _private_folder(path: str) -> str | None:
    """The highest folder above a path that not every user can enter."""
    above = reversed(Path(path).resolve().parents)
    return next((str(folder) for folder in above if not folder.stat().st_mode & 0o001), None)
