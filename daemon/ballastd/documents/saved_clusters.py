"""Saved clusters are read from text, ``ballastd-cluster/1``: YAML, or JSON, which is YAML as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ballastd.core.quantities import HostName, VmId, human_bytes
from ballastd.core.saved_cluster import SavedCluster
from ballastd.documents.cluster_models import (
    ClusterModel,
)
from ballastd.documents.positions import Budget, Document, dotted, parse, read
from ballastd.documents.validation import Clash, validate
from ballastd.errors import ConfigurationError

BYTES_MAX = 64 << 20
VALUES_MAX = 2_000_000


def load_cluster(path: Path) -> SavedCluster:
    """Read a saved cluster from a file.

    Raises:
        ConfigurationError: it is none; every problem with file, line and column.
    """
    return read_cluster(read(path, BYTES_MAX), str(path))


def read_cluster(text: str, file: str = "cluster") -> SavedCluster:
    """Read a saved cluster. ``file``: what problems call it.

    Raises:
        ConfigurationError: it is none.
    """
    documents = parse(file, text, Budget(VALUES_MAX))
    if len(documents) != 1:
        raise ConfigurationError((f"{file}:1:1: {len(documents)} documents; a saved cluster is one",))
    problems: list[str] = []
    model = validate(ClusterModel, documents[0], problems)
    if model is None:
        raise ConfigurationError(tuple(problems))
    found = _cluster(model, documents[0], problems)
    problems += _contradictions(found, model, documents[0])
    if problems:
        raise ConfigurationError(tuple(problems))
    return found


def _cluster(model: ClusterModel, document: Document, problems: list[str]) -> SavedCluster:
    hosts = []
    for index, one in enumerate(model.hosts):
        try:
            hosts.append(one.saved(model.name, model.defaults, is_copy=model.saved is not None))
        except Clash as clash:
            path = ("hosts", index, *clash.path)
            problems.append(f"{document.where(path)}: {dotted(path)}: {clash}")
    vms = sorted((vm.saved(model.name) for vm in model.vms), key=lambda vm: vm.record.vm)
    return SavedCluster(tuple(sorted(hosts, key=lambda host: host.name)), tuple(vms), model.name, model.saved)


def _contradictions(cluster: SavedCluster, model: ClusterModel, document: Document) -> Iterator[str]:
    """Yield what cannot be: two of one name, a VM on no host, more memory in use than there is."""
    names = Counter(host.name for host in model.hosts)
    for index, host in enumerate(model.hosts):
        if any(other.name == host.name for other in model.hosts[:index]) and names[host.name] > 1:
            path = ("hosts", index, "name")
            yield f"{document.where(path)}: {dotted(path)}: {host.name} stands here twice; rename one"
    ids: dict[VmId, str] = {}
    for index, vm in enumerate(model.vms):
        found = vm.saved(model.name).record.vm
        if found in ids:
            yield (f"{document.where(('vms', index))}: vms[{index}]: {vm.name} is the same VM as {ids[found]}; rename one, "
                   "or give each an id of its own")
        ids[found] = vm.name
        if vm.host not in names:
            path = ("vms", index, "host")
            yield (f"{document.where(path)}: {dotted(path)}: {vm.host} is no host of this cluster; they are "
                   f"{_some(names)}")
    yield from _crowded(cluster, model, document)


def _crowded(cluster: SavedCluster, model: ClusterModel, document: Document) -> Iterator[str]:
    held: Counter[HostName] = Counter()
    backed: Counter[HostName] = Counter()
    for saved in cluster.vms:
        if saved.record.state.holds_memory:
            held[saved.host] += saved.record.ordinary
            backed[saved.host] += saved.record.needs.backed
    machines = {host.name: host for host in cluster.hosts}
    for index, entry in enumerate(model.hosts):
        machine = machines.get(HostName(entry.name))
        if machine is None:
            continue
        where, has = f"{document.where(('hosts', index))}: hosts[{index}]", held[machine.name]
        pooled = machine.hardware.pooled if machine.hardware is not None else 0
        beside = " beside its huge pages" if pooled else ""
        if (has or backed[machine.name]) and not machine.is_on:
            yield f"{where}: {entry.name} is off, and VMs run on it; say on: true, or put them elsewhere"
        if model.saved is not None:
            continue  # a copy of what was so: VMs may have more than their host has, as long as they do not use it
        if has > machine.memory_total - pooled:
            yield (f"{where}: the VMs on {entry.name} have {human_bytes(has)}, the host "
                   f"{human_bytes(machine.memory_total - pooled)}{beside}; move some, or give it more")
        if backed[machine.name] > pooled:
            yield (f"{where}: the VMs on {entry.name} have {human_bytes(backed[machine.name])} in huge pages, the host sets "
                   f"{human_bytes(pooled)} aside; give it more (hardware: huge_pages), or take theirs out")


def _some(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
