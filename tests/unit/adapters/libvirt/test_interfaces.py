"""What libvirt says of interfaces: as it was seen on real hosts, and what it says where it knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ballastd.adapters.libvirt.interfaces import INTERFACES_MAX, interface_of, read_interfaces
from ballastd.adapters.libvirt.xml_reading import read_xml
from ballastd.core.readiness import Interface

libvirt = pytest.importorskip("libvirt")

PCI, VIRTUAL = "/sys/devices/pci0000:00/0000:00:02.0/0000:03:00.1/net", "/sys/devices/virtual/net"


def node(name: str, link: str, place: str = PCI) -> str:
    return (f"<device><name>net_{name}_aa</name><path>{place}/{name}</path><parent>computer</parent><capability type='net'>"
            f"<interface>{name}</interface><address>aa:bb</address>{link}<capability type='80203'/></capability></device>")


BOND = "<interface type='bond' name='bond0'><bond><interface type='ethernet' name='eth0'/></bond></interface>"
NETCF = ("<interface type='ethernet' name='eth0'><protocol family='ipv4'><ip address='10.0.0.1' prefix='24'/></protocol>"
         "<protocol family='ipv6'><ip address='fd00::1' prefix='64'/></protocol></interface>")


@pytest.mark.parametrize(("text", "found"), [
    (node("eth0", "<link speed='100000' state='up'/>"), Interface("eth0", mbit_s=100_000)),
    (node("eth0", "<link state='down'/>"), Interface("eth0", is_up=False)),
    (node("eth0", "<link state='up'/>"), Interface("eth0")),
    (node("eth0", "<link speed='4294967295' state='up'/>"), Interface("eth0")),
    (node("eth0", "<link speed='-1' state='up'/>"), Interface("eth0")),
    (node("eth0", "<link speed='0' state='up'/>"), Interface("eth0")),
    (node("lo", "<link state='unknown'/>", VIRTUAL), Interface("lo", is_up=False, is_real=False)),
    (node("eth0", "<link speed='10000' state='up'/>", VIRTUAL), Interface("eth0", mbit_s=10_000, is_real=False)),
    (node("eth0", ""), None),
    ("<device><name>computer</name></device>", None)])
def test_a_node_device_is_read(text: str, found: Interface | None) -> None:
    assert interface_of(read_xml(text), {}) == found


def test_the_interface_driver_knows_bonds_and_perhaps_addresses() -> None:
    known = {"bond0": read_xml(BOND), "eth0": read_xml(NETCF)}
    assert interface_of(read_xml(node("bond0", "<link speed='20000' state='up'/>", VIRTUAL)), known) == Interface(
        "bond0", mbit_s=20_000, is_real=False, is_bond=True)
    assert interface_of(read_xml(node("eth0", "<link speed='10000' state='up'/>")), known) == Interface(
        "eth0", mbit_s=10_000, addresses=("10.0.0.1", "fd00::1"))


class Thing:
    """A device or an interface."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text

    def name(self) -> str:
        return self._name

    def XMLDesc(self, _: int) -> str:  # noqa: N802  libvirt's name
        return self._text


def unsupported(*_: int) -> list[Thing]:
    error = libvirt.libvirtError("no")
    error.err = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_NONE, "this function is not supported", 2, "", "", "", -1, -1)
    raise error


class Host:
    """A connection that knows these two."""

    def __init__(self, devices: Callable[..., list[Thing]], interfaces: Callable[..., list[Thing]] = unsupported) -> None:
        self.listAllDevices, self.listAllInterfaces = devices, interfaces


def several(number: int, prefix: str = "net_eth") -> list[Thing]:
    return [Thing(f"{prefix}{one}_aa", node(f"eth{one}", "<link speed='10000' state='up'/>")) for one in range(number)]


def read(devices: Callable[..., list[Thing]], interfaces: Callable[..., list[Thing]] = unsupported) -> Any:
    return read_interfaces(Host(devices, interfaces))


def test_a_host_without_an_interface_driver_still_says_how_fast_it_is() -> None:
    assert read(lambda _: several(2)) == (Interface("eth0", mbit_s=10_000), Interface("eth1", mbit_s=10_000))
    assert read(lambda _: several(1), lambda _: [Thing("eth0", NETCF)])[0].addresses == ("10.0.0.1", "fd00::1")


def test_what_a_host_does_not_say_is_unknown() -> None:
    assert read(unsupported) is None
    assert read(lambda _: []) is None
    assert read(lambda _: several(INTERFACES_MAX + 1)) is None


def test_taps_of_guests_are_not_asked() -> None:
    assert read(lambda _: several(1) + several(500, "net_vnet")) == (Interface("eth0", mbit_s=10_000),)


def test_libvirts_own_pretend_host_shows_none() -> None:
    conn = libvirt.openReadOnly("test:///default")
    try:
        assert read_interfaces(conn) is None
    finally:
        conn.close()
