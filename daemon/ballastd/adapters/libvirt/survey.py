"""One look around at every host, for a check-up: what it is, what it offers, and which guests of others could come to it.

Nothing is changed anywhere. Comparing processors and looking whether we may steer need a connection that could, which is
opened for that and let go again.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ballastd.adapters.libvirt import examination, processors
from ballastd.adapters.libvirt.access import HostAccess
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.connections import LibvirtOptions, Shared
from ballastd.adapters.libvirt.identity import HostIdentity, Registry
from ballastd.adapters.libvirt.interfaces import read_interfaces
from ballastd.adapters.libvirt.inventory import look
from ballastd.adapters.libvirt.links import Graveyard, trouble_of
from ballastd.adapters.libvirt.xml_facts import DomainFacts
from ballastd.adapters.libvirt.xml_reading import XmlError, read_xml, shown
from ballastd.core.inventory import VmRecord
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Fit, HostSurvey, Likeness, Pool
from ballastd.core.suitability import why_lacking
from ballastd.errors import Unreachable
from ballastd.ports.hosts import HostHint
from ballastd.ports.running import Blocking

AT_ONCE = 20
"""Of so many guests a host is asked in one call, which has a time limit."""
CLOSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Offer:
    name: str
    libvirt: tuple[int, int, int]
    emulator: tuple[int, int, int]
    arch: str
    pools: tuple[Pool, ...]


class LibvirtSurvey:
    """The libvirt of all declared hosts, looked at once. Made inside the running loop that will use it.

    Raises:
        ConfigurationError: libvirt's Python binding is not installed.
    """

    def __init__(self, cluster: ClusterDeclaration, blocking: Blocking, options: LibvirtOptions | None = None) -> None:
        load_libvirt()
        self._graveyard = Graveyard(blocking)
        self._registry = Registry()
        shared = Shared(blocking, self._graveyard, options or LibvirtOptions())
        self._hosts = {host.name: HostAccess(host, shared, self._registry, _unheard) for host in cluster.hosts}
        self._facts: dict[HostName, dict[str, DomainFacts]] = {}
        self._offered: dict[HostName, processors.Offered | None] = {}

    async def look(self, host: HostName) -> HostSurvey:
        """Return what a host says of itself; never raises for a host's trouble."""
        access = self._hosts[host]
        try:
            vouched = access.host.vouched_storage
            offer, seen = await access.watch(lambda conn: (_offer(conn), look(conn, access.asking, vouched, {})))
        except Unreachable as error:
            return HostSurvey(host, trouble=_without_name(str(error), host))
        identity = self._registry.identity(host) or HostIdentity("", ())
        emulators = () if identity.hardware is None else identity.hardware.emulators
        steering = ""
        try:
            self._offered[host] = await access.steer(partial(processors.offered, arch=offer.arch, emulators=emulators))
        except Unreachable as error:
            steering = _without_name(str(error), host)
        interfaces = None
        with contextlib.suppress(Unreachable):
            interfaces = await access.watch(read_interfaces)
        self._facts[host] = {uuid: facts for uuid, (_, facts) in seen.parsed.items() if isinstance(facts, DomainFacts)}
        return HostSurvey(host, "", steering, identity.uuid, offer.name, offer.libvirt, offer.emulator, identity.cpu,
                          seen.cpus, seen.memory_total, offer.pools, seen.vms, seen.complete, interfaces,
                          offer.arch, emulators)

    async def fit(self, source: HostSurvey, target: HostSurvey) -> tuple[Fit, ...]:
        """Return whether each VM of one host that could leave could come to another; never raises for a host's trouble."""
        guests, fits = source.movable, list[Fit]()
        misfits: dict[object, tuple[tuple[RefusalKind, str], ...]] = {}
        for first in range(0, len(guests), AT_ONCE):
            some = guests[first:first + AT_ONCE]
            try:
                found = await self._hosts[target.host].steer(partial(self._fits, some, source, target, misfits))
                fits.extend([await self._with_storage(guest, fit) for guest, fit in zip(some, found, strict=True)])
            except Unreachable as error:
                why = _without_name(str(error), target.host)
                fits.extend(Fit(guest.name, source.host, target.host, trouble=why) for guest in some)
        return tuple(fits)

    def _fits(self, guests: Sequence[VmRecord], source: HostSurvey, target: HostSurvey,
              misfits: dict[object, tuple[tuple[RefusalKind, str], ...]], conn: Any) -> list[Fit]:
        """``misfits``: what was found of guests that are alike. Blocks."""
        ends = self._registry.identity(source.host), self._registry.identity(target.host)
        found = []
        for guest in guests:
            facts = self._facts[source.host].get(guest.vm)
            if facts is None:
                found.append(Fit(guest.name, source.host, target.host, trouble="its definition is not readable"))
                continue
            kind = (facts.arch, facts.machine, facts.domain_type, facts.cpu, facts.networks, facts.bridges, facts.links)
            if kind not in misfits:
                misfits[kind] = examination.lacking(conn, facts, *ends)
            taken = [(RefusalKind.IDENTITY, words) for words in examination.identity_taken(conn, facts)]
            lacks = why_lacking(facts.needs, None if ends[1] is None else ends[1].hardware)
            refusals = tuple(Refusal(one, words, guest.vm, target.host)
                             for one, words in (*taken, *misfits[kind], *lacks))
            found.append(Fit(guest.name, source.host, target.host, refusals))
        return found

    async def liken(self, sources: Sequence[HostSurvey], target: HostSurvey) -> tuple[Likeness, ...]:
        """Return for each of ``sources`` whether guests that have all that they may have there could come to ``target``;
        never raises for a host's trouble."""
        offers = {source.host: self._offered.get(source.host) for source in sources}
        known = tuple(dict.fromkeys(offer for offer in offers.values() if offer is not None))
        try:
            found = await self._hosts[target.host].steer(partial(processors.compare, offers=known))
        except Unreachable as error:
            found = dict.fromkeys(known, (None, _without_name(str(error), target.host)))
        silent = None, "it does not say what its guests may have"
        return tuple(Likeness(host, target.host, *(silent if offer is None else found[offer]))
                     for host, offer in offers.items())

    async def _with_storage(self, guest: VmRecord, fit: Fit) -> Fit:
        facts = self._facts[fit.source].get(guest.vm)
        if facts is None:
            return fit
        sights = await self._hosts[fit.target].look_for(facts.sources)
        gone = (Refusal(RefusalKind.STORAGE, words, guest.vm, fit.target) for words in sights.gone)
        return replace(fit, refusals=(*fit.refusals, *gone), unseen=tuple(source.place for source in sights.unknown))

    async def close(self) -> None:
        """Let go of every connection; wait for none longer than ``CLOSE_SECONDS``."""
        for access in self._hosts.values():
            access.let_go()
        await self._graveyard.rest(CLOSE_SECONDS)


def _unheard(_: HostHint) -> None:
    """A check-up waits for no events."""


def _offer(conn: Any) -> _Offer:
    return _Offer(shown(conn.getHostname()), _version(conn.getLibVersion()), _version(conn.getVersion()),
                  shown(conn.getInfo()[0]), _pools(conn))


def _version(number: int) -> tuple[int, int, int]:
    return number // 1_000_000, number // 1000 % 1000, number % 1000


def _pools(conn: Any) -> tuple[Pool, ...]:
    """Return the host's storage pools; none where its libvirt knows no storage at all."""
    libvirt = load_libvirt()
    try:
        return tuple(sorted((_pool(pool) for pool in conn.listAllStoragePools(0)), key=lambda pool: pool.name))
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
        return ()


def _pool(pool: Any) -> Pool:
    try:
        root = read_xml(pool.XMLDesc(0))
    except XmlError:
        return Pool(shown(pool.name()), "", "", bool(pool.isActive()))
    path = posixpath.normpath((root.findtext("target/path") or "").strip() or "/")
    return Pool(shown(pool.name()), root.get("type", ""), "" if path == "/" else shown(path), bool(pool.isActive()))


def _without_name(words: str, host: HostName) -> str:
    """What is said of a host begins with its name and the lane it was asked in, which mean nothing to whoever reads it."""
    return re.sub(rf"({re.escape(host)}|lane [^ ]+): ", "", words)
