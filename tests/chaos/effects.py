"""What really happened to hosts and guests, told by those to whom it happened: each libvirtd's own log of the calls it took,
the power switches that were thrown, the definitions on disk. The daemon is not asked.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.demo.cluster import power_switch
from tests.lab import Lab, LabError

LIBVIRTD = "libvirtd:///system"
CALLS = {"virDomainMigratePerform3Params": "migrate", "virDomainMigrateSetMaxSpeed": "bandwidth",
         "virDomainMigrateSetMaxDowntime": "standstill", "virDomainAbortJob": "abort", "virDomainAbortJobFlags": "abort",
         "virDomainMigrateStartPostCopy": "post-copy", "virDomainShutdownFlags": "shutdown"}
_CALL = re.compile(r"^(\S+ \S+): (\d+): debug : (virDomain\w+):\d+ : (?:dom=\S+, \(VM: name=(\S+), uuid=\S+\)"
                   r"(?:.*?, (?:bandwidth|downtime)=(\d+))?|params\[\"bandwidth\"\]=\(ullong\)(\d+))")
OTHER_ORDERS = {"AbortOrdered": "abort", "PostCopyOrdered": "post-copy", "PowerOffOrdered": "power off",
                "WakeOrdered": "power on"}
SAID_AGAIN = frozenset({"bandwidth", "standstill", "abort"})
"""What only says once more how something shall be: twice is no more than once."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One call that arrived. ``who``: the guest or host; ``value``: MiB/s or milliseconds, 0 where it has none; ``wall``:
    when, seconds since the epoch, and ``mib_s``: what a migration began with, both 0 where nobody says."""

    act: str
    who: str
    value: int = 0
    wall: float = field(default=0.0, compare=False)
    mib_s: int = field(default=0, compare=False)


class Effects:
    """Everything that happens on a lab from now on."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self._lab, self._switched = lab, home / "switched"
        for host in lab.hosts.values():
            (host.home / "calls.log").unlink(missing_ok=True)
            for words in (["daemon-log-outputs", f"1:file:{host.home}/calls.log"],
                          ["daemon-log-filters", "1:libvirt.domain"]):
                asked = host.run(["virt-admin", "-c", LIBVIRTD, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                said, _ = asked.communicate(timeout=20.0)
                if asked.returncode:
                    raise LabError(f"{host.name} does not log its calls: {said.decode()}")

    def switch(self, lab: Lab, host: str) -> dict[str, Any]:
        """Return the power section of a host whose switch is counted."""
        section = power_switch(lab, host)
        for key in ("on", "off"):
            section[key] = ["/bin/sh", "-c", f"echo 'power {key}' {host} >>{shlex.quote(str(self._switched))}; "
                            f"exec {shlex.join(section[key])}"]
        return section

    def seen(self) -> list[Effect]:
        """Return what has arrived, host by host."""
        found: list[Effect] = []
        for host in self._lab.hosts.values():
            log = host.home / "calls.log"
            found.extend(_calls(log.read_text(errors="replace") if log.exists() else ""))
        for line in self._switched.read_text().splitlines() if self._switched.exists() else ():
            act, _, name = line.rpartition(" ")
            found.append(Effect(act, name))
        return found


def _calls(log: str) -> list[Effect]:
    """Return the calls in a libvirtd's log. What a migration begins with is on a further line of the same thread."""
    found: list[Effect] = []
    begun: dict[str, int] = {}
    for line in log.splitlines():
        call = _CALL.match(line)
        if call is None or (act := CALLS.get(call[3])) is None:
            continue
        if call[6] is not None:
            found[begun[call[2]]] = replace(found[begun[call[2]]], mib_s=int(call[6]))
            continue
        begun[call[2]] = len(found)
        found.append(Effect(act, call[4], int(call[5] or 0), datetime.fromisoformat(call[1]).timestamp()))
    return found


def ordered(records: list[dict[str, Any]]) -> Counter[Effect]:
    """Return what the journal says was ordered, as the effects that it should have."""
    names = {r["id"]: r["vm_name"] for r in records if r["kind"] == "MigrationOrdered"}
    found: Counter[Effect] = Counter()
    for r in records:
        who = r.get("host") or names.get(r.get("id", ""), "")
        match r["kind"]:
            case "MigrationOrdered":
                # a migration's first standstill is said right before its call
                found.update([Effect("migrate", r["vm_name"]), Effect("standstill", r["vm_name"], r["downtime_ms"])])
            case "BandwidthOrdered":
                found[Effect("bandwidth", who, r["bandwidth_mib_s"])] += 1
            case "DowntimeOrdered":
                found[Effect("standstill", who, r["downtime_ms"])] += 1
            case kind if kind in OTHER_ORDERS:
                found[Effect(OTHER_ORDERS[kind], who)] += 1
    return found


@dataclass(frozen=True, slots=True)
class Reckoned:
    """``twice``: acts that nothing durable stands for, or not as often; ``again``: how often something was only said again;
    ``most_mib_s``: what the jobs of one moment were given together."""

    twice: list[str]
    again: int
    most_mib_s: int


def reckon(seen: list[Effect], records: list[dict[str, Any]]) -> Reckoned:
    """Hold what arrived against what is durable."""
    wanted = ordered(records)
    more = Counter(seen) - wanted
    said_again = {one: n for one, n in more.items() if one.act in SAID_AGAIN and wanted[one]}
    return Reckoned(sorted(f"{one.act} of {one.who}, {one.value}: {n} too many" for one, n in more.items()
                           if one not in said_again), sum(said_again.values()), _most_mib_s(seen, records))


def _most_mib_s(seen: list[Effect], records: list[dict[str, Any]]) -> int:
    """Return the most that the jobs of one source were given at a time; each lasts until its books are closed."""
    names = {r["id"]: r["vm_name"] for r in records if r["kind"] == "MigrationOrdered"}
    changes = [(r["wall"], names[r["id"]], 0) for r in records if r["kind"] == "MigrationSettled"]
    changes += [(one.wall, one.who, one.mib_s or one.value) for one in seen if one.act in ("migrate", "bandwidth")]
    given: dict[str, int] = {}
    most = 0
    for _, who, mib_s in sorted(changes):
        given[who] = mib_s
        most = max(most, sum(given.values()))
    return most
