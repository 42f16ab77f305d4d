"""`RepairNotebook`: makes of whatever was handed in a notebook that nbgrader can grade.

Trusted side, and the first of the sanitisers, before anything of nbgrader's looks at the notebook. The gradebook says
what the cells are; nothing that a student wrote into metadata counts. What had to be repaired stands in the notebook's
own metadata (``tensorgrade``), where `grade.GradeSubmission` finds it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode, convert, from_dict, reader, v4
from nbformat.validator import isvalid
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from ..exercise import LANGUAGES
from ..notebook import NAMESPACE, SCHEMA_VERSION

UNREADABLE = "unreadable"
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True)
class _Registered:
    """A cell as the gradebook knows it."""

    source: str
    cell_type: str
    metadata: dict[str, Any]

    @property
    def graded(self) -> bool:
        return bool(self.metadata["grade"])


class RepairNotebook(NbGraderPreprocessor):  # type: ignore[misc]
    """Drops duplicates, unknown ids and forged metadata, and puts lost graded cells back."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Repair one notebook in place."""
        place = resources["nbgrader"]
        registered = _registered(place["db_url"], place["assignment"], place["notebook"])
        ours = _own_metadata(nb, resources)
        seen: set[str] = set()
        for cell in reversed(nb.cells):  # the last of several copies counts, as in nbgrader
            self._repair_cell(cell, registered, seen)
        lost = [name for name in registered if name not in seen]
        if UNREADABLE in ours:
            nb.cells = [_restored(name, registered[name]) for name in registered]
        else:
            lost = [name for name in lost if registered[name].graded]
            nb.cells += [_restored(name, registered[name]) for name in lost]
        if lost:
            self.log.warning("%s of %s lacks the cells %s", place["notebook"], place["student"], ", ".join(lost))
        nb.metadata[NAMESPACE] = {**ours, "lost": lost}
        nb.nbformat, nb.nbformat_minor = 4, 5
        _give_ids(nb)
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


def _registered(database: str, assignment: str, notebook: str) -> dict[str, _Registered]:
    """The cells of a notebook by their ids, in the order of the source."""
    with Gradebook(database) as gradebook:
        entry = gradebook.find_notebook(notebook, assignment)
        points = {cell.name: float(cell.max_score) for cell in entry.grade_cells}
        tasks = {cell.name: float(cell.max_score) for cell in entry.task_cells}
        solutions = {cell.name for cell in entry.solution_cells}
        return {
            cell.name: _Registered(cell.source, str(cell.cell_type), _metadata(cell, points, tasks, solutions))
            for cell in entry.source_cells
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


def _give_ids(nb: NotebookNode) -> None:
    """Each cell needs an id of its own; copies made by hand share theirs."""
    used: set[str] = set()
    for index, cell in enumerate(nb.cells):
        if not isinstance(cell.get("id"), str) or not _CELL_ID.fullmatch(cell.id) or cell.id in used:
            cell.id = f"cell-{index}"
        used.add(cell.id)


def readable(text: str) -> NotebookNode:
    """Return a new nbformat 4 notebook with what is well-formed in `text`; older formats are upgraded.

    Kept are the cells with source, ids, outputs and nbgrader's metadata, and tensorgrade's metadata of the notebook;
    all other metadata is left behind. Raises ``ValueError`` with a reason when it is not a notebook.
    """
    try:
        data = _encodable(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(data, dict) or type(data.get("nbformat")) is not int:
        raise ValueError("it is JSON, but not a notebook")
    if data["nbformat"] < 4:
        data = _upgraded(data)
    cells, metadata = data.get("cells"), data.get("metadata")
    if not isinstance(cells, list):
        raise ValueError("it is JSON, but not a notebook")
    notebook = v4.new_notebook()
    notebook.cells = [cell for cell in map(_well_formed, cells) if cell is not None]
    if isinstance(metadata, dict) and NAMESPACE in metadata:
        notebook.metadata[NAMESPACE] = metadata[NAMESPACE]
    return notebook


def _encodable(value: Any) -> Any:
    """Replace lone surrogates, which JSON can hold and no file can."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    try:
        upgraded: dict[str, Any] = convert(reader.reads(json.dumps(data)), 4)
    except Exception as error:  # noqa: BLE001 - nbformat raises what a broken file makes it raise
        raise ValueError(f"nbformat cannot read it ({type(error).__name__})") from None
    return upgraded


def _well_formed(cell: Any) -> NotebookNode | None:
    """A new cell with what is well-formed in `cell`, or None when it is none."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    fresh = NotebookNode(cell_type=cell["cell_type"], source=_source(cell.get("source")), metadata=NotebookNode())
    metadata = cell.get("metadata")
    if isinstance(metadata, dict):
        kept = {key: metadata[key] for key in ("deletable", "editable") if isinstance(metadata.get(key), bool)}
        fresh.metadata.update(kept)
        if "nbgrader" in metadata:
            fresh.metadata["nbgrader"] = metadata["nbgrader"]
    fresh.id = cell.get("id")  # mended in the end
    if fresh.cell_type == "code":
        outputs, count = cell.get("outputs"), cell.get("execution_count")
        outputs = outputs if isinstance(outputs, list) else []
        fresh.outputs = [from_dict(output) for output in outputs if _is_output(output)]
        fresh.execution_count = count if type(count) is int and count >= 0 else None
    elif isinstance(attachments := cell.get("attachments"), dict):
        fresh.attachments = from_dict({name: file for name, file in attachments.items() if _is_attachment(file)})
    return fresh


def _is_attachment(file: Any) -> bool:
    """Whether `file` is a pasted image: its content as text, by media type."""
    return isinstance(file, dict) and all(isinstance(content, str) for content in file.values())


def _source(source: Any) -> str:
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def _is_output(output: Any) -> bool:
    return isinstance(output, dict) and bool(isvalid(from_dict(output), ref="output", version=4, version_minor=5))
