"""Pictures of where values are wrong, and the sentences that say the same."""

import base64
import re
from xml.etree import ElementTree

import pytest

from tensorgrade.evidence import Grid
from tensorgrade.pictures import heat_map


@pytest.mark.parametrize(
    ("shares", "shape", "english", "chinese"),
    [
        ([[1, 1], [1, 1]], (2, 2), "Every value is wrong.", "所有值都不对。"),
        ([[1]], (), "Every value is wrong.", "所有值都不对。"),
        (
            [[0, 1, 1, 0, 1]],
            (5,),
            "3 of 5 values are wrong: at 1–2, 4 (counted from 0).",
            "5 个值中有 3 个不对：位于 1–2、4（从 0 开始计数）。",
        ),
        (
            [[0, 0, 0], [0, 1, 1]],
            (2, 3),
            "2 of 6 values are wrong: in row 1 and columns 1–2 (counted from 0).",
            "6 个值中有 2 个不对：位于第 1 行、第 1–2 列（从 0 开始计数）。",
        ),
        (
            [[0.5, 0], [0, 0]],
            (7, 2, 2),
            "There are wrong values in 1 of the 4 squares that the last dimensions are divided into.",
            "把最后的维度划分为 4 格，其中 1 格里有不对的值。",
        ),
        (
            [[0.5, 0.5], [0.5, 0.5]],
            (100, 100),
            "There are wrong values in 4 of the 4 squares that the last dimensions are divided into.",
            "把最后的维度划分为 4 格，其中 4 格里有不对的值。",
        ),
    ],
)
def test_sentence(shares, shape, english, chinese):
    """The sentence tells how many are wrong and, if each square is one value, where."""
    grid = Grid(tuple(map(tuple, shares)), shape)
    assert heat_map(grid, "en").text == english
    assert heat_map(grid, "zh").text == chinese


def test_characters():
    """In plain text each row is a line: right, partly wrong, wrong."""
    grid = Grid(((0.0, 0.3, 1.0), (0.0, 0.0, 1.0)), (6, 9))
    assert heat_map(grid, "en").drawn == "· ▒ █\n· · █"


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 16), (16, 1), (16, 16), (3, 5)])
def test_image(rows, columns):
    """The image is an SVG of small size with a square for each share, and a dark one in those that are wrong."""
    shares = tuple(tuple(float((row + column) % 2) for column in range(columns)) for row in range(rows))
    picture = heat_map(Grid(shares, (rows, columns)), "en")
    kind, _, content = picture.source.partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(content))
    fills = [element.get("fill") for element in root]
    assert len(set(fills)) == 1 + (sum(map(sum, shares)) > 0)
    assert len(fills) == rows * columns + sum(map(sum, shares))
    assert (root.get("width"), root.get("height")) == (str(picture.width), str(picture.height))
    assert max(picture.width, picture.height) <= 16 * 22 + 2
    assert not re.search(r"script|href|style", base64.b64decode(content).decode())


def test_area_is_the_share():
    """How dark a square is grows with the share of wrong values, and even few can be seen."""
    picture = heat_map(Grid(((0.001, 0.25, 1.0),), (300,)), "en")
    root = ElementTree.fromstring(base64.b64decode(picture.source.partition(",")[2]))
    sides = [float(element.get("width")) for element in root][1::2]
    assert 3 <= sides[0] < sides[1] == pytest.approx(sides[2] / 2, abs=0.1)
