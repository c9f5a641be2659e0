"""Hard constraints: may this move be made on top of these? What the planner asks, on columns.

``checking`` and ``checking_terms`` ask the same of a finished plan, and are written apart on purpose. A move counts its
memory at both ends until it settles, so nothing a plan frees may be used by the same plan. That any one failure domain may
die is asked of ``reserve``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.consumption import HOURS
from ballastd.core.daily import Daily, hours_until
from ballastd.core.intents import Fill
from ballastd.core.inventory import Dirtying
from ballastd.core.ledger import Ledger
from ballastd.core.placement import Occupied, must_refusal, wish_refusal
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import Cooldown, Limits, PlacementPolicy
from ballastd.core.prediction import Passage, fair_share, never_ends
from ballastd.core.quantities import HostName, VmId, human_bytes, human_seconds
from ballastd.core.snapshot import Snapshot, describe_room
from ballastd.core.suitability import why_unsuited

FAILED_PAIR_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a move is made under. ``avoid_labels``: those the target must not share with the source;
    ``reserve_waived``: whether the failover reserve may be used; ``rules``: where VMs may live; ``by_operator``: a person
    asked for it; ``fill``, ``cooldown``: what a routine move keeps to, None for the others; ``next_hosts``: those that are
    emptied after the source; ``keeps_wishes``: whether should-rules bind as must-rules do, for what it is for is worth
    less; ``vcpus_per_processor``: so many virtual processors at most for each of the target's, None where that is no matter;
    ``must_end``: the limits of a move that is not tried where it is known never to end, None for the others;
    ``shuns_risk``: whether it costs more where moves failed or took long lately."""

    avoid_labels: tuple[str, ...] = ()
    reserve_waived: bool = False
    failover_hosts: int = 1
    rules: tuple[PlacementPolicy, ...] = ()
    by_operator: bool = False
    fill: Fill | None = None
    cooldown: Cooldown | None = None
    next_hosts: tuple[HostName, ...] = ()
    keeps_wishes: bool = False
    must_end: Limits | None = None
    shuns_risk: bool = False
    vcpus_per_processor: float | None = None

    @property
    def keeps_reserve(self) -> bool:
        """Whether the failover reserve has to hold."""
        return self.failover_hosts > 0 and not self.reserve_waived


@dataclass(frozen=True, slots=True)
class Trial:
    """A move under consideration: rows in the snapshot, what this plan has promised to each host already (bytes by row), by
    how many processors, and MiB/s of the network, it and what is in flight change the load of each, and what it moved
    where (VM row -> host row). ``homes``: the rows each VM occupies, or is about to. ``dirties``: how fast it dirties its
    memory, None where nobody knows. ``daily``: the hours of the day, None where nobody's is known."""

    snapshot: Snapshot
    ledger: Ledger
    vm: int
    source: int
    target: int
    promised: Ints
    shifted: Floats
    rerouted: Floats
    moved: dict[int, int]
    homes: Occupied
    terms: Terms = Terms()
    dirties: Dirtying | None = None
    daily: Daily | None = None

    @property
    def host(self) -> HostName:
        """The target's name."""
        return self.snapshot.hosts.names[self.target]

    @property
    def vm_id(self) -> VmId:
        """The VM's id."""
        return self.snapshot.vms.ids[self.vm]


Constraint = Callable[[Trial], Refusal | None]


def target_may_receive(trial: Trial) -> Refusal | None:
    """Only a healthy, fresh, reachable host without cordon, drain or freeze receives anything."""
    reasons = trial.snapshot.why_not[trial.target]
    return Refusal(reasons[0].kind, reasons[0].detail, trial.vm_id, trial.host) if reasons else None


def target_is_outside_the_failing_domain(trial: Trial) -> Refusal | None:
    """A fault of cooling or power may be the neighbours' as well, and a policy may say so of other labels."""
    source = trial.snapshot.facts[trial.source].declared
    target = trial.snapshot.facts[trial.target].declared
    for key in trial.terms.avoid_labels:
        value = source.label(key)
        if value is not None and target.label(key) == value:
            return Refusal(RefusalKind.SAME_FAILURE_DOMAIN, f"shares {key}={value} with {source.name}",
                           trial.vm_id, trial.host)
    return None


def target_is_not_emptied_next(trial: Trial) -> Refusal | None:
    """What is packed onto a host that goes off next would be moved twice in a night."""
    if trial.host not in trial.terms.next_hosts:
        return None
    return Refusal(RefusalKind.HOST_STANDBY, "is to be emptied and switched off next", trial.vm_id, trial.host)


def memory_fits(trial: Trial) -> Refusal | None:
    """The target has room for the VM's maximum beside everything there, on its way there, and promised."""
    need = int(trial.snapshot.vms.memory[trial.vm])
    promised = int(trial.promised[trial.target])
    if need <= int(trial.snapshot.hosts.room[trial.target]) - promised:
        return None
    also = f" - promised by this plan {human_bytes(promised)}" if promised else ""
    return Refusal(RefusalKind.MEMORY, f"needs {human_bytes(need)}, "
                   f"{describe_room(trial.snapshot, trial.target)}{also}", trial.vm_id, trial.host)


def huge_pages_fit(trial: Trial) -> Refusal | None:
    """The target has free huge pages of the VM's sizes beside those of everything there, on its way there, and promised."""
    records = trial.snapshot.records
    if not records[trial.vm].needs.backing:
        return None
    promised = [records[vm].needs for vm, row in trial.moved.items() if row == trial.target]
    why = trial.snapshot.pages.why_short(records[trial.vm].needs, trial.target, promised)
    return Refusal(RefusalKind.HUGE_PAGES, why, trial.vm_id, trial.host) if why else None


def processors_are_not_promised_too_often(trial: Trial) -> Refusal | None:
    """The target has no more virtual processors for each of its own than Limits say, with those that are there, on their way
    there, and promised; whoever leaves meanwhile is counted until he has. What leaves a failing host may be more."""
    ratio = trial.terms.vcpus_per_processor
    if ratio is None:
        return None
    records, hosts = trial.snapshot.records, trial.snapshot.hosts
    promised = sum(records[vm].vcpus for vm, row in trial.moved.items() if row == trial.target)
    there, own, limit = int(hosts.vcpus[trial.target]), records[trial.vm].vcpus, float(hosts.cpu_limit[trial.target])
    if there + promised + own <= ratio * limit:
        return None
    return Refusal(RefusalKind.OVERCOMMIT, f"{there + promised + own} virtual processors would be there for {limit:g} of "
                   f"its own, at most {ratio:g} for each", trial.vm_id, trial.host)


def hardware_suits(trial: Trial) -> Refusal | None:
    """The target is no machine on which the VM surely cannot run; what is not known is asked right before the move."""
    facts = trial.snapshot.facts
    why = why_unsuited(trial.snapshot.records[trial.vm], facts[trial.source].inventory, facts[trial.target].inventory)
    return Refusal(why[0], why[1], trial.vm_id, trial.host) if why is not None else None


def pair_did_not_fail_lately(trial: Trial) -> Refusal | None:
    """A target at which this VM's move failed is not tried again for a day: the next one is."""
    since = trial.snapshot.now.wall - FAILED_PAIR_SECONDS
    for failure in trial.ledger.recent_failures(trial.vm_id, since):
        if failure.target == trial.host and not failure.withheld:
            return Refusal(RefusalKind.TRIED_AND_FAILED, f"a move there ended {failure.ending.value} "
                           f"{(trial.snapshot.now.wall - failure.wall) / 60:.0f} min ago", trial.vm_id, trial.host)
    return None


def placement_rules_hold(trial: Trial) -> Refusal | None:
    """No must-rule is broken at any instant of the move."""
    why = must_refusal(trial.terms.rules, trial.snapshot, trial.homes, trial.vm, trial.source, trial.target,
                       by_operator=trial.terms.by_operator)
    return Refusal(RefusalKind.PLACEMENT, why, trial.vm_id, trial.host) if why else None


def wishes_hold(trial: Trial) -> Refusal | None:
    """Neither evenness nor a host that is switched off is worth a wish: it would be put right again."""
    if not trial.terms.keeps_wishes:
        return None
    why = wish_refusal(trial.terms.rules, trial.snapshot, trial.homes, trial.vm, trial.source, trial.target)
    return Refusal(RefusalKind.PLACEMENT, why, trial.vm_id, trial.host) if why else None


def load_fits(trial: Trial) -> Refusal | None:
    """A routine move leaves its target no fuller than its policy says; what is not known does not fit."""
    fill = trial.terms.fill
    if fill is None:
        return None
    hosts, row = trial.snapshot.hosts, trial.target
    used, daily = float(hosts.cpu[row]), trial.daily
    # where everybody's day is known, when they are busy counts, and not that they all might be at once
    is_whole = daily is not None and daily.is_whole(trial.vm, row)
    more = float((trial.snapshot.vms.cpu if is_whole else trial.snapshot.vms.peak)[trial.vm])
    if np.isnan(used):
        why = trial.snapshot.facts[row].load.doubt or "its processor load is not known yet"
        return Refusal(RefusalKind.LOAD_UNKNOWN, why, trial.vm_id, trial.host)
    if np.isnan(more):
        return Refusal(RefusalKind.LOAD_UNKNOWN, "what the VM itself uses is not known yet", trial.vm_id, trial.host)
    after = used + max(0.0, float(trial.shifted[row])) + more
    limit = float(hosts.cpu_limit[row])
    if after > fill.cpu * limit:
        return Refusal(RefusalKind.LOAD, f"{after:.2f} of {limit:g} processors would be used, at most {fill.cpu:.0%}",
                       trial.vm_id, trial.host)
    held = int(hosts.used[row]) + int(hosts.reserved[row]) + int(trial.promised[row])
    full = held + int(trial.snapshot.vms.memory[trial.vm])
    if full > fill.memory * int(hosts.limit[row]):
        return Refusal(RefusalKind.LOAD, f"{human_bytes(full)} of {human_bytes(int(hosts.limit[row]))} memory would be "
                       f"used, at most {fill.memory:.0%}", trial.vm_id, trial.host)
    return None


def planned_bandwidth(snapshot: Snapshot, source: int, target: int, link_share: float) -> int:
    """Return the bandwidth, MiB/s, that one more migration between two hosts (rows) would get."""
    hosts = snapshot.hosts
    return fair_share(float(hosts.link_mib_s[source]), int(hosts.jobs_out[source]) + 1,
                      float(hosts.link_mib_s[target]), int(hosts.jobs_in[target]) + 1, link_share)


def copying_ends(trial: Trial) -> Refusal | None:
    """For comfort or energy nobody is copied over and over who is known never to arrive."""
    limits, dirties, vm = trial.terms.must_end, trial.dirties, trial.vm
    if limits is None or dirties is None:
        return None
    rate, wish = planned_bandwidth(trial.snapshot, trial.source, trial.target, limits.link_share), (
        trial.snapshot.records[vm].downtime_max_ms)
    most = limits.downtime_max_ms if wish is None else min(wish, limits.downtime_max_ms)
    if not never_ends(int(trial.snapshot.vms.copied[vm]), Passage(rate, rate, most, most), dirties.mib_s):
        return None
    return Refusal(RefusalKind.NEVER_CONVERGES, f"dirties its memory at {dirties.words()}: copied at {rate} MiB/s, what is "
                   f"left never fits into the {most} ms for which it may stand still", trial.vm_id, trial.host)


def load_fits_at_every_hour(trial: Trial) -> Refusal | None:
    """A routine move leaves its target no fuller than its policy says at any hour of the day, as far as days are known."""
    fill, daily = trial.terms.fill, trial.daily
    if fill is None or daily is None:
        return None
    limit = float(trial.snapshot.hosts.cpu_limit[trial.target])
    used = daily.after(trial.vm, float(trial.snapshot.vms.peak[trial.vm]), trial.target)
    used = np.where(hours_until(trial.snapshot.now.wall, fill.until_wall), used, 0.0)
    hour = int(np.argmax(used))
    if not used[hour] > fill.cpu * limit:
        return None
    when = f"between {hour:02}:00 and {(hour + 1) % HOURS:02}:00 UTC"
    return Refusal(RefusalKind.LOAD, f"{when} {used[hour]:.2f} of {limit:g} processors would be used, at most "
                   f"{fill.cpu:.0%}", trial.vm_id, trial.host)


def network_fits(trial: Trial) -> Refusal | None:
    """A routine move leaves the network of its target no fuller than its policy says, where somebody says what that
    carries; what is not known does not fit."""
    fill, hosts, row = trial.terms.fill, trial.snapshot.hosts, trial.target
    limit = float(hosts.network_limit[row])
    if fill is None or np.isinf(limit):
        return None
    used, more = float(hosts.network[row]), float(trial.snapshot.vms.network_peak[trial.vm])
    if np.isnan(used):
        return Refusal(RefusalKind.LOAD_UNKNOWN, "what all of its VMs carry over their network is not known yet",
                       trial.vm_id, trial.host)
    if np.isnan(more):
        return Refusal(RefusalKind.LOAD_UNKNOWN, "what the VM itself carries over its network is not known yet",
                       trial.vm_id, trial.host)
    after = used + max(0.0, float(trial.rerouted[row])) + more
    if after > fill.network * limit:
        return Refusal(RefusalKind.LOAD, f"{after:.1f} of {limit:.0f} MiB/s of its VMs' network would be used, at most "
                       f"{fill.network:.0%}", trial.vm_id, trial.host)
    return None


def does_not_go_back(trial: Trial) -> Refusal | None:
    """A routine move does not undo one of the last day: nothing goes to and fro. Whatever left a host before it was
    switched off may come back once it is on again, or is to stay on after all."""
    cooldown = trial.terms.cooldown
    if cooldown is None:
        return None
    now, kept = trial.snapshot.now.wall, trial.ledger.kept.get(trial.host)
    woken = max(trial.ledger.switched_on.get(trial.host, float("-inf")), kept.wall if kept is not None else float("-inf"))
    for move in trial.ledger.moved.get(trial.vm_id, ()):
        if move.source == trial.host and move.wall > max(now - cooldown.no_return, woken):
            return Refusal(RefusalKind.COOLDOWN, f"left there {human_seconds(now - move.wall)} ago, may return after "
                           f"{human_seconds(cooldown.no_return)}", trial.vm_id, trial.host)
    return None


CONSTRAINTS: tuple[Constraint, ...] = (
    target_may_receive,
    target_is_outside_the_failing_domain,
    target_is_not_emptied_next,
    placement_rules_hold,
    wishes_hold,
    hardware_suits,
    memory_fits,
    huge_pages_fit,
    processors_are_not_promised_too_often,
    load_fits,
    load_fits_at_every_hour,
    network_fits,
    does_not_go_back,
    copying_ends,
    pair_did_not_fail_lately,
)
"""What each target is asked; whether any one failure domain may die then comes after them."""


def shut(snapshot: Snapshot, vm: int, promised: Ints, shifted: Floats, rerouted: Floats, fill: Fill | None,
         daily: Daily | None = None) -> Bools:
    """Return, per host row, whether its columns alone keep the VM out: the same as ``target_may_receive``, ``memory_fits``,
    ``load_fits``, ``load_fits_at_every_hour`` and ``network_fits`` say one by one, for all hosts at once and without a word
    why; and where ``huge_pages_fit`` would say so whatever else is promised."""
    hosts, need = snapshot.hosts, int(snapshot.vms.memory[vm])
    closed: Bools = ~hosts.target | (need > hosts.room - promised)
    for backing in snapshot.records[vm].needs.backing:
        closed |= backing.memory > snapshot.pages.columns(backing.size)
    if fill is not None:
        # what is not known is nan, and no comparison with it holds
        cpu, peak = float(snapshot.vms.cpu[vm]), float(snapshot.vms.peak[vm])
        more = peak if daily is None else np.where(daily.whole(vm), cpu, peak)
        fits = hosts.cpu + np.maximum(0.0, shifted) + more <= fill.cpu * hosts.cpu_limit
        if daily is not None:
            hours = hours_until(snapshot.now.wall, fill.until_wall)
            fits &= daily.after(vm, peak)[:, hours].max(axis=1) <= fill.cpu * hosts.cpu_limit
        fits &= hosts.used + hosts.reserved + promised + need <= fill.memory * hosts.limit
        closed |= ~fits
        if hosts.has_network:
            closed |= ~_network_fits(snapshot, vm, rerouted, fill)
    return closed


def _network_fits(snapshot: Snapshot, vm: int, rerouted: Floats, fill: Fill) -> Bools:
    hosts = snapshot.hosts
    after = hosts.network + np.maximum(0.0, rerouted) + float(snapshot.vms.network_peak[vm])
    fits: Bools = np.isinf(hosts.network_limit) | (after <= fill.network * hosts.network_limit)
    return fits


def refusal(trial: Trial) -> Refusal | None:
    """Return the first reason against the move, or None."""
    return next((no for constraint in CONSTRAINTS if (no := constraint(trial)) is not None), None)
