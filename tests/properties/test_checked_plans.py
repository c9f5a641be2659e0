"""The checker: what the planner makes passes whatever is asked of it, and whichever constraint it forgot is missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core import constraints, drafting, planning
from ballastd.core.constraints import Constraint
from ballastd.core.draft import Draft
from ballastd.core.ledger import Ledger
from ballastd.core.suitability import PageRoom
from tests.asked_plans import asked_plan

SEEDS = range(800)
Sabotage = Callable[[pytest.MonkeyPatch], None]


@settings(max_examples=300)
@given(st.integers(0, 10**9))
def test_whatever_is_asked_at_once_the_plan_passes(seed: int) -> None:
    assert why_unsound(seed) == ""


def test_what_is_asked_at_once_is_planned_for_every_kind_of_reason() -> None:
    made = [(asked, asked.plan()) for asked in map(asked_plan, range(100))]
    kinds = {intent.kind for asked, plan in made for intent in asked.intents for move in plan.moves
             if (intent.policy, intent.host) == (move.policy, move.source)}
    assert len(kinds) == 6


def without(forgotten: Constraint) -> Sabotage:
    """Return the planner's forgetting of a constraint, in its columns too."""
    def forget(monkeypatch: pytest.MonkeyPatch) -> None:
        kept = tuple(one for one in constraints.CONSTRAINTS if one is not forgotten)
        monkeypatch.setattr(constraints, "CONSTRAINTS", kept)
        if forgotten is constraints.target_may_receive:
            monkeypatch.setattr(drafting, "shut", lambda snapshot, *more: constraints.shut(
                replace(snapshot, hosts=replace(snapshot.hosts, target=np.ones_like(snapshot.hosts.target))), *more))
        if forgotten is constraints.huge_pages_fit:
            monkeypatch.setattr(PageRoom, "columns", lambda *_: np.iinfo(np.int64).max)
        if forgotten is constraints.load_fits:
            monkeypatch.setattr(drafting, "shut", lambda snapshot, vm, promised, shifted, rerouted, _, daily:
                                constraints.shut(snapshot, vm, promised, shifted, rerouted, None, daily))
        if forgotten is constraints.load_fits_at_every_hour:
            monkeypatch.setattr(drafting, "shut", lambda *asked: constraints.shut(*asked[:-1]))
        if forgotten is constraints.network_fits:
            monkeypatch.setattr(constraints, "_network_fits", lambda snapshot, *_: np.isfinite(snapshot.hosts.link_mib_s))

    return forget


def with_method(owner: type, name: str, answer: object) -> Sabotage:
    """Return that a method of the planner or of the books always says the same."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, lambda *_, **__: answer)


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a policy speaks of and people say, all VMs are meant."""
    for module in (drafting, planning):
        monkeypatch.setattr(module, "why_left_out", lambda *_: None)


@pytest.mark.parametrize(("sabotage", "said"), [
    (without(constraints.target_may_receive), "the target may not receive"),
    (without(constraints.hardware_suits), "it was found not to fit there"),
    (without(constraints.hardware_suits), "and they differ"),
    (without(constraints.huge_pages_fit), "are to come where"),
    (without(constraints.processors_are_not_promised_too_often), "virtual processors for"),
    (without(constraints.load_fits), "would be used, at most"),
    (without(constraints.load_fits), "is not known"),
    (without(constraints.load_fits_at_every_hour), ":00 UTC on"),
    (without(constraints.network_fits), "MiB/s would be used, at most"),
    (with_method(Draft, "shift", None), "would be used, at most"),
    (without(constraints.does_not_go_back), "goes back where it came from"),
    (without(constraints.pair_did_not_fail_lately), "failed there"),
    (without(constraints.target_is_outside_the_failing_domain), "shares cooling"),
    (without(constraints.target_is_not_emptied_next), "is emptied next"),
    (without(constraints.wishes_hold), "against rule"),
    (without(constraints.placement_rules_hold), "against rule"),
    (with_method(Ledger, "last_moved", None), "and rests for"),
    (with_method(Ledger, "routine_by_vm", Counter()), "times within a day"),
    (deaf, "speaks of other VMs"),
    (deaf, "did not want it moved"),
], ids=lambda one: one if isinstance(one, str) else "")
def test_whatever_the_planner_forgets_is_missed(sabotage: Sabotage, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    assert any(said in why_unsound(seed) for seed in SEEDS)


def why_unsound(seed: int) -> str:
    """Return what the checker says of a plan, empty where it passes."""
    try:
        asked_plan(seed).plan()
    except planning.PlanUnsound as error:
        return str(error)
    return ""
