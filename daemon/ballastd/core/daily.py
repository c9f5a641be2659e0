"""Which hours of the day are busy on each host, by what its VMs used a day before: VMs that peak together show here, and
those that do not.

Of a VM is known what ``Loads`` learnt of its last day, or nothing. A host's hour is what its VMs use then, and beside that
whatever it uses now that they do not explain: what nobody's day is known of, what is its own, and by how much its VMs are
busier today than at this time of yesterday. So a host without a known VM uses at every hour what it uses now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.consumption import HOURS
from ballastd.core.snapshot import Snapshot

HOUR_SECONDS = 3600.0
SHIFT_SECONDS = 1800.0
"""What happened at this time of yesterday may happen so much earlier or later today."""


@dataclass(frozen=True, slots=True)
class Daily:
    """Processors by hour of the day, UTC. ``vms``: by VM row, of one whose day is not known what it uses now; ``known``:
    whose day is; ``near``: what a VM uses at this time of the day. ``hosts``: by host row, NaN where the load is not known;
    ``coming``: what is on its way there, or leaves (below zero), with what is planned. ``unknown``: how many VMs that live
    on a host or are on their way there have no known day."""

    vms: Floats
    known: Bools
    near: Floats
    hosts: Floats
    coming: Floats
    unknown: Ints

    def copy(self) -> Daily:
        """Return the same, to try something on."""
        return replace(self, coming=self.coming.copy(), unknown=self.unknown.copy())

    def add(self, vm: int, host: int) -> None:
        """Count a VM where it goes."""
        self.coming[host] += self.vms[vm]
        self.unknown[host] += not self.known[vm]

    def take_off(self, vm: int, host: int) -> None:
        """Undo that."""
        self.coming[host] -= self.vms[vm]
        self.unknown[host] -= not self.known[vm]

    def shift(self, vm: int, source: int, target: int) -> None:
        """Count a VM where it goes, and no more where it is: that nobody's day was known there is not forgotten."""
        self.coming[source] -= self.vms[vm]
        self.add(vm, target)

    def whole(self, vm: int) -> Bools:
        """Return, by host, whether the day of a VM and of everybody there is known."""
        whole: Bools = self.known[vm] & (self.unknown == 0)
        return whole

    def is_whole(self, vm: int, host: int) -> bool:
        """Return that of one host."""
        return bool(self.known[vm]) and not self.unknown[host]

    def after(self, vm: int, peak: float, hosts: int | slice = slice(None)) -> Floats:
        """Return what each of these hosts uses at each hour with a VM on it: one whose day is not known is as busy as at its
        ``peak`` all day."""
        more = self.vms[vm] if self.known[vm] else peak
        used: Floats = self.hosts[hosts] + np.maximum(0.0, self.coming[hosts]) + more
        return used


def daily_of(snapshot: Snapshot) -> Daily | None:
    """Return the hours of a snapshot's day, None where nobody's day is known."""
    vms, hosts = snapshot.vms, snapshot.hosts
    if snapshot.hours is None or not len(vms.ids):
        return None
    by_hour = snapshot.hours.by_vm
    known = ~np.isnan(by_hour[:, 0]) & ~np.isnan(vms.cpu)
    if not known.any():
        return None
    now = [int((snapshot.now.wall + off) // HOUR_SECONDS) % HOURS for off in (-SHIFT_SECONDS, 0.0, SHIFT_SECONDS)]
    near = by_hour[:, now].max(axis=1)
    used = np.nan_to_num(vms.cpu)
    # whoever is busier than yesterday at this time is so at every hour
    each = np.where(known[:, None], by_hour + np.maximum(0.0, used - near)[:, None], used[:, None])
    count, at = len(hosts.names), vms.host[known]
    told = np.stack([np.bincount(at, column, count) for column in by_hour[known].T], axis=1)
    present = np.bincount(at, used[known], count)
    beside = np.maximum(0.0, hosts.cpu - present) + np.maximum(0.0, present - told[:, now].max(axis=1))
    return Daily(each, known, near, told + beside[:, None], np.zeros((count, HOURS)),
                 np.bincount(vms.host[~known], minlength=count))


def hours_until(now_wall: float, until_wall: float | None) -> Bools:
    """Return which hours of the day come between now and then, both included; all of them where there is no end."""
    hours: Bools = np.ones(HOURS, np.bool_)
    if until_wall is not None:
        first = int(now_wall // HOUR_SECONDS)
        coming = np.arange(first, first + HOURS) % HOURS
        hours[coming[max(1, int(until_wall // HOUR_SECONDS) - first + 1):]] = False
    return hours
