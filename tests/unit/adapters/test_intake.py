"""The intake: bounded, newest first to survive, and no host at another's expense."""

from __future__ import annotations

from ballastd.adapters.mqtt.intake import Arrival, Intake, Pace
from ballastd.core.quantities import HostName, Instant

A, B = HostName("kvm-01"), HostName("kvm-02")


def arrival(text: str) -> Arrival:
    return Arrival(text, b"", False, Instant(0.0, 0.0))


def drained(intake: Intake, now: float) -> list[str]:
    taken = []
    while (one := intake.take(now)) is not None:
        taken.append(one.topic)
    return taken


def test_arrivals_of_one_host_come_out_in_order() -> None:
    intake = Intake([A])
    for n in range(5):
        intake.offer(A, arrival(f"a{n}"))
    assert drained(intake, 0.0) == ["a0", "a1", "a2", "a3", "a4"]


def test_hosts_take_turns() -> None:
    intake = Intake([A, B])
    for n in range(3):
        intake.offer(A, arrival(f"a{n}"))
    intake.offer(B, arrival("b0"))
    assert drained(intake, 0.0) == ["a0", "b0", "a1", "a2"]


def test_a_flood_loses_its_own_oldest_and_is_counted() -> None:
    intake = Intake([A, B], Pace(depth=3))
    for n in range(1000):
        intake.offer(A, arrival(f"a{n}"))
    intake.offer(B, arrival("b0"))
    assert drained(intake, 0.0) == ["a997", "b0", "a998", "a999"]
    assert intake.dropped() == {A: 997}


def test_a_host_that_spent_its_burst_waits_while_others_pass() -> None:
    intake = Intake([A, B], Pace(depth=10, burst=2, per_second=4.0))
    for n in range(4):
        intake.offer(A, arrival(f"a{n}"))
    assert drained(intake, 100.0) == ["a0", "a1"]
    intake.offer(B, arrival("b0"))
    assert drained(intake, 100.0) == ["b0"]
    assert intake.due_in(100.0) == 0.25
    assert drained(intake, 100.25) == ["a2"]
    assert drained(intake, 200.0) == ["a3"]
    assert intake.due_in(200.0) is None


def test_no_flood_pushes_out_the_news_that_an_agent_is_gone() -> None:
    intake = Intake([A], Pace(depth=2))
    intake.offer(A, arrival("online"), is_state=True)
    intake.offer(A, arrival("offline"), is_state=True)
    for n in range(50):
        intake.offer(A, arrival(f"a{n}"))
    assert drained(intake, 0.0) == ["offline", "a48", "a49"]


def test_everybody_undeclared_shares_one_lane() -> None:
    intake = Intake([A], Pace(depth=2))
    for name in ("x", "y", "z"):
        intake.offer(HostName(name), arrival(name))
    intake.offer(A, arrival("a0"))
    assert sorted(drained(intake, 0.0)) == ["a0", "y", "z"]
    assert intake.dropped() == {None: 1}


def test_a_clock_that_stands_or_steps_back_grants_nothing() -> None:
    intake = Intake([A], Pace(burst=1, per_second=1.0))
    intake.offer(A, arrival("a0"))
    intake.offer(A, arrival("a1"))
    assert drained(intake, 50.0) == ["a0"]
    assert drained(intake, 10.0) == []
    assert drained(intake, 11.0) == ["a1"]
