"""What VMs use beside processor time: one question to libvirt for all guests of a host, beside the look.

libvirt answers part of it itself and asks each guest's emulator for the rest, one after the other: memory where the
guest has a balloon, disks, the rate of dirtying. An emulator that hangs keeps the whole answer for as long as it hangs.
So this has a connection of its own and little time; NOWAIT passes over a guest whose last question is still open, so
that each hung guest costs one answer; and ``Asking`` bounds how many may be open.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.libvirt.asking import Asking
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.core.inventory import NO_USAGE, VmUsage
from ballastd.core.quantities import KIB, Bytes, VmId

DIRTY_RATE_MEASURED = 2
DIRTY_RATE_AGE_MAX_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Dirtying:
    """A guest's last measurement of dirtying. ``begun``: by the host's own clock, so it only tells one measurement
    from another (0: there is none); ``seen``: monotonic seconds when it was first there, None where it was there
    before us and so is of unknown age."""

    begun: int
    seen: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What the guests of a host use, by UUID, without processor time, and their measurements of dirtying: handed from
    one look to the next."""

    usage: Mapping[str, VmUsage]
    dirtying: Mapping[str, Dirtying]


def measure(conn: Any, asking: Asking, before: Measured | None) -> Measured:
    """Return what every running guest uses now; of one that does not answer, what libvirt itself knows.

    Measurements of dirtying are read where somebody made one, and never begun: one in dirty-bitmap mode ended a guest.

    Raises:
        CallFailed: too many of these questions are not answered yet.
    """
    libvirt = load_libvirt()
    groups = libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_INTERFACE | libvirt.VIR_DOMAIN_STATS_DIRTYRATE
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    with asking.about_all():
        answers = {domain.UUIDString(): statistics for domain, statistics in conn.getAllDomainStats(groups, flags)}
    now, known = time.monotonic(), {} if before is None else before.dirtying
    dirtying = {uuid: found for uuid, statistics in answers.items()
                if (found := dirtying_of(statistics, known.get(uuid), now)) is not None}
    usage = {uuid: usage_of(statistics, dirtying.get(uuid), now) for uuid, statistics in answers.items()}
    return Measured(usage, dirtying)


def with_measured(usage: Mapping[VmId, VmUsage], measured: Measured) -> dict[VmId, VmUsage]:
    """Return what was looked up with what was measured beside it; the processor time stays as it was looked up."""
    return {vm: measured.usage.get(vm, NO_USAGE)._replace(cpu_seconds=used.cpu_seconds) for vm, used in usage.items()}


def usage_of(statistics: Mapping[str, Any], dirtying: Dirtying | None, now: float) -> VmUsage:
    """Return what the statistics of one guest say at ``now`` (monotonic seconds)."""
    memory = statistics.get("balloon.rss", statistics.get("balloon.current"))
    since = None if dirtying is None else dirtying.seen
    fresh = since is not None and now - since <= DIRTY_RATE_AGE_MAX_SECONDS
    rate = statistics.get("dirtyrate.megabytes_per_second") if fresh else None
    return VmUsage(
        memory=None if memory is None else Bytes(memory * KIB),
        network_bytes=_carried(statistics),
        dirty_mib_s=None if rate is None else float(rate),
    )


def dirtying_of(statistics: Mapping[str, Any], before: Dirtying | None, now: float) -> Dirtying | None:
    """Return a guest's last measurement, known by when it began; None where nothing is known of any."""
    status = statistics.get("dirtyrate.calc_status")
    if status is None:  # the guest did not answer: what was known still holds
        return before
    begun = statistics.get("dirtyrate.calc_start_time", 0) if status == DIRTY_RATE_MEASURED else 0
    if before is not None and before.begun == begun:
        return before
    return Dirtying(begun, None if before is None else now)


def _carried(statistics: Mapping[str, Any]) -> int | None:
    """Return the sum over all interfaces with a device of their own on the host, both directions; None where one of them
    could not be counted just then: a sum without it looks like less, and with it again like a burst. Others (user-mode, a
    function that is passed through) have no name there, are never counted, and are left out."""
    count = statistics.get("net.count")
    if count is None:
        return None
    carried = 0
    for number in range(count):
        received, sent = statistics.get(f"net.{number}.rx.bytes"), statistics.get(f"net.{number}.tx.bytes")
        if received is not None and sent is not None:
            carried += received + sent
        elif f"net.{number}.name" in statistics:
            return None
    return carried
