"""Controls: the same attacks where nothing stops them. An attack that does not win there proves nothing."""

import tempfile
import time
from pathlib import Path

import nbformat
from nbgrader.utils import determine_grade

from tensorgrade.errors import ProcessEnded, SubmissionFailure
from tensorgrade.sandbox import Confinement
from tests.attacks.attack import Attack, write_files
from tests.attacks.battlefield import MOST, RIGHT, Battlefield, Evidence
from tests.nbgrader_course import NbgraderCourse

SETUP = "import torch"
SECONDS = 20.0
UNLIMITED = {"memory": 8 << 30, "cpu_seconds": 60, "processes": 4000, "disk": 1 << 30, "files": 100_000}


def in_one_interpreter(attack: Attack, zygote, hidden: dict[str, str]) -> Evidence:
    """Run an attack's cells and a naive test cell in one interpreter; nbgrader judges the outputs of the test cell."""
    evidence = Evidence(points=0.0)
    with tempfile.TemporaryDirectory() as files, tempfile.TemporaryDirectory() as folder:
        write_files(attack, Path(files), {})
        confinement = Confinement("naive", folder, programs=True, **UNLIMITED)
        began = time.monotonic()
        process = zygote.start(confinement, seed=0, files=Path(files))
        try:
            before = _peak(process.pid)
            naive = attack.naive.replace("{secret!r}", repr(hidden["input"]))
            for source in (SETUP, *attack.cells, attack.answer, naive, *attack.after):
                outputs = process.run_cell(source, SECONDS, 1 << 20)["outputs"]
                evidence.published += str(outputs)
                if source is naive:
                    evidence.points = _points(outputs)
            if (peak := _peak(process.pid) - before) > MOST["memory"]:
                evidence.exceeded["memory"] = peak
        except ProcessEnded:
            evidence.flagged = True  # the interpreter that should have judged is gone
        except SubmissionFailure:
            evidence.points = 0.0
        finally:
            evidence.seconds = time.monotonic() - began
            process.close()
    return evidence


def _points(outputs: list[dict]) -> float:
    cell = nbformat.v4.new_code_cell(metadata={"nbgrader": {"grade": True, "solution": False, "points": 2}})
    cell.outputs = [nbformat.from_dict(output) for output in outputs]
    return determine_grade(cell)[0] or 0.0


def _peak(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) << 10


class StockBattlefield(Battlefield):
    """The same course as stock nbgrader has it: hidden tests in the notebook, run in the student's kernel."""

    def _make(self, name: str) -> None:
        course: NbgraderCourse = self.course
        course.write("nbgrader_config.py", "c = get_config()\nc.CourseDirectory.course_id = 'stock'\n")
        course.write(f"graders/{name}/test_target.py", f"SECRET = {self.hidden['grader']!r}\n")
        solution = f"### BEGIN SOLUTION\n{RIGHT}\n### END SOLUTION"
        first = next(attack for attack in self.attacks if attack.assignment == name)
        test = first.naive.replace("{secret!r}", repr(self.hidden["input"]))
        cells = [
            nbformat.v4.new_code_cell(SETUP),
            _cell("target", solution, solution=True),
            _cell("test_target", f"### BEGIN HIDDEN TESTS\n{test}\n### END HIDDEN TESTS", solution=False),
        ]
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        course.write(f"source/{name}/{name}.ipynb", nbformat.writes(notebook))
        done = course.nbgrader("generate_assignment", name)
        assert done.returncode == 0, done.stderr


def _cell(name, source, *, solution):
    metadata = {"grade_id": name, "grade": not solution, "solution": solution, "locked": not solution, "task": False}
    metadata |= {"schema_version": 3, **({} if solution else {"points": 2})}
    return nbformat.v4.new_code_cell(source, id=name.replace("_", "-"), metadata={"nbgrader": metadata})
