"""What a real host has against a guest: asked of its libvirtd, without a guest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.examination import at_target
from ballastd.adapters.libvirt.identity import HostIdentity, read_identity
from ballastd.adapters.libvirt.xml_facts import CpuFacts, DomainFacts, domain_facts
from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import VmId
from tests.contracts.worlds import an_order
from tests.lab import Lab, missing
from tests.lab.commands import run

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]

VM = VmId("5a1e0c34-6d0c-4a43-9c62-0d1c35a1c9a1")
GUEST = f"""<domain type='qemu'><name>guest</name><uuid>{VM}</uuid><memory unit='MiB'>8</memory>
<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu><devices/></domain>"""


@pytest.fixture(scope="module")
def conn() -> Iterator[Any]:
    """A connection to a host that has an inactive definition called ``other``."""
    with Lab(f"t{os.getpid()}e", 1, cpu_quota=None) as lab:
        lab.enter()
        lab.define_guest("h1", "other", identity="0b8f3b7e-9a53-4a0a-8a3c-7a1d3f1f8a55")
        run("ip", "-n", lab.hosts["h1"].link.netns, "link", "add", "br7", "type", "bridge")
        connection = load_libvirt().open(lab.hosts["h1"].uri)
        yield connection
        connection.close()
        lab.leave()


@pytest.fixture
def facts() -> DomainFacts:
    return domain_facts(GUEST, ())


def kinds(conn: Any, facts: DomainFacts, *ends: HostIdentity | None) -> list[RefusalKind]:
    source, target = ends or (None, None)
    return [refusal.kind for refusal in at_target(conn, an_order(VM).move, facts, source, target)]


def test_a_plain_guest_would_fit(conn: Any, facts: DomainFacts) -> None:
    assert kinds(conn, facts) == []


def test_a_name_or_uuid_that_is_taken_is_found(conn: Any, facts: DomainFacts) -> None:
    assert kinds(conn, replace(facts, name="other")) == [RefusalKind.IDENTITY]
    taken = replace(facts, uuid="0b8f3b7e-9a53-4a0a-8a3c-7a1d3f1f8a55")
    assert kinds(conn, taken) == [RefusalKind.IDENTITY]


@pytest.mark.parametrize("xml", [
    "<cpu match='exact'><model>no-such-processor</model></cpu>",
    "<cpu match='exact'><model>qemu64</model><feature policy='require' name='no-such-feature'/></cpu>",
    "<cpu match='exact'><model>qemu64</model><feature policy='require' name='sgx'/></cpu>",
    "<cpu match='exact'>",
])
def test_a_processor_that_the_host_lacks_is_refused(conn: Any, facts: DomainFacts, xml: str) -> None:
    assert kinds(conn, replace(facts, cpu=CpuFacts(xml, "custom"))) == [RefusalKind.CPU]


def test_a_guest_that_sees_its_hosts_processor_needs_an_equal_one(conn: Any, facts: DomainFacts) -> None:
    seeing = replace(facts, cpu=CpuFacts("<cpu mode='host-passthrough'/>", "host-passthrough"))
    here = read_identity(conn)
    assert here.uuid
    assert here.cpu
    assert kinds(conn, seeing, here, here) == []
    for other in (None, replace(here, cpu=()), replace(here, cpu=(*here.cpu[:2], "0xffff"))):
        assert kinds(conn, seeing, here, other) == [RefusalKind.CPU]
        assert kinds(conn, seeing, other, here) == [RefusalKind.CPU]
    assert kinds(conn, seeing, replace(here, cpu=()), replace(here, cpu=())) == [RefusalKind.CPU]


@pytest.mark.parametrize("change", [{"machine": "pc-q35-99.9"}, {"arch": "s390x"}, {"domain_type": "xen"}])
def test_a_machine_that_is_not_offered_is_refused(conn: Any, facts: DomainFacts, change: dict[str, str]) -> None:
    assert RefusalKind.MACHINE in kinds(conn, replace(facts, **change))


@pytest.mark.parametrize("change", [
    {"networks": ("nowhere",)}, {"bridges": ("br7", "br8")}, {"links": ("eno99",)}])
def test_a_network_that_is_not_there_is_refused(conn: Any, facts: DomainFacts, change: dict[str, Any]) -> None:
    assert kinds(conn, replace(facts, **change)) == [RefusalKind.NETWORK]


def test_networks_that_are_there_are_accepted(conn: Any, facts: DomainFacts) -> None:
    assert kinds(conn, replace(facts, bridges=("br7",), links=("eth0",))) == []


def test_a_network_that_is_defined_but_not_active_is_refused(conn: Any, facts: DomainFacts) -> None:
    network = conn.networkDefineXML("<network><name>asleep</name><bridge name='virbr9'/></network>")
    try:
        assert kinds(conn, replace(facts, networks=("asleep",))) == [RefusalKind.NETWORK]
    finally:
        network.undefine()
