"""What a host's libvirt says of its network interfaces: state and speed by its node devices, addresses and bonds by its
interface driver, where it has one (netcf knows addresses, udev does not). Read-only."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.xml_reading import XmlError, is_whole_number, read_xml, shown
from ballastd.core.readiness import Interface

INTERFACES_MAX = 64
"""Each costs a call. Taps of VMs are many, and are not asked about."""
MBIT_S_MAX = 10_000_000
"""What has no speed says -1, which libvirt passes on as 4294967295 (``virNetDevGetLinkInfo``)."""
_TAP, _VIRTUAL = "net_vnet", "/sys/devices/virtual/"


def read_interfaces(conn: Any) -> tuple[Interface, ...] | None:
    """Return the interfaces of a host by name, or None where its libvirt shows none, or too many. Blocks."""
    libvirt = load_libvirt()
    try:
        devices = [device for device in conn.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET)
                   if not device.name().startswith(_TAP)]
        if not 0 < len(devices) <= INTERFACES_MAX:
            return None
        nodes = [node for device in devices if (node := _read(device)) is not None]
        settings = _settings(conn, libvirt)
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
        return None
    found = [interface_of(node, settings) for node in nodes]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.name))


def interface_of(node: ET.Element, settings: dict[str, ET.Element]) -> Interface | None:
    """Return the interface that a node device is, or None where it is none. ``settings``: what the interface driver knows,
    by name."""
    name, link = node.findtext("capability/interface") or "", node.find("capability/link")
    if not name or link is None:
        return None
    known = settings.get(name)
    addresses = [] if known is None else [ip.get("address", "") for ip in known.findall("protocol/ip")]
    return Interface(shown(name), link.get("state") == "up", _mbit_s(link.get("speed", "")),
                     not (node.findtext("path") or _VIRTUAL).startswith(_VIRTUAL),
                     known is not None and known.get("type") == "bond", tuple(shown(address) for address in addresses))


def _mbit_s(text: str) -> int | None:
    number = int(text) if is_whole_number(text) else 0
    return number if 0 < number <= MBIT_S_MAX else None


def _settings(conn: Any, libvirt: Any) -> dict[str, ET.Element]:
    """Return what the interface driver knows; nothing where there is none."""
    try:
        several = conn.listAllInterfaces(libvirt.VIR_CONNECT_LIST_INTERFACES_ACTIVE)[:INTERFACES_MAX]
        read = [one for interface in several if (one := _read(interface)) is not None]
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
        return {}
    return {one.get("name", ""): one for one in read}


def _read(thing: Any) -> ET.Element | None:
    try:
        return read_xml(thing.XMLDesc(0))
    except XmlError:
        return None
