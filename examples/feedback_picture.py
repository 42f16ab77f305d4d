"""Writes docs/images/feedback.png: what a student of the demo class reads of an answer that is not right.

python examples/feedback_picture.py   (needs Chromium)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from demo import ASSIGNMENT, MISTAKEN, copy_of_this_course, hand_in, run, students
from playwright.sync_api import Page, sync_playwright

from tensorgrade.notebook import solution_cell_id, test_cell_id

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "feedback.png"
STUDENT = "partly-right"
WIDTH = 900
MARGIN = 12


def main() -> None:
    """Grade the student, write the page, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        page = graded_page(Path(folder) / "course")
        program = shutil.which("chromium") or sys.exit("no Chromium is installed; on Debian: apt-get install chromium")
        with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
            tab = browser.new_page(viewport={"width": WIDTH, "height": 1000}, device_scale_factor=1)
            tab.goto(page.as_uri())
            PICTURE.parent.mkdir(exist_ok=True)
            tab.screenshot(path=PICTURE, full_page=True, clip=part_about(tab, MISTAKEN[0]))


def graded_page(root: Path) -> Path:
    """The feedback page of the student, as nbgrader writes it."""
    course = copy_of_this_course(root)
    assignment = course.load(ASSIGNMENT)
    hand_in(course, assignment, STUDENT, students(assignment)[STUDENT])
    run(course, "nbgrader", "autograde", ASSIGNMENT)
    run(course, "nbgrader", "generate_feedback", ASSIGNMENT)
    return course.feedback / STUDENT / ASSIGNMENT / f"{ASSIGNMENT}.html"


def part_about(page: Page, exercise: str) -> dict[str, float]:
    """Where on the page an exercise's answer and its verdict are."""
    first = page.locator(f"#{solution_cell_id(exercise)}").bounding_box()
    last = page.locator(f"#{test_cell_id(exercise)}").bounding_box()
    assert first is not None
    assert last is not None
    top = first["y"] - MARGIN
    return {"x": 0, "y": top, "width": WIDTH, "height": last["y"] + last["height"] - top + MARGIN}


if __name__ == "__main__":
    main()
