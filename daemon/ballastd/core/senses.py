"""What has been heard so far: the newest of everything. Rebuilt by listening after a restart, never durable."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core.inputs import CallReturned, HostUnreachable, PowerReturned, PowerSeen, ProgressSeen, ShutdownReturned
from ballastd.core.inventory import HostInventory, VmRecord, same_but_for_use
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Timing
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.telemetry import AgentState, Telemetry


class Senses:
    """Telemetry, inventories, agents, and what calls returned. Only the controller writes to it."""

    def __init__(self, timing: Timing, ledger: Ledger) -> None:
        self.timing = timing
        self.telemetry = Telemetry(timing.telemetry_samples_min, timing.telemetry_stale)
        self.telemetry.keep_levels(timing.load_window)
        self.inventories: dict[HostName, HostInventory] = {}
        self.turns: dict[HostName, int] = {}
        """Counts up when a host shows something else than before, but for what its VMs used."""
        self.turn = 0
        """The newest of them."""
        self.unreachable: dict[HostName, HostUnreachable] = {}
        self.agents: dict[HostName, AgentState] = {}
        self.returned: dict[str, CallReturned] = {}
        self.ended: dict[str, Instant] = {}
        self.progress: dict[str, ProgressSeen] = {}
        """The newest of each migration that showed a job."""
        self.power: dict[HostName, PowerSeen] = {}
        self.power_returned: dict[str, PowerReturned] = {}
        self.shutdown_returned: dict[str, ShutdownReturned] = {}
        self.bandwidths: dict[str, int] = {}
        """What jobs were given last in this run, so far as the call for it returned, MiB/s."""
        for (host, metric), values in sorted(ledger.counters.items()):
            for subject, value in sorted(values.items()):
                self.telemetry.seed_counter(host, metric, subject, value)

    def see(self, inventory: HostInventory) -> HostInventory:
        """Take an inventory in. An incomplete one says only that the host cannot be read. Return it; where it shows the VMs
        as they were before, with the very records of then."""
        if not inventory.complete:
            self.miss(HostUnreachable(inventory.host, inventory.taken, "its inventory is incomplete"))
            return inventory
        before = self.inventories.get(inventory.host)
        if before is None or not same_but_for_use(before, inventory):
            self.turn += 1
            self.turns[inventory.host] = self.turn
        elif before.vms is not inventory.vms:
            inventory = replace(inventory, vms=before.vms)
        self.inventories[inventory.host] = inventory
        self.unreachable.pop(inventory.host, None)
        return inventory

    def miss(self, failure: HostUnreachable) -> None:
        """Note that a host's hypervisor did not answer."""
        self.unreachable[failure.host] = failure

    def hear_return(self, call: CallReturned) -> None:
        """Note that a call returned; what it said is booked once, when it was first said."""
        self.returned[call.migration] = call
        self.ended.setdefault(call.migration, call.at)

    def hear_progress(self, seen: ProgressSeen) -> None:
        """Note where a job is."""
        if seen.progress is not None:
            self.progress[seen.migration] = seen

    def is_reachable(self, host: HostName, now: Instant) -> bool:
        """Return whether the host's newest inventory is young and came after the last failure to get one."""
        inventory = self.inventories.get(host)
        if inventory is None or host in self.unreachable:
            return False
        return now.monotonic - inventory.taken.monotonic <= self.timing.inventory_max_age

    def record(self, host: HostName, vm: VmId, now: Instant) -> VmRecord | None:
        """Return a VM as a host shows it now; None where it shows none, or where nothing young is known of the host."""
        return self.inventories[host].find(vm) if self.is_reachable(host, now) else None

    def looked_since(self, host: HostName, at: Instant) -> bool:
        """Return whether the host's newest inventory was begun at that time or later."""
        inventory = self.inventories.get(host)
        return inventory is not None and inventory.begun.monotonic >= at.monotonic

    def was_asked(self, host: HostName) -> bool:
        """Return whether the host's hypervisor was asked since we started, and answered or did not."""
        return host in self.inventories or host in self.unreachable

    def why_unreachable(self, host: HostName) -> str:
        """Return the words for a host that is not reachable."""
        failure = self.unreachable.get(host)
        if failure is not None:
            return f"its hypervisor does not answer: {failure.reason}"
        return "its last inventory is too old" if host in self.inventories else "it was not looked at yet"

    def turned(self, host: HostName, metric: str, subject: str, value: float) -> bool:
        """Return whether an error counter or an alarm shows another value than last time."""
        if not metric.startswith("ecc.") and not metric.endswith(".alarm"):
            return False
        last = self.telemetry.last_value(host, metric, subject)
        return last is not None and last != value

    def forget_closed(self, open_ids: frozenset[str], power_ids: frozenset[str], shutdown_ids: frozenset[str]) -> None:
        """Drop what belongs to migrations, power orders and shutdowns that are no longer open."""
        self.shutdown_returned = {key: one for key, one in self.shutdown_returned.items() if key in shutdown_ids}
        self.power_returned = {key: one for key, one in self.power_returned.items() if key in power_ids}
        for memory in (self.returned, self.ended, self.progress, self.bandwidths):
            for key in [key for key in memory if key not in open_ids]:
                del memory[key]
