"""The keys of a saved cluster: a host, what all hosts have unless they say otherwise, a VM, and what it demands."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from ballastd.core.arrival_checks import Check, check_of
from ballastd.core.inventory import DeclaredHost, Mobility, Pin, PinKind, VmRecord, VmState
from ballastd.core.policies import VM_MARK
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId, human_bytes
from ballastd.core.saved_cluster import Demand, DemandKind, SavedHost, SavedVm
from ballastd.documents import identities
from ballastd.documents.hardware_models import HardwareModel, NeedsModel
from ballastd.documents.host_settings import HOST_NAME, MIGRATION_URI, Interfaces, MemoryLimit
from ballastd.documents.scalars import (
    PROCESSORS_MAX,
    Bandwidth,
    Duration,
    Lasting,
    LinkSpeed,
    Percent,
    Processors,
    Share,
    Size,
    Vouched,
    Watts,
    Whole,
    YesNo,
    link,
    processors,
    shown,
)
from ballastd.documents.validation import Clash, Strict

FORMAT = "ballastd-cluster/1"
HOSTS_MAX = 5000
VMS_MAX = 50_000
WORD_MAX = 255
LIST_MAX = 64
DECLARED_MAX = 1024
DECLARED_TEXT_MAX = 4096
"""Settings bound neither how many labels and storages a host has nor how long these and its addresses are: what stands
there can be saved, and read again."""
PRIORITY_LIMIT = 100
DOWNTIME_MAX_MS = 60_000
WALL_MAX = 1e11
PIN_CURE = "take the pin out of the saved cluster"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DRIVER = re.compile(r"[a-z][a-z0-9-]{0,62}")
NOTHING_SAID = Demand()
RESERVE = 4 * GIB
BOOT_SECONDS, SHUTDOWN_SECONDS = 180.0, 30.0


def simulated_uri(host: str) -> str:
    """Return the URI of a host that does not say one."""
    return f"simulated://{host}"


def _word(value: str) -> str:
    if not value or len(value) > WORD_MAX:
        raise ValueError(f"{shown(value)} is no name: 1 to {WORD_MAX} characters, as in web-1")
    return value


def _text(value: str) -> str:
    if len(value) > WORD_MAX:
        raise ValueError(f"{shown(value)} is longer than {WORD_MAX} characters; say it shorter")
    return value


def _long_text(value: str) -> str:
    if len(value) > DECLARED_TEXT_MAX:
        raise ValueError(f"{shown(value)} is longer than {DECLARED_TEXT_MAX} characters; say it shorter")
    return value


def _address(value: str) -> str:
    if not value:
        raise ValueError("nothing is no address; write for example qemu+tls://kvm-01/system, or take the key out")
    return _long_text(value)


def _uuid(value: str) -> str:
    if not UUID.fullmatch(value.lower()):
        raise ValueError(f"{shown(value)} is no UUID; write for example 0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c01, or take the "
                         "key out: one is made from the name")
    return value.lower()


def _uuid_or_none(value: str) -> str:
    return value and _uuid(value)


def _mark(value: str) -> str:
    if not VM_MARK.fullmatch(value):
        raise ValueError(f"{shown(value)} can be no tag or group of a VM: those are letters, digits, dots, dashes and "
                         "underscores, 64 at most; write for example web-server")
    return value


def _asked(value: Any) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else processors(value)


def _memory(value: int) -> int:
    if value == 0:
        raise ValueError("no memory at all; write for example 4GiB")
    return value


def _saved(value: Any) -> float:
    """Return wall seconds of a UTC timestamp, or of bare seconds where it is no whole second."""
    if isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value < WALL_MAX:
        return float(value)
    try:
        return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError(f"{shown(value)} is no moment; write for example 2026-11-20T12:00:00Z") from None


def _demand(value: Any) -> Any:
    """A bare number is a steady demand."""
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    if not is_number and not isinstance(value, dict):
        raise ValueError(f"{shown(value)} is no demand; write processors, for example 0.5, or {{kind: daily, low: 0.2, "
                         "high: 1.6}")
    return {"kind": "steady", "high": value} if is_number else value


def _driver(value: str) -> str:
    if not DRIVER.fullmatch(value):
        raise ValueError(f"{shown(value)} is no way to switch a host; write for example simulated, or none")
    return value


Word = Annotated[str, AfterValidator(_word)]
Text = Annotated[str, AfterValidator(_text)]
Mark = Annotated[str, AfterValidator(_mark)]
Asked = Annotated[float, BeforeValidator(_asked)]
Memory = Annotated[Size, AfterValidator(_memory)]
Count = Annotated[Whole, Field(ge=1, le=int(PROCESSORS_MAX))]
Saved = Annotated[float, BeforeValidator(_saved, json_schema_input_type=str)]
LongText = Annotated[str, AfterValidator(_long_text)]
Labels = Annotated[dict[LongText, LongText], Field(max_length=DECLARED_MAX)]
Storage = Annotated[list[Vouched], Field(max_length=DECLARED_MAX)]
Driver = Annotated[str, AfterValidator(_driver)]


class DemandModel(Strict):
    """What a VM asks of its processors."""

    kind: DemandKind = NOTHING_SAID.kind
    low: Asked = NOTHING_SAID.low
    high: Asked = NOTHING_SAID.high
    period: Lasting = float(NOTHING_SAID.period)
    duty: Percent = NOTHING_SAID.duty
    peak: Duration = float(NOTHING_SAID.peak)

    @model_validator(mode="after")
    def _low_is_lower(self) -> DemandModel:
        if self.low > self.high:
            raise Clash(("low",), f"{self.low:g} is above high, {self.high:g}; write for example low: 0.2, high: 1.6")
        return self

    def demand(self) -> Demand:
        """Return it as the simulator knows it."""
        return Demand(self.kind, self.low, self.high, Seconds(self.period), self.duty, Seconds(self.peak))


Demanded = Annotated[DemandModel, BeforeValidator(_demand, json_schema_input_type=DemandModel | float)]


class PinModel(Strict):
    """Why a VM cannot leave its host live."""

    kind: PinKind
    thing: Text
    cure: Text = PIN_CURE


def _check(value: Any) -> Check | None:
    if value is None or isinstance(value, Check):
        return value
    if not isinstance(value, str):
        raise ValueError("it is no check; write for example tcp://10.0.0.7:22")
    return check_of(value)


class VmModel(Strict):
    """One VM on its host."""

    name: Word
    host: str
    memory: Memory
    vcpus: Count = 1
    state: Literal["running", "shutoff", "paused"] = "running"
    demand: Demanded = DemandModel()
    dirty: Bandwidth = 0.0
    working_set: Share = 0.25
    network: Bandwidth = 0.0
    tags: Annotated[list[Mark], Field(max_length=LIST_MAX)] = Field(default_factory=list)
    group: Mark | Literal[""] = ""
    priority: Whole = Field(default=0, ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)
    ignored: YesNo = False
    mobility: Mobility = Mobility.LIVE
    downtime_max_ms: Annotated[Whole, Field(ge=1, le=DOWNTIME_MAX_MS)] | None = None
    post_copy: YesNo = True
    shutdown: YesNo = True
    check: Annotated[Check | None, BeforeValidator(_check), WithJsonSchema({"type": "string"})] = None
    persistent: YesNo = True
    autostart: YesNo = False
    pins: Annotated[list[PinModel], Field(max_length=LIST_MAX)] = Field(default_factory=list)
    needs: NeedsModel = NeedsModel()
    id: Annotated[str, AfterValidator(_uuid)] | None = None

    @model_validator(mode="after")
    def _no_more_than_it_has(self) -> VmModel:
        if self.demand.high > self.vcpus:
            raise Clash(("demand",), f"its high, {self.demand.high:g}, is above its vcpus, {self.vcpus}, and a VM cannot "
                                     f"use more processors than it has; write at most {self.vcpus}, or more vcpus")
        backed = sum(one.memory for one in self.needs.huge_pages)
        if backed > self.memory:
            raise Clash(("needs", "huge_pages"), f"{human_bytes(Bytes(backed))} in huge pages are more than its memory, "
                                                 f"{human_bytes(Bytes(self.memory))}; write at most that")
        return self

    def saved(self, cluster: str) -> SavedVm:
        """Return the VM of the cluster called ``cluster``."""
        record = VmRecord(
            VmId(self.id) if self.id else identities.vm_id(cluster, self.name), self.name, VmState(self.state),
            Bytes(self.memory), self.vcpus, persistent=self.persistent, autostart=self.autostart, priority=self.priority,
            pins=tuple(Pin(pin.kind, pin.thing, pin.cure) for pin in self.pins), tags=tuple(self.tags), group=self.group,
            ignored=self.ignored, mobility=self.mobility, downtime_max_ms=self.downtime_max_ms, post_copy=self.post_copy,
            shutdown=self.shutdown, needs=self.needs.needs(), check=self.check)
        return SavedVm(record, HostName(self.host), self.demand.demand(), self.dirty, self.working_set, self.network)


class HostKeys(Strict):
    """What a host may leave to ``defaults``. None where nothing is said."""

    memory: Memory | None = None
    processors: Count | None = None
    link_speed: LinkSpeed | None = None
    network_speed: LinkSpeed | None = None
    link_interfaces: Interfaces | None = None
    memory_limit: MemoryLimit = None
    memory_reserve: Size | None = None
    cpu_limit: Processors | None = None
    telemetry_processors: Processors | None = None
    power: Driver | None = None
    power_identity: YesNo | None = None
    idle_watts: Watts | None = None
    busy_watts: Watts | None = None
    boot: Duration | None = None
    shutdown: Duration | None = None
    vouched_storage: Storage | None = None
    labels: Labels = Field(default_factory=dict)
    hardware: HardwareModel | None = None


class HostModel(HostKeys):
    """One host."""

    name: str
    uri: Annotated[str, AfterValidator(_address)] | None = None
    peer_uri: LongText = ""
    migration_uri: str | None = None
    on: YesNo = True
    machine: Annotated[str, AfterValidator(_uuid_or_none)] | None = None

    @field_validator("name")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not HOST_NAME.fullmatch(value):
            raise ValueError(f"{shown(value)} is no host name: lower-case letters, digits, dots and dashes, as in kvm-01")
        return value

    @field_validator("migration_uri")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not MIGRATION_URI.fullmatch(value):
            raise ValueError(f"{shown(value)} is no address for guest memory; write for example tcp://10.0.0.1")
        return value

    def saved(self, cluster: str, defaults: HostKeys, *, is_copy: bool = False) -> SavedHost:
        """Return the host of the cluster called ``cluster``; what it does not say, ``defaults`` do. ``is_copy``: whether it
        is as a live one was, which may be declared to have more than it has.

        Raises:
            Clash: neither says how much memory or how many processors it has, or its limit is above its memory.
        """
        def said(key: str, otherwise: Any) -> Any:
            return next((value for keys in (self, defaults) if (value := getattr(keys, key)) is not None), otherwise)

        memory, cpus, limit = said("memory", None), said("processors", None), said("memory_limit", None)
        for key, value, example in (("memory", memory, "64GiB"), ("processors", cpus, "16")):
            if value is None:
                raise Clash((key,), f"{self.name} does not say, nor do the defaults; write for example {key}: {example}")
        if limit is not None and limit > memory and not is_copy:
            raise Clash(("memory_limit",), f"{human_bytes(Bytes(limit))} is above the memory of {self.name}, "
                                           f"{human_bytes(Bytes(memory))}")
        power = said("power", "none")
        declared = DeclaredHost(
            HostName(self.name), self.uri or simulated_uri(self.name), self.peer_uri, self.migration_uri,
            link_mib_s=said("link_speed", link("10Gbit/s")), network_mib_s=said("network_speed", None),
            link_interfaces=tuple(said("link_interfaces", ())),
            memory_limit=None if limit is None else Bytes(limit),
            memory_reserve=Bytes(said("memory_reserve", RESERVE)), cpu_limit=said("cpu_limit", None),
            processors=said("telemetry_processors", None), power="" if power == "none" else power,
            power_identity=said("power_identity", True), idle_watts=said("idle_watts", None),
            labels=tuple(sorted({**defaults.labels, **self.labels}.items())),
            vouched_storage=tuple(said("vouched_storage", ())))
        hardware = said("hardware", None)
        pooled = 0 if hardware is None else sum(pool.size * pool.pages for pool in hardware.huge_pages)
        if pooled > memory and not is_copy:
            raise Clash(("hardware", "huge_pages"), f"{human_bytes(Bytes(pooled))} of huge pages are more than the memory "
                                                    f"of {self.name}, {human_bytes(Bytes(memory))}; write at most that")
        machine = self.machine if self.machine is not None else identities.machine_id(cluster, self.name)
        return SavedHost(declared, Bytes(memory), cpus, said("busy_watts", None), Seconds(said("boot", BOOT_SECONDS)),
                         Seconds(said("shutdown", SHUTDOWN_SECONDS)), self.on, machine,
                         None if hardware is None else hardware.hardware())


class ClusterModel(Strict):
    """A saved cluster."""

    format: Literal["ballastd-cluster/1"]
    name: Word = "cluster"
    saved: Saved | None = None
    defaults: HostKeys = HostKeys()
    hosts: Annotated[list[HostModel], Field(min_length=1, max_length=HOSTS_MAX)]
    vms: Annotated[list[VmModel], Field(max_length=VMS_MAX)] = Field(default_factory=list)
