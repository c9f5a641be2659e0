"""A live cluster becomes a saved one: where its VMs run, and what they used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.hardware import Backing, Emulator, Hardware, Needs, PagePool
from ballastd.core.inputs import Verb
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant
from ballastd.documents.saved_clusters import read_cluster
from ballastd.documents.written_clusters import dump_cluster, dump_json
from tests.builders import a_cluster, table, vm_id


def test_a_copy_has_hosts_vms_and_what_they_used() -> None:
    t = table(a_cluster().host("h1").running("a").running("b").host("h2")).warm_up()
    t.burn(a=0.75)
    t.burn_on(1200.0)
    copy = t.controller.copy(t.now)
    assert copy.missing == ()
    assert [host.name for host in copy.cluster.hosts] == ["h1", "h2"]
    a, b = (next(vm for vm in copy.cluster.vms if vm.record.name == name) for name in "ab")
    assert (a.host, round(a.demand.high, 2), b.host) == ("h1", 0.75, "h1")
    assert copy.cluster.saved_wall == int(t.now.wall)


def test_what_machines_are_and_vms_need_comes_through_a_file() -> None:
    size = Bytes(2 * MIB)
    machine = Hardware((0, 2), (0, 1, 8), (PagePool(size, 0, 2), PagePool(size, 4096, 0)), ("EPYC", "AMD", "1"),
                       (Emulator("x86_64", ("kvm", "qemu"), ("microvm", "q35")),))
    needs = Needs((Backing(size, Bytes(4 * GIB)),), (0,), (1, 8), "x86_64", "q35", "kvm", sees_host=True)
    other = Needs((Backing(Bytes(0), Bytes(GIB)),), likeness="4711")
    builder = a_cluster().host("h1").described(machine).running("a", needs=needs).running("b", needs=other).host("h2")
    live = table(builder).warm_up().controller.copy(Instant(0.0, 0.0, "boot")).cluster
    copy = replace(live, hosts=tuple(replace(host, machine="") for host in live.hosts))
    assert [host.hardware for host in copy.hosts] == [machine, None]
    for text in (dump_cluster(copy), dump_json(copy)):
        read = read_cluster(text)
        assert [host.hardware for host in read.hosts] == [machine, None]
        assert {vm.record.name: vm.record.needs for vm in read.vms} == {"a": needs, "b": other}


def test_a_vm_on_its_way_is_where_it_runs_and_jobs_are_not_kept() -> None:
    t = table(a_cluster().host("h1").running("a").host("h2")).warm_up()
    record = t.world["h1"][vm_id("a")]
    t.world["h1"][record.vm] = replace(record, job=JobKind.OUTGOING)
    t.world["h2"][record.vm] = replace(record, state=VmState.INCOMING, job=JobKind.INCOMING)
    t.settle(3, 2.0)
    (found,) = t.controller.copy(t.now).cluster.vms
    assert (found.host, found.record.state, found.record.job) == ("h1", VmState.RUNNING, JobKind.NONE)


@pytest.mark.parametrize("state", [VmState.PAUSED, VmState.HANDOVER, VmState.INCOMING, VmState.LEFTOVER])
def test_a_vm_that_only_left_its_definition_behind_is_where_it_has_memory(state: VmState) -> None:
    for here, there in (("h1", "h2"), ("h2", "h1")):
        t = table(a_cluster().host(here).running("a").host(there)).warm_up()
        record = t.world[here][vm_id("a")]
        t.world[here][record.vm] = replace(record, state=VmState.SHUTOFF)
        t.world[there][record.vm] = replace(record, state=state)
        t.settle(3, 2.0)
        (found,) = t.controller.copy(t.now).cluster.vms
        assert (found.host, found.record.state.holds_memory) == (there, True)


def test_a_vm_that_has_left_a_host_that_does_not_answer_since_is_where_it_was_seen_last() -> None:
    t = table(a_cluster().host("h1").host("h2").running("a")).warm_up()
    t.dark.add("h2")
    t.world["h1"][vm_id("a")] = t.world["h2"].pop(vm_id("a"))
    t.settle(3, 2.0)
    (found,) = t.controller.copy(t.now).cluster.vms
    assert found.host == "h1", "h2 shows it in a look from before"


def test_a_host_that_was_never_seen_is_missing_and_not_made_up() -> None:
    t = table(a_cluster().host("h1").running("a").host("h2"))
    t.dark.add("h2")
    t.step()
    copy = t.controller.copy(t.now)
    assert copy.missing == (HostName("h2"),)
    assert [host.name for host in copy.cluster.hosts] == ["h1"]


def test_what_an_operator_has_closed_and_is_having_emptied_goes_along() -> None:
    t = table(a_cluster().host("h1").running("a").host("h2").host("h3")).warm_up()
    t.say(Verb.CORDON, "h2")
    t.say(Verb.DRAIN, "h3")
    t.step()
    copy = t.controller.copy(t.now)
    assert (copy.cordoned, copy.drained) == (("h2",), ("h3",))
