"""Specification of the doctor: its attacks fail where a tier protects, and reach their goal where none does."""

import importlib.metadata
import json
import sys

import pytest
from click.testing import CliRunner

from tensorgrade import doctor
from tensorgrade.cli import cli
from tensorgrade.errors import ConfinementError
from tests.nbgrader_course import NbgraderCourse

SAME_IN_ALL = {
    "the environment is clean",
    "memory is limited",
    "processes are limited",
    "the size of files is limited",
    "the number of files is limited",
    "accelerators are invisible",
    "processes end with their submission",
}
"""What tier C gives as well: limits, a clean environment, an end; and what a machine without accelerators hides."""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with graders, solutions and a submission that a doctor must find hidden."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("doctor") / "course", {"one": None})
    (course.root / "submitted" / "anna" / "demo").mkdir(parents=True)
    (course.root / "submitted" / "anna" / "demo" / "demo.ipynb").write_text("{}")
    return course


@pytest.fixture(scope="module", params=["A", "B", "C"])
def examined(request, course, zygote_of):
    """What ``tensorgrade doctor --require TIER --json`` says in a course, and its exit code."""
    zygote_of(request.param)  # or else skip
    arguments = ["--course", str(course.root), "doctor", "--json", "--require", request.param]
    result = CliRunner().invoke(cli, arguments)
    return request.param, json.loads(result.stdout), result.exit_code


def test_a_report_is_plain_data(examined):
    """``--json`` has the tier, whether it is healthy, and each check with what was seen and what to do."""
    tier, report, code = examined
    assert set(report) == {"tier", "healthy", "checks"}
    assert (report["tier"], report["healthy"], code) == (tier, True, 0)
    assert all(set(check) == {"name", "holds", "seen", "fix"} for check in report["checks"])
    assert all(check["fix"] for check in report["checks"] if not check["holds"])


def test_every_protection_holds_where_a_tier_protects(examined):
    """In tiers A and B no attack reaches its goal, and what submissions need works."""
    tier, report, _ = examined
    if tier == "C":
        pytest.skip("the control")
    assert [check["name"] for check in report["checks"] if not check["holds"]] == []
    names = {check["name"] for check in report["checks"]}
    assert names >= {*doctor._ATTACKS, *doctor._USES, f"tier {tier}", "Python", "torch", "nbgrader"}


def test_every_attack_is_real(examined):
    """In tier C, which does not protect, the same attacks reach their goals; what works elsewhere works here."""
    tier, report, _ = examined
    if tier != "C":
        pytest.skip("the control is tier C")
    reached = {check["name"] for check in report["checks"] if not check["holds"]}
    assert reached == set(doctor._ATTACKS) - SAME_IN_ALL
    seen = {check["name"]: check["seen"] for check in report["checks"]}
    assert all(seen[name].startswith("reached") for name in reached)


def test_the_hidden_files_are_those_of_the_course(course, monkeypatch):
    """Graders, exercises and submissions of the course that is there are among what the attacks go for."""
    asked = []
    monkeypatch.setattr(doctor, "examine", lambda hidden, wanted: asked.extend(hidden) or doctor.Report("B", ()))
    result = CliRunner().invoke(cli, ["--course", str(course.root), "doctor"])
    assert result.exit_code == 0
    assert result.stdout == "Tier B is possible here.\n"
    assert {place.name for place in asked} >= {"graders", "assignments", "submitted"}
    assert all(place.exists() for place in asked)
    with doctor._bait(asked) as names:
        assert "demo.ipynb" in names
        assert "test_one.py" in names


@pytest.mark.parametrize(
    ("tier", "holds", "required", "code"),
    [("A", True, None, 0), ("B", False, None, 1), ("C", True, None, 1), ("C", True, "C", 0), (None, False, "A", 1)],
)
def test_the_exit_code_says_whether_strangers_code_can_be_graded(monkeypatch, tmp_path, tier, holds, required, code):
    """It is 0 when the tier that is possible, or was asked for, holds; tier C has to be asked for."""
    report = doctor.Report(tier, (doctor.Check("a protection", holds, "seen", "mend it"),))
    monkeypatch.setattr(doctor, "examine", lambda hidden, wanted: report)
    options = [] if required is None else ["--require", required]
    result = CliRunner().invoke(cli, ["--course", str(tmp_path), "doctor", *options])
    assert result.exit_code == code
    assert ("to mend it: mend it" in result.stdout) == (not holds)


def test_what_stands_in_a_tiers_way_is_told(monkeypatch):
    """A tier that is not possible is a check with the reason and the remedy; the next weaker one is examined."""

    def refuse(tier):
        raise ConfinementError(tier, f"no {tier} here")

    monkeypatch.setattr(doctor, "open_zygote", refuse)
    report = doctor.examine([])
    tried = {check.name: (check.seen, check.fix) for check in report.checks if check.name.startswith("tier")}
    assert {name: seen for name, (seen, _) in tried.items()} == {f"tier {tier}": f"no {tier} here" for tier in "ABC"}
    assert all(fix for _, fix in tried.values())
    assert (report.tier, report.healthy) == (None, False)
    assert [check.name for check in doctor.examine([], "B").checks if check.name.startswith("tier")] == ["tier B"]


def test_a_python_that_cannot_be_started_is_told(monkeypatch):
    """Where this user may not run the Python that grades, every tier says so, with what mends it."""
    monkeypatch.setattr(sys, "executable", "/proc/1/mem")
    report = doctor.examine([])
    tried = [check for check in report.checks if check.name.startswith("tier")]
    assert [check.holds for check in tried] == [False] * 3
    assert all("/proc/1/mem" in check.seen and "install Python" in check.fix for check in tried)
    assert (report.tier, report.healthy) == (None, False)


def test_versions_out_of_range_are_told(monkeypatch):
    """A library that is too old, too new or missing does not hold, with the command that mends it."""
    found = {"torch": "2.1.0+cpu", "nbgrader": "0.9.6", "ipython": "8.20"}

    def version(name):
        if name not in found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    checks = {check.name: check for check in doctor._versions()}
    assert {name: checks[name].holds for name in ("Python", "torch", "nbgrader", "ipython", "ipykernel")} == {
        "Python": True,
        "torch": False,
        "nbgrader": True,
        "ipython": True,
        "ipykernel": False,
    }
    assert checks["torch"].fix == "pip install 'torch>=2.10'"
    assert checks["ipykernel"].seen == "not installed"
