"""Where each VM lives, and who moved it: what nobody of us moved, somebody else did, and their word counts."""

from __future__ import annotations

from collections.abc import Mapping

from ballastd.core import events as ev
from ballastd.core.inventory import HostInventory, JobKind, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.quantities import HostName, Instant, VmId


class Homes:
    """Remembers on which host each VM was last seen to run. Rebuilt by looking: the first sight is only a beginning."""

    def __init__(self) -> None:
        self._homes: dict[VmId, HostName] = {}
        self._known: tuple[int, frozenset[HostName], frozenset[VmId]] | None = None

    def follow(self, ledger: Ledger, inventories: Mapping[HostName, HostInventory], reachable: frozenset[HostName],
               turn: int, now: Instant) -> tuple[ev.ForeignMoveSeen, ...]:
        """Return the moves that others made since the last call. A VM with an open migration of ours, or seen on two
        hosts, is left out until that is settled. ``turn``: changes when any host shows other VMs, or in other states,
        than before."""
        known = (turn, reachable, frozenset(migration.vm for migration in ledger.migrations.values()))
        if known == self._known:
            return ()
        self._known = known
        seen: dict[VmId, list[tuple[HostName, str]]] = {}
        for host in sorted(reachable):
            for record in inventories[host].vms if host in inventories else ():
                if record.state.holds_memory:
                    alone = record.state is VmState.RUNNING and record.job is JobKind.NONE
                    seen.setdefault(record.vm, []).append((host, record.name if alone else ""))
        events: list[ev.ForeignMoveSeen] = []
        for vm, places in sorted(seen.items()):
            (host, name), before = places[0], self._homes.get(vm)
            if len(places) > 1 or not name or ledger.open_migration_of(vm) is not None:
                continue
            self._homes[vm] = host
            last = ledger.last_moved(vm)
            ours = last is not None and last.target == host and bool(last.policy)
            if before is not None and before != host and before in reachable and not ours:
                events.append(ev.ForeignMoveSeen(now.wall, vm, name, before, host))
        self._homes = {vm: host for vm, host in self._homes.items() if vm in seen or host not in reachable}
        return tuple(events)
