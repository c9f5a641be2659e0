"""A VM that runs on two hosts: believed on two successive looks at both, and over on two looks that show one."""

from __future__ import annotations

from collections.abc import Mapping

from ballastd.core import events as ev
from ballastd.core import reconciliation
from ballastd.core.inventory import HostInventory
from ballastd.core.ledger import Ledger
from ballastd.core.notices import Notice
from ballastd.core.quantities import HostName, Instant, VmId


class Doubles:
    """Remembers first looks. What was believed is the ledger's. ``declared``: the hosts that are looked at: what one that is
    not declared any more shows, nobody waits for."""

    def __init__(self, declared: frozenset[HostName]) -> None:
        self._declared = declared
        self._suspected: dict[VmId, tuple[float, tuple[HostName, ...]]] = {}
        self._cleared: dict[VmId, float] = {}
        self._single: tuple[int, frozenset[HostName]] | None = None

    def follow(self, ledger: Ledger, inventories: Mapping[HostName, HostInventory], reachable: frozenset[HostName],
               turn: int, now: Instant) -> tuple[ev.DuplicateSeen | ev.DuplicateCleared, ...]:
        """Return which duplicates are believed from now on, and which are over. ``turn``: changes when any host shows
        other VMs, or in other states, than before."""
        if self._single == (turn, reachable) and not ledger.duplicates:
            return ()
        found = reconciliation.find_duplicates(inventories, reachable)
        self._single = None if found else (turn, reachable)
        events: list[ev.DuplicateSeen | ev.DuplicateCleared] = []
        for vm, (name, hosts) in sorted(found.items()):
            known = () if vm not in ledger.duplicates else ledger.duplicates[vm].hosts
            oldest = min(inventories[host].begun.monotonic for host in (*hosts, *reachable.intersection(known)))
            first = self._suspected.get(vm)
            if first is None or first[1] != hosts:
                self._suspected[vm] = (now.monotonic, hosts)
            elif oldest > first[0] and not set(hosts) <= set(known):
                # of a host that cannot be asked nobody knows that its copy is gone
                events.append(ev.DuplicateSeen(now.wall, vm, name, tuple(sorted({*hosts, *set(known) - reachable}))))
        self._suspected = {vm: seen for vm, seen in self._suspected.items() if vm in found}
        for vm, seen in sorted(ledger.duplicates.items()):
            asked = self._declared.intersection(seen.hosts)
            if vm in found or not asked <= reachable:
                self._cleared.pop(vm, None)
                continue
            since = self._cleared.setdefault(vm, now.monotonic)
            if min((inventories[host].begun.monotonic for host in asked), default=now.monotonic) > since:
                events.append(ev.DuplicateCleared(now.wall, vm))
                del self._cleared[vm]
        return tuple(events)


def told_double(seen: ev.DuplicateSeen) -> Notice:
    """Return what people are told of a VM that runs twice."""
    who = "both hosts" if len(seen.hosts) == 2 else "all of them"
    return Notice("alarm", f"duplicate/{seen.vm}", f"{seen.vm_name} runs on {' and '.join(seen.hosts)}: {who} are frozen; "
                  "nothing is destroyed automatically")
