"""A real browser for the tests that look at pages: Debian's Chromium without a window, driven by Playwright.

Tests take it as the fixture ``browser``: one per module, since Playwright runs an event loop in the thread that opened
it, and what calls ``asyncio.run`` there, as nbgrader does, fails until it is closed.
"""

import contextlib
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def open_browser():
    """Open a browser; skips the test where none is installed (``apt-get install chromium``)."""
    from playwright.sync_api import sync_playwright  # starts nothing, but takes a while to import

    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as opened:
        yield opened
