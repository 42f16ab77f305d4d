"""`tensorgrade check`: runs a notebook in a kernel of its own and checks its exercises there, as ``%check`` would.

Student's side: the code is the student's own, on the student's machine, so nothing is confined.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, v4

from ..errors import HandoutError
from . import examples, handout
from .report import Progress, Report

_KERNEL = "python3"
_ANSWER = "application/vnd.tensorgrade.check+json"
_ASK = """\
from IPython.display import display as _display
from tensorgrade.practice.running import answer as _answer
_display({{{mime!r}: _answer({path!r}, {names!r}, globals())}}, raw=True)"""


@dataclass(frozen=True)
class Checked:
    """What checking a notebook came to.

    Attributes:
        text: for the student.
        passed: whether all examples of the exercises asked for pass.
        raised: the cells of the notebook that raised, by their place, with the error.
    """

    text: str
    passed: bool
    raised: tuple[str, ...]


def check(path: Path, names: Sequence[str], seconds: float) -> Checked:
    """Run the cells of the notebook `path`, and check the exercises `names`, or all of them.

    A cell may take `seconds`. Raises `HandoutError` for a file that is no notebook with exercises, an exercise that it
    has not, a cell that takes too long, and a kernel that dies.
    """
    told = handout.read(path)
    for name in names:
        told.task(name)
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.resolve().parent)}}
    client = NotebookClient(notebook, timeout=seconds, allow_errors=True, kernel_name=_KERNEL, resources=resources)
    try:
        with client.setup_kernel(stderr=subprocess.DEVNULL):  # what cells write comes as their output
            raised = tuple(_run_cells(client, notebook))
            asked = v4.new_code_cell(_ASK.format(mime=_ANSWER, path=str(path.resolve()), names=list(names)))
            notebook.cells.append(asked)
            client.execute_cell(asked, len(notebook.cells) - 1)
    except CellTimeoutError as error:
        raise HandoutError(f"{path}: a cell ran longer than {seconds:g} s; --seconds allows more") from error
    except DeadKernelError as error:
        raise HandoutError(f"{path}: the kernel died (a crash, an exit, or too much memory)") from error
    found = [output.data[_ANSWER] for output in asked.outputs if _ANSWER in output.get("data", {})]
    if not found:
        raise HandoutError(f"{path}: the kernel {_KERNEL} gave no answer; is tensorgrade installed in it?")
    return Checked(found[0]["text"], found[0]["passed"], raised)


def answer(path: str, names: Sequence[str], namespace: dict[str, Any]) -> dict[str, object]:
    """What `check` asks in the kernel: the examples of these exercises, run on `namespace`."""
    told = handout.read(Path(path))
    tasks = [told.task(name) for name in names] or list(told.tasks.values())
    reports = tuple(Report(task, told.language, tuple(examples.run(task.examples, namespace))) for task in tasks)
    progress = Progress(told.language, reports)
    failing = [report.to_text() for report in reports if not report.passed]
    return {"text": "\n\n".join([*failing, progress.to_text()]), "passed": all(report.passed for report in reports)}


def _run_cells(client: NotebookClient, notebook: NotebookNode) -> Iterator[str]:
    """Run the cells; yields one line for each that raised, but for the examples, which are checked anyway."""
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or cell.metadata.get("nbgrader", {}).get("grade"):
            continue
        client.execute_cell(cell, place)
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"cell {place + 1}: {output.ename}: {output.evalue}"
