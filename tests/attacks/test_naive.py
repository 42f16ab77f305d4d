"""Specification of the attacks on graders: each wins where student and grader share an interpreter."""

import pytest

from tensorgrade.supervisor import open_zygote
from tests.attacks.attack import Control
from tests.attacks.catalogue import ATTACKS
from tests.attacks.controls import in_one_interpreter

HIDDEN = {"input": "input-of-the-naive-test-5c1e"}
ON_GRADERS = [attack for attack in ATTACKS if attack.control is Control.INTERPRETER]


@pytest.fixture(scope="module")
def naive_zygote():
    """A zygote of tier C, whose processes play the one interpreter of students and tests."""
    with open_zygote("C") as zygote:
        yield zygote


@pytest.mark.parametrize("attack", ON_GRADERS, ids=lambda attack: attack.name)
def test_wins_in_one_interpreter(attack, naive_zygote):
    """Beside a naive test cell in the same interpreter, the attack wins."""
    assert in_one_interpreter(attack, naive_zygote, HIDDEN).proof(attack, HIDDEN)


def test_wrong_answers_get_nothing_in_the_naive_interpreter(naive_zygote):
    """The naive test cell gives no points for a wrong answer without an attack, so that its controls mean something."""
    attack = next(attack for attack in ATTACKS if attack.name == "forged-verdict")
    assert in_one_interpreter(attack, naive_zygote, HIDDEN).points == 0
