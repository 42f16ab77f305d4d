"""Figures in a course's Markdown: files beside the YAML, which notebooks carry in themselves.

Trusted side. Introductions and prompts show a figure as ``![what is seen](figures/name.svg)``. A notebook travels
without the files beside it (nbgrader gives students the HTML of their feedback alone, hosted notebooks take one file),
the gradebook keeps a cell's source without attachments, and front ends remove ``<svg>`` from Markdown. An ``<img>``
that holds the figure's data is shown by all of them; Markdown's own image syntax is not, since some allow no SVG there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

KINDS = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}
"""The media types of figures by the ending of their file."""

_IMAGE = re.compile(r"!\[(?P<words>[^\]]*)\]\((?P<name>[^():#\s]+)\)")
_PLAIN = re.compile(r"[\w-]+(/[\w-]+)*(\.\w+)+")


def figures(markdown: str) -> Iterator[str]:
    """Yield the names of the figures that a text shows; images from the web are none."""
    yield from (image["name"] for image in _IMAGE.finditer(markdown))


def is_figure(name: str) -> bool:
    """Whether a name is a plain path, below the assignment's folder, with one of the endings in `KINDS`."""
    return _PLAIN.fullmatch(name) is not None and Path(name).suffix in KINDS


def with_figures(markdown: str, folder: Path) -> str:
    """Return a text that holds its figures, whose files are below `folder`."""
    return _IMAGE.sub(lambda image: _embedded(folder / image["name"], " ".join(image["words"].split())), markdown)


def _embedded(file: Path, words: str) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{escape(words)}" src="data:{KINDS[file.suffix]};base64,{data}">'
