"""Saved clusters are written as text that is read back as an equal value.

Only what is momentary is left out, jobs under way and counters, and what owners said that cannot be used.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from ballastd.core.inventory import VmState
from ballastd.core.saved_cluster import Demand, SavedCluster, SavedHost, SavedVm
from ballastd.documents import identities
from ballastd.documents.cluster_models import (
    BOOT_SECONDS,
    FORMAT,
    NOTHING_SAID,
    PIN_CURE,
    RESERVE,
    SHUTDOWN_SECONDS,
    HostKeys,
    simulated_uri,
)
from ballastd.documents.hardware_models import hardware_text, needs_text
from ballastd.documents.scalars import link
from ballastd.documents.written import duration, number, share, size, traffic
from ballastd.documents.written import link as link_text

WIDTH = 110
SHARED_BY_MIN = 2
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*"
                    r"|[0-9]+(?:\.[0-9]+)?(?:[KMGT]iB|B|%|s|m|h|d|[A-Za-z]+/s)|[0-9]+[dhm](?:[0-9]+[hms])*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
_STATES = {VmState.RUNNING: "running", VmState.SHUTOFF: "shutoff", VmState.PAUSED: "paused"}


def plain(cluster: SavedCluster) -> dict[str, Any]:
    """Return a cluster as plain data, as it stands in a file: what is as usual is left out."""
    hosts = [_host(host, cluster.name) for host in cluster.hosts]
    vms = sorted(cluster.vms, key=lambda vm: (vm.record.name, vm.record.vm))
    defaults = _shared(hosts)
    result: dict[str, Any] = {"format": FORMAT, "name": cluster.name}
    if cluster.saved_wall is not None:
        result["saved"] = _moment(cluster.saved_wall)
    if defaults:
        result["defaults"] = defaults
    return {**result, "hosts": hosts, "vms": [_vm(vm, cluster.name) for vm in vms]}


def dump_cluster(cluster: SavedCluster) -> str:
    """Return a cluster as YAML: a host or VM a line, so that two files can be compared."""
    lines = []
    for key, value in plain(cluster).items():
        if isinstance(value, list):
            lines.append(f"{key}:" if value else f"{key}: []")
            lines += [f"  - {_flow(one, 4)}" for one in value]
        else:
            lines.append(f"{key}: {_flow(value, len(key) + 2)}")
    return "\n".join(lines) + "\n"


def dump_json(cluster: SavedCluster) -> str:
    """Return a cluster as JSON, which is read as well."""
    text = json.dumps(plain(cluster), indent=1, ensure_ascii=False)
    # JSON writes what lies beyond 16 bits as two halves, which YAML takes for none: such a sign stands for itself
    return "".join(sign if sign == "\n" or ord(sign) >= 1 << 16 else _sign_within(sign) for sign in text) + "\n"


def _host(host: SavedHost, cluster: str) -> dict[str, Any]:
    declared = host.declared
    found: dict[str, Any] = {"name": host.name, "memory": size(host.memory_total), "processors": host.cpus}
    _put(found, "uri", declared.uri, simulated_uri(host.name))
    _put(found, "peer_uri", declared.peer_uri, "")
    _put(found, "migration_uri", declared.migration_uri, None)
    _put(found, "link_speed", link_text(declared.link_mib_s), link_text(link("10Gbit/s")))
    _put(found, "network_speed", None if declared.network_mib_s is None else link_text(declared.network_mib_s), None)
    _put(found, "link_interfaces", list(declared.link_interfaces), [])
    _put(found, "memory_limit", None if declared.memory_limit is None else size(declared.memory_limit), None)
    _put(found, "memory_reserve", size(declared.memory_reserve), size(RESERVE))
    for key, value in (("cpu_limit", declared.cpu_limit), ("telemetry_processors", declared.processors),
                       ("idle_watts", declared.idle_watts), ("busy_watts", host.busy_watts)):
        _put(found, key, None if value is None else number(value), None)
    _put(found, "power", declared.power, "")
    _put(found, "power_identity", declared.power_identity, True)
    _put(found, "boot", duration(host.boot_seconds), duration(BOOT_SECONDS))
    _put(found, "shutdown", duration(host.shutdown_seconds), duration(SHUTDOWN_SECONDS))
    _put(found, "vouched_storage", list(declared.vouched_storage), [])
    _put(found, "labels", dict(declared.labels), {})
    _put(found, "hardware", None if host.hardware is None else hardware_text(host.hardware), None)
    _put(found, "on", host.is_on, True)
    _put(found, "machine", host.machine, identities.machine_id(cluster, host.name))
    return found


def _shared(hosts: list[dict[str, Any]]) -> dict[str, Any]:
    """Take what all hosts say alike out of them, and return it. Labels stay with the hosts."""
    if len(hosts) < SHARED_BY_MIN:
        return {}
    keys = [key for key in hosts[0] if key in HostKeys.model_fields and key not in ("labels", "vouched_storage")]
    same = {key: hosts[0][key] for key in keys if all(host.get(key) == hosts[0][key] for host in hosts)}
    for host in hosts:
        for key in same:
            del host[key]
    return same


def _vm(vm: SavedVm, cluster: str) -> dict[str, Any]:
    record = vm.record
    found: dict[str, Any] = {"name": record.name, "host": vm.host, "memory": size(record.memory_max)}
    _put(found, "vcpus", record.vcpus, 1)
    _put(found, "state", _STATES.get(record.state, "running"), "running")
    _put(found, "demand", _demand(vm.demand), _demand(NOTHING_SAID))
    _put(found, "dirty", traffic(vm.dirty_mib_s), traffic(0.0))
    _put(found, "working_set", share(vm.working_set), share(0.25))
    _put(found, "network", traffic(vm.network_mib_s), traffic(0.0))
    _put(found, "tags", list(record.tags), [])
    for key, value, usual in (("group", record.group, ""), ("priority", record.priority, 0),
                              ("ignored", record.ignored, False), ("mobility", record.mobility.value, "live"),
                              ("downtime_max_ms", record.downtime_max_ms, None), ("post_copy", record.post_copy, True),
                              ("shutdown", record.shutdown, True),
                              ("check", record.check.words() if record.check else None, None),
                              ("persistent", record.persistent, True),
                              ("autostart", record.autostart, False)):
        _put(found, key, value, usual)
    _put(found, "pins", [{"kind": pin.kind.value, "thing": pin.thing, **({} if pin.cure == PIN_CURE else {"cure": pin.cure})}
                         for pin in record.pins], [])
    _put(found, "needs", needs_text(record.needs), {})
    _put(found, "id", record.vm, identities.vm_id(cluster, record.name))
    return found


def _demand(demand: Demand) -> Any:
    if demand == Demand(high=demand.high):
        return number(demand.high)
    found: dict[str, Any] = {"kind": demand.kind.value}
    _put(found, "low", number(demand.low), 0)
    found["high"] = number(demand.high)
    _put(found, "period", duration(demand.period), duration(NOTHING_SAID.period))
    _put(found, "duty", share(demand.duty), share(NOTHING_SAID.duty))
    _put(found, "peak", duration(demand.peak), duration(NOTHING_SAID.peak))
    return found


def _put(into: dict[str, Any], key: str, value: Any, usual: Any) -> None:
    if value != usual:
        into[key] = value


def _moment(wall: float) -> Any:
    if not float(wall).is_integer():
        return wall
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _flow(value: Any, indent: int) -> str:
    """Return a value in flow style; a mapping that is too long for a line goes on in the next."""
    if not isinstance(value, dict):
        return _scalar(value)
    parts = [f"{_scalar(str(key))}: {_inner(part)}" for key, part in value.items()]
    lines, line = [], ""
    for part in parts:
        if line and len(line) + len(part) + indent > WIDTH:
            lines.append(line)
            line = part
        else:
            line = f"{line}, {part}" if line else part
    return "{" + (",\n" + " " * (indent + 1)).join([*lines, line]) + "}"


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(str(key))}: {_inner(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inner(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_sign(sign) for sign in text) + '"'


def _sign(sign: str) -> str:
    return "\\" + sign if sign in '"\\' else _sign_within(sign)


def _sign_within(sign: str) -> str:
    if sign.isprintable():
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) < 1 << 16 else f"\\U{ord(sign):08x}"
