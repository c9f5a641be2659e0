"""What one domain's XML says of its size, its processor and its networks."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.wishes import NO_WISHES
from ballastd.adapters.libvirt.xml_facts import DomainFacts, domain_facts
from ballastd.adapters.libvirt.xml_reading import XmlError
from ballastd.core.quantities import GIB, MIB
from tests.unit.adapters.libvirt.domains import VOUCHED, domain


def facts(text: str) -> DomainFacts:
    return domain_facts(text, VOUCHED)


def test_a_plain_guest_is_read_and_nothing_pins_it() -> None:
    read = facts(domain())
    assert (read.uuid, read.name) == ("4dea22b3-1d52-d8f3-2516-782e98ab3fa0", "web-1")
    assert (read.memory, read.vcpus) == (2 * GIB, 4)
    assert (read.domain_type, read.arch, read.machine) == ("kvm", "x86_64", "pc-q35-7.2")
    assert read.emulator == "/usr/bin/qemu-system-x86_64"
    assert read.disks == ("vda",)
    assert (read.pins, read.wishes) == ((), NO_WISHES)


def test_memory_is_the_maximum_and_not_the_balloon() -> None:
    assert facts(domain(memory="<memory unit='MiB'>512</memory>")).memory == 512 * MIB
    assert facts(domain(memory="<memory>1024</memory>")).memory == MIB
    assert facts(domain(memory="<memory unit='bytes'>5</memory>")).memory == 5


@pytest.mark.parametrize("memory", [
    "", "<memory/>", "<memory unit='KiB'>-5</memory>", "<memory unit='parsec'>1</memory>", "<memory>1e9</memory>",
    "<memory>٣</memory>", "<memory>" + "9" * 400 + "</memory>",
])
def test_a_size_that_is_none_is_not_guessed(memory: str) -> None:
    with pytest.raises(XmlError, match="memory"):
        facts(domain(memory=memory))


@pytest.mark.parametrize(("vcpu", "count"), [
    ("<vcpu>8</vcpu>", 8), ("<vcpu current='2'>8</vcpu>", 2), ("", 1), ("<vcpu>none</vcpu>", 1),
])
def test_processors_are_those_plugged_in_now(vcpu: str, count: int) -> None:
    assert facts(domain(vcpu=vcpu)).vcpus == count


def test_the_processor_is_handed_over_as_it_stands() -> None:
    read = facts(domain(cpu="<cpu mode='custom'><model>EPYC</model><feature policy='require' name='avx'/></cpu>"))
    assert read.cpu.xml is not None
    assert "<model>EPYC</model>" in read.cpu.xml
    assert not read.cpu.is_passthrough
    assert facts(domain(cpu="<cpu mode='host-passthrough'/>")).cpu.is_passthrough
    assert facts(domain(cpu="")).cpu.xml is None


def test_networks_bridges_and_links_are_told_apart() -> None:
    read = facts(domain("""
        <interface type='network'><source network='blue' portid='x' bridge='virbr1'/></interface>
        <interface type='network'><source network='blue'/></interface>
        <interface type='bridge'><source bridge='br7'/></interface>
        <interface type='direct'><source dev='eno1' mode='bridge'/></interface>
        <interface type='user'/>"""))
    assert (read.networks, read.bridges, read.links) == (("blue",), ("br7",), ("eno1",))


@pytest.mark.parametrize(("name", "seen"), [
    ("日本-größe", "日本-größe"), ("a&#x9;b", "a\ufffdb"), ("x" * 5000, "x" * 127 + "…"),
    ("&lt;script&gt;", "<script>"),
])
def test_hostile_names_are_bounded_and_printable(name: str, seen: str) -> None:
    assert facts(domain(name=name)).name == seen


@pytest.mark.parametrize("text", ["<network/>", "<domainsnapshot/>", "<x:domain xmlns:x='urn:x'/>"])
def test_what_is_not_a_domain_is_refused(text: str) -> None:
    with pytest.raises(XmlError, match="a <domain> was expected"):
        facts(text)
