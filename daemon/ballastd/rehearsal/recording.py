"""Notes of a rehearsal while it runs: what becomes of it is one value, ``core.rehearsed.Rehearsed``."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import Check
from ballastd.core.inventory import JobKind
from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, Seconds, VmId
from ballastd.core.rehearsed import Rehearsed, RehearsedMove, RehearsedSwitch, Sampled
from ballastd.core.telemetry import Report
from ballastd.rehearsal.stage import Stage
from ballastd.sim.checkers.room import limit_of
from ballastd.sim.processors import Energy
from ballastd.sim.world import World


class Notes:
    """Watches a world and writes down what an operator wants to know afterwards."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.moves: dict[str, RehearsedMove] = {}
        self.switches: list[RehearsedSwitch] = []
        self.samples: list[Sampled] = []
        self.withheld: Counter[str] = Counter()
        self.acts: Counter[str] = Counter()
        self.seconds = 0.0
        self.energy: list[Energy | None] = []
        self.overload: list[Seconds] = []
        world.watchers.append(self)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return round(self._world.clock.now().monotonic, 3)

    def recorded(self, content: dict[str, Any]) -> None:
        """See ``sim.world.Watcher``."""
        match content["kind"]:
            case "MigrationOrdered":
                self.moves[content["id"]] = RehearsedMove(
                    content["id"], content["vm_name"], content["source"], content["target"], content["policy"],
                    content["because"], self.now, None, "", round(float(content["predicted"]), 3))
            case "MigrationSettled" if content["id"] in self.moves:
                self.moves[content["id"]] = replace(self.moves[content["id"]], ended_at=self.now, ending=content["ending"])
            case "PowerOffOrdered" | "WakeOrdered":
                self.switches.append(RehearsedSwitch(self.now, content["host"], content["kind"] == "WakeOrdered",
                                                     content["because"]))
            case _:
                pass

    def acted(self, act: Act) -> None:
        """See ``sim.world.Watcher``."""
        self.acts[act.do] += 1

    def started(self) -> None:
        """See ``sim.world.Watcher``."""

    def changed(self, host: HostName) -> None:
        """See ``sim.world.Watcher``."""

    def heard(self, report: Report) -> None:
        """See ``sim.world.Watcher``."""

    def migrating(self, order: Order) -> None:
        """See ``sim.world.Watcher``."""

    def aborting(self, host: HostName, vm: VmId) -> None:
        """See ``sim.world.Watcher``."""

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """See ``sim.world.Watcher``."""

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """See ``sim.world.Watcher``."""

    def parting(self, host: HostName, vm: VmId) -> None:
        """See ``sim.world.Watcher``."""

    def closing(self, host: HostName, *, closed: bool) -> None:
        """See ``sim.world.Watcher``."""

    def asking(self, vm: VmId, check: Check) -> None:
        """See ``sim.world.Watcher``."""

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        """See ``sim.world.Watcher``."""

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """See ``sim.world.Watcher``."""

    def switching(self, host: HostName, *, on: bool) -> None:
        """See ``sim.world.Watcher``."""

    def look(self, stage: Stage) -> None:
        """Note how full everything is, and what the daemon refuses or puts off."""
        self.samples.append(self._sample())
        view = stage.daemon.view() if stage.daemon is not None else None
        for no in view.noes if view is not None else ():
            self.withheld[f"{no.sort}: {no.kind}"] += 1

    def close(self) -> None:
        """It is over: note what it came to."""
        processors, hosts = self._world.hypervisor.processors, [host.name for host in self._world.declared.hosts]
        self.seconds = self.now
        self.energy = [processors.energy(host) for host in hosts]
        self.overload = [processors.overload(host) for host in hosts]

    def _sample(self) -> Sampled:
        world, loads, memory, powered = self._world, [], [], []
        in_flight = 0
        for host in world.declared.hosts:
            known = world.host(host.name)
            loads.append(world.hypervisor.processors.load(host.name))
            held = sum(record.ordinary for record in known.vms.values() if record.state.holds_memory)
            limit = limit_of(host, known)
            memory.append(round(held / limit, 4) if limit > 0 else 0.0)
            powered.append(known.powered)
            in_flight += sum(1 for record in known.vms.values() if record.job is JobKind.OUTGOING)
        busy = tuple(round(load.utilization, 4) if on else 0.0 for load, on in zip(loads, powered, strict=True))
        asked = tuple(round(load.demand, 4) for load in loads)
        return Sampled(self.now, busy, asked, tuple(memory), tuple(powered), in_flight)


def rehearsed(stage: Stage, notes: Notes, wall_seconds: float) -> Rehearsed:
    """Return what the rehearsal came to, after its end."""
    world = stage.world
    hosts = tuple(host.name for host in world.declared.hosts)
    known = [one for one in notes.energy if one is not None]
    return Rehearsed(
        cluster=stage.setting.cluster.name, seed=stage.setting.seed, began_wall=stage.setting.begins_wall,
        seconds=notes.seconds, wall_seconds=wall_seconds, hosts=hosts, vms=len(stage.setting.cluster.vms),
        moves=tuple(notes.moves.values()), switches=tuple(notes.switches), violations=stage.violations,
        notices=tuple(world.notices_told), withheld=tuple(notes.withheld.most_common()), samples=tuple(notes.samples),
        joules=sum(one.joules for one in known) if len(known) == len(hosts) else None,
        joules_unmanaged=sum(one.joules_if_on for one in known) if len(known) == len(hosts) else None,
        overload_seconds=tuple(notes.overload), trace=tuple(world.trace.lines),
        faults=tuple(f"{name} ({count})" for name, count in sorted(notes.acts.items())))
