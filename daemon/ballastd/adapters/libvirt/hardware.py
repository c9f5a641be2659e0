"""Capabilities -> what a machine is: NUMA nodes, processors, huge pages, emulators. Pure but for ``free_pages``.

Capabilities are read when a connection is made, and again now and then: libvirt counts pages and looks at emulators anew
each time (2 to 6 ms; the first time of all most of a second).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.xml_reading import bytes_of, is_whole_number, shown
from ballastd.core.hardware import Emulator, FreePages, Hardware, PagePool, runs_of
from ballastd.core.quantities import KIB, Bytes


def hardware_of(capabilities: ET.Element, processor: tuple[str, ...]) -> Hardware:
    """Return what a host's capabilities say of it; what they do not say stays empty."""
    ordinary = _ordinary_page(capabilities)
    nodes, cpus, pools = [], [], []
    for cell in capabilities.iterfind("host/topology/cells/cell"):
        node = _number(cell.get("id"))
        if node is None:
            continue
        nodes.append(node)
        cpus += [number for cpu in cell.iterfind("cpus/cpu") if (number := _number(cpu.get("id"))) is not None]
        for pages in cell.iterfind("pages"):
            size, total = bytes_of(pages.get("size"), pages.get("unit", "KiB")), _number(pages.text)
            if size is not None and total is not None and size > ordinary:
                pools.append(PagePool(Bytes(size), total, node))
    return Hardware(tuple(sorted(nodes)), tuple(sorted(cpus)), tuple(sorted(pools)), processor,
                    tuple(sorted(_emulator(guest) for guest in capabilities.iterfind("guest"))))


def _ordinary_page(capabilities: ET.Element) -> int:
    """Return the size of an ordinary page: the smallest that there is, bytes."""
    sizes = [size for pages in capabilities.iterfind("host/topology/cells/cell/pages")
             if (size := bytes_of(pages.get("size"), pages.get("unit", "KiB")))]
    return min(sizes, default=0)


def _emulator(guest: ET.Element) -> Emulator:
    kinds = {shown(one.get("type", "")) for one in guest.iterfind("arch/domain")}
    # a kind may have machine types of its own, which count for all: nothing is refused that might be right
    machines = {shown((one.text or "").strip()) for one in (*guest.iterfind("arch/machine"),
                                                           *guest.iterfind("arch/domain/machine"))}
    arch = guest.find("arch")
    return Emulator("" if arch is None else shown(arch.get("name", "")), tuple(sorted(kinds)), tuple(sorted(machines)))


def _number(text: str | None) -> int | None:
    clean = (text or "").strip()
    return int(clean) if is_whole_number(clean) else None


def free_pages(conn: Any, hardware: Hardware | None) -> FreePages | None:
    """Return the huge pages that nobody has; None where the host cannot say. Nodes are asked in runs without a gap, nearly
    always one: of a range with a node in it that is not there libvirt answers nothing. Blocks."""
    libvirt = load_libvirt()
    if hardware is None or not hardware.nodes:
        return None
    sizes = sorted({int(pool.size) for pool in hardware.pools})
    if not sizes:
        return {}
    found: dict[int, dict[int, int]] = {}
    try:
        for first, last in runs_of(hardware.nodes):
            found |= conn.getFreePages([size // KIB for size in sizes], first, last - first + 1)
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
        return None
    return {(node, size * KIB): pages for node, by_size in found.items() for size, pages in by_size.items()}


def is_outgrown(hardware: Hardware, free: FreePages | None) -> bool:
    """Return whether a host has more free pages than it had in all when its capabilities were read."""
    totals = {(pool.node, int(pool.size)): pool.total for pool in hardware.pools}
    return any(pages > totals.get(pool, 0) for pool, pages in (free or {}).items())
