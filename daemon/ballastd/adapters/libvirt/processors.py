"""Whether a host's processor has all that guests of another may be given: asked of the hosts, without a guest. Blocks.

What guests may be given is what ``host-model`` stands for there: a model with the features that its emulator has on that
processor. To ask for it and to compare it changes nothing, and yet both are refused on a read-only connection.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.xml_reading import XmlError, read_xml
from ballastd.core.hardware import Emulator

KVM = "kvm"


@dataclass(frozen=True, slots=True)
class Offered:
    """What a guest of a host may be given: its architecture, what runs it, and the ``<cpu>`` of a guest that has it all."""

    arch: str
    kind: str
    cpu: str


def offered(conn: Any, arch: str, emulators: Iterable[Emulator]) -> Offered | None:
    """Return what guests may be given, by KVM where the host runs them by it; None where its libvirt does not say."""
    libvirt = load_libvirt()
    kinds = sorted({kind for one in emulators if one.arch == arch for kind in one.kinds}, key=lambda one: (one != KVM, one))
    if not kinds:
        return None
    try:
        model = read_xml(conn.getDomainCapabilities(None, arch, None, kinds[0], 0)).find("cpu/mode[@name='host-model']")
    except XmlError:
        return None
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
        return None
    if model is None or model.get("supported") != "yes":
        return None
    whole = ET.Element("cpu", {"mode": "custom", "match": "exact"})
    whole.extend(model)
    return Offered(arch, kinds[0], ET.tostring(whole, encoding="unicode"))


def compare(conn: Any, offers: Iterable[Offered]) -> dict[Offered, tuple[bool | None, str]]:
    """Return for each of ``offers`` whether a guest with all of it could run here; None where that is not known, with the
    reason."""
    return {one: _compared(conn, one) for one in offers}


def _compared(conn: Any, one: Offered) -> tuple[bool | None, str]:
    libvirt = load_libvirt()
    try:
        verdict = conn.compareHypervisorCPU(None, one.arch, None, one.kind, one.cpu, 0)
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection:
            raise
        return None, str(trouble)
    return verdict not in (libvirt.VIR_CPU_COMPARE_ERROR, libvirt.VIR_CPU_COMPARE_INCOMPATIBLE), ""
