"""Where each VM lives, and who moved it: what nobody of us moved, somebody else did, and their word counts."""

from __future__ import annotations

from collections.abc import Mapping

from ballastd.core import events as ev
from ballastd.core.inventory import HostInventory, JobKind, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.notices import Notice
from ballastd.core.quantities import HostName, Instant, VmId

_Known = tuple[int, frozenset[HostName], frozenset[VmId]]
"""A turn, who was reachable, and which VMs had an open migration of ours: what homes are made from."""


class Homes:
    """Remembers on which host each VM was last seen to run. Rebuilt by looking: the first sight is only a beginning.

    What ``follow`` saw counts only once ``keep`` says that its events are durable: till then it returns them again.
    """

    def __init__(self) -> None:
        self._homes: dict[VmId, HostName] = {}
        self._known: _Known | None = None
        self._seen: tuple[dict[VmId, HostName], _Known] | None = None

    def follow(self, ledger: Ledger, inventories: Mapping[HostName, HostInventory], reachable: frozenset[HostName],
               turn: int, now: Instant) -> tuple[ev.ForeignMoveSeen, ...]:
        """Return the moves that others made since what was kept last. A VM with an open migration of ours, or seen on two
        hosts, is left out until that is settled. ``turn``: changes when any host shows other VMs, or in other states,
        than before."""
        known = (turn, reachable, frozenset(migration.vm for migration in ledger.migrations.values()))
        self._seen = None
        if known == self._known:
            return ()
        seen: dict[VmId, list[tuple[HostName, str]]] = {}
        for host in sorted(reachable):
            for record in inventories[host].vms if host in inventories else ():
                if record.state.holds_memory:
                    alone = record.state is VmState.RUNNING and record.job is JobKind.NONE
                    seen.setdefault(record.vm, []).append((host, record.name if alone else ""))
        events: list[ev.ForeignMoveSeen] = []
        homes = dict(self._homes)
        for vm, places in sorted(seen.items()):
            (host, name), before = places[0], homes.get(vm)
            if len(places) > 1 or not name or ledger.open_migration_of(vm) is not None:
                continue
            homes[vm] = host
            last = ledger.last_moved(vm)
            ours = last is not None and last.target == host and bool(last.policy)
            # also where its old host does not answer just now: whoever put it here is respected at once, and a copy that
            # runs on there is found as a duplicate
            if before is not None and before != host and not ours:
                events.append(ev.ForeignMoveSeen(now.wall, vm, name, before, host))
        self._seen = {vm: host for vm, host in homes.items() if vm in seen or host not in reachable}, known
        return tuple(events)

    def keep(self) -> None:
        """What the last call returned is durable."""
        if self._seen is not None:
            self._homes, self._known = self._seen
            self._seen = None


def told_move(seen: ev.ForeignMoveSeen) -> Notice:
    """Return what people are told of a move that others made."""
    return Notice("info", f"foreign-move/{seen.vm}", f"somebody else moved {seen.vm_name} from {seen.source} to "
                  f"{seen.target}; it is left there for a while")
