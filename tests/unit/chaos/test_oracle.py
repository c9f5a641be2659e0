"""What the oracle says of a guest: by where its copies are, and by whether the daemon named what became of it."""

from __future__ import annotations

import json

import pytest

from tests.chaos.alarms import Told, told_in
from tests.chaos.oracle import PAUSED, uncalled, wrong_of_copies
from tests.lab import LabGuest, Sighting
from tests.lab.lab import RUNNING, SHUT_OFF

G1 = LabGuest("g1", "aad14bee-6d92-496c-9bee-04b01564353f", 16, disk="locked")
BY_MIGRATION = 2


def at(host: str, state: int | None, emulators: int = 1) -> Sighting:
    return Sighting(host, state, BY_MIGRATION, emulators)


def alarmed(*texts: str) -> Told:
    return told_in("\n".join(json.dumps({"event": text, "notice": "migration/1-1", "level_of_notice": "alarm"})
                             for text in texts))


ONE = [at("h1", RUNNING), at("h2", SHUT_OFF, 0)]
LEFTOVER = [at("h1", PAUSED), at("h2", RUNNING)]
DOWN = [at("h1", PAUSED)]
TWO = [at("h1", RUNNING), at("h2", RUNNING)]
GONE = [at("h1", SHUT_OFF, 0)]
NAMED = alarmed("g1: leftover: runs on h2; a paused copy is left on h1")


@pytest.mark.parametrize(("seen", "may_be_lost", "wrong"), [
    (ONE, {}, ""),
    (LEFTOVER, {}, "g1 runs on h2 and is paused on h1, and no alarm named it"),
    (DOWN, {}, "g1 is paused on h1 and runs nowhere, and no alarm named it"),
    (TWO, {}, "g1 runs 2 times, on h1 and h2, and no alarm named it"),
    ([at("h1", RUNNING, 2)], {}, "g1 runs 2 times, on h1 and h1"),
    ([at("h1", None), at("h2", RUNNING)], {}, "g1 runs 2 times"),
    ([*TWO, at("h3", PAUSED)], {}, "g1 runs 2 times, on h1 and h2"),
    (GONE, {}, "g1 runs nowhere"),
    (GONE, {"g1": None}, "g1 was lost, and no alarm named it"),
    (GONE, {"g1": "h1"}, "g1 was lost, and no alarm named it"),
], ids=str)
def test_what_a_guest_came_to_is_wrong_where_nothing_names_it(
        seen: list[Sighting], may_be_lost: dict[str, str | None], wrong: str) -> None:
    said = wrong_of_copies(G1, seen, may_be_lost, Told())
    assert said.startswith(wrong)
    assert bool(said) is bool(wrong)


@pytest.mark.parametrize("seen", [ONE, LEFTOVER, DOWN])
def test_one_copy_or_a_named_alarm_is_how_a_locked_one_may_end(seen: list[Sighting]) -> None:
    assert wrong_of_copies(G1, seen, {}, NAMED) == ""


@pytest.mark.parametrize("seen", [TWO, GONE])
def test_two_that_run_are_wrong_whatever_is_told_and_so_is_one_that_nobody_had_to_lose(seen: list[Sighting]) -> None:
    assert wrong_of_copies(G1, seen, {}, NAMED).startswith("g1 runs ")


@pytest.mark.parametrize("told", [alarmed("g1: vanished: neither on h1 nor on h2"), alarmed(f"vanished; {G1.uuid}")])
def test_who_had_to_be_lost_is_named_by_name_or_by_uuid(told: Told) -> None:
    assert wrong_of_copies(G1, GONE, {"g1": None}, told) == ""


@pytest.mark.parametrize("text", ["vanished: neither on h1 nor on h2", "g10: vanished: neither on h1 nor on h2",
                                  "big1: vanished", "g1-old: vanished", "new.g1: vanished"])
def test_an_alarm_about_somebody_else_names_nobody(text: str) -> None:
    assert "no alarm named it" in wrong_of_copies(G1, GONE, {"g1": None}, alarmed(text))


def test_who_was_lost_with_its_host_is_named_by_that_alone() -> None:
    told = told_in(json.dumps({"event": "host does not answer", "host": "h2", "reason": "timed out"}))
    assert wrong_of_copies(G1, GONE, {"g1": "h2"}, told) == ""
    assert wrong_of_copies(G1, GONE, {"g1": "h3"}, told) != ""
    assert wrong_of_copies(G1, GONE, {"g1": None}, told) != "", "it was struck itself"
    assert wrong_of_copies(G1, DOWN, {"g1": "h2"}, told) != "", "a copy that is paused is nobody's that was lost"


def test_only_an_alarm_is_one() -> None:
    log = """{"event": "g1: leftover", "level_of_notice": "warning"}
{"event": "g1: leftover", "level": "error"}
Traceback: g1
{"event": "h1: g1 is stuck", "level_of_notice": "alarm"}"""
    assert told_in(log).of(G1) == ["h1: g1 is stuck"]


def test_a_host_that_nobody_asked_to_empty_is_told_and_one_that_passes_for_broken() -> None:
    records = [{"kind": "EvacuationBegun", "host": "h1", "policy": "operator"}, {"kind": "MigrationOrdered", "id": "1-1"},
               {"kind": "EvacuationBegun", "host": "h2", "policy": "failing-hosts"},
               {"kind": "VerdictLatched", "host": "h1", "policy": "errors", "evidence": "it rose by 1200"}]
    assert uncalled(records, "h1") == ["h2 was emptied by failing-hosts, and nobody asked for it",
                                       "h1 is not broken, and was held to be: it rose by 1200"]
