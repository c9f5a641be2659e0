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
from ballastd.core.quantities import KIB, Bytes

ORDINARY_PAGE_MAX = 64 * KIB
"""Ordinary pages are of 4 KiB, on some machines of 16 or 64; the smallest huge pages in use are of 1 MiB. Those of 64 KiB on
machines with pages of 4 are counted as ordinary memory."""
_PINNED = ("vcpupin", "emulatorpin", "iothreadpin")
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
    """Return the bytes that come from huge pages, by size: by the guest's own cells where it has some, else the whole; what
    was plugged in by its own size, else with its cell."""
    element = domain.find("memoryBacking/hugepages")
    otherwise, by_cell = (None, {}) if element is None else _page_sizes(element)
    devices = [(device, _held(device.find("target/size"))) for device in domain.iterfind("devices/memory")]
    sizes: Counter[int | None] = Counter()
    for cell, held in _cells(domain, memory - sum(held for _, held in devices)).items():
        sizes[by_cell.get(cell, otherwise)] += held
    for device, held in devices:
        if device.find("source/path") is None and device.get("model") != "sgx-epc":  # else it is a file, or the processor's
            cells = by_cell.get(_cell(device.findtext("target/node") or "0"), otherwise)
            sizes[_size(device.find("source/pagesize")) or cells] += held
    return tuple(Backing(Bytes(size), Bytes(held)) for size, held in sorted(
        (size, held) for size, held in sizes.items() if size is not None and held > 0 and _is_huge(size)))


def _is_huge(size: int) -> bool:
    """Return whether pages of a size can come from a pool. Of a size that its host has for all memory libvirt takes them for
    no huge pages, and which that is differs by machine: what may be ordinary is counted as ordinary."""
    return not size or size > ORDINARY_PAGE_MAX


def _page_sizes(element: ET.Element) -> tuple[int | None, dict[int, int]]:
    """Return the size for cells of which nothing is said, None where these have ordinary memory, and that of the others;
    0 is the host's default."""
    pages = element.findall("page")
    otherwise: int | None = None if pages else 0
    by_cell: dict[int, int] = {}
    for page in pages:
        size = bytes_of(page.get("size"), page.get("unit", "KiB"))
        if not size:
            raise XmlError("a huge page without a size")
        cells = page.get("nodeset")
        if cells is None:
            otherwise = size
        else:
            by_cell |= dict.fromkeys(numbers_of(cells), size)
    return otherwise, by_cell


def _cells(domain: ET.Element, memory: int) -> dict[int, int]:
    """Return the bytes of the guest's own NUMA cells, without what is plugged into them; one cell where it has none."""
    cells = {_cell(cell.get("id", str(number))): _told(bytes_of(cell.get("memory"), cell.get("unit", "KiB")))
             for number, cell in enumerate(domain.iterfind("cpu/numa/cell"))}
    return cells or {0: memory}


def _cell(text: str) -> int:
    numbers = numbers_of(text)
    if len(numbers) != 1:
        raise XmlError(f"{shown(text)} is no NUMA cell")
    return numbers[0]


def _held(element: ET.Element | None) -> int:
    return 0 if element is None else _told(_size(element))


def _told(memory: int | None) -> int:
    if memory is None:
        raise XmlError("a part of its memory is not a size")
    return memory


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
    """Return the processors of the host that processors of the guest are pinned to, or what works for it beside them: with
    one of these missing its emulator does not start."""
    pinned: set[int] = set()
    vcpu = domain.find("vcpu")
    for text in (*(pin.get("cpuset") for what in _PINNED for pin in domain.iterfind(f"cputune/{what}")),
                 None if vcpu is None or vcpu.get("placement") == "auto" else vcpu.get("cpuset")):
        if text:
            pinned.update(numbers_of(text))
    return tuple(sorted(pinned))
