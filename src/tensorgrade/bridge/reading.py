"""Reading what was handed in: bounded files, and of a notebook what is well-formed.

Trusted side, on files that anybody may have made. Nothing here waits for a pipe, follows a link out of a submission,
or keeps more than nbgrader's steps can handle. Whatever is wrong with a notebook is a `ValueError` with the reason.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from itertools import islice
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, ValidationError, convert, from_dict, reader, v4, validate
from nbformat.validator import isvalid

from ..notebook import NAMESPACE

MAX_BYTES = 32 << 20  # of a notebook's file, which may hold many plots
MAX_PARTS = 1_000_000  # of JSON; each takes memory, however small it is
MAX_CELLS = 2000
MAX_TEXT = 1 << 20  # characters in all cells, without images; a feedback page with as many takes a minute
MAX_OUTPUTS = 2000  # of a notebook; nbgrader clears them, and checking each takes its time
MAX_DEPTH = 60  # of JSON; below it stands null
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_INLINE_IMAGE = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=]+", re.ASCII)


class TooLarge(ValueError):
    """A notebook beyond one of the limits of this module."""


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file of at most `limit` bytes that lies, also as a link, in its own folder.

    Raises ``OSError`` with the reason, `TooLarge`, or ``FileNotFoundError`` when there is nothing of that name.
    """
    path = path.parent.resolve() / path.name
    real = resolved(path, path.parent)
    if not real.is_file():  # before it is opened: opening a device can already do something
        raise OSError("it is not an ordinary file")
    with open(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is not an ordinary file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(f"it is larger than {limit >> 20} MiB")
    return content


def resolved(path: Path, folder: Path) -> Path:
    """Return what `path` is or links to.

    Raises ``OSError`` for a link that leads out of `folder` or nowhere; ``FileNotFoundError`` when there is nothing.
    """
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # Python 3.11 and 3.12 raise RuntimeError for links in a circle
        if path.is_symlink():
            raise OSError("it is a link that leads nowhere") from None
        raise
    if not real.is_relative_to(folder.resolve()):
        raise OSError("it is a link to something outside of the submission")
    return real


def readable(content: str | bytes) -> NotebookNode:
    """Return a new nbformat 4 notebook with what is well-formed in `content`; older formats are upgraded.

    Kept are the cells with source, ids, outputs and nbgrader's metadata, and tensorgrade's metadata of the notebook;
    all other metadata is left behind. Raises `TooLarge` for a notebook beyond the limits, and any ``ValueError`` with a
    reason when it is not a notebook.
    """
    data = _parsed(content)
    if not isinstance(data, dict) or type(data.get("nbformat")) is not int:
        raise ValueError("it is JSON, but not a notebook")
    if data["nbformat"] < 4:
        data = _upgraded(data)
    cells, metadata = data.get("cells"), data.get("metadata")
    if not isinstance(cells, list):
        raise ValueError("it is JSON, but not a notebook")
    if len(cells) > MAX_CELLS:
        raise TooLarge(f"it has more than {MAX_CELLS} cells")
    notebook = v4.new_notebook()
    notebook.cells = [cell for cell in map(_well_formed, cells) if cell is not None]
    if sum(len(_INLINE_IMAGE.sub("", cell.source)) for cell in notebook.cells) > MAX_TEXT:
        raise TooLarge(f"its cells have more than {MAX_TEXT:,} characters")
    _keep_outputs(notebook)
    give_ids(notebook)
    if isinstance(metadata, dict) and NAMESPACE in metadata:
        notebook.metadata[NAMESPACE] = metadata[NAMESPACE]
    return notebook


def give_ids(notebook: NotebookNode) -> None:
    """See to it that each cell has an id of its own; copies made by hand share theirs."""
    used: set[str] = set()
    for index, cell in enumerate(notebook.cells):
        if not isinstance(cell.get("id"), str) or not _CELL_ID.fullmatch(cell.id) or cell.id in used:
            cell.id = f"cell-{index}"
        used.add(cell.id)


def _parsed(content: str | bytes) -> Any:
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if sum(content.count(sign) for sign in (b"[", b"{", b",")) > MAX_PARTS:
        raise TooLarge(f"it has more than {MAX_PARTS:,} lists, objects and values")
    try:
        data = json.loads(content, parse_int=_integer, parse_float=_float, parse_constant=lambda _: None)
        return _encodable(data, MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from None


def _integer(digits: str) -> int | None:
    """An integer that every reader of JSON knows; Python refuses those of thousands of digits."""
    return int(digits) if len(digits) < 16 else None


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _encodable(value: Any, depth: int) -> Any:
    """Replace lone surrogates, which JSON can hold and no file can, and what stands below `depth`."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list) and depth:
        return [item if type(item) is str and item.isascii() else _encodable(item, depth - 1) for item in value]
    if isinstance(value, dict) and depth:
        return {
            _encodable(key, 0): item if type(item) is str and item.isascii() else _encodable(item, depth - 1)
            for key, item in value.items()
        }
    return None if isinstance(value, (list, dict)) else value


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    try:
        upgraded: dict[str, Any] = convert(reader.reads(json.dumps(data)), 4)
    except Exception as error:  # noqa: BLE001 - nbformat raises what a broken file makes it raise
        raise ValueError(f"nbformat cannot read it ({type(error).__name__})") from None
    return upgraded


def _well_formed(cell: Any) -> NotebookNode | None:
    """A new cell with what is well-formed in `cell`, or None when it is none; its outputs are not looked at yet."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    fresh = NotebookNode(cell_type=cell["cell_type"], source=_source(cell.get("source")), metadata=NotebookNode())
    metadata = cell.get("metadata")
    if isinstance(metadata, dict):
        kept = {key: metadata[key] for key in ("deletable", "editable") if isinstance(metadata.get(key), bool)}
        fresh.metadata.update(kept)
        if "nbgrader" in metadata:
            fresh.metadata["nbgrader"] = metadata["nbgrader"]
    fresh.id = cell.get("id")  # mended by give_ids
    if fresh.cell_type == "code":
        outputs, count = cell.get("outputs"), cell.get("execution_count")
        fresh.outputs = outputs if isinstance(outputs, list) else []
        fresh.execution_count = count if type(count) is int and count >= 0 else None
    elif isinstance(attachments := cell.get("attachments"), dict):
        fresh.attachments = from_dict({name: file for name, file in attachments.items() if _is_attachment(file)})
    return fresh


def _is_attachment(file: Any) -> bool:
    """Whether `file` is a pasted image: its content as text, by media type."""
    return isinstance(file, dict) and bool(file) and all(isinstance(content, str) for content in file.values())


def _source(source: Any) -> str:
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def _keep_outputs(notebook: NotebookNode) -> None:
    """Leave the well-formed ones among the first outputs."""
    left = MAX_OUTPUTS
    for cell in notebook.cells:
        if cell.cell_type == "code":
            first = list(islice(cell.outputs, left))
            left -= len(first)
            cell.outputs = [from_dict(output) for output in first if isinstance(output, dict)]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    try:
        check_outputs([output for cell in code for output in cell.outputs])
    except ValidationError:
        for cell in code:
            cell.outputs = [output for output in cell.outputs if isvalid(output, "output", version=4, version_minor=5)]


def check_outputs(outputs: list[NotebookNode]) -> None:
    """Raise nbformat's ``ValidationError`` when one is not well-formed; each on its own would take many times as long.

    So would the functions of nbformat that make a cell and a notebook, which look at each of them.
    """
    facts = {"id": "outputs", "source": "", "metadata": NotebookNode(), "execution_count": None}
    cell = NotebookNode(cell_type="code", outputs=outputs, **facts)
    validate(NotebookNode(nbformat=4, nbformat_minor=5, metadata=NotebookNode(), cells=[cell]))
