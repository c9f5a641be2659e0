"""What really happened to hosts and guests, told by those to whom it happened: each libvirtd's own log of the calls it took,
the power switches that were thrown. The daemon is not asked: what it says of that is held against it.
"""

from __future__ import annotations

import math
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
                   r"(?:.*?, (?:bandwidth|downtime)=(\d+)|, dconnuri=\w+(?:\+\w+)?://([^/:,]+))?"
                   r"|params\[\"bandwidth\"\]=\(ullong\)(\d+))")
JOB_ORDERS = {"BandwidthOrdered": ("bandwidth", "bandwidth_mib_s"), "DowntimeOrdered": ("standstill", "downtime_ms"),
              "AbortOrdered": ("abort", ""), "PostCopyOrdered": ("post-copy", "")}
"""What is ordered of a migration that runs: the act, and which field says how much."""
POWER_ORDERS = {"PowerOffOrdered": "power off", "WakeOrdered": "power on"}
POWER_ENDS = frozenset({"HostOff", "HostAwake", "HostKept", "PowerFailed"})
ORDER_ENDS = POWER_ENDS | {"WakeWithheld"}
SAID_AGAIN = frozenset({"bandwidth", "standstill", "abort"})
"""What only says once more how something shall be: twice is no more than once."""
EARLY_SECONDS = 0.01
"""A log that leaves out parts of a millisecond is earlier than the clock by which records are dated."""
ON_ITS_WAY_SECONDS = 1.0
"""So much later than the end of a migration may come what was said to it when it had not ended yet."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One call that arrived. ``who``: the guest or host; ``at``: the host that it arrived at; ``wall``: when, seconds since
    the epoch; ``value``: MiB/s or milliseconds, 0 where it has none; ``to``: where a migration was to go, a host or else an
    address; ``mib_s``: what it began with."""

    act: str
    who: str
    at: str
    wall: float
    value: int = 0
    to: str = ""
    mib_s: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """One effect that the journal allows, from its record, ``since``, to the one by which it was over, ``until``, infinity
    while there is none. ``job``: its migration; ``is_done``: whether that completed; the rest as in ``Effect``."""

    act: str
    who: str
    at: str
    since: float
    until: float
    value: int = 0
    to: str = ""
    job: str = ""
    is_done: bool = False

    def fits(self, effect: Effect) -> bool:
        """Return whether that is what was ordered, at a time at which it was."""
        late = ON_ITS_WAY_SECONDS if self.act in SAID_AGAIN else EARLY_SECONDS
        return (self.since - EARLY_SECONDS <= effect.wall <= self.until + late
                and (self.act, self.who, self.at) == (effect.act, effect.who, effect.at)
                and (self.value, self.to) == (effect.value, effect.to))


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
            section[key] = ["/bin/sh", "-c", f"echo power {key} {host} $(date +%s.%N) >>{shlex.quote(str(self._switched))}; "
                            f"exec {shlex.join(section[key])}"]
        return section

    def seen(self) -> list[Effect]:
        """Return what has arrived, host by host."""
        names = {host.address: name for name, host in self._lab.hosts.items()}
        found: list[Effect] = []
        for name, host in self._lab.hosts.items():
            log = host.home / "calls.log"
            found.extend(calls(log.read_text(errors="replace") if log.exists() else "", name, names))
        return [*found, *switchings(self._switched.read_text() if self._switched.exists() else "")]


def calls(log: str, at: str, names: Mapping[str, str]) -> list[Effect]:
    """Return the calls in the log of a host's libvirtd. ``names``: of hosts, by address. What a migration begins with is on
    a further line of the same thread."""
    found: list[Effect] = []
    begun: dict[str, int] = {}
    for line in log.splitlines():
        call = _CALL.match(line)
        if call is None or (act := CALLS.get(call[3])) is None:
            continue
        if call[7] is not None:
            found[begun[call[2]]] = replace(found[begun[call[2]]], mib_s=int(call[7]))
            continue
        begun[call[2]] = len(found)
        to = names.get(call[6], call[6]) if call[6] else ""
        found.append(Effect(act, call[4], at, datetime.fromisoformat(call[1]).timestamp(), int(call[5] or 0), to))
    return found


def switchings(text: str) -> list[Effect]:
    """Return what power switches were told, a line each: the act in two words, the host, when."""
    found = []
    for line in text.splitlines():
        *act, host, wall = line.split()
        found.append(Effect(" ".join(act), host, host, float(wall)))
    return found


def ordered(records: list[dict[str, Any]]) -> list[Order]:
    """Return what the journal says was ordered, as the effects that it should have, oldest first."""
    ends = {r["id"]: r for r in records if r["kind"] == "MigrationSettled"}
    jobs = {r["id"]: r for r in records if r["kind"] == "MigrationOrdered"}
    found: list[Order] = []
    for number, r in enumerate(records):
        kind = r["kind"]
        if kind in POWER_ORDERS:
            over = (e["wall"] for e in records[number:] if e["kind"] in ORDER_ENDS and e["host"] == r["host"])
            found.append(Order(POWER_ORDERS[kind], r["host"], r["host"], r["wall"], next(over, math.inf)))
        elif kind == "MigrationOrdered" or kind in JOB_ORDERS:
            job, end = jobs[r["id"]], ends.get(r["id"], {"wall": math.inf, "ending": ""})
            one = Order("migrate", job["vm_name"], job["source"], r["wall"], end["wall"], job=r["id"])
            if kind == "MigrationOrdered":
                # a migration's first standstill is said right before its call
                found.append(replace(one, to=r["target"], is_done=end["ending"] == "completed"))
                found.append(replace(one, act="standstill", value=r["downtime_ms"]))
            else:
                act, amount = JOB_ORDERS[kind]
                found.append(replace(one, act=act, value=r[amount] if amount else 0))
    return found


@dataclass(frozen=True, slots=True)
class Reckoned:
    """``twice``: acts that nothing durable stands for at their time, or not as often; ``unseen``: what was recorded as done
    and never arrived; ``again``: how often something was only said again; ``most_mib_s``: what the jobs of one moment were
    given together."""

    twice: list[str]
    unseen: list[str]
    again: int
    most_mib_s: int


def reckon(seen: list[Effect], records: list[dict[str, Any]]) -> Reckoned:
    """Hold what arrived against what is durable: each order stands for one effect, the oldest that it fits."""
    orders, spent, twice, again = ordered(records), set[int](), [], 0
    for one in sorted(seen, key=lambda effect: effect.wall):
        fitting = [number for number, order in enumerate(orders) if order.fits(one)]
        fresh = next((number for number in fitting if number not in spent), None)
        if fresh is not None:
            spent.add(fresh)
        elif fitting and one.act in SAID_AGAIN:
            again += 1
        else:
            why = "its order had had its effect" if fitting else "no order for it was open"
            how = f" to {one.to}" if one.to else f" ({one.value})" if one.value else ""
            twice.append(f"{one.act} of {one.who} at {one.at}{how}, {one.wall:.3f}: {why}")
    unseen = [f"migration {order.job} of {order.who} from {order.at} to {order.to}"
              for number, order in enumerate(orders) if order.is_done and number not in spent]
    return Reckoned(twice, unseen, again, _most_mib_s(seen, records))


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
