"""What a VM's definition says that it cannot do without, and what a host's capabilities say that it has."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.hardware import free_pages, hardware_of, is_outgrown
from ballastd.adapters.libvirt.xml_facts import domain_facts
from ballastd.adapters.libvirt.xml_reading import XmlError, numbers_of, read_xml
from ballastd.core.hardware import Backing, Emulator, Hardware, Needs, PagePool
from ballastd.core.inventory import DeclaredHost, VmRecord, VmState
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, VmId
from ballastd.core.saved_cluster import SavedCluster, SavedHost, SavedVm
from ballastd.documents.saved_clusters import read_cluster
from ballastd.documents.written_clusters import dump_cluster
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


@pytest.mark.parametrize("page", ["size='4' unit='KiB'", "size='4096' unit='b'", "size='16'", "size='64' unit='KiB'"])
def test_pages_of_a_size_that_may_be_ordinary_are_no_huge_pages(page: str) -> None:
    assert backing(f"<page {page}/>") == []
    assert backing(f"<page {page} nodeset='0'/><page size='2' unit='M'/>", cpu=CELLS) == [(2, 1024)]
    assert backing("<page size='1' unit='M'/>") == [(1, 2048)]


def test_a_vm_with_huge_pages_of_the_ordinary_size_is_saved_and_read_back() -> None:
    facts = domain_facts(domain(extra="<memoryBacking><hugepages><page size='4'/></hugepages></memoryBacking>"), VOUCHED)
    hardware = hardware_of(read_xml(CAPABILITIES), ())
    record = VmRecord(VmId(facts.uuid), facts.name, VmState.RUNNING, facts.memory, facts.vcpus, needs=facts.needs)
    host = SavedHost(DeclaredHost(HostName("h1"), "test://h1"), Bytes(64 * GIB), 8, hardware=hardware)
    read = read_cluster(dump_cluster(SavedCluster((host,), (SavedVm(record, host.name),))))
    assert read.vms[0].record.ordinary == 2 * GIB


def plugged(source: str, model: str = "dimm", node: int = 0) -> str:
    return (f"<memory model='{model}'>{source}<target><size unit='KiB'>524288</size><node>{node}</node></target></memory>")


def test_memory_that_was_plugged_in_has_pages_of_its_own_size() -> None:
    gib = plugged("<source><pagesize unit='GiB'>1</pagesize></source>")
    assert backing("<page size='2' unit='M'/>", cpu=CELLS, devices=gib) == [(2, 2048), (1024, 512)]
    small = plugged("<source><pagesize unit='KiB'>4</pagesize></source>")
    assert backing("<page size='2' unit='M'/>", cpu=CELLS, devices=small) == [(2, 2048)]
    assert needs(cpu=CELLS, devices=small).backing == ()
    # one that says no size has that of its cell
    some = plugged("", node=1)
    assert backing("<page size='2' unit='M' nodeset='1'/>", cpu=CELLS, devices=some) == [(2, 1536)]
    # a guest without cells of its own has what is plugged in among its memory
    assert backing("<page size='2' unit='M'/>", devices=gib) == [(2, 1536), (1024, 512)]


@pytest.mark.parametrize("device", [plugged("<source><path>/srv/nv</path></source>", "nvdimm"), plugged("", "sgx-epc")])
def test_a_file_and_what_is_the_processors_are_no_huge_pages(device: str) -> None:
    assert backing("<page size='2' unit='M'/>", cpu=CELLS, devices=device) == [(2, 2048)]


@pytest.mark.parametrize("text", ["3-1", "0-1"])
def test_what_is_no_cell_is_not_guessed(text: str) -> None:
    with pytest.raises(XmlError):
        backing("", cpu=CELLS, devices=plugged("").replace("<node>0<", f"<node>{text}<"))
    with pytest.raises(XmlError):
        backing("", cpu=CELLS.replace("cell id='0'", f"cell id='{text}'"))


@pytest.mark.parametrize("size", ["x", "9999999999999999999", ""])
def test_memory_of_no_size_is_not_counted_as_none(size: str) -> None:
    with pytest.raises(XmlError, match="a part of its memory is not a size"):
        backing("", cpu=CELLS.replace("memory='1048576'", f"memory='{size}'", 1))
    with pytest.raises(XmlError, match="a part of its memory is not a size"):
        backing("", cpu=CELLS, devices=plugged("").replace(">524288<", f">{size}<"))
    with pytest.raises(XmlError, match="<memory> is not a size"):
        needs(memory=f"<memory unit='MiB'>{size}</memory>")


@pytest.mark.parametrize("pages", ["<page/>", "<page size='x'/>", "<page size='0'/>", "<page size='1' unit='parsec'/>",
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
    beside = "<cputune><emulatorpin cpuset='40-41'/><iothreadpin iothread='1' cpuset='42'/></cputune>"
    assert needs(beside).cpus == (40, 41, 42)
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


class Pages:
    """A libvirt that says which pages are free: 10 at node 0, 12 at node 2, and no node between them."""

    def getFreePages(self, sizes: list[int], first: int, count: int) -> dict[int, dict[int, int]]:  # noqa: N802  libvirt's name
        nodes = range(first, min(first + count, 3))
        if 1 in nodes:
            raise load_libvirt().libvirtError("internal error: page size or NUMA node not available")
        return {node: dict.fromkeys(sizes, 10 + node) for node in nodes}


def test_free_pages_are_known_though_the_numbers_of_nodes_have_a_gap() -> None:
    size = Bytes(2 * MIB)
    hardware = Hardware(nodes=(0, 2), pools=(PagePool(size, 64, 0), PagePool(size, 64, 2)))
    assert free_pages(Pages(), hardware) == {(0, size): 10, (2, size): 12}
    assert free_pages(Pages(), Hardware(nodes=(0, 1, 2), pools=hardware.pools)) is None


@pytest.mark.parametrize(("text", "found"), [
    ("0", (0,)), ("0-3,^2", (0, 1, 3)), ("5, 1", (1, 5)), ("3-1", ()), ("0-3,^1-2,9", (0, 3, 9))])
def test_sets_of_numbers(text: str, found: tuple[int, ...]) -> None:
    assert numbers_of(text) == found


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "99999", "0-9999999999", "1,,2", "^", "٣"])
def test_what_is_no_set_of_numbers(text: str) -> None:
    with pytest.raises(XmlError):
        numbers_of(text)
