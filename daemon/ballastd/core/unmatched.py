"""Selectors that select no VM: what a policy speaks of may not be there yet, or its owner spells it otherwise."""

from __future__ import annotations

from ballastd.core.policies import EVERY_VM, PolicySet
from ballastd.core.snapshot import Snapshot


def without_vms(policies: PolicySet, snapshot: Snapshot) -> tuple[str, ...]:
    """Return a note for each policy whose selector matches no VM that is seen; none while not every host shows what it
    has, because a VM may be there."""
    found = [(name, selector) for name, selector in (
        *((p.name, p.vms) for p in policies.evacuation), *((p.name, p.vms) for p in policies.balance),
        *((p.name, p.vms) for p in policies.consolidation), *((p.name, p.vms) for p in policies.placement))
        if selector != EVERY_VM]
    hosts = [fact for fact in snapshot.facts if not fact.apart or fact.inventory is not None]
    if any(fact.inventory is None or not fact.inventory.complete for fact in hosts):
        return ()
    records = [vm for fact in hosts if fact.inventory is not None for vm in fact.inventory.vms] if found else []
    return tuple(f"{name} speaks of VMs that are not there ({selector.words()}): it does nothing for now"
                 for name, selector in sorted(found, key=lambda one: one[0])
                 if not any(selector.covers(vm) for vm in records))
