"""One look around at every host, for a check-up: what it is, what it offers, and which guests of others could come to it.

Nothing is changed anywhere. Comparing processors and looking whether we may steer need a connection that could, which is
opened for that and let go again.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ballastd.adapters.libvirt import examination
from ballastd.adapters.libvirt.access import HostAccess
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.connections import LibvirtOptions, Shared
from ballastd.adapters.libvirt.identity import HostIdentity, Registry
from ballastd.adapters.libvirt.interfaces import read_interfaces
from ballastd.adapters.libvirt.inventory import Look, look
from ballastd.adapters.libvirt.links import Graveyard, trouble_of
from ballastd.adapters.libvirt.xml_facts import DomainFacts
from ballastd.adapters.libvirt.xml_reading import XmlError, read_xml, shown
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Fit, Guest, HostSurvey, Pool
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

    async def look(self, host: HostName) -> HostSurvey:
        """Return what a host says of itself; never raises for a host's trouble."""
        access = self._hosts[host]
        try:
            vouched = access.host.vouched_storage
            offer, seen = await access.watch(lambda conn: (_offer(conn), look(conn, access.asking, vouched, {})))
        except Unreachable as error:
            return HostSurvey(host, trouble=_without_name(str(error), host))
        steering = ""
        try:
            await access.steer(lambda conn: conn.getVersion())
        except Unreachable as error:
            steering = _without_name(str(error), host)
        interfaces = None
        with contextlib.suppress(Unreachable):
            interfaces = await access.watch(read_interfaces)
        identity = self._registry.identity(host) or HostIdentity("", ())
        self._facts[host] = {uuid: facts for uuid, (_, facts) in seen.parsed.items() if isinstance(facts, DomainFacts)}
        return HostSurvey(host, "", steering, identity.uuid, offer.name, offer.libvirt, offer.emulator, identity.cpu,
                          seen.cpus, seen.memory_total, offer.pools, self._guests(host, seen), seen.complete, interfaces)

    def _guests(self, host: HostName, seen: Look) -> tuple[Guest, ...]:
        facts = self._facts[host]
        return tuple(Guest(record, facts[record.vm].files if record.vm in facts else ()) for record in seen.vms)

    async def fit(self, source: HostSurvey, target: HostSurvey) -> tuple[Fit, ...]:
        """Return whether each VM of one host that could leave could come to another; never raises for a host's trouble."""
        guests, fits = source.movable, list[Fit]()
        misfits: dict[object, tuple[tuple[RefusalKind, str], ...]] = {}
        for first in range(0, len(guests), AT_ONCE):
            some = guests[first:first + AT_ONCE]
            try:
                fits.extend(await self._hosts[target.host].steer(partial(self._fits, some, source, target, misfits)))
            except Unreachable as error:
                why = _without_name(str(error), target.host)
                fits.extend(Fit(guest.record.name, source.host, target.host, trouble=why) for guest in some)
        return tuple(fits)

    def _fits(self, guests: Sequence[Guest], source: HostSurvey, target: HostSurvey,
              misfits: dict[object, tuple[tuple[RefusalKind, str], ...]], conn: Any) -> list[Fit]:
        """``misfits``: what was found of guests that are alike. Blocks."""
        ends = self._registry.identity(source.host), self._registry.identity(target.host)
        found = []
        for guest in guests:
            facts = self._facts[source.host].get(guest.record.vm)
            if facts is None:
                found.append(Fit(guest.record.name, source.host, target.host, trouble="its definition is not readable"))
                continue
            kind = (facts.arch, facts.machine, facts.domain_type, facts.cpu, facts.networks, facts.bridges, facts.links)
            if kind not in misfits:
                misfits[kind] = examination.lacking(conn, facts, *ends)
            taken = [(RefusalKind.WORLD_CHANGED, words) for words in examination.identity_taken(conn, facts)]
            lacks = why_lacking(facts.needs, None if ends[1] is None else ends[1].hardware)
            refusals = tuple(Refusal(one, words, guest.record.vm, target.host)
                             for one, words in (*taken, *misfits[kind], *lacks))
            unseen = tuple(file for file in guest.files if not _shows(conn, file))
            found.append(Fit(guest.record.name, source.host, target.host, refusals, unseen))
        return found

    async def close(self) -> None:
        """Let go of every connection; wait for none longer than ``CLOSE_SECONDS``."""
        for access in self._hosts.values():
            access.let_go()
        await self._graveyard.rest(CLOSE_SECONDS)


def _unheard(_: HostHint) -> None:
    """A check-up waits for no events."""


def _offer(conn: Any) -> _Offer:
    return _Offer(shown(conn.getHostname()), _version(conn.getLibVersion()), _version(conn.getVersion()), _pools(conn))


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


def _shows(conn: Any, file: str) -> bool:
    """Return whether one of the host's storage pools shows a file."""
    libvirt = load_libvirt()
    try:
        conn.storageVolLookupByPath(file)
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
        return False
    return True


def _without_name(words: str, host: HostName) -> str:
    """What is said of a host begins with its name and the lane it was asked in, which mean nothing to whoever reads it."""
    return re.sub(rf"({re.escape(host)}|lane [^ ]+): ", "", words)
