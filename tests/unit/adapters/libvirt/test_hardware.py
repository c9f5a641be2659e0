"""What a VM's definition says that it cannot do without, and what a host's capabilities say that it has."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.hardware import hardware_of, is_outgrown
from ballastd.adapters.libvirt.xml_facts import domain_facts
from ballastd.adapters.libvirt.xml_reading import XmlError, numbers_of, read_xml
from ballastd.core.hardware import Backing, Emulator, Needs, PagePool
from ballastd.core.quantities import GIB, MIB
from tests.unit.adapters.libvirt.domains import VOUCHED, domain

CELLS = ("<cpu mode='custom'><numa><cell id='0' cpus='0-1' memory='1048576' unit='KiB'/>"
         "<cell id='1' cpus='2-3' memory='1048576' unit='KiB'/></numa></cpu>")
CAPABILITIES = """<capabilities><host><uuid>x</uuid><topology><cells num='2'>
<cell id='0'><memory unit='KiB'>100</memory><pages unit='KiB' size='4'>1804851</pages>
<pages unit='KiB' size='2048'>40</pages><pages unit='KiB' size='1048576'>0</pages>
<cpus num='2'><cpu id='0' socket_id='0'/><cpu id='2' socket_id='0'/></cpus></cell>
<cell id='1'><pages unit='KiB' size='2048'>8</pages><cpus num='1'><cpu id='1'/></cpus></cell>
</cells></topology></host>
<guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize><machine maxCpus='255'>pc-q35-7.2</machine>
<machine canonical='pc-q35-7.2' maxCpus='255'>q35</machine><domain type='qemu'/>
<domain type='kvm'><machine>microvm</machine></domain></arch></guest></capabilities>"""


def needs(extra: str = "", **more: str) -> Needs:
    return domain_facts(domain(extra=extra, **more), VOUCHED).needs


def backing(pages: str, **more: str) -> list[tuple[int, int]]:
    found = needs(f"<memoryBacking><hugepages>{pages}</hugepages></memoryBacking>", **more).backing
    return [(one.size // MIB, one.memory // MIB) for one in found]


def test_a_guest_without_huge_pages_needs_none() -> None:
    read = needs()
    assert (read.backing, read.nodes, read.cpus) == ((), (), ())
    assert (read.arch, read.machine, read.kind, read.sees_host) == ("x86_64", "pc-q35-7.2", "kvm", False)
    assert needs("<memoryBacking><locked/></memoryBacking>").backing == ()


def test_pages_of_a_size_or_of_the_hosts_default() -> None:
    assert backing("") == [(0, 2048)]
    assert backing("<page size='2048' unit='KiB'/>") == [(2, 2048)]
    assert backing("<page size='1' unit='G'/>") == [(1024, 2048)]
    assert backing("<page size='2048'/>") == [(2, 2048)]


def test_pages_for_some_of_the_guests_own_cells_only() -> None:
    assert backing("<page size='2' unit='M' nodeset='1'/>", cpu=CELLS) == [(2, 1024)]
    assert backing("<page size='1' unit='G' nodeset='0'/><page size='2' unit='M'/>", cpu=CELLS) == [(2, 1024), (1024, 1024)]
    assert backing("<page size='2' unit='M' nodeset='0-1'/>", cpu=CELLS) == [(2, 2048)]
    assert backing("<page size='2' unit='M' nodeset='0'/>") == [(2, 2048)]


def test_memory_that_was_plugged_in_counts_with_its_cell() -> None:
    plugged = ("<memory model='dimm'><target><size unit='KiB'>524288</size><node>1</node></target></memory>"
               "<memory model='dimm'><target><size unit='KiB'>524288</size><node>0</node></target></memory>")
    assert backing("<page size='2' unit='M' nodeset='1'/>", cpu=CELLS, devices=plugged) == [(2, 1536)]
    own = ("<memory model='dimm'><source><pagesize unit='KiB'>2048</pagesize></source>"
           "<target><size unit='KiB'>524288</size><node>0</node></target></memory>")
    assert needs(cpu=CELLS, devices=own).backing == (Backing(2 * MIB, 512 * MIB),)  # type: ignore[arg-type]


@pytest.mark.parametrize("pages", ["<page/>", "<page size='x'/>", "<page size='1' unit='parsec'/>",
                                   "<page size='2048' nodeset='a'/>"])
def test_pages_that_cannot_be_read_are_not_guessed(pages: str) -> None:
    with pytest.raises(XmlError):
        backing(pages)


@pytest.mark.parametrize(("extra", "nodes"), [
    ("<numatune><memory mode='strict' nodeset='0-1'/></numatune>", (0, 1)),
    ("<numatune><memory nodeset='3'/></numatune>", (3,)),
    ("<numatune><memory mode='restrictive' nodeset='1'/></numatune>", (1,)),
    ("<numatune><memory mode='preferred' nodeset='1'/></numatune>", ()),
    ("<numatune><memory mode='strict' placement='auto'/></numatune>", ()),
    ("<numatune><memory mode='preferred' nodeset='0'/><memnode cellid='0' mode='strict' nodeset='2'/></numatune>", (2,)),
])
def test_memory_that_must_come_from_nodes(extra: str, nodes: tuple[int, ...]) -> None:
    assert needs(extra).nodes == nodes


def test_processors_that_it_is_pinned_to() -> None:
    assert needs("<cputune><vcpupin vcpu='0' cpuset='1-4,^3'/><vcpupin vcpu='1' cpuset='8'/></cputune>").cpus == (1, 2, 4, 8)
    assert needs(vcpu="<vcpu placement='static' cpuset='2,3'>2</vcpu>").cpus == (2, 3)
    assert needs(vcpu="<vcpu placement='auto' cpuset='2,3'>2</vcpu>").cpus == ()


def test_guests_are_alike_by_processor_and_machine() -> None:
    other = "<cpu mode='custom' match='exact'><model>EPYC</model></cpu>"
    assert needs().likeness == needs(name="other", memory="<memory>1024</memory>").likeness != needs(cpu=other).likeness
    own = needs(cpu="<cpu mode='host-passthrough'/>")
    assert (own.sees_host, own.likeness) == (True, "")
    assert needs(cpu="").likeness == ""


def test_a_machine_is_read_off_its_capabilities() -> None:
    read = hardware_of(read_xml(CAPABILITIES), ("EPYC", "AMD", "1"))
    assert (read.nodes, read.cpus, read.processor) == ((0, 1), (0, 1, 2), ("EPYC", "AMD", "1"))
    assert read.pools == (PagePool(2 * MIB, 8, 1), PagePool(2 * MIB, 40, 0), PagePool(GIB, 0, 0))  # type: ignore[arg-type]
    assert read.pooled == 96 * MIB
    assert read.emulators == (Emulator("x86_64", ("kvm", "qemu"), ("microvm", "pc-q35-7.2", "q35")),)
    assert hardware_of(read_xml("<capabilities/>"), ()).nodes == ()


def test_a_pool_that_grew_is_found_out() -> None:
    read = hardware_of(read_xml(CAPABILITIES), ())
    assert not is_outgrown(read, {(0, 2 * MIB): 40, (1, 2 * MIB): 0})
    assert not is_outgrown(read, None)
    assert is_outgrown(read, {(0, 2 * MIB): 41})


@pytest.mark.parametrize(("text", "found"), [("0", (0,)), ("0-3,^2", (0, 1, 3)), ("5, 1", (1, 5)), ("3-1", ())])
def test_sets_of_numbers(text: str, found: tuple[int, ...]) -> None:
    assert numbers_of(text) == found


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "99999", "0-9999999999"])
def test_what_is_no_set_of_numbers(text: str) -> None:
    with pytest.raises(XmlError):
        numbers_of(text)
