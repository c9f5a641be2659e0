"""A mind that is told of machines on a table, step by step: what benchmarks of the mind share."""

from __future__ import annotations

from pathlib import Path

from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.inputs import Input, TelemetryConnected
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Mode, PolicySet, Timing
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.telemetry import Report, Sample
from ballastd.documents.policy_files import PolicyFiles
from ballastd.rehearsal.machines import Machine, Machines, usable

ROOT = Path(__file__).parents[1]
EPOCH_WALL = 1_750_000_000.0
PACE_SECONDS = 30.0


def shipped(cluster: SavedCluster, wall: float = EPOCH_WALL) -> PolicySet:
    """Return the shipped policies for a cluster, all of them in auto; windows are known for two weeks from ``wall`` on."""
    policies, _ = PolicyFiles(ROOT / "policies", cluster.declaration(Timing())).load(wall)
    return policies.with_modes(lambda _: Mode.AUTO)


class Driver:
    """A mind, and the machines it is told of every ``pace`` seconds. ``errors``: what each host's memory
    counts; ``asked``: processors that its VMs asked for lately."""

    def __init__(self, cluster: SavedCluster, policies: PolicySet, pace: float = PACE_SECONDS) -> None:
        self._pace = pace
        self.hosts = {host.name: Machine(host, usable(host)) for host in cluster.hosts}
        for vm in cluster.vms:
            self.hosts[vm.host].stock(vm)
        self.errors: dict[HostName, float] = {}
        self.asked: dict[HostName, float] = {}
        self.table, self.seconds, self._sequence = Machines(self.hosts), 0.0, 0
        self.mind = Controller(cluster.declaration(Timing()), policies, Ledger(), self.now)
        self.mind.step((TelemetryConnected(self.now),), self.now)
        self.mind.advance(1)

    @property
    def now(self) -> Instant:
        """The present instant."""
        return Instant(self.seconds, EPOCH_WALL + self.seconds, "benchmark")

    def tell(self, seconds: float | None = None) -> tuple[Input, ...]:
        """Let time pass, its pace or so many seconds; return all that there is to tell of it."""
        seconds = self._pace if seconds is None else seconds
        self.seconds += seconds
        self._sequence += 1
        told = list[Input](self.table.land(self.now))
        self.asked = self.table.work(seconds)
        for host in self.hosts.values():
            told.extend(self.told_of(host))
        return tuple(told)

    def told_of(self, host: Machine) -> tuple[Input, ...]:
        """Return what a host shows of itself now."""
        name, now = host.saved.name, self.now
        work = min(1.0, self.asked[name] / host.saved.cpus)
        samples = (Sample("cpu.utilization", work), Sample("temperature", 50.0, "cpu0"),
                   Sample("ecc.uncorrected", self.errors.get(name, 0.0), "A1"))
        return (self.table.inventory(host, now, f"uuid-of-{name}"),
                Report(name, "boot", self._sequence, now.wall, Seconds(10.0), samples, now))

    def step(self, *told: Input) -> Decision:
        """Decide; nothing is durable and nothing carried out yet."""
        return self.mind.step(told, self.now)

    def carry_out(self, decision: Decision) -> None:
        """Make a decision durable, and do what it orders."""
        self.mind.advance(decision.revision)
        for order in decision.orders:
            self.table.begin(order, self.seconds + order.move.memory / (1 << 20) / order.bandwidth_mib_s)
        for abort in decision.aborts:
            self.table.abort(abort.migration, self.seconds)
