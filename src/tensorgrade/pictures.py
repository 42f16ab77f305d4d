"""Pictures of tensors for feedback: where values are wrong, as an image, as a sentence that says the same, and as text.

Plain data in, text out. An image is an ``<img>`` with its SVG inside, the one form that the sanitisers of JupyterLab
and Notebook let through; it brings its own colours, which are told apart by size as well.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass

from .evidence import Grid
from .exercise import Language

_WIDEST = 256
_SQUARE = 22
_GROUND, _EDGE, _WRONG = "#eceff1", "#78838b", "#b3261e"
_SENTENCES: dict[str, dict[Language, str]] = {
    "all": {"en": "Every value is wrong.", "zh": "所有值都不对。"},
    "values": {
        "en": "{wrong} of {all} values are wrong: {place} (counted from 0).",
        "zh": "{all} 个值中有 {wrong} 个不对：{place}（从 0 开始计数）。",
    },
    "squares": {
        "en": "There are wrong values in {wrong} of the {all} squares that the last dimensions are divided into.",
        "zh": "把最后的维度划分为 {all} 格，其中 {wrong} 格里有不对的值。",
    },
    "positions": {"en": "at {columns}", "zh": "位于 {columns}"},
    "lines": {"en": "in {row} {rows} and {column} {columns}", "zh": "位于第 {rows} 行、第 {columns} 列"},
}


@dataclass(frozen=True)
class Picture:
    """An image and what it shows.

    Attributes:
        source: the image, as a ``data:`` address.
        width, height: in pixels.
        text: one sentence that says what is to be seen.
        drawn: the same in characters: a line for each row.
    """

    source: str
    width: int
    height: int
    text: str
    drawn: str


def heat_map(wrong: Grid, language: Language) -> Picture:
    """Return the picture of where a tensor is wrong."""
    rows, columns = len(wrong.shares), max(map(len, wrong.shares), default=0)
    square = min(_SQUARE, _WIDEST // max(columns, 1))
    width, height = columns * square + 2, rows * square + 2
    squares = "".join(
        _square(1 + column * square, 1 + row * square, square, share)
        for row, shares in enumerate(wrong.shares)
        for column, share in enumerate(shares)
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{squares}</svg>'
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    drawn = "\n".join(" ".join(map(_character, shares)) for shares in wrong.shares)
    return Picture(source, width, height, _described(wrong, language), drawn)


def _square(x: int, y: int, side: int, share: float) -> str:
    """A square, and inside it a dark one whose area is the share of wrong values."""
    ground = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{_GROUND}" stroke="{_EDGE}"/>'
    if not share > 0:
        return ground
    inner = max(3.0, (side - 4) * math.sqrt(min(share, 1.0)))
    shift = (side - inner) / 2
    place = f'x="{x + shift:.1f}" y="{y + shift:.1f}" width="{inner:.1f}" height="{inner:.1f}"'
    return f'{ground}<rect {place} fill="{_WRONG}"/>'


def _character(share: float) -> str:
    return "█" if share >= 1 else "▒" if share > 0 else "·"


def _described(wrong: Grid, language: Language) -> str:
    """Where the wrong values are, in a sentence."""
    places = [
        (row, column) for row, shares in enumerate(wrong.shares) for column, share in enumerate(shares) if share > 0
    ]
    everything = sum(map(len, wrong.shares))
    if len(places) == everything and all(share >= 1 for shares in wrong.shares for share in shares):
        return _SENTENCES["all"][language]
    facts: dict[str, object] = {"wrong": len(places), "all": everything}
    if math.prod(wrong.shape) != everything:
        return _SENTENCES["squares"][language].format(**facts)
    place = _place(wrong, [row for row, _ in places], [column for _, column in places], language)
    return _SENTENCES["values"][language].format(place=place, **facts)


def _place(wrong: Grid, rows: list[int], columns: list[int], language: Language) -> str:
    listed = ("、" if language == "zh" else ", ").join
    told = {
        "row": "row" if len(set(rows)) == 1 else "rows",
        "rows": listed(_ranges(sorted(set(rows)))),
        "column": "column" if len(set(columns)) == 1 else "columns",
        "columns": listed(_ranges(sorted(set(columns)))),
    }
    return _SENTENCES["positions" if len(wrong.shape) < 2 else "lines"][language].format(**told)


def _ranges(numbers: Iterable[int]) -> list[str]:
    """Sorted numbers in short: ``[0, 1, 2, 5]`` is 0–2 and 5."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return [str(first) if first == last else f"{first}–{last}" for first, last in ranges]
