"""Runs the tests of one grader with pytest, each time as if it were the first.

Trusted side. To start pytest takes longer than to run a grader's tests, so one pytest is kept for each folder of
graders, and the code of a grader is compiled once. The grader itself is loaded anew for each submission: its modules,
parameters and fixtures are new objects, and `contained` undoes what a run changes in this process.

What is kept runs plain tests: functions that are parametrized at most, with fixtures of ours and of their grader. To
report on a test takes pytest longer than to run it, so that plain ones are run without (`_KeptPytest`). Of pytest's own
fixtures they have ``monkeypatch`` alone: ``request`` would lead them to what is kept. A grader with other tests or
plugins, one that cannot be loaded, and a folder with a ``conftest.py`` get a pytest of their own for each submission,
with everything that pytest has. No verdict depends on which of the two it was.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import torch
from _pytest.config import _prepareconfig  # what pytest.main() begins with; it cannot run twice in one session

from .containment import contained
from .submission import Submission

MAX_RUNS = 200
"""So often a pytest collects tests: it never forgets the fixtures of a module, though none sees another's."""

_WITHOUT = ("cacheprovider", "terminal", "faulthandler", "unraisableexception", "threadexception")
_WITHOUT_IN_KEPT = ("logging", "debugging", "doctest")
_FIXTURES = frozenset({"submission", "generator", "monkeypatch"})
_PYTESTS_FIXTURES = frozenset(
    {
        *("cache", "pytestconfig", "request", "subtests", "doctest_namespace", "testdir", "pytester", "linecomp"),
        *("capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "capteesys", "recwarn"),
        *("record_property", "record_testsuite_property", "record_xml_attribute"),
        *("tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory"),
    }
)
"""What plain tests do not ask for: all fixtures of pytest but ``monkeypatch``."""
_KEEPS = pytest.version_tuple >= (9, 1)
"""Whether a pytest is kept: one before 9.1 goes by a module's name and finds the fixtures of its earlier copies."""


class Run(Protocol):
    """One grader at work on one submission: gives the tests what they ask for, and is told what became of them."""

    submission: Submission

    def generator(self, test: str) -> torch.Generator:
        """A source of inputs for the test of this name."""

    def running(self) -> AbstractContextManager[None]:
        """What surrounds the call of a test."""

    def expect(self, items: Sequence[pytest.Item]) -> None:
        """Learn which tests there are."""

    def prepare(self, item: pytest.Item) -> None:
        """Raise `pytest.skip.Exception` if this test cannot run any more."""

    def note(self, item: pytest.Item, phase: str, error: BaseException | None, *, skipped: bool = False) -> None:
        """Note how a phase of a test ended: ``setup``, ``call`` or ``teardown``."""

    def note_fault(self, fault: str) -> None:
        """Note what is wrong with the grader."""


def run_tests(grader: Path, run: Run, seed: int) -> int | pytest.ExitCode:
    """Run all tests of the file `grader`; everything random starts from `seed`. Returns how pytest ended."""
    with contained(grader.parent, seed):
        status = _run_in_kept(grader, run)
    if status is not None:
        return status
    with contained(grader.parent, seed):
        return pytest.main(_arguments(grader.parent, grader), plugins=[_ReportingPlugin(run)])


def start_once() -> None:
    """Do once what would make the first run slow: start pytest, and import what torch and pytest import late.

    Starts no threads and runs nothing backward, so that the process can be forked afterwards.
    """
    with tempfile.TemporaryDirectory() as folder, contained(Path(folder), 0):
        _KeptPytest(Path(folder)).close()
    gc.collect()
    gc.freeze()  # what is there by now stays, and need not be looked at again and again


def _arguments(folder: Path, *more: object, without: tuple[str, ...] = (), capture: str = "sys") -> list[str]:
    places = [f"--rootdir={folder}", f"-c={os.devnull}", f"--confcutdir={folder}"]
    plugins = [option for name in (*_WITHOUT, *without) for option in ("-p", f"no:{name}")]
    # plain asserts: nobody reads what rewritten ones say, and pytest keeps those in files which can be out of date
    modes = ["--import-mode=importlib", "--assert=plain", f"--capture={capture}"]
    return [*map(str, more), *places, *modes, *plugins]


def _last_line(text: str) -> str:
    """The line of a traceback that says what happened."""
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E ")]
    return (lines or text.strip().splitlines() or ["no message"])[-1]


class _Plugin:
    """What every pytest has of ours: the fixtures of the current run."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._test = ""

    def pytest_configure(self, config: pytest.Config) -> None:
        config.option.tbstyle = "line"  # of a failure only the last line is told, and the others take long to write

    @pytest.fixture
    def submission(self) -> Submission:
        """The student's notebook, run up to the test cell of this exercise."""
        return self._current().submission

    @pytest.fixture
    def generator(self) -> torch.Generator:
        """A seeded source of inputs: the same at each regrade, and unpredictable without the grader's file."""
        return self._current().generator(self._test)

    def prepare(self, item: pytest.Item) -> None:
        """Do what comes before each test."""
        self._test = item.name
        self._current().prepare(item)

    def pytest_internalerror(self, excrepr: object) -> None:
        if self.run is not None:
            self.run.note_fault(f"pytest failed: {_last_line(str(excrepr))}")

    def _current(self) -> Run:
        assert self.run is not None
        return self.run


class _ReportingPlugin(_Plugin):
    """For a pytest that runs its tests and reports on them itself."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        with self._current().running():
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.prepare(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        error = call.excinfo.value if call.excinfo else None
        # a test that was expected to fail, and does not, has no error even where that counts as failed
        skipped = report.skipped or hasattr(report, "wasxfail") or (report.failed and error is None)
        self._current().note(item, call.when, error, skipped=skipped)
        return report

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._current().expect(session.items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._current().note_fault(f"the grader cannot be loaded: {_last_line(report.longreprtext)}")


class _PlainPlugin(_Plugin):
    """For a pytest that runs plain tests: the steps of pytest's own protocol, without reports."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        run, state = self._current(), item.session._setupstate

        def set_up() -> None:
            self.prepare(item)
            state.setup(item)

        if self._ends_well(item, "setup", set_up):
            with run.running():
                self._ends_well(item, "call", item.runtest)
        self._ends_well(item, "teardown", lambda: state.teardown_exact(nextitem))
        return True

    def _ends_well(self, item: pytest.Item, phase: str, step: Callable[[], object]) -> bool:
        error: BaseException | None = None
        try:
            step()
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as raised:  # noqa: BLE001 - whatever it is, the run judges it
            error = raised
        self._current().note(item, phase, error, skipped=isinstance(error, pytest.skip.Exception))
        return error is None


# ------------------------------------------------------------------------------------------ the kept pytest


@dataclass(frozen=True)
class _Collected:
    """The tests of a grader, which need not be collected again: each is a function of the module itself.

    They have no parameters and no fixtures of the grader's, which would be those of an earlier module.
    """

    content: bytes
    module: pytest.Module
    tests: tuple[str, ...]
    items: tuple[pytest.Function, ...]

    @classmethod
    def of(cls, content: bytes, items: Sequence[pytest.Item]) -> _Collected | None:
        """What was collected from a grader; None when that cannot be renewed."""
        module = items[0].parent
        functions = tuple(item for item in items if isinstance(item, pytest.Function) and _is_renewable(item))
        if not isinstance(module, pytest.Module) or len(functions) < len(items):
            return None
        return cls(content, module, _test_names(module), functions)

    def renew(self) -> bool:
        """Load the grader anew and give the tests its functions; whether it still has the same tests."""
        self.module.obj = self.module._getobj()  # type: ignore[no-untyped-call]
        if _test_names(self.module) != self.tests:  # they may come from a module that it imports
            return False
        for item in self.items:
            item.obj = vars(self.module.obj)[item.originalname]
            item._initrequest()  # as for a test that is run again
        return True


def _is_renewable(item: pytest.Function) -> bool:
    return (
        type(item.parent) is pytest.Module and not hasattr(item, "callspec") and _FIXTURES.issuperset(item.fixturenames)
    )


def _test_names(module: pytest.Module) -> tuple[str, ...]:
    return tuple(name for name in vars(module.obj) if name.lower().startswith("test"))


class _KeptPytest:
    """A pytest that was started once and runs one grader of its folder after the other."""

    def __init__(self, folder: Path) -> None:
        self._plugin = _PlainPlugin()
        arguments = _arguments(folder, folder, "--noconftest", without=_WITHOUT_IN_KEPT, capture="no")
        self._config = _prepareconfig(arguments, [self._plugin])
        self._config._do_configure()
        self._session = pytest.Session.from_config(self._config)
        self._config.hook.pytest_sessionstart(session=self._session)
        self._plugins = self._config.pluginmanager.get_plugins()
        self._runs = 0
        self._unfit: dict[Path, bytes] = {}
        self._collected: dict[Path, _Collected] = {}
        self.usable = True

    def run_tests(self, grader: Path, run: Run) -> pytest.ExitCode | None:
        """Run the tests of `grader`, or return None before the first when they need a pytest of their own."""
        content = grader.read_bytes()
        if self._unfit.get(grader) == content:
            return None
        self.usable = False  # until this has ended as it should
        if not (self._renew(grader, content) or self._collect(grader, content)):
            self._unfit[grader] = content
            return None
        status = self._run(run)
        self.usable = status is not None and self._runs < MAX_RUNS
        return pytest.ExitCode.INTERRUPTED if status is None else status

    def close(self) -> None:
        """End this pytest, and with it what an interrupted test has left open."""
        try:
            self._config.hook.pytest_sessionfinish(session=self._session, exitstatus=pytest.ExitCode.OK)
        finally:
            self._config._ensure_unconfigure()

    def _renew(self, grader: Path, content: bytes) -> bool:
        """Load `grader` for the tests that were collected from it before, if there are any and they are the same."""
        collected = self._collected.get(grader)
        try:
            if collected is None or collected.content != content or not collected.renew():
                return False
        except BaseException:  # noqa: BLE001 - whatever it is, collecting will tell
            return False
        self._session.items = [*collected.items]
        return True

    def _collect(self, grader: Path, content: bytes) -> bool:
        """Load `grader`; whether it has tests that can run here."""
        self._runs += 1
        self._session.testsfailed = 0  # to load
        try:
            self._session.perform_collect([str(grader)])
        except BaseException:  # noqa: BLE001 - whatever it is, a pytest of its own will tell
            return False
        if self._session.testsfailed or self._config.pluginmanager.get_plugins() != self._plugins:
            return False
        self.usable = self._runs < MAX_RUNS
        if not self._session.items or not all(map(_is_plain, self._session.items)):
            return False
        if (collected := _Collected.of(content, self._session.items)) is not None:
            self._collected[grader] = collected
        return True

    def _run(self, run: Run) -> pytest.ExitCode | None:
        """Run what was collected; None when that was ended before its end."""
        self._plugin.run = run
        run.expect(self._session.items)
        try:
            self._config.hook.pytest_runtestloop(session=self._session)
        except (KeyboardInterrupt, pytest.exit.Exception):
            return None
        except BaseException:  # noqa: BLE001 - as pytest.main() does
            self._config.notify_exception(pytest.ExceptionInfo.from_current())
            return None
        finally:
            self._plugin.run = None
            self._session.items = []
        return pytest.ExitCode.OK


def _is_plain(item: pytest.Item) -> bool:
    return (
        type(item) is pytest.Function
        and all(mark.name in ("parametrize", "usefixtures") for mark in item.iter_markers())
        and _PYTESTS_FIXTURES.isdisjoint(item.fixturenames)
    )


_kept: dict[Path, _KeptPytest] = {}


def _run_in_kept(grader: Path, run: Run) -> pytest.ExitCode | None:
    folder = grader.parent
    if not _KEEPS or (folder / "conftest.py").exists():
        return None
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        if folder not in _kept:
            _kept[folder] = _KeptPytest(folder)
        status = _kept[folder].run_tests(grader, run)
        if not _kept[folder].usable:
            _kept.pop(folder).close()
    return status
