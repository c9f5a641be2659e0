"""The mind alone on a table: many seeds, the same each time, and a judge that finds what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ballastd.core import constraints, drafting
from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.inputs import Input
from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, Instant
from ballastd.rehearsal.tabletop import Tabletop, play_seed

BUSY = 3
"""A seed with many orders."""


def test_seeds() -> None:
    outcomes = [play_seed(seed, 2.0) for seed in range(1, 8)]
    assert [(one.seed, one.violations) for one in outcomes if one.violations] == []
    assert sum(one.happened["moves"] for one in outcomes) > 8
    assert sum(one.happened["restarts"] for one in outcomes) > 4


def test_a_seed_goes_the_same_each_time() -> None:
    assert play_seed(BUSY, 1.0) == play_seed(BUSY, 1.0)


def changed(order: Order, **of: Any) -> Order:
    return replace(order, move=replace(order.move, **of))


def astray(order: Order) -> Order:
    return changed(order, source=order.move.target, target=order.move.source)


def elsewhere(order: Order) -> Order:
    return replace(order, revision=order.revision - 1)


def huge(decision: Decision) -> Decision:
    return replace(decision, orders=decision.orders * 20)


def found(rule: str, likely: int = 1, seeds: int = 40) -> bool:
    """Return whether one of the first seeds breaks the rule. ``likely``: the one that is tried first."""
    tried = sorted(range(1, seeds + 1), key=lambda seed: (seed != likely, seed))
    return any(violation.rule == rule for seed in tried for violation in play_seed(seed, 2.0).violations)


def spoil(monkeypatch: pytest.MonkeyPatch, decided: Callable[[Decision], Decision]) -> None:
    real = Controller.step

    def step(mind: Controller, inputs: tuple[Input, ...], now: Instant) -> Decision:
        return decided(real(mind, inputs, now))

    monkeypatch.setattr(Controller, "step", step)


def hide(monkeypatch: pytest.MonkeyPatch, **truth: Any) -> None:
    """Have the mind told that each host is like this, whatever it is."""
    real = Tabletop._inputs

    def told(table: Tabletop) -> tuple[Input, ...]:
        was = {name: {what: getattr(host, what) for what in truth} for name, host in table._hosts.items()}
        lie(table, dict.fromkeys(table._hosts, truth))
        said = real(table)
        lie(table, was)
        return said

    def lie(table: Tabletop, lies: dict[HostName, dict[str, Any]]) -> None:
        for name, values in lies.items():
            for what, value in values.items():
                setattr(table._hosts[name], what, value)

    monkeypatch.setattr(Tabletop, "_inputs", told)


@pytest.mark.parametrize(("rule", "decided"), [
    ("where-it-is", lambda decision: replace(decision, orders=tuple(astray(order) for order in decision.orders))),
    ("revision", lambda decision: replace(decision, orders=tuple(elsewhere(order) for order in decision.orders))),
    ("one-migration", huge), ("concurrency", huge)])
def test_the_judge_finds_a_mind_that_orders_nonsense(monkeypatch: pytest.MonkeyPatch, rule: str,
                                                    decided: Callable[[Decision], Decision]) -> None:
    spoil(monkeypatch, decided)
    assert found(rule)


def test_the_judge_finds_one_that_does_not_notice_that_a_host_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, is_cut=False)
    assert found("sight")


def test_the_judge_finds_one_that_thinks_every_host_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, errors=0.0)
    assert found("fit-target", likely=13)


def test_the_judge_finds_one_that_counts_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [one for one in constraints.CONSTRAINTS if one is not constraints.memory_fits]
    monkeypatch.setattr(constraints, "CONSTRAINTS", tuple(counted))
    # the planner asks the columns of all hosts first, and they count memory as well
    monkeypatch.setattr(drafting, "shut", lambda snapshot, *_: ~snapshot.hosts.target)
    monkeypatch.setattr("ballastd.core.planning.check_plan", lambda *_: ())
    assert found("memory", likely=12)


def test_the_judge_finds_a_journal_that_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ballastd.core.ledger.Ledger.replay", lambda *_: None)
    assert found("replay", likely=8)
