"""What real hosts and an operator's settings may say is written down by ``cluster save``, and read back as the same."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.sax.saxutils import quoteattr

from hypothesis import given
from hypothesis import strategies as st

from ballastd.adapters.libvirt.hardware import hardware_of
from ballastd.adapters.libvirt.inventory import MANAGED_SAVE_PIN, SNAPSHOT_PIN
from ballastd.adapters.libvirt.xml_facts import domain_facts
from ballastd.adapters.libvirt.xml_reading import read_xml
from ballastd.core.copying import copy_of
from ballastd.core.hardware import Hardware
from ballastd.core.inventory import DeclaredHost, HostInventory, JobKind, VmRecord, VmState, VmUsage
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Loads
from ballastd.core.plain import from_plain, to_plain
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import GIB, KIB, Bytes, HostName, Instant, Seconds, VmId
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.documents.anonymous import anonymous
from ballastd.documents.host_settings import HostDefaults, HostEntry
from ballastd.documents.saved_clusters import read_cluster
from ballastd.documents.written_clusters import dump_cluster, dump_json

NOW = Instant(5000.0, 1_790_000_000.5, "boot")
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=300)
NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=300)
WORDS = st.sampled_from(("", "0", "null", "yes", "1e3", "~", "x: y", "5GiB", "pc-q35-7.2"))
AMOUNTS = st.sampled_from(("1B", "3GiB", "250GiB", "256GiB", "65536TiB"))
SPEEDS = st.sampled_from(("1Mbit/s", "10Gbit/s", "25Gbit/s", "0.3MiB/s", "65536GiB/s"))
PAGES_KIB = (4, 2048, 1048576)
CHECKS = st.sampled_from(("agent", "tcp://10.0.0.7:22", "https://10.0.0.7/" + 235 * "x", "https://10.0.0.7/" + 239 * "x",
                          "http://[fd00::7]:80?", "tcp://10.0.0.7"))


@st.composite
def declared(draw: st.DrawFn, name: str) -> DeclaredHost:
    said = draw(st.fixed_dictionaries({}, optional={
        "peer_uri": st.just(f"qemu+tls://{name}/system"), "migration_uri": st.just("tcp://[fd00::1]:49152"),
        "link_speed": SPEEDS, "network_speed": SPEEDS, "link_interfaces": st.just(["eno1", "bond0.7"]),
        "memory_limit": AMOUNTS, "memory_reserve": AMOUNTS, "cpu_limit": st.floats(1e-9, 65536.0),
        "processors": st.floats(1e-9, 65536.0), "idle_watts": st.floats(0.001, 1e5),
        "vouched_storage": st.integers(0, 80).map(lambda many: [f"/srv/vms-{number}" for number in range(many)]),
        "labels": st.dictionaries(TEXTS, TEXTS, max_size=3) | st.just({f"key-{number}": "" for number in range(80)})}))
    uri = f"qemu+ssh://{name}/system?known_hosts=/etc/{draw(st.integers(1, 300)) * 'x'}"
    return HostEntry.model_validate({"name": name, "uri": uri, **said}).declared(HostDefaults())


@st.composite
def machines(draw: st.DrawFn) -> Hardware:
    nodes = draw(st.sets(st.integers(0, 63), max_size=5))
    cells = "".join(
        f"<cell id='{node}'>" + "".join(
            f"<pages unit='KiB' size='{size}'>{draw(st.integers(0, 1 << 22))}</pages>" for size in PAGES_KIB)
        + f"<cpus><cpu id='{2 * node}'/><cpu id='{2 * node + 1}'/></cpus></cell>" for node in sorted(nodes))
    guests = "".join(
        f"<guest><arch name={quoteattr(draw(WORDS))}><domain type='kvm'/><domain type='qemu'/>"
        + "".join(f"<machine>{name}</machine>" for name in draw(st.sampled_from(
            [[], ["pc", "none", "null", "0"], [f"virt-{number}" for number in range(300)]])))
        + "</arch></guest>" for _ in range(draw(st.integers(0, 3))))
    root = read_xml(f"<capabilities><host><topology><cells>{cells}</cells></topology></host>{guests}</capabilities>")
    return hardware_of(root, draw(st.just(()) | st.tuples(WORDS, WORDS, WORDS)))


@st.composite
def records(draw: st.DrawFn, number: int) -> VmRecord:
    memory, vcpus = draw(st.integers(1, 1 << 36)), draw(st.integers(1, 4096))
    wishes = draw(st.fixed_dictionaries({}, optional={
        "ignore": WORDS, "pinned": WORDS, "priority": st.integers(-10**6, 10**6).map(str), "group": WORDS,
        "tags": st.just(",".join(f"tag-{number}" for number in range(80))), "mobility": st.sampled_from(("cold", "?")),
        "downtime": st.integers(0, 10**6).map(str), "post_copy": WORDS, "shutdown": WORDS, "check": CHECKS}))
    backing = draw(st.sampled_from(("", "<memoryBacking><hugepages/></memoryBacking>",
                                    "<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>")))
    disks = "".join(f"<disk type='file'><source file='/srv/{one}'/><target dev='vd{one}'/></disk>" for one in range(40))
    tune = ("<numatune><memory mode='strict' nodeset='0,2-3'/></numatune>"
            "<cputune><vcpupin vcpu='0' cpuset='0-7,^1'/></cputune>")
    cpu = "<cpu mode='host-model'/>"
    text = (f"<domain type='kvm'><name>x</name><memory unit='KiB'>{memory}</memory><vcpu>{vcpus}</vcpu>{backing}"
            f"<metadata><ballastd xmlns='https://ballastd.org/1' "
            + " ".join(f"{key}={quoteattr(value)}" for key, value in wishes.items())
            + f"/></metadata><os><type arch='x86_64' machine={quoteattr(draw(WORDS))}>hvm</type></os>"
            f"{draw(st.sampled_from(('', tune)))}{draw(st.sampled_from(('', '<cpu/>', cpu)))}"
            f"<devices>{draw(st.sampled_from(('', disks)))}</devices></domain>")
    facts = domain_facts(text, ())
    one = facts.wishes
    # as the look at a host puts it together
    return VmRecord(
        VmId(f"{number:08x}-0000-4000-8000-000000000000"), "".join(c if c.isprintable() else "�" for c in draw(NAMES)[:128]),
        draw(st.sampled_from(VmState)), facts.memory, facts.vcpus, draw(st.sampled_from(JobKind)), "1/5",
        persistent=draw(st.booleans()), autostart=draw(st.booleans()), priority=one.priority,
        pins=(*facts.pins, SNAPSHOT_PIN, MANAGED_SAVE_PIN), tags=one.tags, group=one.group, ignored=one.ignored,
        mobility=one.mobility, downtime_max_ms=one.downtime_max_ms, post_copy=one.post_copy, shutdown=one.shutdown,
        needs=facts.needs, check=one.check, check_flaw=one.check_flaw)


@st.composite
def inventories(draw: st.DrawFn, host: HostName) -> HostInventory:
    vms = tuple([draw(records(number)) for number in sorted(draw(st.sets(st.integers(0, 5), max_size=3)))])
    usage = {vm.vm: VmUsage(draw(st.none() | st.floats(0.0, 1e9)), dirty_mib_s=draw(st.none() | st.floats(0.0, 1e6)))
             for vm in vms}
    return HostInventory(
        host, NOW, NOW, Bytes(draw(st.integers(1 << 16, 1 << 40)) * KIB), Bytes(GIB), draw(st.integers(1, 4096)), vms,
        host_uuid=draw(st.sampled_from(("", "0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c01"))), usage=usage,
        hardware=draw(st.none() | machines()))


@st.composite
def live_clusters(draw: st.DrawFn) -> ClusterCopy:
    names = sorted(draw(st.sets(st.sampled_from(("0", "1e3", "host.example.org", "kvm-01", "no")), min_size=1, max_size=3)))
    cluster = ClusterDeclaration(tuple([draw(declared(name)) for name in names]))
    shown = {host.name: draw(inventories(host.name)) for host in cluster.hosts}
    return copy_of(cluster, shown, Ledger(), Loads(Seconds(600.0)), NOW)


@given(live_clusters())
def test_what_is_saved_of_a_live_cluster_is_read_back_as_it_was(copy: ClusterCopy) -> None:
    sent: ClusterCopy = from_plain(ClusterCopy, json.loads(json.dumps(to_plain(copy))))
    assert sent == copy
    saved = replace(copy.cluster, vms=tuple(
        # what an owner said that cannot be used is no part of what a VM is
        replace(vm, record=replace(vm.record, check_flaw="")) for vm in copy.cluster.vms))
    assert read_cluster(dump_cluster(saved)) == saved
    assert read_cluster(dump_json(saved)) == saved
    assert json.loads(dump_json(saved))["name"] == "live"
    hidden = anonymous(saved)
    assert read_cluster(dump_cluster(hidden)) == hidden
