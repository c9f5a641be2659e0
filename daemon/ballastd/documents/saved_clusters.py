"""SHIM until the real text format arrives."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Literal

from pydantic import Field

from ballastd.core.inventory import DeclaredHost, Pin, PinKind, VmRecord, VmState
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId
from ballastd.core.saved_cluster import Demand, DemandKind, SavedCluster, SavedHost, SavedVm
from ballastd.documents.positions import parse, read
from ballastd.documents.scalars import Bandwidth, Duration, LinkSpeed, Processors, Share, Size, Watts, YesNo, link
from ballastd.documents.validation import Strict, validate
from ballastd.errors import ConfigurationError

NAMESPACE = uuid.UUID("5a1f7a52-3a54-4d0b-8f0c-5f5f0c9a2d11")


class HostModel(Strict):
    name: str
    memory: Size = 64 * GIB
    processors: Processors = 16.0
    link_speed: LinkSpeed = link("10Gbit/s")
    memory_limit: Size | None = None
    memory_reserve: Size = 4 * GIB
    cpu_limit: Processors | None = None
    power: str = ""
    idle_watts: Watts | None = None
    busy_watts: Watts | None = None
    boot: Duration = 180.0
    shutdown: Duration = 30.0
    on: YesNo = True
    labels: dict[str, str] = Field(default_factory=dict)


class DemandModel(Strict):
    kind: DemandKind = DemandKind.STEADY
    low: float = 0.0
    high: float = 0.05
    period: Duration = 86400.0
    duty: Share = 0.5
    peak: Duration = 14 * 3600.0


class VmModel(Strict):
    name: str
    host: str
    memory: Size = 4 * GIB
    vcpus: int = 2
    state: VmState = VmState.RUNNING
    demand: DemandModel = DemandModel()
    dirty: Bandwidth = 0.0
    working_set: Share = 0.25
    priority: int = 0
    tags: list[str] = Field(default_factory=list)
    group: str = ""
    ignored: YesNo = False
    pins: list[dict[str, str]] = Field(default_factory=list)


class ClusterModel(Strict):
    format: Literal["ballastd-cluster/1"]
    name: str = "cluster"
    defaults: dict[str, object] = Field(default_factory=dict)
    hosts: list[HostModel]
    vms: list[VmModel] = Field(default_factory=list)


def load_cluster(path: Path) -> SavedCluster:
    documents = parse(str(path), read(path))
    problems: list[str] = []
    value = documents[0].value
    for host in value.get("hosts", []):
        for key, default in value.get("defaults", {}).items():
            host.setdefault(key, default)
    model = validate(ClusterModel, documents[0], problems)
    if model is None:
        raise ConfigurationError(tuple(problems))
    hosts = tuple(SavedHost(
        DeclaredHost(HostName(h.name), f"simulated://{h.name}", link_mib_s=h.link_speed, power=h.power,
                     memory_limit=Bytes(h.memory_limit) if h.memory_limit is not None else None,
                     memory_reserve=Bytes(h.memory_reserve), cpu_limit=h.cpu_limit, idle_watts=h.idle_watts,
                     labels=tuple(sorted(h.labels.items()))),
        Bytes(h.memory), int(h.processors), h.busy_watts, Seconds(h.boot), Seconds(h.shutdown), h.on,
        str(uuid.uuid5(NAMESPACE, f"{model.name}/{h.name}"))) for h in sorted(model.hosts, key=lambda h: h.name))
    vms = tuple(sorted((SavedVm(
        VmRecord(VmId(str(uuid.uuid5(NAMESPACE, f"{model.name}//{v.name}"))), v.name, v.state, Bytes(v.memory), vcpus=v.vcpus,
                 priority=v.priority, tags=tuple(v.tags), group=v.group, ignored=v.ignored,
                 pins=tuple(Pin(PinKind(p["kind"]), p["thing"], "") for p in v.pins)),
        HostName(v.host),
        Demand(v.demand.kind, v.demand.low, v.demand.high, Seconds(v.demand.period), v.demand.duty, Seconds(v.demand.peak)),
        v.dirty, v.working_set) for v in model.vms), key=lambda vm: vm.record.vm))
    return SavedCluster(hosts, vms, model.name)
