"""Which exercises of a notebook find the same state."""

import pytest

from tensorgrade.job import CellJob
from tensorgrade.timeline import states

SETUP = "import torch\nfrom torch import nn"
FIRST = "def first(n):\n    return torch.ones(n)"
SECOND = "def second(n):\n    return torch.zeros(n)"


def numbers(*cells, asked=()):
    """The states that the exercises of a notebook find, each cell the place of one or code."""
    jobs = [CellJob("", 5.0, cell.removeprefix("judge:")) if "judge:" in cell else CellJob(cell, 5.0) for cell in cells]
    places = [place for place, job in enumerate(jobs) if job.exercise]
    found = states(jobs, {place: frozenset({jobs[place].exercise, *asked}) for place in places})
    assert len(found) == len(jobs) + 1
    return [found[place] for place in places]


def two(*between, asked=()):
    """Whether two exercises with these cells between them find the same state."""
    first, second = numbers(SETUP, FIRST, "judge:first", *between, "judge:second", asked=asked)
    return first == second


INERT = {
    "function": SECOND,
    "async function": "async def second(n): return n",
    "annotated": "def second(n: int = 3, *rest: torch.Tensor, kind: torch.dtype = torch.int8) -> list[int]: return []",
    "decorated": "@torch.no_grad()\ndef second(n):\n    return n",
    "class": "class Second(nn.Module):\n    factor = -2\n    @staticmethod\n    def forward(x): return x",
    "constant": "SECOND = {'a': True, 'b': (1, -2.5), 'c': [None]}",
    "annotated constant": "SECOND: dict = {}",
    "several": "import math\nfrom functools import partial as part\nLIMIT = 3\ndef second(n): return math.exp(n)",
    "submodule": "import torch.nn.functional as functional",
    "import again": "import torch\nfrom torch import nn\n" + SECOND,
    "words": "'''Some words.'''\npass",
    "nothing": "# only a comment",
}
CHANGES = {
    "call": "torch.manual_seed(0)",
    "assignment of a call": "second = torch.ones(3)",
    "attribute": "first.calls = 3",
    "item": "first.__dict__['x'] = 3",
    "own name again": FIRST,
    "deletion": "del first",
    "loop": "for i in range(3): pass",
    "condition": "if True: second = 3",
    "built-in": "def sum(x): return 3",
    "module replaced": "import math as torch",
    "star": "from math import *",
    "other module": "import helper",
    "relative": "from . import helper",
    "decorator": "@torch.compile\ndef second(n): return n",
    "default": "def second(n=torch.seed()): return n",
    "default by an attribute": "def second(n=first.calls): return n",
    "annotation": "def second(n: print(1)): return n",
    "metaclass": "class Second(metaclass=type): pass",
    "base": "class Second(first): pass",
    "body of a class": "class Second:\n    print('x')",
    "magic": "%matplotlib inline",
    "not Python": "def second(:",
    "await": "await torch.sleep(1)",
    "unpacking": "a, b = 1, 2",
    "formatted": "second = f'{print(1)}'",
    "null": "second = '\0'\nx = \0",
}


@pytest.mark.parametrize("cell", INERT.values(), ids=INERT)
def test_a_cell_that_only_defines_new_names_changes_nothing(cell):
    """Functions, classes, constants and imports of what is installed are there for later exercises alone."""
    assert two(cell)


@pytest.mark.parametrize("cell", CHANGES.values(), ids=CHANGES)
def test_what_may_do_more_is_a_change(cell):
    """Whatever runs, replaces or cannot be read counts as a change."""
    assert not two(cell)


def test_a_name_that_an_earlier_cell_mentions_is_a_change():
    """A function above would find it, although it was defined later."""
    first, second = numbers(
        SETUP, "def first(n):\n    return helper(n)", "judge:first", "def helper(n): ...", "judge:x"
    )
    assert first != second


def test_a_name_that_a_grader_may_ask_for_is_a_change():
    """What an exercise asks for by name must not be found when it is only defined below."""
    assert two(SECOND)
    assert not two(SECOND, asked=("second",))


def test_an_import_of_what_was_replaced_is_a_change():
    """A module that was imported before is the same only if its name has not been given to something else."""
    first, second, third = numbers(SETUP, "judge:a", "def nn(): ...", "judge:b", "from torch import nn", "judge:c")
    assert len({first, second, third}) == 3


def test_states_are_numbered_in_order():
    """All exercises between two changes have one number, and the next ones a higher one."""
    cells = (
        SETUP,
        FIRST,
        "judge:first",
        SECOND,
        "judge:second",
        "x = first(3)",
        "judge:a",
        "Y = 3",
        "judge:b",
        "print(x)",
    )
    assert numbers(*cells) == [0, 0, 1, 1]
    assert states([CellJob(cell, 5.0) for cell in ("1 + 1", "2 + 2")], {}) == (0, 1, 2)
