"""What a check-up finds about VMs: which hosts they could come to, what holds them, whose disks are known to be locked."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ballastd.core.cures import cure_of
from ballastd.core.inventory import Pin, PinKind, VmState
from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Area, Finding, Fit, Grade, Pool, Site, count, named
from ballastd.core.vouching import takes_in

_AREAS = {RefusalKind.CPU: Area.CPU, RefusalKind.MACHINE: Area.VERSION, RefusalKind.NETWORK: Area.NETWORK,
          RefusalKind.STORAGE: Area.STORAGE, RefusalKind.HUGE_PAGES: Area.DEVICES, RefusalKind.NUMA: Area.DEVICES}
_SOME_HAVE = frozenset({RefusalKind.HUGE_PAGES, RefusalKind.NUMA})
"""What only some hosts of a sound cluster may have."""


def fits(site: Site) -> Iterator[Finding]:
    """Of what a host has against guests one finding each, however many guests of however many hosts it concerns. That a host
    has not what others have for them is no fault of its."""
    welcome = {(fit.source, fit.vm_name) for fit in site.fits if not fit.refusals and not fit.trouble}
    grouped: dict[tuple[HostName, RefusalKind, str], list[Fit]] = defaultdict(list)
    unknown: dict[HostName, list[Fit]] = defaultdict(list)
    for fit in site.fits:
        for refusal in fit.refusals:
            grouped[fit.target, refusal.kind, refusal.detail].append(fit)
        if fit.trouble:
            unknown[fit.target].append(fit)
    for (target, kind, detail), fits in grouped.items():
        is_met = kind in _SOME_HAVE and all((fit.source, fit.vm_name) in welcome for fit in fits)
        yield Finding(_AREAS.get(kind, Area.REACH), Grade.NOTE if is_met else Grade.FAULT, (target,),
                      f"{_vms_of(fits)} could not come here: {detail}", cure_of(kind))
    for target, fits in unknown.items():
        yield Finding(Area.REACH, Grade.WARNING, (target,),
                      f"whether {_vms_of(fits)} could come here is not known: {fits[0].trouble}",
                      "ask again: ballastctl doctor")


def unseen(site: Site) -> Iterator[Finding]:
    """Libvirt only shows what a storage pool covers, so this is about what cannot be known from afar."""
    grouped: dict[tuple[HostName, str], list[tuple[str, Fit]]] = defaultdict(list)
    for fit in site.fits:
        for file in () if fit.refusals else fit.unseen:
            grouped[fit.target, _pool_of(file, site.surveys[fit.target].pools)].append((file, fit))
    for (target, pool), some in grouped.items():
        files, vms = sorted({file for file, _ in some}), _vms_of([fit for _, fit in some])
        if pool:
            yield Finding(Area.STORAGE, Grade.WARNING, (target,), f"pool {pool} does not show {named(files)} of {vms}",
                          f"virsh pool-refresh {pool} there; if they are still missing, it is not the same storage")
        else:
            yield Finding(Area.STORAGE, Grade.NOTE, (target,), f"no active storage pool covers {named(files)} of "
                          f"{vms}, so whether they are there cannot be seen from here",
                          "define a pool that lists them on every host, or move one VM there and back with --rehearse; a "
                          "move to where they are not is refused by libvirt, and harms nothing")


def _pool_of(file: str, pools: Iterable[Pool]) -> str:
    """Return the active pool that would list a file, empty where none would: pools look into no folder of theirs."""
    return next((pool.name for pool in pools if pool.is_active and pool.path and posixpath.dirname(file) == pool.path), "")


def vouching(site: Site) -> Iterator[Finding]:
    answering = site.answering
    hosts = [host for host in site.declared.hosts if host.name in answering]
    bare = tuple(host.name for host in hosts if not host.vouched_storage)
    if bare:
        yield Finding(Area.LOCKS, Grade.FAULT if len(bare) == len(hosts) else Grade.WARNING, bare,
                      "no storage is vouched for, so no VM with a disk that it writes to is ever moved from here",
                      "vouched_storage in the settings names the storage whose locks are known to work: see docs/libvirt.md")
    paths = sorted({path for host in hosts for path in host.vouched_storage})
    for path in paths:
        without = tuple(host.name for host in hosts if host.vouched_storage and not any(
            takes_in(entry, path) for entry in host.vouched_storage))
        if without:
            yield Finding(Area.LOCKS, Grade.WARNING, without, f"{path} is vouched for on other hosts and not here: what "
                          "comes here would be stuck",
                          "vouch for the same storage on all hosts: vouched_storage under defaults")


_LOCK_PINS = frozenset({PinKind.DISK_UNLOCKED, PinKind.DISK_LOCAL})


def pins(site: Site) -> Iterator[Finding]:
    """VMs that could not be moved, by what holds them."""
    held: dict[tuple[PinKind, str], list[tuple[HostName, str, Pin]]] = defaultdict(list)
    for name, survey in site.answering.items():
        for guest in survey.guests:
            if guest.state is VmState.RUNNING:
                for pin in guest.pins:
                    held[pin.kind, pin.cure].append((name, guest.name, pin))
    for (kind, cure), some in held.items():
        hosts, names = tuple(dict.fromkeys(host for host, _, _ in some)), sorted({name for _, name, _ in some})
        things = sorted({pin.thing for _, _, pin in some})
        grade = Grade.NOTE if kind is PinKind.OPERATOR else Grade.WARNING
        yield Finding(Area.LOCKS if kind in _LOCK_PINS else Area.DEVICES, grade, hosts,
                      f"{count(names, 'VM')} cannot be moved ({named(names)}): {kind.value}, {named(things)}", cure)


def unasked(site: Site) -> Iterator[Finding]:
    """VMs whose owners want them asked whether they answer once they were moved, and that are not."""
    held: dict[str, list[tuple[HostName, str]]] = defaultdict(list)
    for name, survey in site.answering.items():
        for guest in survey.guests:
            no = guest.check_flaw or (site.declared.arrival_checks.why_not(guest.check) if guest.check else "")
            if no:
                held[no].append((name, guest.name))
    for no, some in held.items():
        why, _, cure = no.partition("; ")
        names = sorted({name for _, name in some})
        yield Finding(Area.NETWORK, Grade.NOTE, tuple(dict.fromkeys(host for host, _ in some)),
                      f"{count(names, 'VM')} ({named(names)}) would not be asked after a move whether it answers: {why}",
                      cure)


def _vms_of(fits: list[Fit]) -> str:
    names, sources = sorted({fit.vm_name for fit in fits}), sorted({fit.source for fit in fits})
    return f"{count(names, 'VM')} of {named(sources)} ({named(names)})"
