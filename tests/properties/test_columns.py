"""What is reckoned for all hosts at once, or kept from one step to the next, is what was reckoned one by one and anew."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.constraints import (
    Terms,
    Trial,
    load_fits,
    load_fits_at_every_hour,
    memory_fits,
    network_fits,
    shut,
    target_may_receive,
)
from ballastd.core.daily import daily_of
from ballastd.core.intents import Fill
from ballastd.core.inventory import (
    HostInventory,
    JobKind,
    Mobility,
    Pin,
    PinKind,
    VmRecord,
    VmState,
    VmUsage,
    same_but_for_use,
)
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Hours
from ballastd.core.placement import occupied
from ballastd.core.quantities import GIB, Bytes, HostName, Instant, VmId
from ballastd.core.snapshot import Snapshot, take
from tests.builders import ClusterBuilder, Table
from tests.properties.test_plans import clusters, failing

WHOLE = VmRecord(
    VmId("1"), "one", VmState.RUNNING, Bytes(GIB), 3, JobKind.OTHER, "why", False, True, 7,
    (Pin(PinKind.OPERATOR, "it", "ask"),), ("tag",), "group", True, Mobility.COLD, 300, False)


def snapshot_of(t: Table, last: Snapshot | None = None) -> tuple[Snapshot, Ledger]:
    ledger = t.controller.ledger.draft()
    step = type("S", (), {"now": t.now, "draft": ledger})()
    return take(t.controller._facts(step), ledger, t.now, last=last), ledger


@given(clusters(), st.integers(0, 10_000), st.booleans())
@settings(max_examples=80)
def test_hosts_that_the_columns_shut_are_those_that_the_constraints_refuse(builder: ClusterBuilder, seed: int,
                                                                           routine: bool) -> None:
    t = failing(builder)
    snapshot, ledger = snapshot_of(t)
    luck, count = Random(seed), len(snapshot.hosts.names)
    unknown = np.array([luck.random() < 0.2 for _ in range(count)])
    cpu = np.where(unknown, np.nan, [luck.choice((0.0, 4.0, 8.0)) for _ in range(count)])
    peak = np.array([luck.choice((0.0, 1.0, 4.0, float("nan"))) for _ in snapshot.vms.ids])
    limit = np.array([luck.choice((float("inf"), float("inf"), 100.0)) for _ in range(count)])
    network = np.where(np.isinf(limit), 0.0, [luck.choice((0.0, 20.0, 45.0, float("nan"))) for _ in range(count)])
    carried = np.array([luck.choice((0.0, 10.0, 30.0, float("nan"))) for _ in snapshot.vms.ids])
    hours = np.array([[luck.choice((0.0, 1.0, 4.0)) for _ in range(24)] if luck.random() < 0.6 else [np.nan] * 24
                      for _ in snapshot.vms.ids]).reshape(-1, 24)
    snapshot = replace(snapshot, hosts=replace(snapshot.hosts, cpu=cpu, cpu_limit=np.full(count, 16.0), network_limit=limit,
                                               network=network),
                       vms=replace(snapshot.vms, peak=peak, cpu=peak / 2, network_peak=carried), hours=Hours(lambda: hours))
    daily = daily_of(snapshot)
    promised = np.array([luck.choice((0, 0, 0, 2, 8, 60)) * GIB for _ in range(count)], np.int64)
    shifted = np.array([luck.choice((-2.0, 0.0, 0.0, 2.0)) for _ in range(count)])
    rerouted = np.array([luck.choice((-9.0, 0.0, 9.0)) for _ in range(count)])
    until = luck.choice((None, snapshot.now.wall, snapshot.now.wall + 5 * 3600.0))
    terms = Terms(fill=Fill(0.5, 0.5, 0.5, until) if routine else None)
    for vm in range(len(snapshot.vms.ids)):
        closed = shut(snapshot, vm, promised, shifted, rerouted, terms.fill, daily)
        for target in range(count):
            trial = Trial(snapshot, ledger, vm, int(snapshot.vms.host[vm]), target, promised, shifted, rerouted, {},
                          occupied(snapshot, ledger, {}), terms, daily=daily)
            asked = target_may_receive, memory_fits, load_fits, load_fits_at_every_hour, network_fits
            refused = [one for one in asked if one(trial) is not None]
            assert closed[target] == bool(refused), (snapshot.hosts.names[target], refused)


@given(clusters())
@settings(max_examples=40)
def test_a_cast_that_was_kept_is_the_one_that_would_be_made(builder: ClusterBuilder) -> None:
    t = failing(builder)
    last, _ = snapshot_of(t)
    for _ in range(3):
        t.wait(10.0).step()
        (kept, _), (anew, _) = snapshot_of(t, last), snapshot_of(t)
        last = kept
        for name in ("ids", "seen_at", "why_not", "foreign"):
            assert getattr(kept.cast, name) == getattr(anew.cast, name), name
        for name in ("host", "memory", "priority", "busy", "runs", "used", "reserved", "jobs_out", "jobs_in"):
            assert (getattr(kept.cast, name) == getattr(anew.cast, name)).all(), name


@pytest.mark.parametrize("change", [
    {"state": VmState.PAUSED}, {"job": JobKind.OUTGOING}, {"priority": 1}, {"pins": ()}, {"tags": ()}, {"name": "other"}])
def test_whatever_changes_but_use_is_a_change(change: dict[str, object]) -> None:
    now = Instant(0.0, 0.0, "boot")
    look = HostInventory(HostName("h1"), now, now, Bytes(2 * GIB), Bytes(GIB), 8, (WHOLE,))
    assert same_but_for_use(look, replace(look, usage={WHOLE.vm: VmUsage(9.0)}, memory_free=Bytes(1)))
    assert not same_but_for_use(look, replace(look, vms=(replace(WHOLE, **change),)))  # type: ignore[arg-type]
    assert not same_but_for_use(look, replace(look, vms=()))
