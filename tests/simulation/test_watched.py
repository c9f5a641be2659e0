"""The whole daemon in stories that put one rule each to the test: no checker complains, and what the story is about
happens. Those seeded faults of the daemon whose net these stories are (``tests/mutants/watched.py``) are caught by checkers
alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from ballastd.core.acts import Act
from ballastd.core.policies import BalancePolicy, Cooldown, Mode, PolicySet, Timing, Window
from ballastd.core.quantities import Seconds
from ballastd.core.saved_cluster import SavedCluster
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL
from tests.builders import POLICIES
from tests.simulation.clusters import PINNED, Fixed, a_host, a_vm, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))
EVEN = BalancePolicy("even-load", mode=Mode.AUTO, imbalance_above=1.0, hot_hold=Seconds(60.0),
                     cooldown=Cooldown(host_settle=Seconds(200.0)))
BALANCED = replace(POLICIES, balance=(EVEN,))
CLOSES = 528.0
"""Eight seconds after h1 counts as hot, when it burns from the 222nd on."""
SHUT = Window("shut", True, ((DEFAULT_EPOCH_WALL, DEFAULT_EPOCH_WALL + CLOSES),), DEFAULT_EPOCH_WALL + 1e6)
CLOSING = replace(POLICIES, balance=(replace(EVEN, windows=(SHUT.name,)),), windows={SHUT.name: SHUT})
WIDE = replace(POLICIES, limits=replace(POLICIES.limits, evacuations_at_once=2, evacuations_per_hour=6))


def failing(host: str, at: float) -> tuple[Act, ...]:
    """Return a host's memory error, and that there was none before."""
    return tuple(Act(when, "reading", host=host, metric="ecc.uncorrected", subject="A", value=value)
                 for when, value in ((at - 20.0, 0.0), (at, 1.0)))


def burning(at: float, *vms: str) -> tuple[Act, ...]:
    """Return that VMs want all of their processors from then on."""
    return tuple(Act(at, "burn", vm=vm, value=4.0) for vm in vms)


def many(hosts: int, vms: int = 4, gib: int = 4) -> SavedCluster:
    """Return so many hosts with so many VMs each."""
    names = [f"h{number}" for number in range(1, hosts + 1)]
    return SavedCluster(tuple(a_host(name) for name in names),
                        tuple(a_vm(f"{name}v{j}", name, gib) for name in names for j in range(vms)), "many")


def held_on_h1() -> SavedCluster:
    """Return four hosts, the first of which keeps its own VMs."""
    cluster = four(4, 4)
    return replace(cluster, vms=tuple(
        replace(vm, record=replace(vm.record, pins=PINNED)) if vm.host == "h1" else vm for vm in cluster.vms))


def moved(stage: Stage) -> list[str]:
    """Return whom the daemon ordered to move."""
    return [record.content["vm_name"] for record in stage.world.journal.records
            if record.content["kind"] == "MigrationOrdered"]


def kinds(stage: Stage) -> Counter[str]:
    return Counter(record.content["kind"] for record in stage.world.journal.records)


@dataclass(frozen=True)
class Told:
    """A story: where, by what policies, what happens, until when, and what has to have come of it."""

    name: str
    cluster: SavedCluster
    policies: PolicySet
    acts: tuple[Act, ...]
    until: float
    comes_to: Callable[[Stage], bool]


HOT = ("h1v0", "h1v1", "h1v2", "h1v3")
STORIES = (
    Told("three-leave-two-at-a-time", four(), POLICIES, failing("h1", 100.0), 250.0,
         lambda stage: len(moved(stage)) == 3),
    Told("who-is-left-is-given-more", replace(four(1), vms=(*four(1).vms, a_vm("h1v1", "h1", 2))), POLICIES,
         failing("h1", 100.0), 250.0, lambda stage: len(moved(stage)) == 2 and kinds(stage)["BandwidthOrdered"] == 1),
    Told("a-hot-host-rests-after-each-move", four(4, 4), BALANCED, burning(50.0, *HOT), 700.0,
         lambda stage: len(moved(stage)) >= 2),
    Told("who-does-not-fit-waits", four(4, 8), CLOSING, burning(222.0, *HOT), 600.0,
         lambda stage: not moved(stage)),
    Told("whom-somebody-moved-stays", held_on_h1(), BALANCED,
         (Act(60.0, "carry", vm="h2v0", target="h1", value=500.0), *burning(90.0, "h2v0", *HOT)), 600.0,
         lambda stage: kinds(stage)["ForeignMoveSeen"] == 1 and not moved(stage)),
    Told("somebodys-jobs-hold-places", four(), POLICIES,
         (*(Act(70.0, "carry", vm=vm, target="h4", value=80.0) for vm in ("h1v0", "h1v1")), *failing("h1", 100.0)), 150.0,
         lambda stage: not moved(stage) and kinds(stage)["VerdictLatched"] == 1),
    Told("in-an-event-only-the-first-is-emptied", many(8, 5, 8), WIDE,
         (*failing("h1", 100.0), *failing("h2", 101.0),
          Act(101.0, "reading", host="h3", metric="fan.alarm", subject="1", value=1.0)), 250.0,
         lambda stage: kinds(stage)["SiteEventBegun"] == 1 and {name[:2] for name in moved(stage)} == {"h1"}),
    Told("a-rival-holds-everything", four(), POLICIES, (Act(60.0, "rival", word="other"), *failing("h1", 100.0)), 250.0,
         lambda stage: not moved(stage)),
    Told("caution-leaves-only-failing-hosts", many(12), BALANCED,
         (Act(60.0, "silence", host="h11"), Act(60.0, "silence", host="h12"), *burning(100.0, *HOT)), 500.0,
         lambda stage: not moved(stage)),
)


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_no_checker_complains(story: Told) -> None:
    async def play(stage: Stage) -> None:
        await stage.play(story.until)

    acts = tuple(sorted(story.acts, key=lambda act: act.at))
    stage = perform(Setting(story.cluster, Fixed(story.policies), QUICK, acts), play)[1]
    assert stage.violations == ()
    assert story.comes_to(stage), (moved(stage), kinds(stage), stage.world.trace.lines[-20:])
