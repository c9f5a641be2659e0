"""The kernel's ceilings on sources: how many hosts are emptied at once, and how many begin within an hour."""

from __future__ import annotations

from ballastd.core.books import OPERATOR
from ballastd.core.ceilings import CEILINGS
from ballastd.core.inventory import DeclaredHost
from ballastd.core.plans import Move, Order
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId
from ballastd.kernel.flights import Flights

HOSTS = tuple(DeclaredHost(HostName(f"h{i}"), f"test://h{i}", link_mib_s=1000.0) for i in range(12))


def order(source: int, policy: str = "failing") -> Order:
    move = Move(VmId(f"vm-of-h{source}"), "vm", HostName(f"h{source}"), HostName("h11"), Bytes(GIB), Seconds(1.0), policy,
                "because")
    return Order(f"1-{source}", move, 10, Seconds(300.0), 1)


def refused(flights: Flights, one: Order, now: float) -> str:
    no = flights.refusal(one, 0, 0, now, asked=one.move.policy == OPERATOR)
    return no.detail if no else ""


def begin_and_end(flights: Flights, one: Order, now: float) -> None:
    assert refused(flights, one, now) == ""
    flights.claim(one, now, asked=one.move.policy == OPERATOR)
    flights.release(one.id)


def test_so_many_hosts_are_emptied_at_once_whoever_asks_but_an_operator() -> None:
    flights = Flights(HOSTS, CEILINGS)
    for source in range(CEILINGS.evacuations_at_once):
        assert refused(flights, order(source), 0.0) == ""
        flights.claim(order(source), 0.0)
    assert "ceiling 2 hosts at once" in refused(flights, order(5), 1.0)
    assert refused(flights, order(5, OPERATOR), 1.0) == ""
    flights.release(order(0).id)
    assert refused(flights, order(5), 2.0) == ""


def test_so_many_hosts_begin_within_an_hour_and_the_next_one_waits_for_the_first_to_be_an_hour_ago() -> None:
    flights = Flights(HOSTS, CEILINGS)
    for source in range(CEILINGS.evacuations_per_hour):
        begin_and_end(flights, order(source), source * 100.0)
    assert "ceiling 6" in refused(flights, order(7), 3599.0)
    assert refused(flights, order(2), 3599.0) == "", "a host that began is not begun again by its next VM"
    assert refused(flights, order(7, OPERATOR), 3599.0) == ""
    assert refused(flights, order(7), 3600.0) == ""


def test_what_began_before_a_restart_counts_for_the_rest_of_its_hour() -> None:
    flights = Flights(HOSTS, CEILINGS)
    flights.remember_emptied({HostName(f"h{source}"): -600.0 * source for source in range(CEILINGS.evacuations_per_hour)})
    assert "ceiling 6" in refused(flights, order(7), 599.0)
    assert refused(flights, order(2), 0.0) == ""
    assert refused(flights, order(7), 600.0) == ""


def test_what_an_operator_asks_for_does_not_use_up_the_hour() -> None:
    flights = Flights(HOSTS, CEILINGS)
    for source in range(9):
        begin_and_end(flights, order(source, OPERATOR), 0.0)
    assert refused(flights, order(10), 1.0) == ""


def test_a_host_whose_flight_outlasted_the_hour_begins_anew_and_counts() -> None:
    flights = Flights(HOSTS, CEILINGS)
    flights.claim(order(0), 0.0)
    for source in range(1, CEILINGS.evacuations_per_hour):
        begin_and_end(flights, order(source), 3000.0 + source)
    begin_and_end(flights, order(6), 3600.2)
    flights.release(order(0).id)
    assert "ceiling 6" in refused(flights, order(0), 3700.0)


def routine(number: int, vm: str = "") -> Order:
    move = Move(VmId(vm or f"vm-{number}"), "vm", HostName(f"h{number % 10}"), HostName(f"h{(number + 1) % 10}"), Bytes(GIB),
                Seconds(1.0), "even-load", "because", routine=True)
    return Order(f"2-{number}", move, 10, Seconds(300.0), 1)


def test_so_many_routine_moves_are_in_flight_at_once() -> None:
    flights = Flights(HOSTS, CEILINGS)
    for number in range(CEILINGS.balance_in_flight):
        assert refused(flights, routine(2 * number), 0.0) == ""
        flights.claim(routine(2 * number), 0.0)
    assert refused(flights, routine(1), 1.0) == "4 routine moves in flight, ceiling 4"
    assert refused(flights, order(10), 1.0) == "", "saving a host is another matter"


def test_a_vm_is_moved_by_routine_so_many_times_a_day_over_restarts_as_well() -> None:
    flights = Flights(HOSTS, CEILINGS)
    flights.remember_routine([(-3600.0, VmId("often")), (-7200.0, VmId("often"))])
    for number in range(CEILINGS.balance_per_vm_day - 2):
        begin_and_end(flights, routine(number, "often"), number * 4000.0)
    assert refused(flights, routine(9, "often"), 20_000.0) == "6 routine moves of this VM within the day, ceiling 6"
    assert refused(flights, routine(9, "seldom"), 20_000.0) == ""
    assert refused(flights, routine(9, "often"), 86_400.0 - 3600.0) == "", "the oldest is a day ago"


def test_so_many_routine_moves_are_made_in_an_hour() -> None:
    flights = Flights(HOSTS, CEILINGS)
    for number in range(CEILINGS.balance_per_hour):
        begin_and_end(flights, routine(number), float(number))
    assert refused(flights, routine(99), 3599.0) == "60 routine moves within the hour, ceiling 60"
    assert refused(flights, routine(99), 3600.0) == ""
