"""`InertNotebook`: a graded notebook that does nothing in the browser of whoever reads it.

Trusted side, after all grading and again before feedback. nbgrader's feedback pages and formgrader put what a student
wrote or displayed into the page as it is, where scripts would run with the reader's cookies. Promised is that nothing
of a student's acts, loads from elsewhere, or shows outside its own cell: text is escaped, HTML, Markdown and TeX are
reduced to formatting, PNG and JPEG images stay when they are such images, everything else is left out.

What is the student's is told by place, never by content. The course's are the sources of locked cells, which nbgrader
restores from the gradebook, and the outputs of the graded cells of exercises, which `grade.GradeSubmission` alone
writes. The source of code cells stays as it is: nbconvert escapes it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import bleach
from bs4 import BeautifulSoup
from nbconvert.filters import ansi2html, markdown2html, strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath, import_plugin
from nbformat import NotebookNode, from_dict
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor

from ..course import Course
from ..errors import CourseError
from ..notebook import NAMESPACE, test_cell_id

LONGEST = 20_000
"""Characters of HTML, Markdown or TeX in one place that are formatted; more is shown as text. For so many deeply nested
tags parsers take a second, and the time grows with the square of their number."""

LONGEST_TOGETHER = 200_000
"""The same for a whole notebook."""

MOST_COLOURS = 1_000
"""ANSI sequences in one text; one with more loses its colours. nbconvert's time grows with their number squared."""

HEAVIEST = 20_000_000
"""Characters of base64 that the images pasted into one cell may come to in the page; each may be shown many times."""

NOT_SHOWN = "[An output that cannot be shown here was left out.]"

_IMAGES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
"""The images that are kept, by media type, with the bytes they begin with."""

_NOTEBOOK_METADATA = (NAMESPACE, "kernelspec", "language_info")
_CELL_METADATA = (NAMESPACE, "nbgrader", "deletable", "editable")


class InertNotebook(NbGraderPreprocessor):  # type: ignore[misc]
    """Takes out of a graded notebook whatever of a student's would act in a browser."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._renderable: set[str] = set()

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Make one notebook inert, in place."""
        self._room = LONGEST_TOGETHER
        verdicts = _verdict_cells(resources["nbgrader"])
        nb.metadata = _only(nb.metadata, _NOTEBOOK_METADATA)
        for cell in nb.cells:
            cell.metadata = _only(cell.metadata, _CELL_METADATA)
            if cell.cell_type != "code":
                self._write_inert_text(cell)
            elif not (utils.is_grade(cell) and utils.is_locked(cell) and _grade_id(cell) in verdicts):
                cell.execution_count = _whole_number(cell.get("execution_count"))
                cell.outputs = [self._inert_output(output) for output in cell.outputs]
        return nb, resources

    def _write_inert_text(self, cell: NotebookNode) -> None:
        """Make of a cell with text one whose HTML is inert; locked ones are the course's and keep their source."""
        attachments = _inert_attachments(cell.pop("attachments", None))

        def render(source: str) -> str:
            return _rendered(source, attachments)

        ours = cell.cell_type == "markdown" and utils.is_locked(cell)
        if ours and self._can_be_rendered(cell.source, render, attachments):
            if attachments:
                cell.attachments = attachments
        elif cell.cell_type == "markdown" and (html := self._inert_html(cell.source, render)):
            if attachments or not _is_plain(cell.source, html):
                cell.source = _as_markdown(html)
        elif cell.source.strip():
            cell.source = _as_markdown(f"<div><pre>{escape(cell.source)}</pre></div>")
        cell.cell_type = "markdown"  # of raw cells nbconvert takes the source for HTML

    def _inert_output(self, output: NotebookNode) -> NotebookNode:
        kind = output.get("output_type")
        if kind == "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return _output("stream", name=name, text=_inert_text(output.get("text")))
        if kind == "error":
            lines = output.get("traceback")
            traceback = [_inert_text(line) for line in (lines if isinstance(lines, list) else [lines])]
            ename, evalue = (_inert_text(output.get(key)) for key in ("ename", "evalue"))
            return _output("error", ename=ename, evalue=evalue, traceback=traceback)
        data = self._inert_data(_as_dict(output.get("data")))
        metadata = _sizes(_as_dict(output.get("metadata")), data)
        if kind == "execute_result":
            count = _whole_number(output.get("execution_count"))
            return _output("execute_result", data=data, metadata=metadata, execution_count=count)
        return _output("display_data", data=data, metadata=metadata)

    def _inert_data(self, data: dict[str, Any]) -> dict[str, str]:
        images = {kind: _inert_image(kind, _text(data[kind])) for kind in _IMAGES if kind in data}
        inert = {kind: image for kind, image in images.items() if image is not None}
        for kind, render in _FORMATTED.items():
            if kind in data and (html := self._inert_html(_text(data[kind]), render)):
                inert["text/html"] = html
                break
        if "text/plain" in data or not inert:
            inert["text/plain"] = _inert_text(data.get("text/plain", NOT_SHOWN))
        return inert

    def _inert_html(self, source: str, render: Callable[[str], str]) -> str | None:
        """What `source` shows, as inert HTML; empty when it shows nothing, None when that cannot be found out."""
        if len(source) > min(LONGEST, self._room):
            return None
        self._room -= len(source)
        return self._attempt(lambda text: inert_html(render(text)), source)

    def _can_be_rendered(self, source: str, render: Callable[[str], str], attachments: object) -> bool:
        """Whether nbconvert can show text of the course's; asked once for what stands in every student's notebook."""
        if not attachments and source in self._renderable:
            return True
        rendered = self._attempt(render, source) is not None
        if rendered and not attachments:
            self._renderable.add(source)
        return rendered

    def _attempt(self, render: Callable[[str], str], source: str) -> str | None:
        """The HTML of `source`, or None when it cannot be rendered."""
        try:
            return render(source)
        except Exception as error:  # noqa: BLE001 - nbgrader deletes a submission whose preprocessor raises
            self.log.warning("Shown as it was written, since it cannot be rendered: %s", error)
            return None


def _verdict_cells(place: dict[str, Any]) -> frozenset[str]:
    """The ids of the cells of a notebook whose outputs `GradeSubmission` alone writes."""
    assignment = place["assignment"]
    try:
        course = Course.find(Path.cwd())
    except CourseError:
        return frozenset()
    if assignment != place["notebook"] or assignment not in course.assignment_names():
        return frozenset()
    return frozenset(test_cell_id(file.stem) for file in course.assignment_folder(assignment).glob("*.yaml"))


# ------------------------------------------------------------------------------------------------------ formatting

# fmt: off
_TAGS = frozenset({
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "div", "dl", "dt", "em",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p", "pre", "s", "samp", "span", "strong",
    "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "var",
})
# fmt: on
_NUMBERS = {("td", "colspan"), ("td", "rowspan"), ("th", "colspan"), ("th", "rowspan"), ("ol", "start")}
_TEXTS = {("img", "alt"), ("abbr", "title")}
_PROTOCOLS = {"http", "https", "mailto", "data"}
_UNSEEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_EMBEDDED = re.compile(r"data:(image/[a-z]+);base64,(.*)", re.DOTALL)
_BOX = "overflow: auto"
"""Cuts off what leaves a cell: TeX can move what it shows far beyond its place."""
_TEX_POWERS = re.compile(
    r"\\(href|style|class|cssId|mmlToken|require|def|let|newcommand|renewcommand|newenvironment|renewenvironment"
    r"|DeclareMathOperator|Newextarrow|definecolor)(?![A-Za-z])"
)
"""Commands that make links and attributes, load code, or change what the commands of other cells mean."""


def inert_html(html: str) -> str:
    """Return what a student's HTML shows, reduced to formatting in a box of its own; empty when it shows nothing.

    Kept are text, lists, tables, links to the web and embedded images; no class, id or style is.
    """
    seen = _UNSEEN.sub("", html)
    cleaned = bleach.clean(seen, tags=_TAGS, attributes=_is_harmless, protocols=_PROTOCOLS, strip=True)
    page = BeautifulSoup(f"<div>{cleaned}</div>", "html.parser")
    for image in page("img"):
        if not image.get("src"):
            image.replace_with(f"[{image.get('alt') or 'image'}]")
    for link in page("a"):
        if link.get("href"):
            link["rel"] = "noreferrer"
        else:
            link.unwrap()
    for text in page.find_all(string=_TEX_POWERS):
        if text.find_parent(("code", "pre")) is None:
            text.replace_with(_TEX_POWERS.sub(r"\\operatorname{\1}", text))
    if not page.get_text(strip=True) and page.img is None:
        return ""
    assert page.div is not None  # it was put there above
    page.div["style"] = _BOX
    return str(page)


def _is_harmless(tag: str, attribute: str, value: str) -> bool:
    """Whether an attribute of a student's tag is kept."""
    if (tag, attribute) == ("a", "href"):
        return re.match(r"https?://|mailto:", value) is not None
    if (tag, attribute) == ("img", "src"):
        embedded = _EMBEDDED.fullmatch(value)
        return embedded is not None and _inert_image(embedded[1], embedded[2]) is not None
    if (tag, attribute) in _NUMBERS:
        return re.fullmatch(r"[0-9]{1,3}", value) is not None
    return (tag, attribute) in _TEXTS


def _rendered(source: str, attachments: dict[str, dict[str, str]] | None = None) -> str:
    """The HTML of Markdown as nbconvert makes it, without ids, and with task lists as text: they would need inputs.

    Raises what nbconvert raises, as for an attachment that is missing, and ``ValueError`` for too many images.
    """
    heaviest = max((len(image) for file in (attachments or {}).values() for image in file.values()), default=0)
    if source.count("![") * heaviest > HEAVIEST:
        raise ValueError("its images are too many or too large")
    renderer = IPythonRenderer(escape=False, attachments=attachments, exclude_anchor_links=True)
    plugins = [import_plugin(name) for name in MarkdownWithMath.DEFAULT_PLUGINS if name != "task_lists"]
    return str(MarkdownWithMath(renderer=renderer, plugins=plugins).render(source))


_FORMATTED: dict[str, Callable[[str], str]] = {"text/html": str, "text/markdown": _rendered, "text/latex": escape}
"""How the outputs that are shown as HTML become HTML, by media type, the best first."""


def _is_plain(source: str, html: str) -> bool:
    """Whether nbconvert makes of Markdown just the HTML that is inert: it then stays as the student wrote it.

    Text with tags of its own is not plain, since they may end those around it, and neither is TeX with commands.
    """
    page = BeautifulSoup(f'<div style="{_BOX}">{markdown2html(source)}</div>', "html.parser")
    return "<" not in source and "\\" not in html and str(page) == html


def _as_markdown(html: str) -> str:
    """Markdown that shows `html`: on one line, since a blank line would end the HTML and begin Markdown again.

    Without ``[``, for nbconvert looks for links in it, in a time that grows with the square of their number.
    """
    return re.sub(r"[^\S ]|[\u2424\[]", lambda sign: f"&#{ord(sign[0])};", html)


# ----------------------------------------------------------------------------------------------- texts and images


def _text(value: Any) -> str:
    """Text of a notebook, which may stand there as a list of lines; what no file can hold becomes question marks."""
    text = "".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _inert_text(value: Any) -> str:
    """Text with the colours that nbconvert can show; on some sequences it fails, and with it the whole page."""
    text = _text(value)
    if text.count("\x1b") <= MOST_COLOURS:
        try:
            ansi2html(text)
        except (IndexError, ValueError):
            pass
        else:
            return text
    plain: str = strip_ansi(text)
    return plain.replace("\x1b", "")


def _inert_image(kind: str, content: str) -> str | None:
    """The base64 of an image, written anew, or None when `content` is not an image of this kind."""
    try:
        image = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    beginning = _IMAGES.get(kind)
    return base64.b64encode(image).decode() if beginning and image.startswith(beginning) else None


def _inert_attachments(attachments: Any) -> dict[str, dict[str, str]]:
    """The pasted images among a cell's attachments, by name and media type."""
    inert: dict[str, dict[str, str]] = {}
    for name, file in _as_dict(attachments).items():
        images = {kind: _inert_image(kind, _text(content)) for kind, content in _as_dict(file).items()}
        if kept := {kind: image for kind, image in images.items() if image is not None}:
            inert[name] = kept
    return inert


def _sizes(metadata: dict[str, Any], data: dict[str, str]) -> dict[str, dict[str, int]]:
    """The widths and heights, in pixels, that an output's metadata gives for its images."""
    sizes = {}
    for kind in _IMAGES.keys() & data.keys() & metadata.keys():
        given = {key: _whole_number(_as_dict(metadata[kind]).get(key)) for key in ("width", "height")}
        sizes[kind] = {key: pixels for key, pixels in given.items() if pixels}
    return sizes


def _whole_number(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 100_000 else None


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _output(kind: str, **fields: Any) -> NotebookNode:
    return from_dict({"output_type": kind, **fields})


def _grade_id(cell: NotebookNode) -> Any:
    return cell.metadata.nbgrader.get("grade_id")


def _only(metadata: dict[str, Any], keys: tuple[str, ...]) -> NotebookNode:
    return NotebookNode({key: metadata[key] for key in keys if key in metadata})
