"""The alphabet holds together."""

from __future__ import annotations

from tests.chaos.faults import AIMED, ANYWHERE, ARRIVED, BY_NAME, FAULTS


def test_each_has_a_name_of_its_own_and_what_is_aimed_is_there_unaimed() -> None:
    assert len(BY_NAME) == len(FAULTS) == len(ANYWHERE) + len(AIMED)
    assert {fault.name for fault in ANYWHERE} >= set(AIMED)
    assert all(BY_NAME[f"{name} at the switch-over"].is_aimed and not BY_NAME[name].is_aimed for name in AIMED)


def test_what_is_aimed_changes_nothing_but_when() -> None:
    for name in AIMED:
        anywhere, aimed = BY_NAME[name], BY_NAME[f"{name} at the switch-over"]
        assert (anywhere.strike, anywhere.heal) == (aimed.strike, aimed.heal)
        assert aimed.loses is (anywhere.loses or name == ARRIVED)


def test_nothing_that_takes_a_host_is_aimed() -> None:
    """Who may be lost with it is reckoned before it strikes, and aiming takes longer than a guest does to come there."""
    assert not [fault.name for fault in FAULTS if fault.is_aimed and fault.takes_host]
