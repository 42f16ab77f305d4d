"""`RepairNotebook`: makes of whatever was handed in a notebook that nbgrader can grade.

Trusted side, and the first of the sanitisers, before anything of nbgrader's looks at the notebook. The gradebook says
what the cells are; nothing that a student wrote into metadata counts. What had to be repaired stands in the notebook's
own metadata (``tensorgrade``), where `grade.GradeSubmission` finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode, v4
from nbgrader.api import Gradebook, GradeCell, SolutionCell, SourceCell, TaskCell
from nbgrader.preprocessors import NbGraderPreprocessor
from sqlalchemy import bindparam, select

from ..exercise import LANGUAGES
from ..notebook import NAMESPACE, SCHEMA_VERSION, test_cell_id
from .gradebooks import Gradebooks
from .reading import give_ids

UNREADABLE = "unreadable"


@dataclass(frozen=True)
class _Registered:
    """A cell as the gradebook knows it."""

    source: str
    cell_type: str
    metadata: dict[str, Any]

    @property
    def graded(self) -> bool:
        return bool(self.metadata["grade"])

    @property
    def solution(self) -> bool:
        return bool(self.metadata["solution"])

    @property
    def locked(self) -> bool:
        return bool(self.metadata["locked"])


class RepairNotebook(NbGraderPreprocessor):  # type: ignore[misc]
    """Drops duplicates, unknown ids and forged metadata, and puts lost graded cells back."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Repair one notebook in place."""
        place = resources["nbgrader"]
        gradebooks: Gradebooks | None = getattr(self.parent, "gradebooks", None)
        opened = Gradebook if gradebooks is None else gradebooks.open
        with opened(place["db_url"]) as gradebook:
            registered = _registered(gradebook, place["assignment"], place["notebook"])
        ours = _own_metadata(nb, resources)
        seen: set[str] = set()
        for cell in reversed(nb.cells):  # the last of several copies counts, as in nbgrader
            self._repair_cell(cell, registered, seen)
        lost = [name for name in registered if name not in seen]
        if UNREADABLE in ours:
            nb.cells = [_restored(name, registered[name]) for name in registered]
        else:
            lost = [name for name in lost if registered[name].graded]
            nb.cells = _in_order(nb.cells, registered) + [_restored(name, registered[name]) for name in lost]
        if lost:
            self.log.warning("%s of %s lacks the cells %s", place["notebook"], place["student"], ", ".join(lost))
        nb.metadata[NAMESPACE] = {**ours, "lost": lost}
        nb.nbformat, nb.nbformat_minor = 4, 5
        give_ids(nb)
        return nb, resources

    def _repair_cell(self, cell: NotebookNode, registered: dict[str, _Registered], seen: set[str]) -> None:
        claimed = cell.metadata.pop("nbgrader", None)
        name = claimed.get("grade_id") if isinstance(claimed, dict) else None
        if not isinstance(name, str) or name not in registered:
            return
        if name in seen:
            self.log.warning("The cell '%s' stands in the notebook several times; the last one counts", name)
            return
        seen.add(name)
        _set_type(cell, registered[name].cell_type)
        cell.metadata["nbgrader"] = NotebookNode(registered[name].metadata)


def _registered(gradebook: Gradebook, assignment: str, notebook: str) -> dict[str, _Registered]:
    """The cells of a notebook by their ids, in the order of the source."""
    place = {"notebook": gradebook.find_notebook(notebook, assignment).id}
    found = {kind: gradebook.db.execute(query, place).all() for kind, query in _CELLS.items()}
    points, tasks = ({name: float(score) for name, score in found[kind]} for kind in (GradeCell, TaskCell))
    solutions = {name for (name,) in found[SolutionCell]}
    return {
        cell.name: _Registered(cell.source, str(cell.cell_type), _metadata(cell, points, tasks, solutions))
        for cell in found[SourceCell]
    }


# as in `gradebooks`, made once
_CELLS = {
    kind: select(*columns).where(kind.notebook_id == bindparam("notebook"))
    for kind, columns in {
        GradeCell: (GradeCell.name, GradeCell.max_score),
        TaskCell: (TaskCell.name, TaskCell.max_score),
        SolutionCell: (SolutionCell.name,),
        SourceCell: (
            SourceCell.name,
            SourceCell.source,
            SourceCell.cell_type,
            SourceCell.locked,
            SourceCell.checksum,
        ),
    }.items()
}


def _metadata(cell: Any, points: dict[str, float], tasks: dict[str, float], solutions: set[str]) -> dict[str, Any]:
    metadata = {
        "grade_id": cell.name,
        "grade": cell.name in points,
        "solution": cell.name in solutions,
        "task": cell.name in tasks,
        # nbgrader wants graded and task cells locked, unless the student writes in them
        "locked": bool(cell.locked) or cell.name in tasks,
        "schema_version": SCHEMA_VERSION,
        "cell_type": str(cell.cell_type),
    }
    if cell.checksum:
        metadata["checksum"] = cell.checksum
    if cell.name in points or cell.name in tasks:
        metadata["points"] = points.get(cell.name, tasks.get(cell.name))
    return metadata


def _own_metadata(nb: NotebookNode, resources: dict[str, Any]) -> dict[str, Any]:
    """What tensorgrade itself notes in a notebook; of the student's copy only the language is taken over."""
    claimed = nb.metadata.pop(NAMESPACE, None)
    language = claimed.get("language") if isinstance(claimed, dict) else None
    known = resources.get(NAMESPACE, {})
    ours: dict[str, Any] = {"language": language if language in LANGUAGES else known.get("language", LANGUAGES[0])}
    if problem := known.get(UNREADABLE):
        ours[UNREADABLE] = problem
    return ours


def _in_order(cells: list[NotebookNode], registered: dict[str, _Registered]) -> list[NotebookNode]:
    """Put back the cells of exercises that were moved to where they cannot work.

    A test cell before its solution goes right behind it, and setup (locked code without points) that stands behind a
    cell of an exercise to the beginning. All other cells stay in the student's order.
    """
    tests = {name: test_cell_id(name) for name in registered if _is_exercise(name, registered)}
    if not tests:
        return cells
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    places = {name: place for place, name in enumerate(names) if name is not None}
    moved = {test: name for name, test in tests.items() if places.get(test, len(cells)) < places.get(name, 0)}
    start = min((places[name] for name in {*tests, *tests.values()} & set(places)), default=0)
    setup = [place for place, name in enumerate(names) if place > start and _is_setup(registered.get(name or ""))]
    ordered = [cells[place] for place in setup]
    for place, name in enumerate(names):
        if place not in setup and name not in moved:
            ordered.append(cells[place])
        if tests.get(name or "") in moved:
            ordered.append(cells[places[tests[name]]])
    return ordered


def _is_exercise(name: str, registered: dict[str, _Registered]) -> bool:
    """Whether `name` is a solution cell with the cells that `tensorgrade.notebook` puts around it."""
    test = registered.get(test_cell_id(name))
    return registered[name].solution and test is not None and test.graded and f"about_{name}" in registered


def _is_setup(cell: _Registered | None) -> bool:
    return cell is not None and cell.cell_type == "code" and cell.locked and not cell.graded and not cell.solution


def _restored(name: str, registered: _Registered) -> NotebookNode:
    new = v4.new_code_cell if registered.cell_type == "code" else v4.new_markdown_cell
    cell = new(registered.source)
    cell.metadata["nbgrader"] = NotebookNode(registered.metadata)
    return cell


def _set_type(cell: NotebookNode, cell_type: str) -> None:
    cell.cell_type = cell_type
    if cell_type == "code":
        cell.setdefault("outputs", [])
        cell.setdefault("execution_count", None)
        cell.pop("attachments", None)
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
