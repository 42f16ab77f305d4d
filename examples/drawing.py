"""Drawings in SVG, laid out by hand: the same calls give the same bytes.

A drawing is a list of parts, each the text of some SVG. It brings its own light ground, so that it reads alike on light
and dark pages, and uses the reader's fonts. Lengths are in pixels from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

INK, FAINT, GROUND, EDGE = "#1f2933", "#5c6670", "#fcfcfa", "#c9ced3"
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#2f6db0", "#b85c12", "#3b7d3f", "#7a4fa3", "#b3322d", "#8a939c"
TINTS = {
    BLUE: "#dceafa", ORANGE: "#fce6d2", GREEN: "#dff0dc", PURPLE: "#ece2f6", RED: "#f9dedc", GREY: "#eceff1",
}  # fmt: skip
"""The colours of areas, by the colour of their edges; dark text reads on each of them."""

CELL = 30
"""The side of a cell of a tensor."""

Point = tuple[float, float]


def drawing(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """Return the text of an SVG file; `title` is what a screen reader says where the page has no better words."""
    parts = list(parts)
    heads = "\n".join(
        f'<marker id="head{colour[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
        f' orient="auto-start-reverse"><path d="M0 0.8 L10 5 L0 9.2 z" fill="{colour}"/></marker>'
        for colour in (INK, FAINT, *TINTS)
        if any(f"#head{colour[1:]})" in part for part in parts)
    )
    fonts = "text{font-family:system-ui,sans-serif;font-size:14px}.code{font-family:ui-monospace,monospace}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{fonts}</style>",
        f"<defs>{heads}</defs>",
        box(0.5, 0.5, width - 1, height - 1, fill=GROUND, edge=EDGE, corner=8),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def box(
    x: float, y: float, width: float, height: float, *, fill: str, edge: str, corner: float = 3, dashed: bool = False
) -> str:
    """A rectangle by its upper left corner."""
    dash = ' stroke-dasharray="3 3"' if dashed else ""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner:g}"'
    return f'<rect {place} fill="{fill}" stroke="{edge}"{dash}/>'


def text(
    x: float, y: float, words: str, *, colour: str = INK, size: int = 14, anchor: str = "middle", code: bool = False,
    bold: bool = False,
) -> str:  # fmt: skip
    """One line of text; `y` is where its letters stand."""
    style = (' class="code"' if code else "") + (' font-weight="bold"' if bold else "")
    small = f' style="font-size:{size}px"' if size != 14 else ""
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text {place}{style}{small} xml:space="preserve">{escape(words)}</text>'


def code(x: float, y: float, words: str, *, colour: str = INK, size: int = 14, anchor: str = "middle") -> str:
    """One line of code."""
    return text(x, y, words, colour=colour, size=size, anchor=anchor, code=True)


def arrow(*points: Point, colour: str = INK, dashed: bool = False, width: float = 1.6) -> str:
    """A way through points, with its head at the last; three points make a bow that the middle one draws to itself."""
    (x, y), *rest = points
    bend = "Q" if len(rest) == 2 else "L"
    way = f"M{x:g} {y:g} {bend}" + " ".join(f"{a:g} {b:g}" for a, b in rest)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    head = f'marker-end="url(#head{colour[1:]})"'
    return f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dash} {head}/>'


def line(start: Point, end: Point, *, colour: str = INK, width: float = 1.6) -> str:
    """A straight line without a head."""
    ends = f'x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'


def tensor(
    x: float, y: float, rows: Sequence[Sequence[object]], colour: str = GREY, *,
    marked: Collection[tuple[int, int]] = (), mark: str = BLUE, ghosts: Collection[tuple[int, int]] = (),
    cell: float = CELL,
) -> list[str]:  # fmt: skip
    """The numbers of a matrix in cells; `marked` ones have the colour `mark`, `ghosts` are not in memory."""
    parts = []
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            edge = mark if (i, j) in marked else colour
            ghost = (i, j) in ghosts
            left, top = x + j * cell, y + i * cell
            fill = GROUND if ghost else TINTS[edge]
            parts.append(box(left, top, cell, cell, fill=fill, edge=edge, corner=0, dashed=ghost))
            ink = GREY if ghost else INK
            parts.append(code(left + cell / 2, top + cell / 2 + 5, str(value), colour=ink, size=13))
    return parts


def node(
    x: float, y: float, width: float, lines: Sequence[str], colour: str, *, height: float | None = None
) -> list[str]:
    """A box around lines of code; the first one is its name."""
    tall = height or 16 + 18 * len(lines)
    start = y + tall / 2 - 9 * (len(lines) - 1) + 5
    parts = [box(x, y, width, tall, fill=TINTS[colour], edge=colour, corner=6)]
    for number, words in enumerate(lines):
        ink = FAINT if number else INK
        parts.append(code(x + width / 2, start + 18 * number, words, colour=ink, size=12 if number else 14))
    return parts


def legend(x: float, y: float, entries: Sequence[tuple[str, str]], gap: float = 24) -> list[str]:
    """What colours mean, one below the other."""
    parts = []
    for number, (colour, words) in enumerate(entries):
        top = y + gap * number
        parts += [box(x, top - 11, 14, 14, fill=TINTS[colour], edge=colour, corner=2)]
        parts += [text(x + 22, top, words, anchor="start", size=13)]
    return parts
