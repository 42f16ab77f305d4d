import ast
import itertools
import sys
from pathlib import Path

import pytest

import tensorgrade

PACKAGE = Path(tensorgrade.__file__).parent
FOUNDATION = {"codec", "errors"}
UNTRUSTED = {"process", "shell", "outputs", "zygote", "sandbox", "work", "observation", "parcel", "codec"}
UNTRUSTED |= {"namespaces", "privileges", "observer", "resources", "ranks", "mesh", "footprint", "transformers"}
TRUSTED = {"grading", "submission", "expectation", "findings", "verdict", "runner", "course", "fit", "exercise"}
TRUSTED |= {"limits", "slots", "supervisor", "usage", "processes", "doctor", "pool", "late", "testrun", "containment"}
TRUSTED |= {"feedback", "pictures", "problems", "machines", "execution", "group", "timeline", "precedents", "rawstream"}


def module_of(file):
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}


def imports(tree):
    """The names that a module imports, absolute, without those for the type checker alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["tensorgrade" if node.level else "", node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def own_imports(module):
    """The modules of this package that a module imports."""
    names = (name.removeprefix("tensorgrade.") for name in imports(TREES[module]) if name.startswith("tensorgrade."))
    return {name for name in names if name in TREES}


def reachable(module):
    found, waiting = set(), [module]
    while waiting:
        new = own_imports(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def test_the_modules_are_all_there():
    """The names in this test are modules of the package."""
    assert set(TREES) >= UNTRUSTED | TRUSTED | FOUNDATION


@pytest.mark.parametrize("module", sorted(FOUNDATION))
def test_the_foundation_imports_errors_only(module):
    """The codec and the errors stand on nothing else of the package."""
    assert own_imports(module) <= {"errors"}


def test_limits_are_plain_values():
    """What limits are is said without what enforces them."""
    assert own_imports("limits") <= {"codec", "errors", "model"}


@pytest.mark.parametrize("module", sorted(UNTRUSTED))
def test_the_untrusted_side_knows_nothing_of_the_trusted_one(module):
    """What runs beside student code reaches neither graders, verdicts and courses nor nbgrader, even indirectly."""
    reached = reachable(module) | {module}
    assert not reached & TRUSTED
    outside = set(itertools.chain.from_iterable(imports(TREES[name]) for name in reached))
    assert not {name for name in outside if name.split(".")[0] in {"nbgrader", "nbconvert", "pytest", "sqlalchemy"}}


@pytest.mark.parametrize("module", sorted(TREES))
def test_there_is_no_import_cycle(module):
    """No module reaches itself."""
    assert module not in reachable(module)


@pytest.mark.parametrize("module", sorted(set(TREES) - {"cli"}))
def test_library_code_does_not_print(module):
    """Only the command line writes to the terminal."""
    calls = (node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call))
    assert "print" not in {call.id for call in calls if isinstance(call, ast.Name)}


@pytest.mark.parametrize("package", ["diagnosis", "virtual_cuda"])
def test_packages_that_stand_alone(package):
    """They import torch, the standard library and themselves."""
    for module in (name for name in TREES if name.split(".")[0] == package):
        for node in ast.walk(TREES[module]):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, f"{module} imports from above its package"
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert {name.split(".")[0] for name in names} <= {"torch", *sys.stdlib_module_names}, module
