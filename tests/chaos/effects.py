"""What really happened to hosts and guests, told by those to whom it happened: each libvirtd's own log of the calls it took,
the power switches that were thrown. The daemon is not asked: what it says of that is held against it.
"""

from __future__ import annotations

import math
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
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
JOB_ORDERS = {"AbortOrdered": ("abort", "aborted", ""), "PostCopyOrdered": ("post-copy", "completed", "PostCopyWithdrawn")}
"""What is ordered of a migration that runs: the act, how the migration ends by it (one that is dirtied faster than it is
copied completes by nothing else), and what takes the order back."""
STANDING_ORDERS = {"BandwidthOrdered": ("bandwidth", "bandwidth_mib_s"), "DowntimeOrdered": ("standstill", "downtime_ms")}
"""How it shall be, until the next order of that kind: the act, and which field says how much."""
SHUTDOWN_ORDERS = frozenset({"ShutdownOrdered", "ShutdownAskedAgain"})
SHUTDOWN_ENDS = frozenset({"ShutdownAskedAgain", "ShutdownWithdrawn", "ShutdownEnded"})
DOWN = "down"
"""How the books of a guest are closed that went down."""
POWER_ORDERS = {"PowerOffOrdered": "power off", "WakeOrdered": "power on"}
POWER_ENDS = frozenset({"HostOff", "HostAwake", "HostKept", "PowerFailed"})
ORDER_ENDS = POWER_ENDS | {"WakeWithheld"}
SWITCHED = frozenset({"HostOff", "HostAwake"})
"""By these it is over because it was done."""
NO_END: dict[str, Any] = {"kind": "", "wall": math.inf, "ending": ""}
SAID_AGAIN = frozenset({"bandwidth", "standstill", "abort", "post-copy"})
"""What only says once more how something shall be: twice is no more than once."""
EARLY_SECONDS = 0.01
"""A log that leaves out parts of a millisecond is earlier than the clock by which records are dated."""
ON_ITS_WAY_SECONDS = 1.0
"""So much later than the end of a migration, or than what is ordered instead, may come what was said to it before."""
STOOD_SECONDS = 10.0
"""What stood for longer than this, of a running job and under a daemon that runs, has arrived: it is said at once, and the
books are closed up to five seconds after the job."""
RESTORED = "standstill as it was before"
"""What no record orders: a migration that fails is given back the standstill that its guest had, whatever that was."""


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
    while there is none. ``job``: its migration, empty where there is none; ``is_due``: whether it must have had its effect,
    of a migration's job if that was begun; the rest as in ``Effect``."""

    act: str
    who: str
    at: str
    since: float
    until: float
    value: int = 0
    to: str = ""
    job: str = ""
    is_due: bool = False

    def fits(self, effect: Effect) -> bool:
        """Return whether that is what was ordered, at a time at which it was."""
        late = ON_ITS_WAY_SECONDS if self.act in SAID_AGAIN else EARLY_SECONDS
        is_restored = self.act == RESTORED and effect.act == "standstill"
        return (self.since - EARLY_SECONDS <= effect.wall <= self.until + late
                and (self.who, self.at) == (effect.who, effect.at)
                and (is_restored or (self.act, self.value, self.to) == (effect.act, effect.value, effect.to)))

    def told(self) -> str:
        """Return what was to happen, in words."""
        if self.act == "migrate":
            return f"migration {self.job} of {self.who} from {self.at} to {self.to}"
        how = f" ({self.value})" if self.value else ""
        return f"{self.act} of {self.who} at {self.at}{how}, ordered {self.since:.3f}"


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
    first = {r["id"]: r for r in records if r["kind"] in ("MigrationOrdered", "ShutdownOrdered")}
    found: list[Order] = []
    for number, r in enumerate(records):
        kind, later = r["kind"], records[number + 1:]
        if kind in POWER_ORDERS:
            over = _first(later, ORDER_ENDS, "host", r["host"])
            found.append(Order(POWER_ORDERS[kind], r["host"], r["host"], r["wall"], over["wall"],
                               is_due=over["kind"] in SWITCHED))
        elif kind in SHUTDOWN_ORDERS:
            one, over = first[r["id"]], _first(later, SHUTDOWN_ENDS, "id", r["id"])
            # what comes within a moment of the next record is by that one, and not late
            found.append(Order("shutdown", one["vm_name"], one["host"], r["wall"], over["wall"] - EARLY_SECONDS,
                               is_due=over.get("ending") == DOWN))
        elif kind == "MigrationOrdered" or kind in JOB_ORDERS or kind in STANDING_ORDERS:
            found.extend(_of_a_job(r, first[r["id"]], records, later))
    return found


def _of_a_job(r: dict[str, Any], job: dict[str, Any], records: list[dict[str, Any]], later: list[dict[str, Any]]
              ) -> Iterator[Order]:
    """Yield what a record orders of the migration ``job``. ``later``: what is recorded after it."""
    kind, end = r["kind"], _first(later, ("MigrationSettled",), "id", r["id"])
    act, amount = STANDING_ORDERS.get(kind, ("standstill", "downtime_ms"))
    one = Order(act, job["vm_name"], job["source"], r["wall"], end["wall"], job=r["id"])
    if kind in JOB_ORDERS:
        act, ending, taken_back = JOB_ORDERS[kind]
        back = _first(later, (taken_back,), "id", r["id"])
        yield replace(one, act=act, until=min(end["wall"], back["wall"]),
                      is_due=back is NO_END and end["ending"] == ending)
        return
    if kind == "MigrationOrdered":
        yield replace(one, act="migrate", to=r["target"], is_due=end["ending"] == "completed")
        if end["ending"] != "completed":
            yield replace(one, act=RESTORED)
    # a migration's first standstill is said right before its call
    instead = _first(later, (kind if kind in STANDING_ORDERS else "DowntimeOrdered",), "id", r["id"])
    until = min(end["wall"], instead["wall"])
    runs_since = max((s["wall"] for s in records if s["kind"] == "DaemonStarted" and s["wall"] <= until), default=one.since)
    stood = until - max(one.since, runs_since)
    # that a job is open is told elsewhere, and nobody misses the shorter of two standstills
    is_missed = r[amount] > 0 and (act == "bandwidth" or instead is NO_END)
    yield replace(one, until=until, value=r[amount], is_due=is_missed and STOOD_SECONDS < stood < math.inf)


def _first(records: Iterable[dict[str, Any]], kinds: Container[str], key: str, value: str) -> dict[str, Any]:
    """Return the first record of these kinds and of this host or id."""
    return next((r for r in records if r["kind"] in kinds and r[key] == value), NO_END)


@dataclass(frozen=True, slots=True)
class Reckoned:
    """``twice``: acts that nothing durable stands for at their time, or not as often; ``unseen``: what was recorded as done,
    or was ordered for long enough, and never arrived; ``again``: how often something was only said again; ``most_mib_s``:
    what the jobs of one source were given together, at most."""

    twice: list[str]
    unseen: list[str]
    again: int
    most_mib_s: int


def reckon(seen: list[Effect], records: list[dict[str, Any]]) -> Reckoned:
    """Hold what arrived against what is durable: each order stands for one effect, the oldest that it fits."""
    orders, spent, twice, again = ordered(records), set[int](), [], 0
    for one in sorted(seen, key=lambda effect: effect.wall):
        fitting = [number for number, order in enumerate(orders) if order.fits(one)]
        own = [number for number in fitting if orders[number].act == one.act]
        fresh = next((number for number in own or fitting if number not in spent), None)
        if fresh is not None:
            spent.add(fresh)
        elif own and one.act in SAID_AGAIN:
            again += 1
        else:
            why = "its order had had its effect" if fitting else "no order for it was open"
            how = f" to {one.to}" if one.to else f" ({one.value})" if one.value else ""
            twice.append(f"{one.act} of {one.who} at {one.at}{how}, {one.wall:.3f}: {why}")
    begun = {"", *(orders[number].job for number in spent if orders[number].act == "migrate")}
    unseen = [order.told() for number, order in enumerate(orders)
              if order.is_due and number not in spent and (order.act == "migrate" or order.job in begun)]
    return Reckoned(twice, unseen, again, _most_mib_s(seen, records))


def _most_mib_s(seen: list[Effect], records: list[dict[str, Any]]) -> int:
    """Return the most that the jobs of any one source were given at a time; each lasts until its books are closed. What
    comes to no open job gives nobody anything."""
    jobs = [order for order in ordered(records) if order.act == "migrate"]
    changes = [(job.until, job.job, job.at, 0) for job in jobs]
    for one in seen:
        if one.act in ("migrate", "bandwidth"):
            open_then = (job for job in jobs if (job.who, job.at) == (one.who, one.at)
                         and job.since - EARLY_SECONDS <= one.wall < job.until)
            changes += [(one.wall, job.job, job.at, one.mib_s or one.value) for job in open_then]
    given: dict[str, dict[str, int]] = defaultdict(dict)
    most = 0
    for _, job, source, mib_s in sorted(changes, key=lambda change: change[0]):
        given[source][job] = mib_s
        most = max(most, sum(given[source].values()))
    return most
