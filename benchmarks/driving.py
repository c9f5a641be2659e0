"""A mind that is told of machines on a table, step by step: what benchmarks of the mind share."""

from __future__ import annotations

from pathlib import Path

from ballastd.core.controller import Controller, Decision
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


def shipped(cluster: SavedCluster) -> PolicySet:
    """Return the shipped policies for a cluster, all of them in auto."""
    policies, _ = PolicyFiles(ROOT / "policies", cluster.declaration(Timing())).load(EPOCH_WALL)
    return policies.with_modes(lambda _: Mode.AUTO)


class Driver:
    """A mind, and the machines it is told of. ``errors``: what each host's memory counts."""

    def __init__(self, cluster: SavedCluster, policies: PolicySet) -> None:
        self.hosts = {host.name: Machine(host, usable(host)) for host in cluster.hosts}
        for host in self.hosts.values():
            host.stock(cluster)
        self.errors: dict[HostName, float] = {}
        self.table, self.seconds, self._sequence = Machines(self.hosts), 0.0, 0
        self.mind = Controller(cluster.declaration(Timing()), policies, Ledger(), self.now)
        self.mind.step((TelemetryConnected(self.now),), self.now)
        self.mind.advance(1)

    @property
    def now(self) -> Instant:
        """The present instant."""
        return Instant(self.seconds, EPOCH_WALL + self.seconds, "benchmark")

    def tell(self) -> tuple[Input, ...]:
        """Let time pass; return all that there is to tell of it."""
        self.seconds += PACE_SECONDS
        self._sequence += 1
        now, told = self.now, list[Input](self.table.land(self.now))
        asked = self.table.work(PACE_SECONDS)
        for name, host in self.hosts.items():
            work = min(1.0, asked[name] / host.saved.cpus)
            samples = (Sample("cpu.utilization", work), Sample("temperature", 50.0, "cpu0"),
                       Sample("ecc.uncorrected", self.errors.get(name, 0.0), "A1"))
            told.append(self.table.inventory(host, now, f"uuid-of-{name}"))
            told.append(Report(name, "boot", self._sequence, now.wall, Seconds(10.0), samples, now))
        return tuple(told)

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
