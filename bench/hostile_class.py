"""A class with hostile students beside the same class without them: the scores of the others must be equal.

    python bench/hostile_class.py [honest] [hostile]

Runs `nbgrader autograde` twice, on copies of the course. Exits with 1 when an honest student's score differs, a run
does not end well, or a process, mount, socket or file is left.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from autograde import make_class, run

from tensorgrade.course import Course
from tensorgrade.scores import scores

HOSTILE = (
    "import os\nos._exit(0)",
    "while True: pass",
    "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "x = []\nwhile True: x.append(bytearray(1 << 26))",
    "import os, signal\nos.kill(os.getppid() or 1, 9)\nos.kill(-1, 9)",
    "import ctypes\nctypes.string_at(0)",
    "import os\nfor n in range(100000): open(str(n), 'w').write('x' * 100000)",
    "print('x' * 10**9)",
    "import torch, sys\ntorch.equal = torch.allclose = lambda *a, **k: True\nsys.exit = None",
    "import os\nif os.fork() == 0:\n    import time\n    time.sleep(600)",
    "raise SystemExit",
    None,  # a file that is no notebook
)


def main(honest: int, hostile: int) -> None:
    """Grade both classes and compare."""
    with tempfile.TemporaryDirectory() as folder:
        alone, assignment = make_class(Path(folder, "alone"), honest)
        mixed, _ = make_class(Path(folder, "mixed"), honest)
        for number in range(hostile):
            add_hostile(mixed, assignment, f"s{number * honest // hostile:04}-hostile", HOSTILE[number % len(HOSTILE)])
        before = left()
        results = {}
        for root in (alone, mixed):
            run(root, "tensorgrade.cli", "build", assignment)
            begin = time.perf_counter()
            run(root, "nbgrader", "autograde", assignment)
            students = scores(Course(root), assignment)["students"]
            results[root.name] = {name: entry["score"] for name, entry in students.items()}
            print(f"{root.name}: {len(students)} submissions in {time.perf_counter() - begin:.1f} s")
        different = [name for name, score in results["alone"].items() if results["mixed"][name] != score]
        time.sleep(1)
        remains = left() - before
        print(f"honest scores that differ: {len(different)}; left on the machine: {sorted(remains) or 'nothing'}")
        sys.exit(1 if different or remains else 0)


def add_hostile(root: Path, assignment: str, student: str, code: str | None) -> None:
    """Hand in a notebook with `code` in the place of every answer."""
    file = root / "submitted" / student / assignment / f"{assignment}.ipynb"
    file.parent.mkdir(parents=True)
    if code is None:
        file.write_bytes(b"\0" * 1000)
        return
    notebook = nbformat.read(Course(root).release_notebook(assignment), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and "nbgrader" in cell.metadata and cell.metadata.nbgrader.get("solution"):
            cell.source = code
    nbformat.write(notebook, file)


def left() -> set[str]:
    """The mounts, named Unix sockets, temporary files, shared memory and tensorgrade's processes on this machine."""
    found = set(Path("/proc/self/mounts").read_text().splitlines())
    found |= {line.split()[7] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if len(line.split()) > 7}
    for folder in {"/dev/shm", "/tmp", "/var/tmp", tempfile.gettempdir()}:
        found |= {str(file) for file in Path(folder).iterdir()}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if b"tensorgrade.zygote" in words or b"tensorgrade.worker" in words:
            found.add(f"process {entry.name}")
    return found


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers or [170, 30]))
