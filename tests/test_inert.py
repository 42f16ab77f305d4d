"""What a reader's browser gets of hostile submissions: feedback pages, the real formgrader, and a real browser."""

import base64
import contextlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections import Counter

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import markdown2html
from nbformat import NotebookNode, v4
from nbgrader.server_extensions.formgrader import handlers
from traitlets.config import Config

from tensorgrade.bridge.inert import HEAVIEST, LONGEST, LONGEST_TOGETHER, NOT_SHOWN, InertNotebook, inert_html
from tensorgrade.verdict import MIME_TYPE
from tests.nbgrader_course import NbgraderCourse, cell_of


def png_chunk(kind, content):
    check = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + check


PNG_BYTES = (
    b"\x89PNG\r\n\x1a\n"
    + png_chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00")
    + png_chunk(b"IDAT", zlib.compress(b"\x00\x00"))
    + png_chunk(b"IEND", b"")
)
PNG = base64.b64encode(PNG_BYTES).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(40)).decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="{act}"><script>{act}</script></svg>'
SVG_BASE64 = base64.b64encode(SVG.format(act="document.title='pwned-svg-file'").encode()).decode()
WIDGET = "application/vnd.jupyter.widget-view+json"

TRACKER = "http://tracker.example"

# Each of these would act. {act} is a script and {url} a remote address, both with the {name} of the attack in them.
HTML_ATTACKS = {
    "script": "<script>{act}</script>",
    "script-remote": "<script src='{url}'></script>",
    "script-broken": "<scr<script></script>ipt>{act}</script><script >{act}",
    "handler": "<img src=x onerror=\"{act}\">",
    "handler-slash": "<svg/onload={act}>",
    "handler-details": "<details open ontoggle=\"{act}\">text</details>",
    "handler-allowed": "<b onmouseover=\"{act}\" style='position:fixed;top:0'>text</b>",
    "link-script": "<a href='javascript:{act}'>text</a>",
    "link-script-hidden": "<a href=' java&#115;cript&colon;{act}'>text</a>",
    "link-data": "<a href='data:text/html,<script>{act}</script>'>text</a>",
    "link-relative": "<a href='{name}.html'>text</a>",
    "iframe": "<iframe src='{url}'></iframe>",
    "iframe-srcdoc": "<iframe srcdoc='<script>{act}</script>'></iframe>",
    "object": "<object data='{url}'></object>",
    "embed": "<embed src='{url}'>",
    "form": "<form action='{url}'><input name='{name}' autofocus><button formaction='{url}'>ok</button></form>",
    "refresh": "<meta http-equiv='refresh' content='0;url={url}'>",
    "base": "<base href='{url}'>",
    "style": "<style>.score {{ display: none }} body {{ background: url({url}) }}</style>",
    "style-attribute": "<div style='background: url({url})'>text</div>",
    "stylesheet": "<link rel='stylesheet' href='{url}'>",
    "image-remote": "<img src='{url}'>",
    "image-set": "<img srcset='{url} 1x' alt='text'>",
    "image-background": "<table background='{url}'><tr><td background='{url}'>text</td></tr></table>",
    "image-relative": "<img src='../../../../logout?{name}'>",
    "image-svg": "<img src='data:image/svg+xml;base64,{svg}' title='{name}'>",
    "media": "<video poster='{url}'><source src='{url}'></video><audio src='{url}'></audio>",
    "svg": SVG,
    "svg-animate": "<svg><a xlink:href='javascript:{act}'><text>x</text></a><use href='{url}'/></svg>",
    "math-link": "<math href='javascript:{act}'>text</math>",
    "mutation": "<svg></p><style><a id=\"</style><img src=1 onerror='{act}'>\">",
    "mutation-noscript": "<noscript><p title=\"</noscript><img src=x onerror='{act}'>\">",
    "mutation-math": "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img onerror={act}&gt;\">",
    "mutation-comment": "<!--><img src=x onerror=\"{act}\">-->",
    "links-in-pre": "<pre>\n\n[text](javascript:{act_url})\n\n<img src=x onerror='{act}'></pre>",
    "closes-the-page": "</div></div></div></body></html><script>{act}</script>",
    "names": "<b id='test_eye' name='{name}' class='{name} score'>text</b>",
    "mathjax-script": "<script type='text/x-mathjax-config'>{act}</script>",
}  # fmt: skip

MARKDOWN_ATTACKS = {
    "md-link": "[text](javascript:{act_url})",
    "md-link-reference": "[text][x]\n\n[x]: javascript:{act_url}",
    "md-autolink": "<javascript:{act_url}>",
    "md-link-data": "[text](data:text/html;base64,pwned-md-link-data)",
    "md-image": "![text]({url})",
    "md-image-script": '![x" onerror="{act}]({url})',
    "md-title": "[text](http://example.org '\"onmouseover=\"{act}')",
    "md-heading": "# test_eye <img src=x onerror='{act}'>",
    "md-mermaid": "```mermaid\n<img src=x onerror='{act}'>\n```",
    "md-table": "| a | b |\n|---|---|\n| <img src=x onerror='{act}'> | c |",
    "md-after-blank": "<div>\n\n<img src=x onerror='{act}'>\n\n</div>",
    "md-in-math": "$<img src=x onerror='{act}'>$ and <b>$</b><img src=x onerror='{act}'>",
    "md-attachment": "![x](attachment:svg)",
    "md-attachment-injection": "![x](attachment:broken)",
}


def payload(name, text):
    """A text that acts in the name of an attack."""
    act = f"document.title+=/pwned-{name}/.source"
    url = f"{TRACKER}/pwned-{name}"
    return text.format(act=act, act_url=act.replace("(", "%28"), url=url, name=f"pwned-{name}", svg=SVG_BASE64)


def display(name, data, metadata=None):
    return v4.new_code_cell(
        f"display('{name}')",
        outputs=[
            NotebookNode(output_type="display_data", data=NotebookNode(data), metadata=NotebookNode(metadata or {}))
        ],
    )


def attack_cells():
    """One cell for each way to get something active into a page, by the name that it would leave behind."""
    cells = {}
    for name, text in HTML_ATTACKS.items():
        source = payload(name, text)
        cells[name] = display(name, {"text/html": source, "text/plain": "plain"})
        cells[f"cell-{name}"] = v4.new_markdown_cell(payload(f"cell-{name}", text))
        cells[f"output-{name}"] = display(name, {"text/markdown": "Text\n\n" + payload(f"output-{name}", text)})
    attachments = {
        "svg": {"image/svg+xml": SVG_BASE64, "pwned-md-attachment": "x"},
        "broken": {"image/png": PNG + '" onerror="document.title=/pwned-md-attachment-injection/'},
    }
    for name, text in MARKDOWN_ATTACKS.items():
        cells[name] = v4.new_markdown_cell(payload(name, text), attachments=attachments)
    script = payload("raw", "<script>{act}</script>")
    cells["raw"] = v4.new_raw_cell(script)
    cells["raw-html"] = v4.new_raw_cell(payload("raw-html", "<img src='{url}' alt='x'>"))
    cells["raw-html"].metadata["raw_mimetype"] = "text/html"
    injected = 'x" onerror="document.title=/pwned-{}/.source'
    cells["javascript"] = display("javascript", {"application/javascript": payload("javascript", "{act}")})
    cells["widget"] = display("widget", {WIDGET: {"model_id": "m", "x": "pwned-widget"}, "text/plain": "plain"})
    cells["svg-output"] = display("svg-output", {"image/svg+xml": payload("svg-output", SVG)})
    cells["png-injection"] = display("png-injection", {"image/png": injected.format("png-injection")})
    cells["jpeg-injection"] = display("jpeg-injection", {"image/jpeg": injected.format("jpeg-injection")})
    size = {"width": "1 onerror=document.title=/pwned-size/", "height": {"a": 1}, "alt": "pwned-size"}
    cells["size"] = display("size", {"image/png": PNG}, {"image/png": size})
    file = {"filenames": {"image/png": f"{TRACKER}/pwned-filename"}, "unconfined": True}
    cells["filename"] = display("filename", {"image/png": PNG}, file)
    cells["isolated"] = display("isolated", {"text/html": "pwned-isolated"}, {"text/html": {"isolated": True}})
    cells["tags"] = v4.new_markdown_cell("text", metadata={"tags": ["pwned-tags"]})
    return cells


def place_of(assignment="other", notebook="notebook"):
    return {"nbgrader": {"assignment": assignment, "notebook": notebook, "student": "ada"}}


def inert(*cells, metadata=None, **place):
    """A notebook with copies of these cells, made inert."""
    return InertNotebook().preprocess(notebook_of(cells, metadata), place_of(**place))[0]


def notebook_of(cells, metadata=None):
    """A notebook with copies of these cells, valid or not."""
    notebook = v4.new_notebook(metadata=metadata or {})
    notebook.cells = [nbformat.from_dict(json.loads(json.dumps(cell))) for cell in cells]
    return notebook


def page_of(notebook):
    """A notebook as formgrader's exporter renders it."""
    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    resources = {"index": 0, "total": 1, "base_url": "", "submission_id": "submission", "notebook_id": "notebook"}
    return HTMLExporter(config=config).from_notebook_node(notebook, resources=resources)[0]


def shown(cell):
    """A text cell as nbconvert renders it."""
    return BeautifulSoup(markdown2html(cell.source), "html.parser")


def acting(page):
    """All texts of a page that are not just shown: attributes and their names, scripts, styles and comments."""
    tree = BeautifulSoup(page, "html.parser")
    texts = [f"{key}={' '.join(value) if isinstance(value, list) else value}"
             for element in tree(True) for key, value in element.attrs.items()]  # fmt: skip
    texts += [element.decode_contents() for element in tree(["script", "style", "svg", "iframe"])]
    return "\n".join(texts)


def structure(page):
    """How often the elements of a page occur that could act, with what makes them act."""
    tree = BeautifulSoup(page, "html.parser")
    kinds = ["script", "style", "link", "meta", "base", "iframe", "frame", "object", "embed", "applet", "form", "input"]
    kinds += ["button", "textarea", "svg", "math", "video", "audio", "source", "template", "noscript", "marquee"]
    found = Counter(f"{element.name} {element.get('src')} {element.string}" for element in tree(kinds))
    for element in tree(True):
        found.update(f"{key}={value}" for key, value in element.attrs.items() if key.startswith("on"))
        urls = [
            str(element.get(key, "")) for key in ("href", "src", "action", "formaction", "srcset", "poster", "data")
        ]
        found.update(
            url for url in urls if re.match(r"\s*(javascript|vbscript|data:(?!image/(png|jpeg);base64,))", url)
        )
    return found


ATTACKS = attack_cells()


@pytest.fixture(scope="module")
def pages():
    """One notebook with all attacks as formgrader renders it: as it is, and inert."""
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {"m": "pwned-widget"}}}
    metadata = {"title": "</title><script>pwned-title</script>", "widgets": widgets}
    hostile = notebook_of(ATTACKS.values(), metadata)
    return acting(page_of(hostile)), acting(page_of(inert(*ATTACKS.values(), metadata=metadata)))


def name_in(name, text):
    return re.search(rf"pwned-{name}(?![-\w])", text) is not None


def test_the_attacks_work(pages):
    """What is tested below would act without tensorgrade: most of the attacks reach a place where a browser acts."""
    before, _ = pages
    harmless = {name for name in ATTACKS if not name_in(name, before)}
    assert len(harmless) < len(ATTACKS) / 10, harmless


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_acts(pages, name):
    """No attribute, script, style or address of the page holds anything of this attack."""
    _, after = pages
    assert not name_in(name, after)


def test_nothing_is_left(pages):
    """Neither a marker nor the tracker's address is anywhere but in shown text."""
    _, after = pages
    assert "pwned" not in after
    assert "tracker.example" not in after.replace(f"href={TRACKER}", "")


# ------------------------------------------------------------------------------------------------ what stays


def test_images_stay():
    """PNG and JPEG outputs stay with their sizes."""
    cell = display("plot", {"image/png": [PNG[:20] + "\n", PNG[20:]], "text/plain": "<Figure>"},
                   {"image/png": {"width": 300, "height": 200}})  # fmt: skip
    (output,) = inert(cell).cells[0].outputs
    assert output == {
        "output_type": "display_data",
        "data": {"image/png": PNG, "text/plain": "<Figure>"},
        "metadata": {"image/png": {"width": 300, "height": 200}},
    }
    (output,) = inert(display("photo", {"image/jpeg": JPEG})).cells[0].outputs
    assert output.data == {"image/jpeg": JPEG}


def test_pasted_images_stay():
    """Images pasted into a student's cell are in its text afterwards, those of a locked cell beside it."""
    pasted = {"plot.png": {"image/png": PNG}}
    own = v4.new_markdown_cell("![my *plot*](attachment:plot.png)", attachments=pasted)
    locked = v4.new_markdown_cell("![figure](attachment:plot.png)", attachments=pasted)
    locked.metadata["nbgrader"] = {"grade_id": "about_eye", "locked": True, "grade": False, "solution": False}
    own, locked = inert(own, locked).cells
    image = shown(own).img
    assert (image["src"], image["alt"]) == (f"data:image/png;base64,{PNG}", "my plot")
    assert "attachments" not in own
    assert locked.source == "![figure](attachment:plot.png)"
    assert locked.attachments == pasted


def test_markdown_stays_readable():
    """Headings, lists, tables, code, links to the web and mathematics of a student look as before."""
    source = (
        "# Title\n\nSome *text*, `x < y`, [docs](https://pytorch.org/docs?a=1&b=2), $a_1 < b$.\n\n- one\n- [x] two\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nif a < b:\n\n    pass\n```\n\n$$\\sum_i x_i$$\n\n3. third\n"
    )
    (cell,) = inert(v4.new_markdown_cell(source)).cells
    page = shown(cell)
    assert page.h1.get_text() == "Title"
    assert [page.em.get_text(), page.code.get_text()] == ["text", "x < y"]
    assert page.a["href"] == "https://pytorch.org/docs?a=1&b=2"
    assert [item.get_text() for item in page("li")] == ["one", "[x] two", "third"]
    assert [item.get_text() for item in page("td")] == ["1", "2"]
    assert page.pre.get_text() == "if a < b:\n\n    pass\n"
    assert "$a_1 < b$" in page.get_text()
    assert "$$\\sum_i x_i$$" in page.get_text()
    assert page.ol["start"] == "3"


@pytest.mark.parametrize(
    "source",
    ["Not sure.", "It is *slow* for $x=0$:\n\n- a `loop`\n- **and** 1 & 2\n\n> why?\n\n| a |\n|---|\n| b |", ""],
)
def test_plain_markdown_stays_as_written(source):
    """What shows nothing but formatted text is stored as the student wrote it."""
    (cell,) = inert(v4.new_markdown_cell(source)).cells
    assert cell.source == source


@pytest.mark.parametrize(
    "source", ["text\n\n</div></div>", r"$\smash{\raise 9em x}$", r"&#36;&#92;smash x&#36;", "# test_eye", "a\n-"]
)
def test_what_reaches_outside_its_cell_is_not_plain(source):
    """Ends of the tags around it, TeX that moves and headings, which nbconvert gives ids, are boxed in."""
    (cell,) = inert(v4.new_markdown_cell(source)).cells
    assert cell.source.startswith('<div style="overflow: auto">')
    assert cell.source.count("<div") == cell.source.count("</div>")
    assert " id=" not in markdown2html(cell.source)


def test_tables_and_formulas_of_outputs_stay():
    """A table that a student displays stays a table, without its styles; TeX stays TeX."""
    table = "<style scoped>.x {color: red}</style><table border='1' class='x'><tr><td colspan='2'>1.5</td></tr></table>"
    cells = [display("table", {"text/html": table, "text/plain": "1.5"}), display("tex", {"text/latex": "$a < b$"})]
    shown_table, shown_tex = (cell.outputs[0].data for cell in inert(*cells).cells)
    expected = '<table><tbody><tr><td colspan="2">1.5</td></tr></tbody></table>'
    assert shown_table == {"text/html": f'<div style="overflow: auto">{expected}</div>', "text/plain": "1.5"}
    assert BeautifulSoup(shown_tex["text/html"], "html.parser").get_text() == "$a < b$"


def test_what_shows_nothing_is_replaced():
    """An output of scripts alone gives way to its image or text; one without either says so."""
    script = {"text/html": "<div id='x'></div><script>plot()</script>"}
    cells = [display("plot", {**script, "image/png": PNG}), display("text", {**script, "text/plain": "Figure()"})]
    cells.append(display("none", script))
    data = [cell.outputs[0].data for cell in inert(*cells).cells]
    assert data == [{"image/png": PNG}, {"text/plain": "Figure()"}, {"text/plain": NOT_SHOWN}]


def test_text_and_colours_stay():
    """Streams and tracebacks keep their text and colours; unknown streams count as standard output."""
    cell = v4.new_code_cell("f()", execution_count=3, outputs=[
        v4.new_output("stream", name="stderr", text="<b>careful</b>"),
        NotebookNode(output_type="stream", name="<odd>", text=["a\n", "b"]),
        v4.new_output("error", ename="E", evalue="<i>", traceback=["\x1b[31mE\x1b[0m: <i>"]),
        v4.new_output("execute_result", data={"text/plain": "3"}, execution_count=3),
    ])  # fmt: skip
    (cell,) = inert(cell).cells
    stderr, odd, error, result = cell.outputs
    assert (stderr.name, stderr.text) == ("stderr", "<b>careful</b>")
    assert (odd.name, odd.text) == ("stdout", "a\nb")
    assert error.traceback == ["\x1b[31mE\x1b[0m: <i>"]
    assert (result.data, result.execution_count, cell.execution_count) == ({"text/plain": "3"}, 3, 3)


def test_source_of_code_stays():
    """Code is left to nbconvert's highlighter, which escapes it."""
    (cell,) = inert(v4.new_code_cell("%%html\n<script>pwned</script>\n'</pre>'")).cells
    assert cell.source == "%%html\n<script>pwned</script>\n'</pre>'"
    assert "pwned" not in acting(page_of(inert(cell)))


def test_raw_cells_are_shown_as_text():
    """For nbconvert a raw cell is HTML; a reader sees what the student wrote."""
    (cell,) = inert(v4.new_raw_cell("<b>raw</b>\n\n& text")).cells
    assert shown(cell).pre.get_text() == "<b>raw</b>\n\n& text"


# --------------------------------------------------------------------------------------- what must not fail


@pytest.mark.parametrize("source", ["![x](attachment:missing)", "![x](attachment:)", "<script>alert(1)\n\n</script>"])
def test_what_cannot_be_formatted_is_shown_as_written(source):
    """Markdown that nbconvert refuses or that shows nothing stands there as it was written."""
    (cell,) = inert(v4.new_markdown_cell(source)).cells
    assert shown(cell).pre.get_text() == source


@pytest.mark.parametrize("part", ["> ", "<div>", "\\begin{a}", "<a ", "<style"])
def test_hostile_text_takes_seconds(part):
    """Text that parsers take long for is formatted or shown as written within seconds."""
    source = (part * LONGEST)[:LONGEST]
    started = time.monotonic()
    cell, _ = inert(v4.new_markdown_cell(source), display("html", {"text/html": source, "text/plain": ""})).cells
    shown(cell)
    assert time.monotonic() - started < 30


def test_a_locked_cell_without_its_image_is_shown_as_written():
    """The feedback of a student who removed an image that the course had pasted does not fail."""
    locked = v4.new_markdown_cell("![figure](attachment:plot.png)")
    locked.metadata["nbgrader"] = {"grade_id": "about_eye", "locked": True, "grade": False, "solution": False}
    (cell,) = inert(locked).cells
    assert shown(cell).pre.get_text() == "![figure](attachment:plot.png)"


def test_time_and_size_are_bounded():
    """What is long in one place or together is shown as text, and an image cannot be repeated without end."""
    long = display("long", {"text/html": "<p>x</p>" * LONGEST, "text/plain": "plain"})
    many = [display("many", {"text/html": f"<p>{'x' * (LONGEST - 10)}</p>", "text/plain": "plain"}) for _ in range(12)]
    outputs = [cell.outputs[0].data for cell in inert(long, *many).cells]
    assert "text/html" not in outputs[0]
    assert sum("text/html" in data for data in outputs) == LONGEST_TOGETHER // LONGEST
    big = base64.b64encode(PNG_BYTES + bytes(HEAVIEST // 100)).decode()
    pasted = v4.new_markdown_cell("![x](attachment:a)" * 100, attachments={"a": {"image/png": big}})
    assert len(inert(pasted).cells[0].source) < HEAVIEST


@pytest.mark.parametrize(
    "text", ["\x1b[38m", "\x1b[48;5m x", "\x1b\x1b[1m[38m", "\x1b[1ma" * 100_000, "a\ud800b", "\x1b["]
)
def test_texts_that_nbconvert_fails_on(text):
    """Colours that nbconvert fails on or takes too long for are left out, and the page renders."""
    cell = v4.new_code_cell("f()", outputs=[
        NotebookNode(output_type="stream", name="stdout", text=text),
        NotebookNode(output_type="error", ename=text, evalue=text, traceback=[text]),
        NotebookNode(output_type="display_data", data={"text/plain": text, "text/html": text}, metadata={}),
    ])  # fmt: skip
    started = time.monotonic()
    page_of(inert(cell)).encode()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "output",
    [
        {"output_type": "stream"},
        {"output_type": "error", "traceback": "text", "ename": {}, "evalue": None},
        {"output_type": "display_data", "data": [], "metadata": []},
        {"output_type": "execute_result", "data": {"image/png": 3, "text/html": {}}, "metadata": {"image/png": 3}},
        {"output_type": "execute_result", "data": {"text/plain": {"a": []}}, "execution_count": "<b>"},
        {"output_type": "<b>", "data": {"<b>": "<b>"}, "metadata": {"<b>": "<b>"}},
        {},
    ],
)
def test_malformed_outputs(output):
    """Outputs that are none become valid ones."""
    notebook = inert({**v4.new_code_cell("pass"), "outputs": [output], "execution_count": "<b>"})
    nbformat.validate(notebook)
    page_of(notebook)


def test_twice_is_once():
    """Making a notebook inert again, as for its feedback, changes nothing of what it shows."""
    once = inert(*ATTACKS.values())
    twice = inert(*once.cells)
    first, second = (BeautifulSoup(page_of(notebook), "html.parser").get_text() for notebook in (once, twice))
    assert "".join(first.split()) == "".join(second.split())


# ---------------------------------------------------------------------------------------------- imitations


def test_nothing_shows_outside_its_cell():
    """A student's HTML is in a box that cuts off what leaves it, and cannot close that box."""
    page = BeautifulSoup(inert_html("</div></div><b>a</b></div><table>b</div>"), "html.parser")
    assert [child.name for child in page.children] == ["div"]
    assert page.div["style"] == "overflow: auto"
    assert page.get_text() == "ba" or page.get_text() == "ab"


def test_no_look_of_the_course():
    """Our classes, ids and styles mean nothing in a student's HTML, and our media type has no place in an output."""
    forged = '<div class="tensorgrade-verdict panel" id="test_eye" style="color: red"><p>3 of 3 points</p></div>'
    cell = display("forged", {MIME_TYPE: {"version": 1, "score": 3}, "text/html": forged, "text/plain": "3 of 3"})
    (output,) = inert(cell).cells[0].outputs
    assert output.data == {
        "text/html": '<div style="overflow: auto"><div><p>3 of 3 points</p></div></div>',
        "text/plain": "3 of 3",
    }


def test_verdicts_are_told_by_place(tmp_path, monkeypatch):
    """Only the locked graded cell of an exercise, in the notebook of its assignment, keeps its outputs as they are."""
    course = NbgraderCourse.small(tmp_path / "course", {"eye": None})
    monkeypatch.chdir(course.root)

    def outputs(grade_id="test_eye", notebook="demo", solution=False):
        cell = display("verdict", {MIME_TYPE: {}, "text/html": '<div class="tensorgrade-verdict">3 of 3</div>'})
        cell.metadata["nbgrader"] = {"grade_id": grade_id, "grade": True, "locked": True, "solution": solution}
        return inert(cell, assignment="demo", notebook=notebook).cells[0].outputs[0].data

    assert MIME_TYPE in outputs()
    assert "tensorgrade-verdict" in outputs()["text/html"]
    for place in ({"grade_id": "test_ear"}, {"notebook": "other"}, {"solution": True}):
        assert MIME_TYPE not in outputs(**place)
        assert "tensorgrade-verdict" not in outputs(**place)["text/html"]


@pytest.mark.parametrize(
    "tex",
    [r"\href{javascript:alert(1)}{x}", r"\&#104;ref{javascript:alert(1)}{x}", r"\h<b></b>ref{javascript:alert(1)}{x}",
     r"\h<!-- -->ref{javascript:alert(1)}{x}", r"\h<object>ref{javascript:alert(1)}{x}", r"\style{position:fixed}{x}",
     r"\def\alpha{passed}", r"\require{evil}"],
)  # fmt: skip
def test_tex_is_mathematics_alone(tex):
    """TeX of a student makes no links or attributes, loads no code and redefines nothing of the course's."""
    for text in (inert_html(f"$${tex}$$"), shown(inert(v4.new_markdown_cell(f"$${tex}$$")).cells[0]).decode()):
        for node in BeautifulSoup(text, "html.parser").find_all(string=True):
            assert not re.search(r"\\(href|style|def|require)", node)


def test_code_that_looks_like_tex_stays():
    """MathJax leaves code alone, and so do we."""
    assert r"<code>\def\href</code>" in inert_html(r"<code>\def\href</code>")


# ----------------------------------------------------------------------------------- end to end, and in a browser


def displaying(cell):
    """A code cell that makes the outputs of `cell` when it runs."""
    (output,) = cell.outputs
    return v4.new_code_cell(f"display({dict(output.data)!r}, metadata={dict(output.metadata)!r}, raw=True)")


def answered(course, *cells):
    """The released notebook with the right answer, these cells and a plot."""
    notebook = course.released("demo")
    cell_of(notebook, "eye").source = f"def eye():\n    return 42\ndisplay({{'image/png': {PNG!r}}}, raw=True)"
    copies = [displaying(cell) if cell.cell_type == "code" else cell for cell in cells]
    notebook.cells[2:2] = [nbformat.from_dict(json.loads(json.dumps(cell))) for cell in copies]
    return notebook


class Graded:
    """A course after autograde, with feedback pages and a running formgrader."""

    def __init__(self, course, port):
        self.course, self.port = course, port

    def address(self, kind, student):
        """Where a student's page is, for a browser."""
        if kind == "feedback":
            return (self.course.root / f"feedback/{student}/demo/demo.html").as_uri()
        with self.course.gradebook() as gradebook:
            submission = gradebook.find_submission_notebook("demo", "demo", student).id
        return f"http://127.0.0.1:{self.port}/formgrader/submissions/{submission}/?token=secret"

    def page(self, kind, student):
        """The text of that page; submissions are told apart by their ids alone."""
        with urllib.request.urlopen(self.address(kind, student), timeout=30) as answer:
            text = answer.read().decode()
        return re.sub(r"[0-9a-f]{32}", "submission", text)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def formgrader(course):
    """The port of a Jupyter server with formgrader, which takes some seconds to start."""
    port = free_port()
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "allow_root": True, "open_browser": False}
    options["jpserver_extensions"] = {"nbgrader.server_extensions.formgrader": True}
    arguments = [f"--ServerApp.{key}={value}" for key, value in options.items()]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTEST", "NBGRADER"))}
    with (course.root / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *arguments, "--IdentityProvider.token=secret"],
            cwd=course.root, env={**kept, "HOME": str(course.root)}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield port
    finally:
        server.terminate()
        server.wait(20)


def wait_for(port):
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    course = NbgraderCourse.small(tmp_path_factory.mktemp("inert") / "course", {"eye": None})
    course.build()
    course.submit("honest", answered(course, v4.new_markdown_cell("$x$")), "demo")  # both pages load MathJax
    course.submit("hostile", answered(course, *ATTACKS.values()), "demo")
    with formgrader(course) as port:
        for command in ("autograde", "generate_feedback"):
            run = course.nbgrader(command, "demo")
            assert run.returncode == 0, run.stderr[-3000:]
        wait_for(port)
        yield Graded(course, port)


KINDS = ["feedback", "formgrader"]


def test_autograded_notebook_is_inert(graded):
    """What nbgrader stores is inert already, for whatever opens it, and the score is what it was."""
    stored = graded.course.graded("hostile", "demo")
    assert "pwned" not in acting(page_of(stored))
    assert graded.course.grades("demo")["hostile"]["test_eye"]["score"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_inert(graded, kind):
    """A hostile submission's page holds what could act in an honest one's, and nothing else."""
    hostile, honest = (graded.page(kind, student) for student in ("hostile", "honest"))
    assert "pwned" in hostile
    assert "pwned" not in acting(hostile)
    assert structure(hostile) == structure(honest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("student", ["honest", "hostile"])
def test_pages_show_verdict_and_plot(graded, kind, student):
    """The verdict stands in the page as it was written, once, and the student's plot is there."""
    page = BeautifulSoup(graded.page(kind, student), "html.parser")
    verdict = graded.course.verdict(student, "eye", "demo")
    assert set(verdict) == {"text/plain", "text/html", MIME_TYPE}
    (box,) = page.select(".tensorgrade-verdict")
    assert str(box) == str(BeautifulSoup(verdict["text/html"], "html.parser").section)
    assert page.find("img", src=f"data:image/png;base64,{PNG}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Open a page in a real browser: its title, and what it asked the tracker for."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs chromium: what a browser does is only known from one")
    asked = []

    class Tracker(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            """Write nothing to the terminal."""

    def visit(address):
        asked.clear()
        port = tracker.server_address[1]
        rules = f"MAP tracker.example 127.0.0.1:{port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        profile = tmp_path_factory.mktemp("profile")
        run = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
             f"--host-resolver-rules={rules}", "--virtual-time-budget=4000", "--dump-dom", address],
            capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(profile)},
        )  # fmt: skip
        return BeautifulSoup(run.stdout, "html.parser"), list(asked)

    tracker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
    thread = threading.Thread(target=tracker.serve_forever)
    thread.start()
    yield visit
    tracker.shutdown()
    tracker.server_close()
    thread.join()


def test_browser_would_have_acted(browser, tmp_path):
    """Without tensorgrade the browser runs the scripts and asks the tracker."""
    scripts = ["script", "handler", "handler-slash", "cell-script", "cell-handler"]
    images = ["image-remote", "cell-image-remote"]
    file = tmp_path / "page.html"
    file.write_text(page_of(notebook_of(ATTACKS[name] for name in scripts + images)), encoding="utf-8")
    page, asked = browser(file.as_uri())
    assert [name for name in scripts if f"pwned-{name}" in page.title.string] == scripts
    assert {f"/pwned-{name}" for name in images} <= set(asked)


@pytest.mark.parametrize("kind", KINDS)
def test_browser_does_nothing(graded, browser, kind):
    """In a real browser no script of the submission runs, nothing remote is asked for, and the verdict is there."""
    page, asked = browser(graded.address(kind, "hostile"))
    assert page.title.string == "demo"
    assert asked == []
    assert page.select_one(".tensorgrade-verdict").get_text().startswith("\nDemo eye: 2 of 2 points")


@pytest.mark.parametrize("command", ["href", "def", "newcommand", "DeclareMathOperator", "Newextarrow", "definecolor"])
def test_tex_of_one_cell_changes_no_other(command):
    """Commands of MathJax that give names of the whole page another meaning are shown as words."""
    assert f"\\{command}" not in inert_html(rf"$\{command}{{\alpha}}{{x}}$")
