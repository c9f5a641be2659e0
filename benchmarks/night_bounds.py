"""How few hosts could be on at night at best: by sums, which no packing of whole VMs can beat."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.policies import ConsolidationPolicy, PolicySet
from ballastd.core.saved_cluster import SavedHost
from ballastd.rehearsal.machines import usable

HOUR = 3600.0


@dataclass(frozen=True)
class Bounds:
    """How few hosts could be on, by what the policy and the limits allow."""

    hosts: tuple[SavedHost, ...]
    policies: PolicySet

    def least_on(self, policy: ConsolidationPolicy, memory: float, processors: float) -> int:
        """Return the fewest hosts that could be on with so many bytes and processors in use."""
        least = len(self.hosts) - max(1, int(self.policies.limits.hosts_off_share * len(self.hosts)))
        limits = sorted((float(usable(host)) for host in self.hosts), reverse=True)
        cpus = sorted((float(host.cpus) for host in self.hosts), reverse=True)
        return next((count for count in range(least, len(limits))
                     if _holds(policy, memory, limits, count, policy.fill_memory, self.policies.limits.failover_hosts)
                     and _holds(policy, processors, cpus, count, policy.fill_cpu, 0)), len(limits))
    def least_watts(self, policy: ConsolidationPolicy, memory: float, processors: float) -> float:
        """Return the least that hosts could draw idly with so many bytes and processors in use."""
        on = len(self.hosts) - max(1, int(self.policies.limits.hosts_off_share * len(self.hosts)))
        limits, cpus = [float(usable(host)) for host in self.hosts], [float(host.cpus) for host in self.hosts]
        return max(self._cheapest(limits, _needed(policy, memory, limits, policy.fill_memory)),
                   self._cheapest(cpus, _needed(policy, processors, cpus, policy.fill_cpu)),
                   self._cheapest([1.0] * len(limits), float(on)))

    def _cheapest(self, sizes: list[float], needed: float) -> float:
        """Return the least watts of hosts that have so much together; the last of them in part."""
        watts = [host.declared.idle_watts or 0.0 for host in self.hosts]
        drawn = 0.0
        for watt, size in sorted(zip(watts, sizes, strict=True), key=lambda pair: pair[0] / pair[1]):
            part = min(1.0, max(0.0, needed / size))
            drawn, needed = drawn + part * watt, needed - part * size
        return drawn

    def least_by_pace(self, policy: ConsolidationPolicy, vms: list[int], seconds: float) -> int:
        """Return how many stay on by the pace of switching and the budget of moves. ``vms``: VMs of each host as the night
        begins; ``seconds``: since then."""
        budget, hours = policy.budget, seconds / HOUR
        moves = min(budget.per_day, budget.per_hour * (1.0 + hours))
        off, total = 0, 0
        for count in sorted(vms):
            total += count
            if total > moves or off + 1 > self.policies.limits.power_offs_per_10_min * (1.0 + 6.0 * hours):
                break
            off += 1
        return len(self.hosts) - off


def _holds(policy: ConsolidationPolicy, used: float, sizes: list[float], count: int, fill: float, failover: int) -> bool:
    """Return whether so much fits on the ``count`` largest of ``sizes``, and the host before them was let go off."""
    on = sizes[:count]
    spared = sum(on[policy.spare_hosts:]) * (1 - policy.spare_share)
    return (used <= min(fill * sum(on), spared, sum(on[failover:]))
            and used < policy.power_off_below * (sum(on) + sizes[count]))


def _needed(policy: ConsolidationPolicy, used: float, sizes: list[float], fill: float) -> float:
    """Return how much those that are on must have together at least."""
    return max(used / fill, used / (1.0 - policy.spare_share), used / policy.power_off_below - max(sizes))
