"""What a VM keeps outside of its memory, read off its definition (pure), and whether a host sees it (blocks).

Libvirt answers from afar for what its storage pools list. A list is as old as the pool's last refresh, and that is left to
whoever runs the host: one that fails takes the pool away. So what no pool lists is not known to be missing. For what one
lists libvirt looks when it is asked for it, and may find it gone. Of a volume that a definition names by its pool the list
decides: by that libvirt itself starts a VM.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import NO_STORAGE_POOL, NO_STORAGE_VOL
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.xml_reading import shown

DROPPED = ("optional", "requisite")
"""Start-up policies of what a target does without where it is not there."""
LISTED = ("rbd",)
"""Protocols whose images storage pools list by the names that disks have for them."""


@dataclass(frozen=True, slots=True)
class Source:
    """``thing``: what it is to its VM (``vda``, ``its kernel``); ``place``: where it is, for people. ``path``: by what
    libvirt looks it up, empty where it knows no such thing; ``pool``: where it is the volume ``path`` of a pool."""

    thing: str
    place: str
    path: str = ""
    pool: str = ""

    def words(self) -> str:
        """Return what it is, and where."""
        return f"{self.thing} {self.place}"


@dataclass(frozen=True, slots=True)
class Sights:
    """``gone``: what is not where it should be, in words; ``unknown``: what nobody knows of."""

    gone: tuple[str, ...] = ()
    unknown: tuple[Source, ...] = ()


def sources_of(domain: ET.Element) -> tuple[Source, ...]:
    """Return what has to be seen wherever the VM runs, each once: disks with all that they are based on, images in drives,
    UEFI variables, a kernel to boot. What a target does without is not among them, nor what comes with the emulator."""
    return tuple(dict.fromkeys((*_disks(domain), *_files(domain))))


def _disks(domain: ET.Element) -> Iterator[Source]:
    for disk in domain.iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        name = shown("a disk" if target is None else target.get("dev", "a disk"))
        if source is None or source.get("startupPolicy") in DROPPED:
            continue
        yield from _source(name, disk.get("type", ""), source)
        for base in disk.iterfind(".//backingStore"):
            below = base.find("source")
            if below is not None:
                yield from _source(f"{name}'s base", base.get("type", ""), below)


def _source(thing: str, kind: str, source: ET.Element) -> Iterator[Source]:
    name = source.get("name", "")
    if kind == "volume":
        pool, volume = source.get("pool", ""), source.get("volume", "")
        yield Source(thing, shown(f"{pool}:{volume}"), volume, pool)
    elif kind == "network":
        protocol = source.get("protocol", "")
        yield Source(thing, shown(f"{protocol}:{name}"), name if protocol in LISTED else "")
    elif path := source.get("file") or source.get("dev") or "":
        yield Source(thing, shown(path), path)


def _files(domain: ET.Element) -> Iterator[Source]:
    for tag, thing in (("kernel", "its kernel"), ("initrd", "its initrd"), ("dtb", "its device tree")):
        if path := (domain.findtext(f"os/{tag}") or "").strip():
            yield Source(thing, shown(path), path)
    for nvram in domain.iterfind("os/nvram"):
        source = nvram.find("source")
        if source is not None:
            yield from _source("its UEFI variables", nvram.get("type", "file"), source)
        elif path := (nvram.text or "").strip():
            yield Source("its UEFI variables", shown(path), path)


def look_for(conn: Any, sources: Iterable[Source]) -> Sights:
    """Return what of ``sources`` a host does not see, and what it cannot say of. Blocks for as long as its storage does."""
    gone, unknown = [], []
    for source in sources:
        why = _why_gone(conn, source)
        if why is None:
            unknown.append(source)
        elif why:
            gone.append(f"{source.words()} is not there: {why}")
    return Sights(tuple(gone), tuple(unknown))


def _why_gone(conn: Any, source: Source) -> str | None:
    """Return why a host does not see it, empty where it does, None where it cannot say."""
    libvirt = load_libvirt()
    volume, pool = None, source.pool
    try:
        if source.pool:
            found = conn.storagePoolLookupByName(source.pool)
            if not found.isActive():
                return f"storage pool {shown(source.pool)} is not active"
            volume = found.storageVolLookupByName(source.path)
        elif source.path:
            volume = conn.storageVolLookupByPath(source.path)
            pool = volume.storagePoolLookupByVolume().name()
        if volume is None:
            return None
        volume.info()  # it looks, and does not believe its list
        return ""
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection:
            raise
        if trouble.code == NO_STORAGE_POOL and source.pool:
            return f"there is no storage pool {shown(source.pool)}"
        if trouble.code == NO_STORAGE_VOL and (source.pool or volume is not None):
            return f"storage pool {shown(pool)} {'does not list it' if volume is None else 'lists it, and it is gone'}"
        return None
