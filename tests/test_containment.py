import sys
from types import ModuleType

import pytest

from tensorgrade.containment import contained, modules_in


@pytest.fixture
def put(tmp_path):
    """Puts a module with this name, from the folder or from elsewhere, among the imported ones."""
    names = []

    def put(name, *, inside):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / f"{name}.py") if inside else f"/elsewhere/{name}.py"
        sys.modules[name] = module
        names.append(name)

    yield put
    for name in names:
        sys.modules.pop(name, None)


def test_modules_of_a_folder_are_found_whenever_they_come(tmp_path, put):
    """What is imported later is found, before and behind modules from elsewhere, and what is removed is not."""
    assert modules_in(tmp_path) == {}
    put("first_grader", inside=True)
    put("library", inside=False)
    put("second_grader", inside=True)
    assert list(modules_in(tmp_path)) == ["first_grader", "second_grader"]
    del sys.modules["first_grader"]
    assert list(modules_in(tmp_path)) == ["second_grader"]
    put("library", inside=False)
    put("first_grader", inside=True)
    assert list(modules_in(tmp_path)) == ["second_grader", "first_grader"]


def test_modules_are_found_when_others_have_been_removed(tmp_path, put):
    """A module that takes the place of another one, and one that is imported anew, are looked at again."""
    put("library", inside=False)
    put("other_library", inside=False)
    assert modules_in(tmp_path) == {}
    for name in ("library", "other_library"):
        del sys.modules[name]
        put(f"grader_{name}", inside=True)
        put(name, inside=False)
        assert f"grader_{name}" in modules_in(tmp_path)


def test_graders_are_forgotten(tmp_path, put):
    """Modules of graders are there for one run alone."""
    put("earlier_grader", inside=True)
    with contained(tmp_path, 0):
        assert "earlier_grader" not in sys.modules
        put("grader", inside=True)
    assert "grader" not in sys.modules
