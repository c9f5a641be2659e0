"""Packing: when hosts are emptied so that they can be switched off, what keeps one on, and when one is woken.

Hosts are emptied only when all of them fit on what stays on, within the policy's fill, its spare and the failover reserve,
and when everything that would keep them from being switched off afterwards is known to be out of the way. Which of them:
see ``packing_choice``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ballastd.core.autonomy import SWITCH_OFF, grounds_of
from ballastd.core.books import DAY_SECONDS, OPERATOR, allowed_again
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import VmState
from ballastd.core.ledger import Ledger
from ballastd.core.packing_choice import POWER_OFF_RATE_SECONDS, Choosing, allowed_off, intent_for, off_by_us
from ballastd.core.plans import Deferral, DeferralKind, Refusal, RefusalKind
from ballastd.core.policies import ConsolidationPolicy, Health, Mode, PolicySet, Timing
from ballastd.core.power import WAKE_TEST, HostPower, PowerPhase
from ballastd.core.quantities import HostName, VmId, human_seconds
from ballastd.core.snapshot import Snapshot
from ballastd.core.telemetry import AgentState
from ballastd.core.trends import Trends, cluster_share, in_scope

WAITING_SHOWN = 3
"""Hosts named where many are why nothing is packed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The host to empty now (None for none), why, and which ones follow it; or what speaks against each host."""

    host: HostName | None = None
    policy: ConsolidationPolicy | None = None
    because: str = ""
    next_hosts: tuple[HostName, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    deferrals: tuple[Deferral, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What packing looks at beside the snapshot."""

    ledger: Ledger
    policies: PolicySet
    trends: Trends
    agents: dict[HostName, AgentState]
    timing: Timing


def empty_intents(snapshot: Snapshot, outlook: Outlook) -> tuple[Intent, ...]:
    """Return an intent for each host that is being emptied to be switched off."""
    wanted = []
    for host, power in sorted(outlook.ledger.power.items()):
        if power.phase is not PowerPhase.EMPTYING or host not in snapshot.hosts.names:
            continue
        policy = next((p for p in outlook.policies.consolidation if p.name == power.policy), None)
        if policy is not None:
            mode = Mode.AUTO if may_act(policy, power, outlook.ledger) else outlook.ledger.autonomy.mode_of(policy)
            wall = snapshot.now.wall
            closes = open_until(policy, outlook.policies, wall) or wall
            wanted.append(intent_for(policy, host, power.because, snapshot, mode, closes, power.next_hosts))
        elif power.policy in (OPERATOR, WAKE_TEST):
            wanted.append(Intent(IntentKind.DRAIN, host, power.policy, power.because, Health.HEALTHY, snapshot.now,
                                 urgent=True))
    return tuple(wanted)


def may_act(policy: ConsolidationPolicy, power: HostPower, ledger: Ledger) -> bool:
    """Return whether a policy may go on with a host: by itself, or because a person approved it and it still asks people."""
    mode = ledger.autonomy.mode_of(policy)
    return mode is Mode.AUTO or (mode is Mode.RECOMMEND and bool(power.approved_by))


def choose(snapshot: Snapshot, outlook: Outlook) -> Choice:
    """Return the host to empty next, the first of a set, or why none is. One at a time: while one is on its way, or the
    power of one failed, nothing is chosen."""
    phases = {host: power.phase for host, power in sorted(outlook.ledger.power.items())}
    failed = [host for host, phase in phases.items() if phase is PowerPhase.FAILED]
    if failed and outlook.policies.consolidation:
        return Choice(refusals=(Refusal(RefusalKind.POWER, "nothing more is switched off while the power of "
                                        f"{', '.join(failed)} failed: ballastctl host acknowledge", host=failed[0]),))
    if outlook.ledger.evacuating or any(phase is not PowerPhase.OFF for phase in phases.values()):
        return Choice()
    told: list[Deferral] = []
    for policy in outlook.policies.consolidation:
        choice = _choose_for(policy, snapshot, outlook)
        told.extend(choice.deferrals)
        if choice.host is not None or choice.refusals:
            return replace(choice, deferrals=tuple(told))
    return Choice(deferrals=tuple(told))


def open_until(policy: ConsolidationPolicy, policies: PolicySet, wall: float) -> float | None:
    """Return until when the policy may pack: its window's end, or the begin of a denial before that. None where it may
    not: a denial closes the window, and what is off is woken ahead of it as ahead of the window's own end."""
    window = policies.windows.get(policy.window)
    closes = window.open_until(wall) if window else None
    for denial in (policies.windows[name] for name in policy.denials):
        if closes is None or not denial.is_known(wall) or denial.open_until(wall) is not None:
            return None
        closes = min(closes, denial.next_open(wall) or denial.horizon)
    return closes


def _choose_for(policy: ConsolidationPolicy, snapshot: Snapshot, outlook: Outlook) -> Choice:
    idle = outlook.trends.fires("idle", policy.name)
    wall, closes = snapshot.now.wall, open_until(policy, outlook.policies, snapshot.now.wall)
    if closes is None:
        return Choice()
    if idle is None:
        return Choice(deferrals=(_why_not_idle(policy, snapshot, outlook),))
    if closes - wall <= policy.wake_ahead + policy.minimum_off:
        return Choice(deferrals=(Deferral(
            DeferralKind.WILL_NOT_FIT, f"{policy.window} closes in {human_seconds(closes - wall)}; a host that goes off now "
            f"would be woken before it was off for {human_seconds(policy.minimum_off)}"),))
    held = _rate(snapshot, outlook)
    if held is not None:
        return Choice(deferrals=(held,))
    share = "it is idle" if idle.evidence is None else (
        f"the hosts that are on use {idle.evidence.value:.0%}, less than {idle.evidence.threshold:.0%}")
    found = Choosing(policy, snapshot, outlook.ledger, outlook.policies, closes=closes, blocked=outlook.trends.blocked,
                     why_not=lambda host: _why_stays(policy, host, snapshot, outlook)).choose()
    if not found.hosts:
        return Choice(refusals=found.refusals)
    return Choice(found.hosts[0], policy, f"{policy.window} is open, {share}; {found.because}", found.hosts[1:])


def _why_stays(policy: ConsolidationPolicy, host: HostName, snapshot: Snapshot, outlook: Outlook) -> Refusal | None:
    """Return why a host is not to be emptied wherever its VMs would go, or None."""
    return (_why_rejected(policy, host, snapshot, outlook) or why_not_left(host, snapshot, outlook.ledger)
            or _why_in_use(host, outlook) or why_not_off(policy, host, snapshot, outlook))


def _why_not_idle(policy: ConsolidationPolicy, snapshot: Snapshot, outlook: Outlook) -> Deferral:
    """Return why nothing is packed although the window is open: too much is used, for too short a time too little, or
    nobody knows."""
    rows = in_scope(policy, snapshot)
    blocked, seen = outlook.trends.blocked, outlook.trends.verdict("idle", policy.name)
    share = cluster_share(snapshot, rows, blocked)
    names = [snapshot.hosts.names[row] for row in rows]
    waiting = [f"{name} waits for storage {blocked[name]:.0%} of the time and counts as busy" for name in names
               if name in blocked]
    beside = f"; {'; '.join(waiting[:WAITING_SHOWN])}" if waiting else ""
    if share is None:
        unknown = [name for name, row in zip(names, rows, strict=True) if np.isnan(float(snapshot.hosts.cpu[row]))]
        why = (f"what {', '.join(unknown[:WAITING_SHOWN])} use is not known" if unknown
               else "all hosts in its scope are off or being emptied")
        return Deferral(DeferralKind.NOT_IDLE, f"{policy.name}: {why}")
    used = f"the hosts that are on use {share:.0%}"
    if share >= policy.power_off_below:
        return Deferral(DeferralKind.NOT_IDLE, f"{policy.name}: {used}, not less than {policy.power_off_below:.0%}{beside}")
    since = seen.held_from if seen is not None else None
    held = 0.0 if since is None else max(0.0, snapshot.now.monotonic - since)
    return Deferral(DeferralKind.NOT_IDLE, f"{policy.name}: {used}, less than {policy.power_off_below:.0%}, for "
                    f"{human_seconds(held)} of {human_seconds(policy.power_off_hold)}{beside}",
                    until_wall=snapshot.now.wall + policy.power_off_hold - held)


def _rate(snapshot: Snapshot, outlook: Outlook) -> Deferral | None:
    """Return the limit on switching off that is used up, or None."""
    limits, ledger, wall = outlook.policies.limits, outlook.ledger, snapshot.now.wall
    off, allowed = off_by_us(ledger), allowed_off(snapshot, outlook.policies)
    if off >= allowed:
        return Deferral(DeferralKind.POWER_RATE, f"{off} of {len(snapshot.hosts.names)} hosts are off by our doing, at most "
                        f"{allowed}")
    if ledger.power_acts_since(wall - POWER_OFF_RATE_SECONDS, on=False) >= limits.power_offs_per_10_min:
        told = [act.wall for act in ledger.power_acts if not act.on and act.wall > wall - POWER_OFF_RATE_SECONDS]
        return Deferral(DeferralKind.POWER_RATE, f"at most {limits.power_offs_per_10_min} in ten minutes",
                        until_wall=allowed_again(told, limits.power_offs_per_10_min, POWER_OFF_RATE_SECONDS))
    return None


def why_not_off(policy: ConsolidationPolicy | None, host: HostName, snapshot: Snapshot, outlook: Outlook, *,
                proving: bool = False) -> Refusal | None:
    """Return why ``host`` could not be switched off even if it were empty, or None. ``policy`` None: an operator asks;
    ``proving``: it goes off to be proved wakeable, so no proof is asked for."""
    fact, ledger, wall = snapshot.facts[snapshot.row(host)], outlook.ledger, snapshot.now.wall
    agent, declared = outlook.agents.get(host), fact.declared
    vms = fact.inventory.vms if fact.inventory else ()
    # what a migration of ours has just left is shut off for a moment, until its definition is gone too
    leaving = {migration.vm for migration in ledger.open_migrations() if migration.source == host}
    stranded = [vm.name for vm in vms if vm.state in (VmState.SHUTOFF, VmState.CRASHED) and vm.vm not in leaving]
    proof, kept = ledger.wakeable.get(host), ledger.kept.get(host)
    cycles = ledger.power_acts_since(wall - DAY_SECONDS, on=False, host=host)
    since_on = wall - ledger.switched_on.get(host, float("-inf"))
    checks: tuple[tuple[bool, str], ...] = (
        (not declared.power, "it has no power driver in the settings"),
        (not fact.reachable or not fact.fresh, "it is not fresh in sight"),
        (not proving and (proof is None or wall - proof > outlook.timing.wake_proof),
         f"it was not proved lately that it can be woken; try it once, then: ballastctl host confirm-wakeable {host}"),
        (agent is None or not agent.online or not agent.hook,
         "its cordon hook is not confirmed, so that a guest could still be started there"),
        (bool(stranded), f"{len(stranded)} shut-off VMs are defined there and would be stranded: "
                         f"{', '.join(stranded[:3])}"),
        (policy is not None and kept is not None and wall - kept.wall < outlook.timing.power_off,
         f"it was kept on {human_seconds(max(0.0, wall - kept.wall))} ago: {kept.detail}" if kept else ""),
        (cycles >= outlook.policies.limits.power_cycles_per_day, f"it was switched off {cycles} times within a day"),
        (policy is not None and since_on < policy.minimum_on,
         f"it is on for {human_seconds(max(0.0, since_on))} only" if since_on < float("inf") else ""),
    )
    why = next((text for wrong, text in checks if wrong), None)
    return None if why is None else Refusal(RefusalKind.POWER, why, host=host)


def why_not_left(host: HostName, snapshot: Snapshot, ledger: Ledger) -> Refusal | None:
    """Return why a host is not packing's to empty, or None: it is sick, or a person empties it."""
    health = snapshot.facts[snapshot.row(host)].health
    if health is not Health.HEALTHY:
        return Refusal(RefusalKind.HOST_NOT_HEALTHY, f"it is {health.name.lower()}", host=host)
    if host in ledger.drains:
        return Refusal(RefusalKind.HOST_DRAINING, "an operator drains it", host=host)
    return None


def _why_in_use(host: HostName, outlook: Outlook) -> Refusal | None:
    waits = outlook.trends.blocked.get(host)
    if waits is not None:
        return Refusal(RefusalKind.LOAD_UNKNOWN, f"its tasks wait for storage {waits:.0%} of the time: what they would use "
                       "if they were served is not known", host=host)
    if any(host in (m.source, m.target) for m in outlook.ledger.open_migrations()):
        return Refusal(RefusalKind.VM_BUSY, "a migration to or from it is not settled yet", host=host)
    return None


def _why_rejected(policy: ConsolidationPolicy, host: HostName, snapshot: Snapshot, outlook: Outlook) -> Refusal | None:
    autonomy, wall = outlook.ledger.autonomy, snapshot.now.wall
    no = autonomy.rejection(grounds_of(policy.name, SWITCH_OFF, host, VmId("")), wall)
    if no is None or autonomy.mode_of(policy) is not Mode.RECOMMEND:
        return None
    return Refusal(RefusalKind.REJECTED, f"{no.by} did not want it switched off; not recommended again for "
                   f"{human_seconds(no.until_wall - wall)}", host=host)


def reason_to_wake(host: HostName, snapshot: Snapshot, outlook: Outlook, unplaced: int) -> tuple[str, bool]:
    """Return why a host that stands by should be woken now (empty: it should not), and whether that cannot wait for
    the host's minimum time off. What an operator switched off, an operator wakes. ``unplaced``: VMs on failing or
    drained hosts that no host takes."""
    power, wall = outlook.ledger.power[host], snapshot.now.wall
    if power.policy == OPERATOR:
        return "", False
    if power.policy == WAKE_TEST:
        return ("to see that it comes back", True) if power.phase is PowerPhase.OFF else ("", False)
    if unplaced:
        return f"{unplaced} VM(s) have nowhere to go", True
    policy = next((p for p in outlook.policies.consolidation if p.name == power.policy), None)
    if policy is None:
        return f"there is no policy {power.policy} any more", True
    if policy.mode is not Mode.AUTO and not may_act(policy, power, outlook.ledger):
        return f"{policy.name} is in mode {policy.mode.value} now", True
    closes = open_until(policy, outlook.policies, wall)
    if closes is None:
        return f"the window of {policy.name} is closed", True
    if closes - wall <= policy.wake_ahead:
        return f"{policy.window} closes in {human_seconds(closes - wall)}", True
    busy = outlook.trends.fires("busy", policy.name)
    if busy is not None and busy.evidence is not None:
        return f"the hosts that are on use {busy.evidence.value:.0%}, more than {busy.evidence.threshold:.0%}", False
    return "", False

