"""Specification of the confinement: no attack wins in tier A or B, and every one wins where nothing stops it."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tensorgrade.errors import ConfinementError
from tensorgrade.supervisor import open_zygote
from tests.attacks.attack import Control, Goal
from tests.attacks.battlefield import (
    CELL_SECONDS,
    LIFTED,
    LIMITS,
    NOTEBOOK_SECONDS,
    Battlefield,
    Outcome,
    left_on_machine,
)
from tests.attacks.catalogue import ATTACKS, PAGE, page
from tests.attacks.controls import StockBattlefield

TIERS = ("A", "B")
CONFIG = (
    # one after the other, so that what is used at a time is one submission's
    "\nc.GradeSubmission.workers = 1\nc.GradeSubmission.ahead = 0\nc.GradeSubmission.cache = False"
    "\nc.GradeSubmission.tier = {tier!r}\nc.GradeSubmission.notebook_seconds = {seconds}\nc.Execute.timeout = {cell}\n"
)


CONTROLLED = [attack for attack in ATTACKS if attack.control in (Control.STOCK, Control.UNCONFINED)]


@pytest.fixture(scope="session")
def battles():
    """All attacks in each tier that this machine can give; the two batches share its processors."""
    before = left_on_machine()
    with ThreadPoolExecutor(2) as pool:
        batches: dict[str, Future[Outcome] | ConfinementError] = {}
        for tier in TIERS:
            try:
                open_zygote(tier).close()
            except ConfinementError as error:
                batches[tier] = error
                continue
            config = CONFIG.format(tier=tier, seconds=NOTEBOOK_SECONDS, cell=CELL_SECONDS)
            batches[tier] = pool.submit(Battlefield(ATTACKS, config, LIMITS).fight)
        outcomes = {tier: batch.result() if isinstance(batch, Future) else batch for tier, batch in batches.items()}
    return outcomes, left_on_machine() - before


@pytest.fixture(params=TIERS)
def battle(request, battles):
    """The outcome of a tier's batch."""
    outcome = battles[0][request.param]
    if isinstance(outcome, ConfinementError):
        pytest.skip(f"this machine has no tier {request.param}: {outcome}")
    return outcome


@pytest.fixture(scope="session")
def controls():
    """The attacks without confinement, and those on stock nbgrader: batches that mostly wait, side by side."""
    free = [attack for attack in ATTACKS if attack.control is Control.UNCONFINED]
    stalls = [attack for attack in free if attack.goal is Goal.STALL]
    quick = [attack for attack in free if attack.goal is not Goal.STALL]
    config = CONFIG.format(tier="C", seconds=100, cell=100)
    stock = [attack for attack in ATTACKS if attack.control is Control.STOCK]
    fields = [Battlefield(part, config, LIFTED, honest=1) for part in (quick, stalls[::2], stalls[1::2])]
    fields.append(StockBattlefield(stock, "", "", honest=1))
    with ThreadPoolExecutor(len(fields)) as pool:
        outcomes = list(pool.map(lambda field: field.fight(), fields))
    return {attack.name: outcome for outcome in outcomes for attack in ATTACKS if attack.name in outcome.evidence}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_attack_wins(battle, attack):
    """In tiers A and B no attack reaches its goal."""
    proof = battle.proof(attack)
    assert proof is None, f"{attack.name} ({attack.goal}) has won: {proof}"


def test_honest_students_get_their_points(battle):
    """Honest students, before, between and behind the attackers, get full marks."""
    assert set(battle.honest.values()) == {2.0}, battle.honest


def test_batch_ends_well(battle):
    """Nbgrader's own exit status says that all went well, and no attacker needs a person's attention."""
    assert "exit status 0" in battle.log, battle.log[-3000:]
    assert not [name for name, evidence in battle.evidence.items() if evidence.flagged]


def test_nothing_is_left(battle):
    """After a batch no process, socket or file of it is there."""
    assert battle.left == []


def test_nothing_is_left_on_the_machine(battles):
    """After both batches no mount, shared memory or message queue is there that was not there before."""
    assert battles[1] == set()


@pytest.mark.parametrize("attack", CONTROLLED, ids=lambda attack: attack.name)
def test_wins_without_confinement(attack, controls):
    """In stock nbgrader, or in tier C with the limits lifted, the attack wins."""
    if attack.root and os.getuid() != 0:
        pytest.skip("an ordinary user cannot do this anyway, confined or not")
    assert controls[attack.name].proof(attack), controls[attack.name].evidence[attack.name]


def test_controls_that_cannot_be_are_few_and_argued():
    """Fewer than one attack in fifteen has no control, each with a reason."""
    argued = [attack for attack in ATTACKS if attack.control is Control.ARGUED]
    assert len(argued) < len(ATTACKS) / 15
    assert all(attack.why_no_control for attack in argued)


def test_names_are_unique():
    """An attack's name stands for it alone, also in what listeners hear."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_page_is_current():
    """The table in docs/ is what the catalogue says."""
    current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
    assert current, "write it again: python -m tests.attacks.catalogue"
