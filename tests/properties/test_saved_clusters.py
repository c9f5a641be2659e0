"""What is written of a cluster is read back as the same cluster, whatever it is called and whatever it does."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ballastd.core.arrival_checks import AGENT, check_of
from ballastd.core.hardware import Backing, Emulator, Hardware, Needs, PagePool
from ballastd.core.inventory import DeclaredHost, Mobility, Pin, PinKind, VmRecord, VmState
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId
from ballastd.core.saved_cluster import Demand, DemandKind, SavedCluster, SavedHost, SavedVm
from ballastd.documents.anonymous import anonymous
from ballastd.documents.saved_clusters import read_cluster
from ballastd.documents.written_clusters import dump_cluster, dump_json
from ballastd.sim.generating import generate

TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20)
MARKS = st.from_regex(r"\A[a-z][a-z0-9._-]{0,10}\Z")
NUMBERS = st.floats(0.001, 100.0)
SIZES = st.integers(1, 64 * GIB).map(Bytes)

NUMBER_SETS = st.sets(st.integers(0, 300), max_size=6).map(lambda found: tuple(sorted(found)))
WORDS = st.lists(TEXTS, max_size=3).map(tuple)
PAGES = st.sampled_from([Bytes(2 << 20), Bytes(1 << 30), Bytes(64 << 10)])
MACHINES = st.builds(
    Hardware, NUMBER_SETS, NUMBER_SETS,
    st.lists(st.builds(PagePool, PAGES, st.integers(0, 16), st.integers(0, 3)), max_size=3).map(sorted).map(tuple),
    WORDS, st.lists(st.builds(Emulator, TEXTS, WORDS, WORDS), max_size=2).map(sorted).map(tuple))


CHECKS = st.sampled_from((None, AGENT, *map(check_of, ("tcp://10.0.0.7:22", "https://[fd00::7]:8443/health?deep=%20"))))


@st.composite
def needs_of(draw: st.DrawFn, memory: int) -> Needs:
    backing = tuple(sorted(Backing(size, Bytes(draw(st.integers(1, max(1, memory // 2)))))
                           for size in draw(st.sets(PAGES | st.just(Bytes(0)), max_size=2))))
    return Needs(backing if sum(one.memory for one in backing) <= memory else (), draw(NUMBER_SETS), draw(NUMBER_SETS),
                 draw(st.just("") | TEXTS), draw(st.just("") | TEXTS), draw(st.just("") | TEXTS), draw(st.booleans()),
                 draw(st.just("") | TEXTS))


@st.composite
def clusters(draw: st.DrawFn) -> SavedCluster:
    names = draw(st.lists(st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,10}\Z"), min_size=1, max_size=4, unique=True))
    hosts = []
    for name in sorted(names):
        declared = DeclaredHost(
            HostName(name), draw(st.sampled_from([f"simulated://{name}", "qemu+tls://kvm/system"])),
            migration_uri=draw(st.sampled_from([None, "tcp://10.0.0.1"])), link_mib_s=draw(st.floats(1.0, 10000.0)),
            network_mib_s=draw(st.none() | st.floats(1.0, 10000.0)),
            link_interfaces=tuple(draw(st.lists(st.sampled_from(["eno1", "eno2"]), max_size=2, unique=True))),
            memory_limit=draw(st.sampled_from([None, Bytes(3 * GIB + 1)])), memory_reserve=draw(SIZES),
            cpu_limit=draw(st.none() | NUMBERS), processors=draw(st.none() | NUMBERS),
            power=draw(st.sampled_from(["", "redfish", "simulated"])), power_identity=draw(st.booleans()),
            idle_watts=draw(st.none() | NUMBERS),
            labels=tuple(sorted(draw(st.dictionaries(TEXTS, st.text(st.characters(blacklist_categories=("Cs",)), max_size=9),
                                                     max_size=3)).items())),
            vouched_storage=tuple(draw(st.lists(st.sampled_from(["/srv/a", "/srv/b", "/dev/vg", "rbd:vms"]), max_size=2))))
        hosts.append(SavedHost(declared, Bytes(1 << 40), draw(st.integers(1, 512)), draw(st.none() | NUMBERS),
                               Seconds(draw(st.floats(0.0, 1e5))), Seconds(float(draw(st.integers(0, 10**6)))),
                               machine=draw(st.sampled_from(["", "0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c01"])),
                               hardware=draw(st.none() | MACHINES)))
    vms = []
    for number in range(draw(st.integers(0, 4))):
        low, more = draw(st.floats(0.0, 4.0)), draw(st.floats(0.0, 4.0))
        kind = draw(st.sampled_from(DemandKind))
        if low and low < 1e-9:
            low = 0.0
        memory = draw(SIZES)
        demand = Demand(kind, low, low + more, Seconds(draw(st.floats(1.0, 1e6))), draw(st.floats(0.0, 1.0)),
                        Seconds(float(draw(st.integers(0, 86400)))))
        record = VmRecord(
            VmId(f"{number:08x}-0000-4000-8000-000000000000"), draw(TEXTS), draw(st.sampled_from(
                [VmState.RUNNING, VmState.SHUTOFF, VmState.PAUSED])), memory, draw(st.integers(8, 128)),
            persistent=draw(st.booleans()), autostart=draw(st.booleans()), priority=draw(st.integers(-100, 100)),
            pins=tuple(Pin(kind, draw(TEXTS), draw(TEXTS)) for kind in draw(st.lists(st.sampled_from(PinKind), max_size=2))),
            tags=tuple(draw(st.lists(MARKS, max_size=3))), group=draw(st.just("") | MARKS), ignored=draw(st.booleans()),
            mobility=draw(st.sampled_from(Mobility)), downtime_max_ms=draw(st.none() | st.integers(1, 60_000)),
            post_copy=draw(st.booleans()), shutdown=draw(st.booleans()), check=draw(CHECKS), needs=draw(needs_of(memory)))
        host = draw(st.sampled_from(hosts))
        if record.state is not VmState.SHUTOFF and 4 * record.needs.backed > (host.hardware.pooled if host.hardware else 0):
            record = replace(record, needs=replace(record.needs, backing=()))
        vms.append(SavedVm(record, host.name, demand, draw(st.floats(0.0, 1000.0)),
                           draw(st.floats(0.0001, 1.0)), draw(st.floats(0.0, 1000.0))))
    return SavedCluster(tuple(hosts), tuple(vms), draw(TEXTS), draw(st.none() | st.floats(0.0, 1e10)))


@given(clusters())
def test_yaml_and_json_are_read_back_as_the_same_cluster(cluster: SavedCluster) -> None:
    assert read_cluster(dump_cluster(cluster)) == cluster
    assert read_cluster(dump_json(cluster)) == cluster
    assert json.loads(dump_json(cluster))["name"] == cluster.name, "others read it, too"
    assert dump_cluster(read_cluster(dump_cluster(cluster))) == dump_cluster(cluster)


@given(clusters())
def test_what_is_anonymous_says_no_name_and_can_be_read(cluster: SavedCluster) -> None:
    hidden = anonymous(cluster)
    assert read_cluster(dump_cluster(hidden)) == hidden
    assert anonymous(hidden).hosts == hidden.hosts
    assert [host.memory_total for host in hidden.hosts] == [host.memory_total for host in cluster.hosts]
    assert anonymous(renamed(cluster)) == hidden, "nothing of what it is called is left in it"


def renamed(cluster: SavedCluster) -> SavedCluster:
    """Return a cluster with other names for its hosts, in the same order, and for its VMs."""
    hosts = {name: HostName(f"other-{number:04}") for number, name in enumerate(sorted(host.name for host in cluster.hosts))}
    return replace(
        cluster, name=f"other {cluster.name}",
        hosts=tuple(replace(host, declared=replace(
            host.declared, name=hosts[host.name],
            link_interfaces=tuple(f"other {one}" for one in host.declared.link_interfaces))) for host in cluster.hosts),
        vms=tuple(replace(vm, host=hosts[vm.host], record=replace(vm.record, name=f"other {vm.record.name}"))
                  for vm in cluster.vms))


@given(st.integers(0, 100))
def test_made_up_clusters_are_short_to_write(seed: int) -> None:
    cluster = generate(6, 40, seed)
    text = dump_cluster(cluster)
    assert read_cluster(text) == cluster
    assert max(map(len, text.splitlines())) <= 120
