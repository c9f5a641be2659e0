"""Plain data and back: exact, strict, and the same for every ledger there can be."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

import pytest

from ballastd.core import autonomy_events as au
from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.arrival_checks import AGENT, Arrival
from ballastd.core.books import SETTLED_KEPT, LedgerBroken
from ballastd.core.ledger import Ledger, restored
from ballastd.core.migrations import Ending, Failure, Migration, MigrationPhase
from ballastd.core.plain import from_plain, to_plain
from ballastd.core.power import HostPower, PowerPhase
from ballastd.core.quantities import GIB, Bytes, HostName, VmId

H1, H2, VM = HostName("h1"), HostName("h2"), VmId("v")


@dataclass(frozen=True)
class Kept:
    phase: PowerPhase
    by: dict[tuple[str, HostName], float] = field(default_factory=dict)
    many: tuple[tuple[str, float], ...] = ()
    last: deque[int] = field(default_factory=deque)
    maybe: HostPower | None = None
    yes: bool = False


def full() -> Ledger:
    """A ledger with something in each of its books."""
    ledger = Ledger()
    ledger.replay((
        ev.DaemonStarted(1.0, "b", "0.1.0"), ev.DaemonStarted(2.0, "b", "0.1.0"), ev.PoliciesLoaded(3.0, "d"),
        ev.HostCordoned(4.0, H1, "ann", "zoë \ud800"), ev.DrainRequested(5.0, H2, "bob", None),
        ev.HostConfirmedDead(6.0, HostName("h9"), "ann"), ev.VerdictLatched(7.0, "ecc", H1, "rose"),
        ev.VerdictsAcknowledged(7.5, H2, "ann"), ev.CountersNoted(8.0, H1, "ecc.uncorrected", (("a", 1.0), ("b", 0.0))),
        ev.EvacuationBegun(9.0, H1, "failing-hosts"), ev.Paused(10.0, "ann"), ev.SiteEventBegun(11.0, "hot"),
        ev.DuplicateSeen(12.0, VM, "web", (H1, H2)), ev.ForeignMoveSeen(13.0, VM, "web", H1, H2),
        pw.HostEmptying(14.0, H2, "nights", "idle"), pw.PowerOffOrdered(15.0, "p1", H2, "nights", "idle", "uuid"),
        pw.HostOff(16.0, H2, "silent"), pw.WakeAsked(17.0, H2, "ann"), pw.WakeabilityConfirmed(18.0, H1, "ann"),
        pw.HostKept(19.0, HostName("h3"), "load rose"), ev.InvariantFailed(20.0, "ours"),
        au.Recommended(20.1, "a", "even", "relieve, healthy", H1, "hot", 1800.0, VM, "web", H2, Bytes(GIB)),
        au.Recommended(20.2, "b", "nights", "switch-off", H2, "idle", 1800.0),
        au.RecommendationApproved(20.3, "a", "ann"), au.RecommendationRejected(20.4, "b", "bob", 99.0, "nights", "h2 off"),
        au.PolicyDemoted(20.5, "nights", "2 failed"),
        sh.ShutdownOrdered(20.6, "s1", VM, "web", H1, "failing-hosts", "pinned"), sh.ShutdownAskedAgain(20.7, "s1", 2),
        sh.ShutdownWithdrawn(20.8, "s1", "acknowledged"), sh.ShutdownEnded(20.9, "s1", sh.ShutdownEnding.STAYED),
        sh.ShutdownOrdered(21.0, "s2", VmId("w"), "db", H1, "failing-hosts", "pinned"),
    ))
    for number in range(SETTLED_KEPT + 3):
        key = f"m{number}"
        ledger.apply(ev.MigrationOrdered(21.0, key, VM, "web", H1, H2, Bytes(GIB), 100, "even", "hot", 99.0, 2.5,
                                         routine=bool(number % 2)))
        ledger.apply(ev.MigrationMoved(22.0, key, MigrationPhase.RUNNING))
        if number < 2:
            ledger.apply(ev.CheckOrdered(22.5, key, AGENT))
            ledger.apply(aus.AutostartNoted(22.5, key))
        if number < SETTLED_KEPT + 2:
            ledger.apply(ev.MigrationSettled(23.0, key, Ending.FAILED if number > SETTLED_KEPT else Ending.COMPLETED))
    ledger.apply(ev.ArrivalChecked(24.0, "m0", Arrival.SILENT))
    ledger.apply(aus.AutostartEnded(24.0, "m0", restored=True))
    ledger.apply(aus.AutostartOrdered(24.0, "m1", H2, on=True))
    return ledger


def test_a_checkpoint_alone_makes_any_ledger_what_another_is() -> None:
    event = full().checkpoint(30.0)
    written = ev.from_record(json.loads(json.dumps(ev.to_record(event))))
    for other in (Ledger(), full()):
        other.apply(written)
        assert other == full()
        assert other.settled.maxlen == SETTLED_KEPT


def test_what_comes_after_a_checkpoint_is_booked_as_if_all_had_been_replayed() -> None:
    after = (ev.MigrationSettled(31.0, f"m{SETTLED_KEPT + 2}", Ending.FAILED), ev.Resumed(32.0, "ann"),
             pw.WakeOrdered(33.0, "p2", H2, "nights", "load"), ev.HostUncordoned(34.0, H1, "ann"),
             sh.ShutdownAskedAgain(35.0, "s2", 2))
    whole, short = full(), Ledger()
    short.apply(full().checkpoint(30.0))
    whole.replay(after)
    short.replay(after)
    assert short == whole
    assert short.failures[VM][-1] == Failure(31.0, H2, Ending.FAILED)


def test_nothing_of_the_full_ledger_is_empty() -> None:
    full_, empty = to_plain(full()), to_plain(Ledger())
    same = sorted(name for name, value in full_.items() if value == empty[name])
    assert same == ["switched_on"], "the tests above say nothing of what is empty"


@pytest.mark.parametrize("state", ["", "{", "[]", '{"migrations": 3}', '{"of_tomorrow": []}', '{"running": "yes"}',
                                   '{"power": [["h1", {"phase": "flying"}]]}', '{"migrations": [["m", {"id": "m"}]]}'])
def test_a_checkpoint_of_another_release_is_refused_and_not_guessed(state: str) -> None:
    with pytest.raises(LedgerBroken, match="checkpoint"):
        restored(ev.CheckpointTaken(1.0, state))


def test_what_an_older_release_did_not_write_takes_its_default() -> None:
    assert restored(ev.CheckpointTaken(1.0, '{"running": true}')) == Ledger(running=True)


def test_values_come_back_with_their_types() -> None:
    value = Kept(PowerPhase.OFF, {("a", H1): 1.0}, (("x", 2.0),), deque((1, 2)),
                 HostPower(PowerPhase.WAKING, "p", "b", 1.0), yes=True)
    assert from_plain(Kept, json.loads(json.dumps(to_plain(value)))) == value


@pytest.mark.parametrize(("hint", "value"), [
    (int, "1"), (int, True), (int, 1.5), (float, True), (bool, 1), (str, None), (tuple[int, ...], "12"),
    (tuple[str, float], ["a"]), (dict[str, int], [["a", "b"]]), (PowerPhase, "flying"), (Kept, []), (Migration, {}),
    (HostPower | None, 3),
])
def test_a_value_of_another_type_is_an_error(hint: object, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_plain(hint, value)


def test_what_has_no_plain_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="no plain form"):
        to_plain((object(),))
