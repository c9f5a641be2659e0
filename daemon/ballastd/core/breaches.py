"""Which rules about where VMs live are broken now, and by whose leaving they would be kept."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import cast

import numpy as np

from ballastd.core.arrays import Bools
from ballastd.core.placement import Occupied, members, place
from ballastd.core.policies import PlacementPolicy, Rule
from ballastd.core.quantities import HostName
from ballastd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Breach:
    """A VM (row) that ought to leave its host (row) for a rule to be kept; ``why``: what the rule says of it; ``rests_on``:
    the hosts (rows) whose inventories say so."""

    vm: int
    host: int
    why: str
    rests_on: frozenset[int]


def breaches(snapshot: Snapshot, rule: PlacementPolicy) -> tuple[Breach, ...]:
    """Return who ought to leave, in the order of names. What a host that does not answer showed last proves nothing."""
    known = snapshot.cast.breaches.get(rule)
    if known is None:
        # found once while everybody lives where they do
        known = snapshot.cast.breaches[rule] = _found(snapshot, rule)
    return tuple(breach for breach in cast(tuple[Breach, ...], known)
                 if all(snapshot.facts[host].reachable for host in breach.rests_on))


def broken_on(snapshot: Snapshot, rule: PlacementPolicy) -> dict[HostName, list[Breach]]:
    """Return who ought to leave, by host."""
    found: dict[HostName, list[Breach]] = defaultdict(list)
    for breach in breaches(snapshot, rule):
        found[snapshot.hosts.names[breach.host]].append(breach)
    return dict(found)


def keeps(snapshot: Snapshot, rule: PlacementPolicy, homes: Occupied, breach: Breach) -> Bools:
    """Return, by host row, whether the rule would be kept with the VM of ``breach`` there. ``homes``: where each VM is or
    may be meanwhile."""
    hosts = range(len(snapshot.facts))
    if rule.rule in (Rule.ON, Rule.NEVER_ON):
        wanted = rule.rule is Rule.ON
        return np.array([rule.hosts.covers(snapshot.facts[host].declared) is wanted for host in hosts], np.bool_)
    others = members(snapshot, rule.vms) - {breach.vm}
    if rule.rule is Rule.APART:
        taken = {place(snapshot, host, rule.across) for other in others for host in homes[other]}
        return np.array([place(snapshot, host, rule.across) not in taken for host in hosts], np.bool_)
    home = _home(snapshot, rule)
    return np.array([place(snapshot, host, rule.across) == home for host in hosts], np.bool_)


def _found(snapshot: Snapshot, rule: PlacementPolicy) -> tuple[Breach, ...]:
    if rule.rule is Rule.PINNED:
        return ()
    rows = sorted(members(snapshot, rule.vms), key=lambda vm: (snapshot.records[vm].name, snapshot.vms.ids[vm]))
    if rule.rule in (Rule.ON, Rule.NEVER_ON):
        wanted = rule.rule is Rule.ON
        said = "allows it only on other hosts" if wanted else "keeps it off this host"
        return tuple(_breach(snapshot, vm, said) for vm in rows
                     if rule.hosts.covers(snapshot.facts[int(snapshot.vms.host[vm])].declared) is not wanted)
    if rule.rule is Rule.APART:
        return _crowded(snapshot, rule, rows)
    home = _home(snapshot, rule)
    return tuple(_breach(snapshot, vm, f"keeps it with the others, most of which are in {home}", *rows) for vm in rows
                 if _place_of(snapshot, rule, vm) != home)


def _crowded(snapshot: Snapshot, rule: PlacementPolicy, rows: list[int]) -> tuple[Breach, ...]:
    """Return all but one of those who share a place: who cannot move stays, else the largest."""
    together: dict[str, list[int]] = defaultdict(list)
    for vm in rows:
        together[_place_of(snapshot, rule, vm)].append(vm)
    stays = {where: max(vms, key=lambda vm: (bool(snapshot.vm_why_not[vm]), int(snapshot.vms.copied[vm]), -rows.index(vm)))
             for where, vms in together.items() if len(vms) > 1}
    return tuple(_breach(snapshot, vm, f"keeps it apart from {snapshot.records[stays[where]].name}, which is in "
                         f"{where}, too", stays[where]) for vm in rows
                 if (where := _place_of(snapshot, rule, vm)) in stays and vm != stays[where])


def _home(snapshot: Snapshot, rule: PlacementPolicy) -> str:
    """Return the place where most memory of those who ought to be together is."""
    held: dict[str, int] = defaultdict(int)
    for vm in members(snapshot, rule.vms):
        held[_place_of(snapshot, rule, vm)] += int(snapshot.vms.copied[vm])
    return max(sorted(held), key=lambda where: held[where]) if held else ""


def _place_of(snapshot: Snapshot, rule: PlacementPolicy, vm: int) -> str:
    return place(snapshot, int(snapshot.vms.host[vm]), rule.across)


def _breach(snapshot: Snapshot, vm: int, why: str, *others: int) -> Breach:
    host = snapshot.vms.host
    return Breach(vm, int(host[vm]), why, frozenset(int(host[one]) for one in (vm, *others)))
