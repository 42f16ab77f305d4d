"""Right answers to all exercises, in the kernel that Jupyter starts: without tensorgrade, and with it.

With it, `test_jupyterlab` runs all notebooks; here are those to which it gives virtual GPUs.
"""

import json
import os
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tensorgrade.course import Course
from tests.nbgrader_course import REPOSITORY, cell_of

COURSE = Course(REPOSITORY)
ASSIGNMENTS = [COURSE.load(name) for name in COURSE.assignment_names()]
SEES = "import importlib.util, torch\nprint(importlib.util.find_spec('tensorgrade'), torch.cuda.device_count())"


@pytest.fixture(scope="module")
def without_tensorgrade(tmp_path_factory):
    """The Python of an environment with all packages of this one but tensorgrade.

    They are links to those that are installed here, without ``.pth`` files: an editable tensorgrade is found by one.
    """
    folder = tmp_path_factory.mktemp("stock") / "venv"
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if "tensorgrade" not in installed.name and installed.suffix != ".pth":
            (packages / installed.name).symlink_to(installed)
    return folder / "bin/python"


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Run a notebook in a kernel of some Python as ``jupyter execute`` does, to the first error, which it raises."""

    def run(notebook, python):
        spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "stock"}
        file = tmp_path / "kernels/stock/kernel.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({**spec, "language": "python"}))
        for name in [name for name in os.environ if name.startswith(("PYTHON", "JUPYTER", "IPYTHON", "JPY"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        monkeypatch.setenv("HOME", str(tmp_path))
        place = {"metadata": {"path": tmp_path}}
        return NotebookClient(notebook, kernel_name="stock", timeout=120, resources=place).execute()

    return run


KERNELS = [pytest.param(one, False, id=f"{one.name}-without") for one in ASSIGNMENTS] + [
    pytest.param(one, True, id=f"{one.name}-with")
    for one in ASSIGNMENTS
    if any(exercise.accelerators for exercise in one.exercises)
]


@pytest.mark.parametrize(("assignment", "installed"), KERNELS)
def test_right_answers_run_from_top_to_bottom(assignment, installed, execute, without_tensorgrade):
    """All cells run and all examples pass, on virtual GPUs where tensorgrade is installed, else on the CPU."""
    notebook = nbformat.read(COURSE.release_notebook(assignment.name), as_version=4)
    for exercise in assignment.exercises:
        cell_of(notebook, exercise.name).source = exercise.solution.strip()
    notebook.cells.append(nbformat.v4.new_code_cell(SEES))
    ran = execute(notebook, sys.executable if installed else without_tensorgrade)
    seen = ran.cells[-1].outputs[0].text
    accelerators = max(exercise.accelerators for exercise in assignment.exercises)
    assert seen.startswith("ModuleSpec(" if installed else "None ")
    assert seen.split()[-1] == str(accelerators if installed else 0)
