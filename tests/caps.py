"""What no policy set that was accepted may ever exceed: the ceilings, field by field."""

from __future__ import annotations

from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import Limits, MoveBudget, PolicySet


def above_the_caps(policies: PolicySet) -> list[str]:
    """Return what lies above its ceiling, or is no number of anything."""
    found = [f"limits.{name} {value}" for name, value, most in _limits(policies.limits) if not 0 <= value <= most]
    for policy in (*policies.balance, *policies.consolidation):
        found.extend(f"{policy.name}.{name} {value}" for name, value, most in _budget(policy.budget)
                     if not 1 <= value <= most)
    for p in policies.consolidation:
        found.extend(_no_shares(p.name, p.fill_cpu, p.fill_memory, p.fill_network, p.spare_share,
                                p.power_off_below, p.power_on_above))
    for b in policies.balance:
        found.extend(_no_shares(b.name, b.cool_cpu, b.cool_memory, b.cool_network, b.imbalance_above, b.minimum_gain,
                                b.ignore_below))
    return found


def _no_shares(name: str, *shares: float) -> list[str]:
    return [f"{name}: share {share}" for share in shares if not 0 <= share <= 1]


def _limits(limits: Limits) -> tuple[tuple[str, float, float], ...]:
    return (
        ("in_flight_cluster", limits.in_flight_cluster, CEILINGS.in_flight_cluster),
        ("in_flight_host_out", limits.in_flight_host_out, CEILINGS.in_flight_host_out),
        ("in_flight_host_in", limits.in_flight_host_in, CEILINGS.in_flight_host_in),
        ("link_share", limits.link_share, CEILINGS.link_share),
        ("evacuations_at_once", limits.evacuations_at_once, CEILINGS.evacuations_at_once),
        ("evacuations_per_hour", limits.evacuations_per_hour, CEILINGS.evacuations_per_hour),
        ("blast_share", limits.blast_share, CEILINGS.blast_share),
        ("caution_share", limits.caution_share, CEILINGS.caution_share),
        ("freeze_share", limits.freeze_share, CEILINGS.freeze_share),
        ("retries_per_move", limits.retries_per_move, CEILINGS.retries_per_move),
        ("hosts_off_share", limits.hosts_off_share, CEILINGS.hosts_off_share),
        ("downtime_max_ms", limits.downtime_max_ms, CEILINGS.downtime_max_ms),
        ("power_offs_per_10_min", limits.power_offs_per_10_min, CEILINGS.power_offs_per_10_min),
        ("wakes_per_min", limits.wakes_per_min, CEILINGS.wakes_per_min),
        ("power_cycles_per_day", limits.power_cycles_per_day, CEILINGS.power_cycles_per_day))


def _budget(budget: MoveBudget) -> tuple[tuple[str, float, float], ...]:
    return (("in_flight", budget.in_flight, CEILINGS.balance_in_flight),
            ("per_hour", budget.per_hour, CEILINGS.balance_per_hour),
            ("per_day", budget.per_day, CEILINGS.balance_per_day),
            ("per_vm_per_day", budget.per_vm_per_day, CEILINGS.balance_per_vm_day))
