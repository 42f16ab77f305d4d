"""Specification of verdicts, by real graders on real answers."""

import os
import random
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from tensorgrade.errors import SubmissionFailure
from tensorgrade.grading import clause_of, judge
from tensorgrade.limits import DEFAULTS
from tensorgrade.testrun import _PYTESTS_FIXTURES, MAX_RUNS

ONES = "def ones(n): return torch.ones(n)"
VALUES = "def test_values(submission): expect(submission.call('ones', 3)).equals(torch.ones(3))\n"


def test_a_test_belongs_to_a_clause_by_its_name():
    """What stands between test_ and __ is the clause."""
    names = ("test_values", "test_values__empty", "test_two_words__x__y", "helper")
    assert [clause_of(name) for name in names] == ["values", "values", "two_words", None]


# ----------------------------------------------------------------------------------------------- clauses


def test_each_clause_is_judged_for_itself(judged, statuses):
    """Points come from the clauses whose tests all pass."""
    grader = """
        def test_values(submission): expect(submission.call("ones", 3)).equals(torch.ones(3))
        def test_dtype(submission): expect(submission.call("ones", 3)).has_dtype(torch.float64)
        @pytest.mark.parametrize("n", [1, 0])
        def test_sizes(submission, n): expect(submission.call("ones", n)).equals(torch.zeros(n))
        def test_plain(submission): assert submission.call("ones", 1) is None
    """
    verdict = judged(ONES, grader, "values", "dtype", "sizes", "plain")
    assert statuses(verdict) == {"values": "passed", "dtype": "failed", "sizes": "failed", "plain": "failed"}
    assert [clause.code for clause in verdict.clauses] == [None, "dtype", "one-too-large", "check"]
    assert (verdict.score, verdict.max_score, verdict.flagged, verdict.reason) == (1, 4, None, None)


NO_PASS = {
    "skipped": "def test_values(submission): pytest.skip('later')",
    "skip mark": "@pytest.mark.skip\ndef test_values(submission): pass",
    "skipped in part": VALUES + "def test_values__more(submission): pytest.skip('later')",
    "xfail that fails": "@pytest.mark.xfail\ndef test_values(submission): assert False",
    "xfail that passes": "@pytest.mark.xfail(strict=False)\ndef test_values(submission): pass",
    "empty parameters": "@pytest.mark.parametrize('n', [])\ndef test_values(submission, n): pass",
    "xfail call": "def test_values(submission): pytest.xfail('known')",
}
FLAGGED = {
    "no test": "",
    "no test of the clause": "def test_other(submission): pass",
    "import error": "import no_such_module\n" + VALUES,
    "syntax error": VALUES + "def",
    "error of the grader": "def test_values(submission): len(3)",
    "error in part": VALUES + "def test_values__more(submission): len(3)",
    "error in a fixture": "@pytest.fixture\ndef broken(): len(3)\n\ndef test_values(submission, broken): pass",
    "error in teardown": (
        "@pytest.fixture\ndef broken():\n    yield\n    len(3)\n\n" + "def test_values(submission, broken): pass"
    ),
    "unknown fixture": "def test_values(submission, no_such_fixture): pass",
    "what cannot be sent": (
        "def test_values(submission): submission.call('ones', torch.ones(1, requires_grad=True) * 2)"
    ),
    "accelerators": "def test_values(submission): submission.machine(accelerators=9).call('ones', 3)",
    "exit": VALUES + "def test_values__more(submission): pytest.exit('enough')",
    "exit at import": VALUES + "pytest.exit('enough')",
    "system exit": VALUES + "def test_values__more(submission): raise SystemExit(0)",
}


@pytest.mark.parametrize("grader", NO_PASS.values(), ids=NO_PASS)
def test_only_a_pass_is_a_pass(judged, grader):
    """A skipped test and one that is expected to fail earn nothing."""
    assert judged(ONES, grader).score == 0


@pytest.mark.parametrize("grader", FLAGGED.values(), ids=FLAGGED)
def test_a_fault_of_the_grader_is_flagged(judged, grader):
    """A clause without a test, and whatever is the grader's own error, earns nothing and calls for a person."""
    verdict = judged(ONES, grader)
    assert verdict.score == 0
    assert "test_task.py" in verdict.flagged
    assert "test_task.py" not in verdict.to_text() + verdict.to_html() + str(verdict.to_json())


def test_a_test_of_no_clause_is_flagged_and_takes_nothing(judged):
    """A test that belongs to no clause calls for a person; the others count."""
    verdict = judged(ONES, VALUES + "def test_other(submission): pass")
    assert verdict.score == 1
    assert "test_other" in verdict.flagged


class Unused:
    """A machine that is not asked."""

    allowance = DEFAULTS

    def request(self, message):
        """Refuse to answer."""
        raise SubmissionFailure(str(message))

    def discard(self):
        """Have nothing to discard."""

    def with_accelerators(self, count):
        """Return itself."""
        return self


@pytest.mark.parametrize("work", ["while True: pass", "time.sleep(60)"])
def test_a_grader_that_computes_too_long_is_flagged(make_course, exercise_text, work):
    """The grader's own computing is limited, and no fault of the student's."""
    course = make_course({"task": (exercise_text("values"), f"def test_values(submission):\n    {work}")})
    exercise, grader = course.load("demo").exercise("task"), course.grader_file("demo", "task")
    verdict = judge(exercise, grader, Unused(), "en", grader_seconds=0.3)
    assert verdict.score == 0
    assert "0.3 s" in verdict.flagged


def test_waiting_for_the_submission_is_not_computing(make_course, exercise_text, process):
    """The grader's clock stands still while the submission works."""

    class Slow(Unused):
        def request(self, message):
            assert process.run_cell("import time; time.sleep(0.6)", 5, 1000)["ok"]
            return process.request({"do": "cell", "source": "1", "output_limit": 1}, 5) | {"value": ["int", 3]}

    course = make_course({"task": (exercise_text("values"), "def test_values(submission): submission.run(len)")})
    exercise, grader = course.load("demo").exercise("task"), course.grader_file("demo", "task")
    assert judge(exercise, grader, Slow(), "en", grader_seconds=0.3).score == 1


# --------------------------------------------------------------------------------- one submission, and the next


@pytest.fixture
def judge_again(make_course, exercise_text):
    """Judges a submission that is not asked, again and again by the same grader: ``judge_again(grader)()``."""

    def prepare(grader, *clauses, files=()):
        course = make_course({"task": (exercise_text(*clauses or ("values",)), grader)})
        exercise, file = course.load("demo").exercise("task"), course.grader_file("demo", "task")
        for name, text in dict(files).items():
            (file.parent / name).write_text(text)
        return lambda: judge(exercise, file, Unused(), "en")

    return prepare


KINDS = {"kept": "", "own": "\n@pytest.fixture(autouse=True)\ndef own(request): pass\n"}
"""A grader that runs in the pytest that is kept, and one that gets its own since it asks for `request`."""

TRACES = {
    "global": "SEEN = []\ndef test_values():\n    assert not SEEN\n    SEEN.append(1)",
    "parameter": (
        "@pytest.mark.parametrize('seen', [[]])\ndef test_values(seen):\n    assert not seen\n    seen.append(1)"
    ),
    "fixture": (
        "@pytest.fixture(scope='session')\ndef seen(): return []\n\n"
        "def test_values(seen):\n    assert not seen\n    seen.append(1)"
    ),
    "class": (
        "class TestIt:\n    seen = []\n    def test_values(self):\n"
        "        assert not self.seen\n        self.seen.append(1)"
    ),
    "environment": "import os\ndef test_values():\n    assert 'SEEN' not in os.environ\n    os.environ['SEEN'] = '1'",
    "removed environment": "import os\ndef test_values(): os.environ.pop('PATH')",
    "folder": "import os\ndef test_values():\n    assert os.getcwd() != '/'\n    os.chdir('/')",
    "path": "import sys\ndef test_values():\n    assert 'seen' not in sys.path\n    sys.path.append('seen')",
    "warnings": (
        "import warnings\nassert not [f for f in warnings.filters if f[1] and f[1].pattern == 'seen']\n"
        "warnings.filterwarnings('error', 'seen')\ndef test_values(): pass"
    ),
    "dtype": (
        "assert torch.ones(1).dtype is torch.float32\ntorch.set_default_dtype(torch.float64)\ndef test_values(): pass"
    ),
    "device": "assert torch.ones(1).device.type == 'cpu'\ntorch.set_default_device('meta')\ndef test_values(): pass",
    "gradients": "def test_values():\n    assert torch.is_grad_enabled()\n    torch.set_grad_enabled(False)",
    "threads": "N = torch.get_num_threads()\ndef test_values():\n    assert N < 7\n    torch.set_num_threads(7)",
    "random": (
        "import random, numpy\nDRAWN = random.random(), torch.rand(1).item(), numpy.random.rand()\n"
        "def test_values(): assert str(DRAWN) == once(str(DRAWN))"
    ),
    "output": "import sys\ndef test_values():\n    print('canary', file=sys.stderr)\n    print('canary')",
}
HELPERS = """
import pathlib
def once(text, file=pathlib.Path({file!r})):
    if not file.exists(): file.write_text(text)
    return file.read_text()
"""


def state_of_process():
    torch_state = torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_num_threads()
    return dict(os.environ), Path.cwd(), sys.path.copy(), sys.meta_path.copy(), random.getstate(), torch_state


def test_tests_that_come_from_elsewhere_are_found_anew(judge_again, tmp_path):
    """A grader whose file is the same may get other tests from what it imports: none is left out, none runs twice."""
    more = "def test_values__more(): assert False"
    helper = (
        f"import pathlib\ndef test_values(): pass\nif pathlib.Path({str(tmp_path / 'more')!r}).exists():\n    {more}"
    )
    again = judge_again("from .shared import *", files={"__init__.py": "", "shared.py": helper})
    assert [again().score, again().score] == [1, 1]
    (tmp_path / "more").touch()
    assert [again().score, again().score] == [0, 0]
    (tmp_path / "more").unlink()
    assert again().score == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grader", TRACES.values(), ids=TRACES)
def test_nothing_of_a_run_is_left_for_the_next(judge_again, tmp_path, capfd, grader, kind):
    """What a grader changes in its modules or in the process is as it was when the next submission is judged."""
    again = judge_again(HELPERS.format(file=str(tmp_path / "once")) + grader + KINDS[kind])
    before = state_of_process()
    for _ in range(3):
        verdict = again()
        assert (verdict.score, verdict.flagged) == (1, None)
    assert state_of_process() == before
    assert "canary" not in "".join(capfd.readouterr())


FIXTURES = """
    import pathlib

    def note(text):
        with pathlib.Path({file!r}).open("a") as file:
            print(text, file=file)

    @pytest.fixture(scope="session")
    def longest():
        note("session")
        yield
        note("end of session")

    @pytest.fixture(scope="module")
    def long(longest):
        note("module")
        yield
        note("end of module")

    @pytest.mark.parametrize("case", [1, 2])
    def test_values(long, case):
        note(case)
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", ["", "\ndef test_values__last(long): pytest.exit('enough')\n"], ids=["whole", "exit"])
def test_fixtures_end_with_their_run(judge_again, tmp_path, kind, last):
    """Fixtures of a module and of a session are made once for each submission, and torn down after it."""
    file = tmp_path / "noted"
    again = judge_again(FIXTURES.format(file=str(file)) + textwrap.indent(last + KINDS[kind], "    "))
    for _ in range(2):
        assert again().score == (not last)
    once = ["session", "module", "1", "2", "end of module", "end of session"]
    assert file.read_text().splitlines() == once * 2


PYTESTS = {
    "tmp_path": "def test_values(tmp_path): (tmp_path / 'x').mkdir()",
    "monkeypatch": "def test_values(monkeypatch): monkeypatch.setattr(torch, 'ones', None)\n"
    "def test_values__later(): assert torch.ones(1)",
    "capsys": "def test_values(capsys):\n    print('x')\n    assert capsys.readouterr().out == 'x\\n'",
    "caplog": "import logging\ndef test_values(caplog):\n    logging.error('x')\n    assert 'x' in caplog.text",
    "recwarn": "import warnings\ndef test_values(recwarn):\n    warnings.warn('x')\n    assert len(recwarn) == 1",
    "filterwarnings": "import warnings\n@pytest.mark.filterwarnings('error')\ndef test_values():\n"
    "    with pytest.raises(UserWarning): warnings.warn('x')",
    "params": "@pytest.fixture(params=[1, 2])\ndef n(request): return request.param\ndef test_values(n): assert n",
    "indirect": "@pytest.fixture\ndef n(request): return request.param\n"
    "@pytest.mark.parametrize('n', [1], indirect=True)\ndef test_values(n): assert n == 1",
    "setup_module": "def setup_module(module): module.N = 1\ndef test_values(): assert N == 1",
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n    def setUp(self): self.n = 1\n"
    "    def test_values(self): self.assertEqual(self.n, 1)",
    "option": "def test_values(pytestconfig):\n    assert not hasattr(pytestconfig.option, 'seen')\n"
    "    pytestconfig.option.seen = True",
    "stash": "KEY = pytest.StashKey()\ndef test_values(request): request.config.stash[KEY] = 1",
    "plugin": "pytest_plugins = ['own_plugin']\nimport sys\ndef test_values(): assert 'own_plugin' in sys.modules",
    "usefixtures": "@pytest.fixture\ndef ready(monkeypatch): monkeypatch.setenv('READY', '1')\nimport os\n"
    "@pytest.mark.usefixtures('ready')\ndef test_values(): assert os.environ['READY']",
}


@pytest.mark.parametrize("grader", PYTESTS.values(), ids=PYTESTS)
def test_graders_may_use_what_pytest_has(judge_again, tmp_path, monkeypatch, grader):
    """Its fixtures, marks, classes and plugins work, for each submission."""
    (tmp_path / "own_plugin.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    again = judge_again(grader)
    for _ in range(2):
        verdict = again()
        assert (verdict.score, verdict.flagged) == (1, None)


def test_all_fixtures_of_pytest_are_known(tmp_path):
    """A grader that asks for one of them, ``monkeypatch`` excepted, gets a pytest of its own."""
    command = [sys.executable, "-m", "pytest", "--fixtures", "-v", str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    found = set(re.findall(r"^([a-z_]+)(?: \[\w+ scope\])? -- ", told.stdout, re.MULTILINE))
    assert {"cache", "tmp_path_factory", "monkeypatch"} < found
    assert found - {"monkeypatch"} <= _PYTESTS_FIXTURES


def test_a_folder_may_have_a_conftest(judge_again, tmp_path):
    """Its fixtures serve the graders of the folder, and count as they are now."""
    conftest = "import pytest\n@pytest.fixture\ndef number(): return {}\n"
    again = judge_again("def test_values(number): assert number == 1", files={"conftest.py": conftest.format(1)})
    assert again().score == 1
    (tmp_path / "course" / "graders" / "demo" / "conftest.py").write_text(conftest.format(2))
    assert again().score == 0


def test_an_edited_helper_counts(judge_again, tmp_path):
    """A module that a grader imports is read anew as well, even when its size and time are the same."""
    files = {"__init__.py": "", "numbers_of_demo.py": "NUMBER = 1\n"}
    again = judge_again("from .numbers_of_demo import NUMBER\ndef test_values(): assert NUMBER == 1", files=files)
    helper = tmp_path / "course" / "graders" / "demo" / "numbers_of_demo.py"
    stamp = helper.stat().st_mtime_ns
    assert again().score == 1
    helper.write_text("NUMBER = 2\n")
    os.utime(helper, ns=(stamp, stamp))
    assert again().score == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FLAGGED)
def test_a_faulty_grader_does_not_harm_the_next(judge_again, make_course, exercise_text, name, kind):
    """After a grader that ended pytest, or failed in any other way, a sound one of the same folder is judged."""
    again = judge_again("def test_values(): pass")
    assert again().score == 1
    faulty = make_course({"faulty": (exercise_text("values"), FLAGGED[name] + KINDS[kind])})
    exercise, grader = faulty.load("demo").exercise("faulty"), faulty.grader_file("demo", "faulty")
    first, second = (judge(exercise, grader, Unused(), "en") for _ in range(2))
    assert first == second
    assert first.score == 0
    verdict = again()
    assert (verdict.score, verdict.flagged) == (1, None)


def test_many_submissions_are_judged_alike(judge_again):
    """The verdict is the same however often a grader has run."""
    again = judge_again("@pytest.fixture\ndef n(): return 1\ndef test_values(n): assert n == 1")
    assert {again().score for _ in range(2 * MAX_RUNS + 1)} == {1}


AFTER_WARM_UP = """
import sys
from pathlib import Path
from tensorgrade.course import Course
from tensorgrade.grading import judge, warm_up
warm_up()
before = set(sys.modules)
course = Course(Path(sys.argv[1]))
verdict = judge(course.load("demo").exercise("task"), course.grader_file("demo", "task"), None, "en")
assert verdict.score == 1, verdict.flagged
print(*sorted(set(sys.modules) - before))
"""


def test_the_first_verdict_imports_nothing(make_course, exercise_text):
    """A worker that has warmed up has all modules that a verdict needs."""
    grader = """
        from tensorgrade.observation import read
        from tensorgrade.observer import Observer
        def test_values():
            expect(read(Observer().describe(torch.ones(2)))).close_to(torch.ones(2)).equals(torch.ones(2))
    """
    course = make_course({"task": (exercise_text("values"), grader)})
    command = [sys.executable, "-c", AFTER_WARM_UP, str(course.root)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == []


# ---------------------------------------------------------------------------------------------- students


@pytest.mark.parametrize(
    "patch", ["torch.equal", "torch.allclose", "torch.testing.assert_close", "torch.Tensor.__eq__"]
)
def test_patched_comparisons_do_not_help(judged, patch):
    """The verdict is computed where the student's changes to torch do not reach."""
    code = f"{patch} = lambda *a, **k: True\ndef ones(n): return torch.zeros(n)"
    verdict = judged(code, VALUES)
    assert (verdict.score, verdict.clauses[0].code, verdict.flagged) == (0, "zeros", None)


@pytest.mark.parametrize("name", ["isinstance", "type", "len"])
def test_patched_builtins_do_not_help(judged, name):
    """Nor do their changes to Python reach it."""
    code = f"import builtins\nbuiltins.{name} = lambda *a: True\ndef ones(n): return torch.zeros(n)"
    verdict = judged(code, VALUES, seconds=1)
    assert (verdict.score, verdict.flagged) == (0, None)


def test_a_patched_package_does_not_help(judged):
    """Nor do changes to this package in the student's own process."""
    code = """
        import sys
        import tensorgrade.errors, tensorgrade.observation
        tensorgrade.observation.read = lambda plain: None
        tensorgrade.errors.ProtocolError = AssertionError = None
        def ones(n): return torch.zeros(n)
    """
    assert judged(code, VALUES).score == 0


OWN_CLASSES = """
    word = "can" "ary"  # which stands in no line, since lines of their own are shown to students
    class Error(Exception): pass
    class Result:
        __slots__ = ()
        def __repr__(self): return word
    Error.__module__ = Result.__module__ = "{module}"
    Error.__qualname__ = Error.__name__ = word.capitalize() + "Error"
    Result.__qualname__ = Result.__name__ = word
    def ones(n):
        if n == 3: return Result()
        raise Error(word)
"""


@pytest.mark.parametrize("module", ["__main__", "builtins", "torch", "torch.nn", "collections"])
def test_feedback_repeats_nothing_that_a_student_made_up(judged, module):
    """Neither messages nor names of the student's classes appear: they could carry hidden inputs out."""
    grader = VALUES + "def test_other(submission): expect(submission.call('ones', 4)).is_tensor()\n"
    grader += "def test_error(submission): expect(submission.attempt('ones', 4)).raises(ValueError)\n"
    grader += "def test_probe(submission): submission.run(lambda student: student.ones(4))\n"
    code = OWN_CLASSES.format(module=module)
    verdict = judged(code, grader, "values", "other", "error", "probe")
    assert (verdict.score, verdict.flagged) == (0, None)
    assert "canary" not in (verdict.to_text() + verdict.to_html() + str(verdict.to_json())).lower()


def test_an_undefined_name_is_told(judged):
    """A missing function is named, so that the student finds it."""
    verdict = judged("ons = 1", VALUES)
    assert verdict.clauses[0].code == "undefined"
    assert "`ones`" in verdict.clauses[0].finding


def test_output_and_warnings_cost_nothing(judged):
    """What a function prints, warns of or logs while it is graded is nobody's concern."""
    code = """
        import logging, os, sys, warnings
        def ones(n):
            print("out"); print("err", file=sys.stderr); os.write(2, b"raw")
            warnings.warn("deprecated"); logging.error("log")
            return torch.ones(n)
    """
    verdict = judged(code, VALUES)
    assert (verdict.score, verdict.reason, verdict.flagged) == (1, None, None)


def test_a_time_out_ends_the_exercise_with_its_reason(judged, statuses):
    """After a call over its limit the remaining tests are not run, and the reason is said."""
    code = "def ones(n):\n    while n == 3: pass\n    return torch.ones(n)"
    other = "def test_{}(submission): submission.call('ones', 1)\n"
    grader = other.format("first") + VALUES + other.format("other")
    verdict = judged(code, grader, "first", "values", "other", seconds=0.5)
    assert statuses(verdict) == {"first": "passed", "values": "failed", "other": "not run"}
    assert "0.5 s" in verdict.reason
    assert verdict.flagged is None


def test_a_crash_costs_its_test(judged, statuses):
    """A call that ends the process fails its clause; the others are checked on a new snapshot."""
    code = "import os\ndef ones(n):\n    if n == 3: os._exit(0)\n    return torch.ones(n)"
    grader = VALUES + "def test_other(submission): submission.call('ones', 1)\n"
    verdict = judged(code, grader, "values", "other")
    assert statuses(verdict) == {"values": "failed", "other": "passed"}
    assert verdict.clauses[0].code == "ended"


def test_exceptions_in_a_grader_reach_no_student(judged):
    """The text of a grader's own assertion is not told."""
    verdict = judged(ONES, "def test_values(submission): assert 'canary' == submission.call('ones', 1)")
    assert verdict.clauses[0].code == "check"
    assert "canary" not in verdict.to_text() + str(verdict.to_json())


# -------------------------------------------------------------------------------------------- framework

DRAW = """
    import pathlib

    @pytest.mark.parametrize("case", [1, 2])
    def test_values(submission, generator, case):
        with pathlib.Path({file!r}).open("a") as file:
            print(torch.rand(1, generator=generator, dtype=torch.float64).item(), file=file)
"""


def test_inputs_are_the_same_at_each_regrade(judged, tmp_path):
    """The generator of a test gives the same numbers at each run, and others than that of another test."""
    file = tmp_path / "drawn"
    for _ in range(2):
        assert judged(ONES, DRAW.format(file=str(file))).score == 1
    first, second, first_again, second_again = file.read_text().split()
    assert (first, second) == (first_again, second_again)
    assert first != second


def test_an_edited_grader_counts(make_course, exercise_text, answer):
    """A grader and its helper are read anew at each run, even when their size and time are the same."""
    course = make_course({"task": (exercise_text("values"), "from tensorgrade import expect\n" + VALUES)})
    grader = course.grader_file("demo", "task")
    stamp = grader.stat().st_mtime_ns
    assert answer(course, "task", ONES).score == 1
    grader.write_text(grader.read_text().replace("torch.ones(3)", "torch.ones(4)"))
    os.utime(grader, ns=(stamp, stamp))
    assert answer(course, "task", ONES).score == 0


def test_the_users_pytest_settings_do_not_matter(judged, monkeypatch):
    """Options and plugins of the environment are kept out of a verdict."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option -k nothing")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    assert judged(ONES, VALUES).score == 1
    assert os.environ["PYTEST_PLUGINS"] == "no_such_plugin"


def test_probes_may_use_helpers_of_the_grader(judged):
    """A probe travels with what it refers to."""
    grader = """
        OFFSET = 2
        def shifted(x): return x + OFFSET
        def probe(student, n): return shifted(student.ones(n))
        def test_values(submission): expect(submission.run(probe, 2)).equals(torch.full((2,), 3.0))
    """
    verdict = judged(ONES, grader)
    assert (verdict.score, verdict.flagged) == (1, None)


def test_the_verdict_is_in_the_language_of_the_notebook(judged):
    """Findings and words are Chinese for a Chinese notebook."""
    verdict = judged("x = 1", VALUES, language="zh")
    assert "没有定义" in verdict.to_text()
