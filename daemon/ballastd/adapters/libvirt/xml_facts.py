"""Domain XML -> the facts that decisions need, pins included. Pure.

The text is partly a tenant's: names are bounded, and nothing in it can make a VM easier to move than its
devices allow.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from ballastd.adapters.libvirt.needs import needs_of
from ballastd.adapters.libvirt.pins import pins_of
from ballastd.adapters.libvirt.storage import Source, sources_of
from ballastd.adapters.libvirt.wishes import Wishes, wishes_of
from ballastd.adapters.libvirt.xml_reading import XmlError, bytes_of, is_whole_number, read_xml, shown
from ballastd.core.hardware import Needs
from ballastd.core.inventory import Pin
from ballastd.core.quantities import Bytes


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """What a target's processor is compared with. ``xml``: the live ``<cpu>`` element, None without one."""

    xml: str | None
    mode: str

    @property
    def is_passthrough(self) -> bool:
        """Whether the guest sees the host's own processor, which no comparison can judge."""
        return self.mode in ("host-passthrough", "maximum")


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """What one domain's XML says. ``memory``: bytes it may occupy. ``networks``, ``bridges``, ``links``:
    libvirt networks, bridges and host interfaces it is plugged into. ``disks``: their names in the guest; ``sources``: all
    that it keeps outside of its memory. ``needs``: what it cannot do without beside ordinary memory."""

    uuid: str
    name: str
    memory: Bytes
    vcpus: int
    domain_type: str
    arch: str
    machine: str
    emulator: str | None
    cpu: CpuFacts
    networks: tuple[str, ...]
    bridges: tuple[str, ...]
    links: tuple[str, ...]
    disks: tuple[str, ...]
    sources: tuple[Source, ...]
    pins: tuple[Pin, ...]
    wishes: Wishes
    needs: Needs


def domain_facts(text: str, vouched_storage: tuple[str, ...]) -> DomainFacts:
    """Return the facts of one domain's XML; ``vouched_storage`` as in ``DeclaredHost``.

    Raises:
        XmlError: the text cannot be read safely, or it is not a domain.
    """
    root = read_xml(text)
    if root.tag != "domain":
        raise XmlError(f"a <domain> was expected, not <{shown(root.tag)}>")
    kind, memory = root.find("os/type"), _memory(root)
    return DomainFacts(
        uuid=(root.findtext("uuid") or "").strip().lower(),
        name=shown(root.findtext("name") or ""),
        memory=memory,
        vcpus=_vcpus(root),
        domain_type=root.get("type", ""),
        arch="" if kind is None else kind.get("arch", ""),
        machine="" if kind is None else kind.get("machine", ""),
        emulator=root.findtext("devices/emulator"),
        cpu=_cpu(root),
        networks=_sources(root, "network", "network"),
        bridges=_sources(root, "bridge", "bridge"),
        links=_sources(root, "direct", "dev"),
        disks=tuple(t.get("dev", "") for t in root.iterfind("devices/disk/target")),
        sources=sources_of(root),
        pins=pins_of(root, vouched_storage),
        wishes=wishes_of(root),
        needs=needs_of(root, memory),
    )


def _memory(root: ET.Element) -> Bytes:
    element = root.find("memory")
    if element is None:
        raise XmlError("no <memory>")
    found = bytes_of(element.text, element.get("unit", "KiB"))
    if found is None:
        raise XmlError("<memory> is not a size")
    return Bytes(found)


def _vcpus(root: ET.Element) -> int:
    element = root.find("vcpu")
    if element is None:
        return 1
    text = element.get("current") or (element.text or "").strip()
    return max(1, int(text)) if is_whole_number(text) else 1


def _cpu(root: ET.Element) -> CpuFacts:
    element = root.find("cpu")
    if element is None:
        return CpuFacts(None, "")
    return CpuFacts(ET.tostring(element, encoding="unicode"), element.get("mode", "custom"))


def _sources(root: ET.Element, kind: str, attribute: str) -> tuple[str, ...]:
    found = {source.get(attribute, "")
             for interface in root.iterfind("devices/interface") if interface.get("type") == kind
             for source in interface.iterfind("source")}
    return tuple(sorted(found - {""}))
