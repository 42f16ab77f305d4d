"""Figures: drawn by the repository's own code, readable anywhere, and carried by the notebooks themselves."""

import base64
import re
import xml.etree.ElementTree as ElementTree
from html import unescape

import nbformat
import pytest

from examples.drawing import GROUND
from examples.figures import FIGURES, drawn
from tensorgrade.course import Course
from tensorgrade.errors import CourseError
from tensorgrade.exercise import LANGUAGES
from tensorgrade.figures import figures, with_figures
from tests.nbgrader_course import REPOSITORY, NbgraderCourse, cell_of

# nbgrader 0.9.6 relies on what SQLAlchemy warns about
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

COURSE = Course(REPOSITORY)
SVG = "{http://www.w3.org/2000/svg}"
EMBEDDED = re.compile(r'<img alt="([^"]*)" src="data:image/svg\+xml;base64,([^"]*)">')


@pytest.fixture
def small(tmp_path):
    """A course with one assignment, demo, whose introduction and prompt show figures."""
    course = NbgraderCourse.small(tmp_path / "course", {"one": None})
    course.edit("assignments/demo/assignment.yaml", "en: Welcome.", 'en: "Look: ![two \\"boxes\\"](figures/two.svg)"')
    course.edit("assignments/demo/one.yaml", "en: Write it.", 'en: "![a box](box.png)"')
    course.write("assignments/demo/figures/two.svg", "<svg/>")
    course.write("assignments/demo/box.png", b"\x89PNG")
    return course


# ------------------------------------------------------------------------------------------------------ the course


def test_the_figures_are_current():
    """The figures in the repository are what the code draws, and there are no others."""
    expected = dict(drawn())
    assert set(REPOSITORY.glob("assignments/*/figures/*")) == set(expected)
    stale = [file.name for file, content in expected.items() if file.read_text(encoding="utf-8") != content]
    assert not stale, "run python -m examples.figures"


@pytest.mark.parametrize(("file", "content"), list(drawn()), ids=lambda value: getattr(value, "name", ""))
def test_a_figure_reads_on_any_page(file, content):
    """It has a title for those who cannot see it, and a ground of its own under all that it shows."""
    figure = ElementTree.fromstring(content)
    assert figure.get("role") == "img"
    assert figure.find(f"{SVG}title").text
    ground = figure.find(f"{SVG}rect")
    assert ground.get("fill") == GROUND
    for side in ("width", "height"):
        assert float(ground.get(side)) == float(figure.get(side)) - 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("assignment", sorted(FIGURES))
def test_an_introduction_shows_its_figures(assignment, language):
    """Each figure of an assignment stands in its introduction, in the same language."""
    text = COURSE.load(assignment).settings.introduction.get(language)
    assert list(figures(text)) == [f"figures/{draw.__name__}.{language}.svg" for draw in FIGURES[assignment]]


@pytest.mark.parametrize("assignment", sorted(FIGURES))
def test_a_released_notebook_carries_its_figures(assignment):
    """The first cell holds the data of each figure, with words that say what it shows."""
    notebook = nbformat.read(COURSE.release_notebook(assignment), as_version=4)
    shown = EMBEDDED.findall(cell_of(notebook, "notebook_about").source)
    files = [COURSE.assignment_folder(assignment) / f"figures/{draw.__name__}.en.svg" for draw in FIGURES[assignment]]
    assert [base64.b64decode(data) for _words, data in shown] == [file.read_bytes() for file in files]
    assert all(len(words) > 80 for words, _data in shown)


# --------------------------------------------------------------------------------------------------- the framework


def test_figures_are_carried_by_the_notebook_alone(small):
    """What introductions and prompts show is put into the cells, and no file beside the notebook is needed."""
    notebook = nbformat.read(small.build(), as_version=4)
    assert [path.name for path in (small.root / "release/demo").iterdir()] == ["demo.ipynb"]
    words, data = EMBEDDED.search(cell_of(notebook, "notebook_about").source).groups()
    assert (unescape(words), base64.b64decode(data)) == ('two "boxes"', b"<svg/>")
    assert '<img alt="a box" src="data:image/png;base64,' in cell_of(notebook, "about_one").source


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("figures/two.svg", "figures/three.svg", "which is no file; add the file"),
        ("figures/two.svg", "../demo/figures/two.svg", "which is no such path; name an .svg, .png or .jpg"),
        ("figures/two.svg", "figures/two.pdf", "which is no such path; name an .svg, .png or .jpg"),
    ],
)
def test_a_figure_that_is_not_there(small, old, new, told):
    """A text with a figure that cannot be shown is an author's error, told with the line of the text."""
    small.edit("assignments/demo/assignment.yaml", old, new)
    with pytest.raises(
        CourseError, match=rf"assignment\.yaml:3: introduction\.en: found the figure.*{re.escape(told)}"
    ):
        small.build()


@pytest.mark.parametrize("text", ["![web](https://example.org/a.svg)", "![pasted](attachment:a.png)", "[a](b.svg)"])
def test_other_images_stay_as_they_are(text, tmp_path):
    """Images from the web, attachments and links are no figures of the course."""
    assert list(figures(text)) == []
    assert with_figures(text, tmp_path) == text
