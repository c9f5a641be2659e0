"""The benchmarks on the lab: what they make of what they measured."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks import flood, hung, reaction
from benchmarks.on_lab import alike, failing, proportional_mib, resident_mib, spent
from benchmarks.steady import Minute, missed, summary

from tests.results import product, read


def emptied(way: str, called: float | None, emptied: float | None) -> dict[str, Any]:
    return {"way": way, "called": called, "emptied": emptied}


def test_a_hung_libvirtd_is_held_against_the_medians_of_the_same_work_without() -> None:
    rows = [emptied("new", 0.2, 3.0), emptied("free", 0.1, 2.0), emptied("free", 0.3, 2.0), emptied("free", 0.2, 4.0)]
    free, new, known = hung.compared(rows)
    assert (free.way, free.rounds, free.called, free.emptied, free.called_ratio, free.emptied_ratio) == (
        "free", 3, 0.2, 2.0, 1.0, 1.0)
    assert (new.way, new.called_ratio, new.emptied_ratio) == ("new", 1.0, 1.5)
    assert free.is_no_later()
    assert not new.is_no_later()
    assert known.rounds == 0
    assert not known.is_no_later()


def test_a_host_that_was_not_emptied_misses_the_target_however_soon_the_others_were() -> None:
    _, _, known = hung.compared([emptied("free", 0.1, 2.0), emptied("known", 0.1, 2.0), emptied("known", None, None)])
    assert (known.rounds, known.unanswered, known.called_ratio) == (2, 1, 1.0)
    assert not known.is_no_later()


def test_a_way_in_which_no_host_was_emptied_at_all_misses_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [emptied("free", 0.1, 2.0), emptied("new", 0.1, 2.0), emptied("known", None, None)]
    assert hung.report(rows) == 1
    assert "missed: known" in capsys.readouterr().out


def test_nothing_while_all_is_well_is_no_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert hung.report([emptied("new", 0.1, 2.0), emptied("free", None, None)]) == 1
    assert "nothing was measured" in capsys.readouterr().out


def reacted(*called: float | None) -> list[dict[str, Any]]:
    return [{"hosts": 10, "interval": 1.0, "called": one, "stepped": one and one / 2, "bare": 0.001,
             "reports_a_second": 10.0} for one in called]


@pytest.mark.parametrize(("called", "status"), [
    ((0.099, 0.099, 0.499), 0), ((0.101, 0.099, 0.101), 1), ((0.05, 0.05, 0.501), 1), ((0.05, 0.05, None), 1), ((None,), 1)])
def test_each_target_of_the_reaction_is_missed_by_a_hair(called: tuple[float | None, ...], status: int) -> None:
    assert reaction.report(reacted(*called)) == status


def test_another_lab_and_another_product_are_told_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    slow = [row | {"product": "a"} for row in reacted(0.3, 0.3)]
    fast = [row | {"product": "b"} for row in reacted(0.05, 0.05, 0.05)]
    small = [row | {"product": "b", "hosts": 2} for row in reacted(0.02)]
    assert reaction.report([*slow, *fast, *small]) == 1
    assert re.findall(r"first call: median ([0-9.]+)", capsys.readouterr().out) == ["300.0", "50.0", "20.0"]
    assert reaction.report([*fast, *small]) == 0
    assert alike([*slow, *fast, *small], {"hosts": 10, "interval": 1.0, "product": "b"}) == fast


def test_a_round_that_failed_ends_the_run_and_stays_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "reaction.jsonl"
    on = {"hosts": 10, "interval": 1.0, "product": product()}
    with pytest.raises(RuntimeError), failing(out, on):
        raise RuntimeError("the daemon did not get ready")
    assert alike(read(out), on) == read(out) == [on | {"failed": "the daemon did not get ready"}]
    assert reaction.report([*(row | on for row in reacted(0.05)), *read(out)]) == 1
    assert "failed: the daemon did not get ready\n1 of 1 rounds reacted" in capsys.readouterr().out


def test_nothing_measured_meets_no_target() -> None:
    assert [one.report([]) for one in (reaction, hung, flood)] == [1, 1, 1]


def test_every_way_has_its_turn_at_being_the_first_of_a_new_daemon() -> None:
    assert sorted(hung.turn(n)[0] for n in range(3)) == sorted(hung.WAYS)
    assert all(sorted(hung.turn(n)) == sorted(hung.WAYS) for n in range(3))


def test_a_process_costs_what_the_kernel_says() -> None:
    (then, before), held = spent(os.getpid()), bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    while spent(os.getpid())[1] < before + 0.05:
        pass
    now, after = spent(os.getpid())
    assert 0.05 <= round(after - before, 3) <= now - then + 0.02  # ticks of 10 ms: their difference is not exact
    assert 64 < proportional_mib(os.getpid()) <= resident_mib(os.getpid()) + 1


def minutes(*resident: float, share: float = 0.01) -> list[Minute]:
    return [Minute(share, one, one - 30.0) for one in resident]


def test_a_steady_hour_comes_to_its_mean_share_its_most_memory_and_how_much_that_grew() -> None:
    found = summary([*minutes(100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 99.0), Minute(0.10, 110.0, 90.0)])
    assert found == pytest.approx(
        {"share": 0.02, "share_worst": 0.10, "resident": 110.0, "proportional": 90.0, "grown": 4.0})


@pytest.mark.parametrize(("held", "share", "orders", "target"), [
    ((119.0, 119.0), 0.029, 0, ""), ((100.0, 120.0, 100.0, 100.0), 0.01, 0, "120.0 MiB"), ((100.0, 102.1), 0.01, 0, "grown"),
    ((100.0, 100.0), 0.03, 0, "of a core"), ((100.0, 100.0), 0.01, 1, "something to do")])
def test_each_target_of_a_steady_hour_is_missed_by_a_hair(held: tuple[float, ...], share: float, orders: int,
                                                          target: str) -> None:
    wrong = missed(summary(minutes(*held, share=share)) | {"orders": orders})
    assert [target in one for one in wrong] == [True] * bool(target)
