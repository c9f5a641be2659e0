"""What a rehearsal adds up to."""

from __future__ import annotations

from ballastd.cli.rehearsal import account
from ballastd.cli.rehearsal.words import elapsed, seconds, wall_clock
from tests.rehearsals import BEGAN, a_rehearsal, a_rehearsed_move, a_sample


def test_durations_are_of_completed_moves_only_and_held_against_what_was_predicted_of_them():
    moves = (a_rehearsed_move(1, ordered_at=0.0, ended_at=30.0, predicted=20.0),
             a_rehearsed_move(2, ordered_at=0.0, ended_at=90.0, predicted=60.0),
             a_rehearsed_move(3, ordered_at=0.0, ended_at=900.0, ending="failed", predicted=1.0),
             a_rehearsed_move(4, ended_at=None, ending="", predicted=1.0))
    [of] = account.by_policy(moves)
    assert of.durations == account.Durations(60.0, 90.0, 40.0, 1.5)
    assert of.endings == (("completed", 2), ("failed", 1), ("under way", 1))


def test_moves_that_none_completed_or_none_predicted_have_no_made_up_figures():
    assert account.moves_of("p", [a_rehearsed_move(ended_at=None, ending="")]).durations is None
    durations = account.moves_of("p", [a_rehearsed_move(predicted=0.0)]).durations
    assert durations is not None
    assert durations.ratio is None


def test_the_busiest_policy_comes_first_and_equals_by_name():
    moves = [a_rehearsed_move(policy=name) for name in ("b", "a", "c", "c")]
    assert [of.policy for of in account.by_policy(moves)] == ["c", "a", "b"]


def test_reasons_that_differ_in_numbers_only_count_as_one():
    moves = [a_rehearsed_move(because=f"alder is hot: 0.{n} above 0.80") for n in (91, 92, 93)]
    found = account.reasons([*moves, a_rehearsed_move(because="alder is failing")])
    assert [(one.example, one.count) for one in found] == [("alder is hot: 0.91 above 0.80", 3), ("alder is failing", 1)]


def test_hours_off_count_from_each_sample_to_the_next_and_from_the_last_to_the_end():
    samples = (a_sample(0.0), a_sample(900.0, on=(True, False)), a_sample(1800.0, on=(False, False)))
    off = {one.host: one.hours for one in account.hosts_off(a_rehearsal(samples=samples))}
    assert off == {"beech": 0.75, "alder": 0.5}


def test_energy_may_be_unknown_saved_or_wasted():
    assert account.energy(a_rehearsal(joules=1.0)) is None
    saved = account.energy(a_rehearsal(joules=7.2e6, joules_unmanaged=14.4e6))
    assert saved == account.Energy(2.0, 4.0, 2.0, 0.5)
    wasted = account.energy(a_rehearsal(joules=3.6e6, joules_unmanaged=0.0))
    assert wasted == account.Energy(1.0, 0.0, -1.0, None)


def test_overload_is_in_host_minutes_of_those_that_had_any():
    found = account.overload(a_rehearsal(overload_seconds=(0.0, 360.0)))
    assert found == account.Overload(6.0, 0.05, (("beech", 6.0),))
    assert account.overload(a_rehearsal(hosts=(), overload_seconds=())).share == 0.0


def test_notices_come_by_level_the_gravest_first_with_the_earliest_of_each():
    told = ((9.0, "info", "late"), (1.0, "info", "early"), (5.0, "alarm", "grave"), (2.0, "odd", "?"))
    assert [(level, count, text) for level, count, _, text in account.notices_by_level(a_rehearsal(notices=told))] == [
        ("alarm", 1, "grave"), ("odd", 1, "?"), ("info", 2, "early")]


def test_moments_are_exact_and_do_not_round_into_a_sixtieth_second():
    assert elapsed(51_243.25) == "+14:14:03.250"
    assert elapsed(59.9996) == "+0:01:00.000"
    assert elapsed(-1.5) == "-0:00:01.500"
    assert seconds(59.7) == "1 min 0 s"
    assert seconds(3599.6) == "1 h 0 min"
    assert wall_clock(BEGAN, 1.25) == "2026-11-24 00:00:01.250Z"
    assert wall_clock(0.0, 5.0) == wall_clock(1e20, 5.0) == "-"
