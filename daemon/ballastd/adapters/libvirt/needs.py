"""What a VM cannot do without beside ordinary memory, read off its definition. Pure.

Huge pages: ``<memoryBacking><hugepages>`` with a ``<page>`` per size, for some of the guest's own NUMA cells or for all of
it. What libvirt would refuse is read as needing more, never less.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections import Counter

from ballastd.adapters.libvirt.xml_reading import XmlError, bytes_of, numbers_of, shown
from ballastd.core.hardware import Backing, Needs
from ballastd.core.quantities import Bytes

_HARD_MODES = ("strict", "restrictive")
_HOSTS_OWN = ("host-passthrough", "maximum")


def needs_of(domain: ET.Element, memory: Bytes) -> Needs:
    """Return what a VM with so many bytes of memory needs.

    Raises:
        XmlError: what it is bound to cannot be read.
    """
    kind, cpu = domain.find("os/type"), domain.find("cpu")
    arch = "" if kind is None else kind.get("arch", "")
    machine = "" if kind is None else kind.get("machine", "")
    run_by = domain.get("type", "")
    sees_host = cpu is not None and cpu.get("mode", "custom") in _HOSTS_OWN
    return Needs(
        backing=_backing(domain, int(memory)), nodes=_nodes(domain), cpus=_cpus(domain), arch=shown(arch),
        machine=shown(machine), kind=shown(run_by), sees_host=sees_host,
        likeness="" if cpu is None or sees_host else _digest(arch, machine, run_by, ET.tostring(cpu, encoding="unicode")))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _backing(domain: ET.Element, memory: int) -> tuple[Backing, ...]:
    """Return the bytes that come from huge pages, by size: by the guest's own cells where it has some, else the whole."""
    element = domain.find("memoryBacking/hugepages")
    sizes: Counter[int] = Counter()
    if element is not None:
        otherwise, by_cell = _page_sizes(element)
        cells = _cells(domain, memory)
        for cell, held in cells.items():
            size = by_cell.get(cell, otherwise)
            if size is not None:
                sizes[size] += held
    for device in domain.iterfind("devices/memory"):
        named, held = _size(device.find("source/pagesize")), _size(device.find("target/size")) or 0
        if named is not None and held and element is None:
            sizes[named] += held  # where the VM has huge pages it was counted with its cell
    return tuple(Backing(Bytes(size), Bytes(held)) for size, held in sorted(sizes.items()) if held)


def _page_sizes(element: ET.Element) -> tuple[int | None, dict[int, int]]:
    """Return the size for cells of which nothing is said, None where these have ordinary memory, and that of the others;
    0 is the host's default."""
    pages = element.findall("page")
    otherwise: int | None = None if pages else 0
    by_cell: dict[int, int] = {}
    for page in pages:
        size = bytes_of(page.get("size"), page.get("unit", "KiB"))
        if size is None:
            raise XmlError("a huge page without a size")
        cells = page.get("nodeset")
        if cells is None:
            otherwise = size
        else:
            by_cell |= dict.fromkeys(numbers_of(cells), size)
    return otherwise, by_cell


def _cells(domain: ET.Element, memory: int) -> dict[int, int]:
    """Return the bytes of the guest's own NUMA cells, with what is plugged into them; one cell where it has none."""
    cells: dict[int, int] = {}
    for number, cell in enumerate(domain.iterfind("cpu/numa/cell")):
        name = cell.get("id", str(number))
        held = bytes_of(cell.get("memory"), cell.get("unit", "KiB"))
        cells[numbers_of(name)[0]] = held or 0
    if not cells:
        return {0: memory}
    for device in domain.iterfind("devices/memory"):
        cell_of = numbers_of(device.findtext("target/node") or "0")[0]
        cells[cell_of] = cells.get(cell_of, 0) + (_size(device.find("target/size")) or 0)
    return cells


def _size(element: ET.Element | None) -> int | None:
    return None if element is None else bytes_of(element.text, element.get("unit", "KiB"))


def _nodes(domain: ET.Element) -> tuple[int, ...]:
    """Return the NUMA nodes of the host that memory must come from; where it only should, none."""
    bound: set[int] = set()
    for element in (*domain.iterfind("numatune/memory"), *domain.iterfind("numatune/memnode")):
        if element.get("mode", "strict") in _HARD_MODES and (nodes := element.get("nodeset")) is not None:
            bound.update(numbers_of(nodes))
    return tuple(sorted(bound))


def _cpus(domain: ET.Element) -> tuple[int, ...]:
    """Return the processors of the host that processors of the guest are pinned to."""
    pinned: set[int] = set()
    vcpu = domain.find("vcpu")
    for text in (*(pin.get("cpuset") for pin in domain.iterfind("cputune/vcpupin")),
                 None if vcpu is None or vcpu.get("placement") == "auto" else vcpu.get("cpuset")):
        if text:
            pinned.update(numbers_of(text))
    return tuple(sorted(pinned))
