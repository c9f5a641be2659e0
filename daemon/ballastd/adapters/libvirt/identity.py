"""Who a host is and what machine it is: read with each connection, and again now and then. The first time costs most of
a second, any other a few milliseconds."""

from __future__ import annotations

import hashlib
import threading
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.libvirt.hardware import hardware_of
from ballastd.adapters.libvirt.xml_reading import XmlError, read_xml, shown
from ballastd.core.hardware import Hardware
from ballastd.core.quantities import HostName
from ballastd.errors import Unreachable


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """``uuid``: libvirt's host_uuid. ``cpu``: model, vendor and microcode, which must be equal on two hosts
    before a guest that sees the host's own processor may move between them; empty when not reported. ``hardware``: the
    machine; ``digest``: the same while processor, emulators and versions are, so that what the host said of a guest's
    processor still holds."""

    uuid: str
    cpu: tuple[str, ...]
    hardware: Hardware | None = None
    digest: str = ""


def read_identity(conn: Any) -> HostIdentity:
    """Return who the host says it is. Blocks.

    Raises:
        Unreachable: its capabilities make no sense.
    """
    try:
        root = read_xml(conn.getCapabilities())
    except XmlError as error:
        raise Unreachable(f"its capabilities are not readable: {error}") from error
    microcode = root.find("host/cpu/microcode")
    cpu: tuple[str, ...] = (root.findtext("host/cpu/model") or "", root.findtext("host/cpu/vendor") or "",
           "" if microcode is None else microcode.get("version", ""))
    cpu = cpu if cpu[0] else ()
    return HostIdentity(shown((root.findtext("host/uuid") or "").strip().lower()), cpu, hardware_of(root, cpu),
                        _digest(root, str(conn.getLibVersion()), str(conn.getVersion())))


def _digest(capabilities: ET.Element, *versions: str) -> str:
    parts = [*versions]
    for element in (*capabilities.iterfind("host/cpu"), *capabilities.iterfind("guest")):
        # the frequency of its clock is measured anew at each start
        for counter in element.findall("counter"):
            element.remove(counter)
        parts.append(ET.tostring(element, encoding="unicode"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Registry:
    """Which machine answers to which name: two names for one machine would show every VM twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identities: dict[HostName, HostIdentity] = {}

    def claim(self, host: HostName, identity: HostIdentity) -> None:
        """Note who ``host`` is; from any thread.

        Raises:
            Unreachable: another declared host is the same machine, or has the same host_uuid.
        """
        with self._lock:
            twin = next((name for name, known in self._identities.items()
                         if known.uuid == identity.uuid and name != host), None)
            if twin is not None:
                raise Unreachable(
                    f"it has the host_uuid of {twin} ({identity.uuid}): the same machine under two names, or a "
                    f"cloned one; declare it once, or set host_uuid in its libvirtd.conf")
            self._identities[host] = identity

    def identity(self, host: HostName) -> HostIdentity | None:
        """Return who ``host`` last said it is, or None before it ever answered."""
        with self._lock:
            return self._identities.get(host)
