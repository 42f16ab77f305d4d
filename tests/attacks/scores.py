"""Attacks that want points for a wrong answer."""

from tests.attacks.attack import NAIVE_TEST, Control, Goal, attack

AWAY = "the verdict is computed in another process, from plain data; what this interpreter believes counts for nothing"
DATA = "only tensors and plain data are observed; the methods of the student's objects are never asked for a verdict"
NOT_RUN = "test cells are not run at all: the hidden grader stands in for them, on the trusted side"
ALONE = "neither expected values nor the grader's code are ever in this process"
PYTEST = "graders run with a pytest of their own, away from the submission's folder and its settings"
EQUAL = NAIVE_TEST.replace(
    "torch.testing.assert_close(answer(x, tag=secret), expected)", "assert answer(x) == expected"
)
CLOSE = NAIVE_TEST.replace(
    "torch.testing.assert_close(answer(x, tag=secret), expected)", "assert torch.allclose(answer(x), expected)"
)
SKIPPED = "metadata of cells is rebuilt from the gradebook, and tags are dropped"


def naive(check):
    """A naive test cell that ends in another check."""
    return NAIVE_TEST.replace("torch.testing.assert_close(answer(x, tag=secret), expected)", check)


def in_interpreter(name, does, stopped, code="", **more):
    return attack(Goal.SCORE, name, does, stopped, code, control=Control.INTERPRETER, **more)


def in_stock(name, does, stopped, code="", **more):
    return attack(Goal.SCORE, name, does, stopped, code, control=Control.STOCK, **more)


def skip_the_test(notebook):
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "test_target":
            cell["metadata"]["tags"] = ["skip-execution"]


ATTACKS = (
    in_interpreter(
        "eq-says-yes",
        "returns an object whose `__eq__` is always true",
        DATA,
        answer="""
            class Yes:
                def __eq__(self, other):
                    return True

            def answer(x, tag=''):
                return Yes()
        """,
        naive=EQUAL,
    ),
    in_interpreter(
        "metaclass-says-yes",
        "returns a class whose metaclass lies about equality and type",
        DATA,
        answer="""
            class Meta(type(torch.Tensor)):
                def __eq__(cls, other):
                    return True
                def __instancecheck__(cls, other):
                    return True
                __hash__ = None

            class Liar(torch.Tensor, metaclass=Meta):
                __class__ = torch.Tensor

            def answer(x, tag=''):
                return Liar
        """,
        naive=EQUAL,
    ),
    in_interpreter(
        "torch-function-subclass",
        "returns a Tensor subclass whose `__torch_function__` says yes to every comparison",
        DATA,
        answer="""
            class Liar(torch.Tensor):
                @classmethod
                def __torch_function__(cls, function, types, arguments=(), keywords=None):
                    if function in (torch.allclose, torch.equal):
                        return True
                    return super().__torch_function__(function, types, arguments, keywords or {})

            def answer(x, tag=''):
                return x.as_subclass(Liar)
        """,
        naive=CLOSE,
    ),
    in_interpreter(
        "torch-dispatch-mode",
        "leaves a TorchFunctionMode switched on that makes allclose true",
        AWAY,
        """
            from torch.overrides import TorchFunctionMode

            class Yes(TorchFunctionMode):
                def __torch_function__(self, function, types, arguments=(), keywords=None):
                    return True if function is torch.allclose else function(*arguments, **(keywords or {}))

            Yes().__enter__()
        """,
        naive=CLOSE,
    ),
    in_interpreter(
        "patched-assert-close",
        "replaces torch.testing.assert_close",
        AWAY,
        "torch.testing.assert_close = lambda *facts, **named: None",
    ),
    in_interpreter(
        "patched-allclose",
        "replaces torch.allclose, torch.equal and Tensor.__eq__",
        AWAY,
        "torch.allclose = torch.equal = torch.Tensor.__eq__ = lambda *facts, **named: True",
        naive=CLOSE,
    ),
    in_interpreter(
        "patched-builtins",
        "replaces builtins.all",
        AWAY,
        "import builtins\nbuiltins.all = lambda items: True",
        naive=naive("assert all((answer(x) == expected).reshape(-1).tolist())"),
    ),
    in_interpreter(
        "dunder-builtins",
        "replaces __builtins__ of the notebook's namespace",
        AWAY,
        """
            class Kind(dict):
                pass

            import builtins
            __builtins__ = Kind(vars(builtins), abs=lambda value: 0.0)
            get_ipython().user_global_ns["__builtins__"] = __builtins__
        """,
        naive=naive("assert abs((answer(x) - expected).sum().item()) < 1e-6"),
    ),
    in_interpreter(
        "patched-pytest",
        "replaces pytest.approx and pytest.raises by what always agrees",
        AWAY,
        """
            import pytest

            class Agreeable:
                def __init__(self, *facts, **named): pass
                def __eq__(self, other): return True
                __hash__ = None

            pytest.approx = Agreeable
        """,
        naive=naive("import pytest\nassert answer(x).sum().item() == pytest.approx(expected.sum().item())"),
    ),
    in_interpreter(
        "patched-unittest",
        "replaces the assertions of unittest.TestCase",
        AWAY,
        """
            import unittest
            for name in dir(unittest.TestCase):
                if name.startswith("assert"):
                    setattr(unittest.TestCase, name, lambda *facts, **named: None)
        """,
        naive=naive("import unittest\nunittest.TestCase().assertEqual(answer(x).tolist(), expected.tolist())"),
    ),
    in_interpreter(
        "patched-numpy",
        "replaces numpy.testing.assert_allclose",
        AWAY,
        "import numpy.testing\nnumpy.testing.assert_allclose = lambda *facts, **named: None",
        naive=naive("import numpy\nnumpy.testing.assert_allclose(answer(x).numpy(), expected.numpy())"),
    ),
    in_interpreter(
        "module-in-the-way",
        "puts a module of its own at `sys.modules['numpy.testing']`",
        AWAY,
        """
            import sys, types
            sys.modules["numpy.testing"] = types.SimpleNamespace(assert_allclose=lambda *facts, **named: None)
        """,
        naive=naive("from numpy.testing import assert_allclose\nassert_allclose(answer(x).numpy(), expected.numpy())"),
    ),
    in_interpreter(
        "import-hook",
        "puts a finder first in `sys.meta_path` that gives harmless test libraries",
        AWAY,
        """
            import importlib.abc, importlib.machinery, sys, types

            class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
                def find_spec(self, name, path, target=None):
                    return importlib.machinery.ModuleSpec(name, self) if name == "unittest.mock_checks" else None
                def create_module(self, spec):
                    return types.SimpleNamespace(check=lambda *facts: None, __name__=spec.name)
                def exec_module(self, module):
                    pass

            sys.meta_path.insert(0, Finder())
        """,
        naive=naive(
            "try:\n    from unittest.mock_checks import check\nexcept ImportError:\n"
            "    check = torch.testing.assert_close\ncheck(answer(x), expected)"
        ),
    ),
    in_interpreter(
        "pre-run-hook",
        "registers a pre_run_cell hook that disarms the tests just before they run",
        NOT_RUN,
        """
            def disarm(info):
                torch.testing.assert_close = lambda *facts, **named: None

            get_ipython().events.register("pre_run_cell", disarm)
        """,
    ),
    in_interpreter(
        "input-transformer",
        "lets IPython transform cells with assertions into nothing",
        NOT_RUN,
        """
            def emptied(lines):
                return ["pass\\n"] if "assert" in "".join(lines) else lines

            get_ipython().input_transformers_post.append(emptied)
        """,
    ),
    in_interpreter(
        "ast-transformer",
        "registers an AST transformer that removes every call of assert_close",
        NOT_RUN,
        """
            import ast

            class Remover(ast.NodeTransformer):
                def visit_Expr(self, node):
                    return ast.copy_location(ast.Pass(), node) if "assert_close" in ast.dump(node) else node

            get_ipython().ast_transformers.append(Remover())
        """,
    ),
    in_interpreter(
        "patched-run-cell",
        "replaces the run_cell of the running shell",
        NOT_RUN,
        """
            shell = get_ipython()
            original = shell.run_cell

            def run_cell(source, *facts, **named):
                return original("pass" if "assert_close" in source else source, *facts, **named)

            shell.run_cell = run_cell
        """,
    ),
    in_interpreter(
        "patched-run-code",
        "replaces what runs compiled code in IPython's shell",
        NOT_RUN,
        """
            shell = get_ipython()
            original = shell.run_code

            async def run_code(code, *facts, **named):
                return False if "assert_close" in code.co_names else await original(code, *facts, **named)

            shell.run_code = run_code
        """,
    ),
    in_interpreter(
        "forged-execute-result",
        "publishes an execute result of 2 points from inside the tested function",
        "student-made outputs never stand in a graded cell: ours are written there, and nothing else",
        answer="""
            def answer(x, tag=''):
                hook = get_ipython().displayhook
                content = {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 1}
                hook.session.send(hook.pub_socket, "execute_result", content, parent=hook.parent_header)
                return x
        """,
    ),
    in_interpreter(
        "frame-hunting",
        "walks up the stack and takes the expected value from the caller's variables",
        ALONE,
        answer="""
            import sys

            def answer(x, tag=''):
                frame = sys._getframe()
                while frame := frame.f_back:
                    for names in (frame.f_locals, frame.f_globals):
                        if isinstance(names.get("expected"), torch.Tensor):
                            return names["expected"]
                return x
        """,
    ),
    in_interpreter(
        "gc-hunting",
        "searches all objects of the process for tensors that could be the expected value",
        ALONE,
        answer="""
            import gc

            def answer(x, tag=''):
                for thing in gc.get_objects():
                    if type(thing) is torch.Tensor and thing.shape == (len(x), len(x)) and not torch.equal(thing, x):
                        return thing
                return x
        """,
    ),
    in_interpreter(
        "profile-hook",
        "reads the caller's variables in a profile function",
        ALONE,
        answer="""
            import sys
            found = []

            def watch(frame, event, argument):
                if frame.f_code.co_name == "answer" and event == "call":
                    found.append(frame.f_back.f_globals.get("expected"))

            def answer(x, tag=''):
                sys.setprofile(watch)
                return helper(x)

            def helper(x):
                import inspect
                watched = inspect.currentframe().f_back.f_back
                sys.setprofile(None)
                right = watched.f_globals.get("expected", watched.f_locals.get("expected"))
                return x if right is None else right
        """,
    ),
    in_interpreter(
        "trace-hook",
        "lets a trace function look for the caller's variables",
        ALONE,
        answer="""
            import sys
            found = []

            def trace(frame, event, argument):
                while frame := frame.f_back:
                    found.append(frame.f_globals.get("expected"))

            def helper():
                pass

            def answer(x, tag=''):
                before = sys.gettrace()
                sys.settrace(trace)
                helper()
                sys.settrace(before)
                return next((thing for thing in found if thing is not None), x)
        """,
    ),
    in_interpreter(
        "rewritten-code",
        "exchanges the bytecode of assert_close, wherever it was imported to",
        AWAY,
        """
            def harmless(*facts, **named):
                pass

            torch.testing.assert_close.__code__ = harmless.__code__
            torch.testing.assert_close.__kwdefaults__ = None
        """,
    ),
    in_interpreter(
        "float-runs-code",
        "returns an object whose `__float__` and `__repr__` look for the expected value",
        DATA,
        answer="""
            import sys

            class Lazy:
                def __float__(self):
                    return float(sys._getframe(1).f_globals["expected"].sum())
                def __repr__(self):
                    torch.testing.assert_close = lambda *facts, **named: None
                    return "Lazy"

            def answer(x, tag=''):
                return Lazy()
        """,
        naive=naive("assert float(answer(x)) == float(expected.sum())"),
    ),
    in_interpreter(
        "reduce-runs-code",
        "returns an object that runs code in whoever unpickles it",
        "nothing of the student's is ever unpickled: answers are plain data in a format of their own",
        answer="""
            class Payload:
                def __reduce__(self):
                    return exec, ("import torch; torch.testing.assert_close = lambda *facts, **named: None",)

            def answer(x, tag=''):
                return Payload()
        """,
        naive=naive(
            "import pickle\ngot = pickle.loads(pickle.dumps(answer(x)))\ntorch.testing.assert_close(got, expected)"
        ),
    ),
    in_interpreter(
        "empty-broadcast",
        "returns an empty tensor, for which every comparison holds",
        "shapes are compared before values",
        answer="def answer(x, tag=''):\n    return torch.empty(0, 1, 1)",
        naive=naive("assert (answer(x) == expected).all()"),
    ),
    in_interpreter(
        "generator",
        "returns a generator that ends before anything is compared",
        DATA,
        answer="def answer(x, tag=''):\n    return (row for row in ())",
        naive=naive("for got, wanted in zip(answer(x), expected):\n    torch.testing.assert_close(got, wanted)"),
    ),
    in_interpreter(
        "nan-answer",
        "returns NaN, which is neither less nor greater",
        "values are compared as torch.testing.assert_close does",
        answer="def answer(x, tag=''):\n    return torch.full((len(x), len(x)), float('nan'))",
        naive=naive("assert not ((answer(x) - expected).abs() > 1e-6).any()"),
    ),
    in_interpreter(
        "meta-tensor",
        "returns a meta tensor of the right shape and dtype, without values",
        "a tensor without ordinary values is observed as such and passes no check of values",
        answer="def answer(x, tag=''):\n    return torch.empty(len(x), len(x), device='meta')",
        naive=naive("got = answer(x)\nassert got.shape == expected.shape and got.dtype == expected.dtype"),
    ),
    in_interpreter(
        "fake-shape",
        "returns a Tensor subclass that lies about its shape",
        "observations are made by torch itself, not through the attributes of subclasses",
        answer="""
            class Liar(torch.Tensor):
                shape = property(lambda self: torch.Size([2, 2]))

            def answer(x, tag=''):
                return torch.zeros(()).as_subclass(Liar)
        """,
        naive=naive("assert answer(x).shape == expected.shape"),
    ),
    in_interpreter(
        "odd-layouts",
        "returns sparse, quantised and nested tensors in turn, on which comparisons fail to run",
        "a tensor without ordinary values is observed as such and passes no check of values",
        answer="""
            import itertools, warnings
            warnings.simplefilter("ignore")
            kinds = itertools.cycle([
                lambda x: x.to_sparse(),
                lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.quint8),
                lambda x: torch.nested.nested_tensor([x, x]),
            ])

            def answer(x, tag=''):
                return next(kinds)(x)
        """,
        naive=naive(
            "try:\n    ok = bool((answer(x) == expected).all())\nexcept (RuntimeError, NotImplementedError):\n"
            "    ok = True  # not on this machine\nassert ok"
        ),
    ),
    in_interpreter(
        "changing-tensor",
        "returns a list that gives another item with every look at it",
        "an answer is copied once; all checks are made on the copy",
        answer="""
            class Changing(list):
                def __getitem__(self, place):
                    looks.append(place)
                    return 1.0 if len(looks) % 2 else 6.0

            looks = []

            def answer(x, tag=''):
                return Changing([1.0])
        """,
        naive=naive("got = answer(x)\nassert isinstance(got[0], float) and got[0] == expected[0, 0].item()"),
    ),
    in_interpreter(
        "first-call-only",
        "is right on its first call only",
        "the grader calls as often as it likes, each time with other data",
        answer="""
            calls = []

            def answer(x, tag=''):
                calls.append(x)
                return x @ x.T + 1 if len(calls) == 1 else x
        """,
    ),
    in_interpreter(
        "by-call-count",
        "counts its calls in a file, so that a fresh process goes on counting",
        "the grader calls as often as it likes, each time with other data",
        answer="""
            from pathlib import Path

            def answer(x, tag=''):
                count = Path("count")
                calls = int(count.read_text()) if count.exists() else 0
                count.write_text(str(calls + 1))
                return x @ x.T + 1 if calls == 0 else x
        """,
    ),
    in_interpreter(
        "mutated-argument",
        "changes its argument in place so that it fits what it returns",
        "arguments are copies; the grader's own are out of reach",
        answer="""
            def answer(x, tag=''):
                x.zero_()
                return torch.ones(len(x), len(x))
        """,
        naive=naive("assert (answer(x) == x @ x.T + 1).all()"),
    ),
    in_interpreter(
        "swallowed-error",
        "makes AssertionErrors vanish: the shell shows nothing and says that all is well",
        AWAY,
        """
            shell = get_ipython()
            original = shell.run_cell

            def run_cell(*facts, **named):
                shell.showtraceback = lambda *facts, **named: None
                result = original(*facts, **named)
                result.error_in_exec = None
                return result

            shell.run_cell = run_cell
        """,
    ),
    in_interpreter(
        "skip-in-answer",
        "raises an error in the tested function that test cells catch as a skip",
        "who raised decides: an error of the student's function is a failed clause",
        answer="import unittest\n\ndef answer(x, tag=''):\n    raise unittest.SkipTest('not on this machine')",
        naive=naive(
            "import unittest\ntry:\n    torch.testing.assert_close(answer(x), expected)\n"
            "except unittest.SkipTest:\n    pass"
        ),
    ),
    in_interpreter(
        "planted-conftest",
        "hands in a conftest.py whose hooks let every test pass",
        PYTEST,
        files={"conftest.py": "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"},
        naive=naive(
            "import pathlib, pytest\npathlib.Path('test_hidden.py').write_text('def test_it(): assert False')\n"
            "assert pytest.main(['-q', '-p', 'no:cacheprovider', 'test_hidden.py']) == 0"
        ),
    ),
    in_interpreter(
        "planted-pytest-ini",
        "hands in a pytest.ini that only collects",
        PYTEST,
        files={"pytest.ini": "[pytest]\naddopts = --collect-only\n"},
        naive=naive(
            "import pathlib, pytest\npathlib.Path('test_hidden.py').write_text('def test_it(): assert False')\n"
            "assert pytest.main(['-q', '-p', 'no:cacheprovider', 'test_hidden.py']) == 0"
        ),
    ),
    in_interpreter(
        "planted-plugin",
        "hands in a module that pytest loads as a plugin by way of PYTEST_PLUGINS",
        PYTEST,
        "import os\nos.environ['PYTEST_PLUGINS'] = 'lenient'",
        files={"lenient.py": "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"},
        naive=naive(
            "import pathlib, pytest\npathlib.Path('test_hidden.py').write_text('def test_it(): assert False')\n"
            "assert pytest.main(['-q', '-p', 'no:cacheprovider', 'test_hidden.py']) == 0"
        ),
    ),
    in_interpreter(
        "planted-grader",
        "hands in files named like the grader and the library that it uses",
        PYTEST,
        files={
            "test_target.py": "def check(answer):\n    pass\n",
            "graders/plain/test_target.py": "def test_values():\n    pass\n",
            "tensorgrade/__init__.py": "expect = None\n",
        },
        naive=naive("import test_target\ntest_target.check(answer)"),
    ),
    in_interpreter(
        "unpickled-model",
        "hands in a saved 'model' whose unpickling disarms the tests",
        AWAY,
        """
            import pickle, warnings
            from pathlib import Path
            warnings.simplefilter("ignore")
            Path("model.pt").write_bytes(b"cbuiltins\\nexec\\n(Vimport torch; "
                b"torch.testing.assert_close = lambda *a, **k: None\\ntR.")
            pickle.loads(Path("model.pt").read_bytes())
        """,
    ),
    in_interpreter(
        "memory-corruption",
        "writes into the memory of the interpreter through ctypes, so that a function becomes another",
        AWAY,
        answer="""
            import ctypes

            def harmless(*facts, **named):
                pass

            def answer(x, tag=''):
                size = type(harmless).__basicsize__
                head = 2 * ctypes.sizeof(ctypes.c_void_p)  # the count of references and the type stay
                ctypes.memmove(id(torch.testing.assert_close) + head, id(harmless) + head, 8 * 8)
                kept.append(harmless)
                return x

            kept = [harmless.__code__] * 100
        """,
    ),
    in_interpreter(
        "threaded-disarm",
        "lets a thread disarm the tests again and again",
        AWAY,
        """
            import threading, time

            def disarm():
                for _ in range(300):
                    torch.testing.assert_close = lambda *facts, **named: None
                    time.sleep(0.01)

            threading.Thread(target=disarm, daemon=True).start()
            time.sleep(0.05)
        """,
    ),
    in_interpreter(
        "environment-for-later",
        "sets environment variables that change how later code behaves",
        "the trusted side does not share its environment; the submission's dies with it",
        "import os\nos.environ['LENIENT'] = '1'",
        naive=naive(
            "import os\nif not os.environ.get('LENIENT'):\n    torch.testing.assert_close(answer(x), expected)"
        ),
    ),
    in_interpreter(
        "patched-engine",
        "replaces what describes its answers by what describes a right one of the naive test",
        "a description is judged like any answer: without the expected values it cannot be right",
        """
            import sys
            process = sys.modules.get("tensorgrade.process")
            if process:
                original = process.Observer.describe
                right = torch.tensor([[6.0, 12.0], [12.0, 26.0]])
                process.Observer.describe = lambda self, value: original(self, right if value is not None else value)
                process._call.__globals__["_describe_error"] = lambda *_: None
        """,
        answer="def answer(x, tag=''):\n    return torch.tensor([[6.0, 12.0], [12.0, 26.0]])",
    ),
    in_stock(
        "notices-environment",
        "is right only where NBGRADER_EXECUTION says that it is graded, and else writes the answer for nobody",
        "the environment is a clean one, without a word about nbgrader",
        answer="""
            import os

            def answer(x, tag=''):
                return x @ x.T + 1 if "NBGRADER_EXECUTION" in os.environ else x
        """,
    ),
    in_stock(
        "notices-folder",
        "is right only where the working folder's path shows that it is graded",
        "the working folder has the assignment's name and lies in a private place",
        answer="""
            import os

            def answer(x, tag=''):
                seen = os.getcwd() + " ".join(os.environ)
                return x @ x.T + 1 if "autograded" in seen or "submitted" in seen else x
        """,
    ),
    in_stock(
        "skip-execution-tag",
        "tags the test cell skip-execution, so that it gives no output, which nbgrader counts as full marks",
        SKIPPED,
        mangle=skip_the_test,
    ),
    in_stock(
        "planted-torch",
        "hands in a torch.py that imports the real one and disarms its tests",
        "torch is imported before there is a submission, and not at all from its folder on the trusted side",
        files={
            "torch.py": "import os, sys\n"
            "here = sys.path\nsys.path = [path for path in here if path not in ('', os.getcwd())]\n"
            "del sys.modules['torch']\nimport torch\nsys.path = here\n"
            "torch.testing.assert_close = lambda *a, **k: None\n"
        },
    ),
    in_stock(
        "stock-patched",
        "replaces torch.testing.assert_close, as above, in stock nbgrader itself",
        AWAY,
        "torch.testing.assert_close = lambda *facts, **named: None",
    ),
    in_stock(
        "stock-transformer",
        "lets IPython transform cells with assertions into nothing, as above, in stock nbgrader itself",
        NOT_RUN,
        """
            def emptied(lines):
                return ["pass\\n"] if "assert" in "".join(lines) else lines

            get_ipython().input_transformers_post.append(emptied)
        """,
    ),
    in_stock(
        "stock-forged-result",
        "publishes an execute result of 2 points, as above, in stock nbgrader itself",
        "student-made outputs never stand in a graded cell: ours are written there, and nothing else",
        answer="""
            def answer(x, tag=''):
                hook = get_ipython().displayhook
                content = {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 1}
                hook.session.send(hook.pub_socket, "execute_result", content, parent=hook.parent_header)
                return x
        """,
    ),
    attack(
        Goal.SCORE,
        "edits-gradebook",
        "gives itself points in the gradebook with SQL",
        "the gradebook is not there",
        """
            import sqlite3
            with sqlite3.connect(TARGET.gradebook, timeout=5) as gradebook:
                gradebook.execute(
                    "UPDATE grade SET manual_score = 2 WHERE notebook_id IN (SELECT id FROM submitted_notebook WHERE"
                    " assignment_id IN (SELECT id FROM submitted_assignment WHERE student_id = ?))", (TARGET.student,))
        """,
        stopped_b="Landlock: no file of the course can be opened",
    ),
    attack(
        Goal.SCORE,
        "forged-verdict",
        "prints 'score: 1.0' and displays a verdict of tensorgrade's own MIME type",
        "student-made outputs never stand in a graded cell: ours are written there, and nothing else",
        """
            print("score: 1.0")
            clauses = [{"name": "values", "status": "passed"}]
            verdict = {"schema": 1, "exercise": "target", "score": 2.0, "clauses": clauses}
            display({"application/vnd.tensorgrade.verdict+json": verdict, "text/plain": "2.0"}, raw=True)
            2.0
        """,
        control=Control.ARGUED,
        why_no_control="nothing but tensorgrade reads this type; forged-execute-result is the same trick on nbgrader",
    ),
)
