"""The notebooks as students see them: in a real JupyterLab, in a real browser, with nbgrader's Validate button."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page

from tensorgrade.course import Course
from tensorgrade.figures import figures
from tests.nbgrader_course import REPOSITORY

COURSE = Course(REPOSITORY)
ASSIGNMENTS = [COURSE.load(name) for name in COURSE.assignment_names()]
KERNEL = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
CELLS = "jupyterapp.shell.currentWidget.content.widgets"
SECONDS = 120
"""How long the browser waits for anything before a test fails."""


@contextlib.contextmanager
def served(folder, home):
    """A JupyterLab that serves a folder, as a student who installed tensorgrade has it; gives its address."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTEST", "NBGRADER"))}
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    settings = home / "lab/settings/overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(quiet))
    token = secrets.token_hex()
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    options += ["--no-browser", "--LabApp.expose_app_in_browser=True", f"--LabApp.app_settings_dir={settings.parent}"]
    log = home / "jupyterlab.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--allow-root", *options, str(folder)],
            env={**kept, "HOME": str(home), "PYTHONWARNINGS": "ignore"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/api/status?token={token}", server, log)
        yield f"{address}/lab?token={token}"
    finally:
        server.terminate()
        server.wait(timeout=SECONDS)


def wait_for(url, server, log):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url):
            return
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@dataclass(frozen=True)
class OpenNotebook:
    """The notebook that is in front in JupyterLab, used with mouse and keyboard where not said otherwise."""

    page: Page

    @classmethod
    def open(cls, page, name):
        """Find a notebook in the file browser, in the folder of its name, and wait until it is shown."""
        page.locator(".jp-BreadCrumbs-home").click()
        listing = page.locator(".jp-DirListing-content")
        listing.get_by_text(name, exact=True).dblclick()
        listing.get_by_text(f"{name}.ipynb", exact=True).dblclick()
        page.get_by_role("tab", name=f"{name}.ipynb").wait_for()
        notebook = cls(page)
        notebook.cell(0).locator(".jp-RenderedMarkdown h1").wait_for()
        # a cell that is run before its kernel has started is not run at all
        page.wait_for_function(f"{KERNEL}?.status === 'idle'")
        return notebook

    @property
    def panel(self):
        """The tab of the notebook."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def cell(self, number):
        """A cell, with what stands below it."""
        return self.panel.locator(".jp-Cell").nth(number)

    def numbers(self):
        """The numbers of the cells by their nbgrader ids, as the page holds the notebook."""
        told = self.page.evaluate(f"{CELLS}.map(cell => cell.model.getMetadata('nbgrader')?.grade_id)")
        return {name: number for number, name in enumerate(told)}

    def run_all(self):
        """Choose Run All Cells in the menu."""
        with self.finished("notebook:run-all-cells"):
            self.page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
            self.page.get_by_text("Run All Cells", exact=True).click()

    @contextlib.contextmanager
    def finished(self, command):
        """Wait until JupyterLab has done what a click or a key makes it do."""
        self.page.evaluate(
            "command => { window.finished = false; jupyterapp.commands.commandExecuted.connect((sender, told) => {"
            " if (told.id === command) told.result.then(() => { window.finished = true; }); }); }",
            command,
        )
        yield
        self.page.wait_for_function("window.finished")  # unlike a promise, it is waited for no longer than SECONDS

    def write(self, number, code):
        """Replace the code of a cell."""
        self.cell(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)

    def write_quickly(self, codes):
        """Replace the code of many cells in the page's own model of the notebook, without typing."""
        self.page.evaluate(
            f"codes => codes.forEach(([number, code]) => {CELLS}[number].model.sharedModel.setSource(code))",
            list(codes.items()),
        )

    def add_and_run(self, code):
        """Add a cell below all others and run it; returns its number."""
        self.panel.locator(".jp-Notebook-footer").click()
        number = len(self.numbers()) - 1
        self.write(number, code)
        with self.finished("notebook:run-cell"):
            self.page.keyboard.press("Control+Enter")
        return number

    def output(self, number):
        """What stands below a cell, in view or not."""
        return "".join(self.cell(number).locator(".jp-OutputArea-output").all_text_contents())

    def validate(self):
        """Press nbgrader's button; returns what its dialog says."""
        self.panel.get_by_text("Validate", exact=True).click()
        dialog = self.page.locator(".jp-Dialog")
        said = dialog.inner_text()
        dialog.get_by_text("Ok", exact=True).click()
        return said

    def close(self):
        """End the kernel and close the tab, without being asked whether to save."""
        self.page.evaluate(
            "async () => { const shown = jupyterapp.shell.currentWidget;"
            " await shown.sessionContext.shutdown(); await shown.context.save(); shown.close(); }"
        )


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory, browser):
    """A page with JupyterLab on a folder with the released assignments."""
    folder, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("home")
    for name in COURSE.assignment_names():
        shutil.copytree(COURSE.release / name, folder / name)
    with served(folder, home) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(1000 * SECONDS)
        page.goto(address)
        yield page
        page.close()


@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda assignment: assignment.name)
def test_a_student_works_on(assignment, jupyterlab):
    """The lesson shows its figures; examples fail until right answers are filled in, then all pass; one validates."""
    first, *others = assignment.exercises
    count = len(assignment.exercises)
    notebook = OpenNotebook.open(jupyterlab, assignment.name)
    numbers = notebook.numbers()
    widths = notebook.cell(0).locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) == len(list(figures(assignment.settings.introduction.en)))
    assert all(widths), "a figure is broken"

    notebook.run_all()
    assert "Error" in notebook.output(numbers[f"test_{first.name}"])
    check = notebook.add_and_run("%load_ext tensorgrade\n%check")
    assert f"0 of {count} exercises pass" in notebook.output(check)

    notebook.write(numbers[first.name], first.solution.strip())
    notebook.write_quickly({numbers[one.name]: one.solution.strip() for one in others})
    notebook.run_all()
    errors = {one.name: notebook.output(numbers[f"test_{one.name}"]) for one in assignment.exercises}
    assert errors == dict.fromkeys(errors, "")
    assert f"{count} of {count} exercises pass" in notebook.output(check)
    if assignment is ASSIGNMENTS[0]:  # one that it runs in a kernel of its own, as `test_stock_kernel` does with all
        assert "Success! Your notebook passes all the tests." in notebook.validate()
    notebook.close()
