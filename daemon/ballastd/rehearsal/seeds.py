"""Random nights of random clusters: what a seed stands for, and what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from ballastd.core.acts import Act
from ballastd.core.conditions import Aggregate, Condition, Holding, RelativeTo, Threshold
from ballastd.core.inputs import Verb
from ballastd.core.inventory import BROKEN
from ballastd.core.policies import (
    BalancePolicy,
    ConsolidationPolicy,
    Cooldown,
    EvacuationPolicy,
    Health,
    HealthPolicy,
    Limits,
    Mode,
    PlacementPolicy,
    PolicySet,
    Response,
    Rule,
    VmSelector,
    Window,
)
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.rehearsed import Violation
from ballastd.core.saved_cluster import Demand
from ballastd.rehearsal.furnishing import bounded, desperate, furnished, wary, with_busy_links, with_checks
from ballastd.rehearsal.rest import judge_rest, orders_of
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.sim.chances import ASKED, FAULTS, chosen, draw
from ballastd.sim.generating import generate
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL

HOUR = 3600.0
QUIET_START = 900.0
"""Nothing happens before the daemon is warm."""
LONGEST_REST = Seconds(6 * HOUR)
"""No VM rests longer than this, those included that strangers moved, for else a cluster would be healed for that long."""
HEALING = 8 * HOUR
"""How long after everything was put right the cluster may take to come to rest: the longest cooldown and a bit."""
EASILY, BUSY_AT_MOST = 0.8, 0.45
"""How full, by memory and by processors, the hosts that stay on may be for a night that surely spares one."""
LONG_NIGHT = 1.75 * HOUR
"""How long a window is open at least, once everything was idle for long enough, in which a host surely goes off: it is
emptied first and woken before it closes, and until it has been off for an hour or so it has not saved what that cost."""
REST = HOUR
"""How long at the end nothing may move."""


@dataclass(frozen=True, slots=True)
class FixedPolicies:
    """A policy source that never changes."""

    policies: PolicySet

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:  # noqa: ARG002  the source's
        """See ``service.daemon.PolicySource``."""
        return self.policies, ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a seed went. ``happened``: how often what must not be dead code in a rehearsal took place; ``allows``: which of
    that its cluster and its script, not what became of them, give reason for."""

    seed: int
    faults: tuple[str, ...]
    violations: tuple[Violation, ...]
    happened: dict[str, int]
    seconds: float
    trace: tuple[str, ...]
    allows: frozenset[str] = frozenset({"moves"})


def policies_of(luck: Random, begins: float, lasts: float) -> PolicySet:
    """Return a policy set that does all three things, with limits and windows by chance."""
    health = (
        HealthPolicy("memory", Condition(Threshold("ecc.uncorrected", 0.0, Aggregate.INCREASE, Seconds(HOUR)),
                                         Holding(latched=True)), Health.FAILING),
        HealthPolicy("heat", Condition(
            Threshold("temperature", -5.0, relative_to=RelativeTo.CRITICAL, clear_threshold=-10.0),
            Holding(Seconds(60.0), Seconds(300.0))),
                     luck.choice((Health.DEGRADED, Health.FAILING))),
        HealthPolicy("fan", Condition(Threshold("fan.alarm", 0.5), Holding(clear_hold=Seconds(60.0))), Health.SUSPECT),
        HealthPolicy("supply", Condition(Threshold("psu.alarm", 0.5), Holding(hold=Seconds(30.0))), Health.DEGRADED))
    evacuation = (
        EvacuationPolicy("failing", Health.FAILING, Response.EVACUATE, mode=Mode.AUTO, deadline=Seconds(1800.0),
                         ignore_windows=True),
        EvacuationPolicy("degraded", Health.DEGRADED, luck.choice((Response.DRAIN, Response.QUARANTINE)), mode=Mode.AUTO))
    windows = dict(_windows(luck, begins, lasts))
    denied = tuple(name for name, window in windows.items() if not window.allows)
    balance = (BalancePolicy("even-load", mode=Mode.AUTO, windows=denied, hot_hold=Seconds(luck.choice((60.0, 300.0))),
                             cooldown=Cooldown(foreign_move=LONGEST_REST)),)
    consolidation = tuple(
        ConsolidationPolicy("nights", name, denials=denied, mode=Mode.AUTO,
                            power_off_hold=Seconds(luck.choice((300.0, 1200.0))))
        for name, window in windows.items() if window.allows)
    rests = Cooldown(foreign_move=LONGEST_REST)
    placement = (
        PlacementPolicy("replicas", VmSelector(group="team-1"), Rule.APART, weight=luck.choice((None, 10)), mode=Mode.AUTO,
                        cooldown=rests),
        PlacementPolicy("quorum", VmSelector(group="team-2"), Rule.APART, across="rack", mode=Mode.RECOMMEND,
                        cooldown=rests))
    limits = Limits(in_flight_cluster=luck.choice((1, 2, 4, 8)), evacuations_at_once=luck.choice((1, 2)),
                    evacuations_per_hour=luck.choice((2, 6)), hosts_off_share=0.5,
                    failover_hosts=luck.choice((0, 1, 1)), migration_minimum_mib_s=luck.choice((1.0, 50.0)),
                    failover_domain=luck.choice(("host", "host", "host", "rack")))
    return PolicySet(health, evacuation, windows, limits, "seed", balance, consolidation, placement)


def _windows(luck: Random, begins: float, lasts: float) -> Iterator[tuple[str, Window]]:
    horizon = begins + 14 * 86400.0
    opens = begins + luck.uniform(0.05, 0.3) * lasts
    closes = opens + luck.uniform(0.3, 0.6) * lasts
    yield "night", Window("night", True, ((opens, closes),), horizon)
    if luck.random() < 0.4:
        frozen = begins + luck.uniform(0.0, 0.9) * lasts
        yield "change-freeze", Window("change-freeze", False, ((frozen, frozen + luck.uniform(600.0, 2 * HOUR)),), horizon)


def setting_of(seed: int, hours: float, faults: tuple[str, ...] | None = None) -> Setting:
    """Return what a seed stands for. ``faults``: instead of those that chance takes."""
    luck, lasts = Random(f"{seed} setting"), hours * HOUR
    hosts = luck.randint(3, 8)
    cluster = generate(hosts, luck.randint(2, 6) * hosts, seed, fill=luck.uniform(0.2, 0.5), load=luck.uniform(0.05, 0.4))
    cluster = furnished(cluster, seed)
    names = chosen(seed) if faults is None else faults
    acts = draw(seed, cluster, names, QUIET_START, lasts)
    policies = wary(bounded(desperate(policies_of(luck, DEFAULT_EPOCH_WALL, lasts), seed), cluster, seed), seed)
    if "answers" in names:
        # those that people are asked about
        policies = policies.with_modes(lambda one: Mode.RECOMMEND if one.name in ASKED else one.mode)
    cluster, policies, acts = with_busy_links(cluster, policies, acts, seed, lasts)
    return with_checks(Setting(cluster, FixedPolicies(policies), acts=acts, seed=seed), seed, lasts)


def run_seed(seed: int, hours: float = 12.0, faults: tuple[str, ...] | None = None) -> Outcome:
    """Rehearse a seed: ``hours`` of trouble, then everything is put right, and all has to come to rest."""
    setting = setting_of(seed, hours, faults)

    async def story(stage: Stage) -> None:
        await stage.play(hours * HOUR)
        await heal(stage)
        stage.world.trace.say("> everything is put right")
        await asyncio.sleep(HEALING - REST)
        before = orders_of(stage)
        await asyncio.sleep(REST)
        judge_rest(stage, before, REST)

    _, stage = perform(setting, story)
    names = chosen(seed) if faults is None else faults
    return Outcome(seed, names, stage.violations, _happened(stage), hours * HOUR + HEALING, tuple(stage.world.trace.lines),
                   allowed_by(setting))


def allowed_by(setting: Setting) -> frozenset[str]:
    """Return what ought to happen in most such rehearsals: moves in all; evacuations where memory fails; adoptions where the
    daemon is to be killed over the next migration, and a host is to be emptied after that; power-offs, and so wakes, where a
    host can be spared beside the spare one and nothing but processors and memory counts, in a night that is long enough, by
    a policy that acts, where no cables were mixed up."""
    found = {"moves"}
    if any(act.do == "reading" and act.metric == "ecc.uncorrected" and act.value for act in setting.acts):
        found.add("evacuations")
    ambushes = [act.at for act in setting.acts if act.do == "ambush"]
    if ambushes and any(act.at > min(ambushes) and _empties_a_host(act) for act in setting.acts):
        found.add("adoptions")
    hindered = any(act.do == "swap" for act in setting.acts)
    if _can_spare_one(setting) and _may_sleep(setting) and not hindered:
        found |= {"offs", "wakes"}
    return frozenset(found)


def _can_spare_one(setting: Setting) -> bool:
    hosts, vms = setting.cluster.hosts, setting.cluster.vms
    if any(host.declared.network_mib_s is not None or host.hardware is not None for host in hosts):
        return False  # whether what is left of networks and pages is enough is not reckoned here
    limits = sorted(host.declared.memory_limit or host.memory_total - host.declared.memory_reserve for host in hosts)
    left = sum(limits[1:-1]) * EASILY
    cpus = sum(sorted(host.cpus for host in hosts)[1:-1]) * BUSY_AT_MOST
    return sum(vm.record.memory_max for vm in vms) < left and sum(vm.demand.high for vm in vms) < cpus


def _empties_a_host(act: Act) -> bool:
    failed = act.do == "reading" and act.metric == "ecc.uncorrected" and bool(act.value)
    return failed or (act.do == "operator" and act.word == "drain")


def _may_sleep(setting: Setting) -> bool:
    policies, _ = setting.policies.load(DEFAULT_EPOCH_WALL)
    return any(policy.mode is Mode.AUTO and _open_for(policy, policies) - policy.power_off_hold >= LONG_NIGHT
               for policy in policies.consolidation)


def _open_for(policy: ConsolidationPolicy, policies: PolicySet) -> float:
    """Return for how long a policy's window is open at most without a denial."""
    denied = sorted(one for name in policy.denials for one in policies.windows[name].intervals)
    longest = 0.0
    for opens, closes in policies.windows[policy.window].intervals:
        begins = opens
        for frozen, thawed in denied:
            longest = max(longest, min(frozen, closes) - begins)
            begins = max(begins, thawed)
        longest = max(longest, closes - begins)
    return longest


async def heal(stage: Stage) -> None:
    """Put everything right that went wrong, as good operators would, and let VMs do what they do now."""
    world = stage.world
    world.journal.full, world.notices.rival = False, None
    world.agents.come_back()
    world.hypervisor.fates.clear()
    world.hypervisor.dirty_mib_s.clear()
    world.lanes.disk_seconds = 0.0
    world.power.untangle()
    for known in world.hypervisor.hosts.values():
        for halted, record in list(known.vms.items()):
            world.hypervisor.go_on(known.name, halted)
            if record.state in BROKEN:
                world.stop(halted)
    for act in _repairs(stage):
        stage.act(act)
    for vm in stage.setting.cluster.vms:
        world.want(vm.record.vm, Demand(high=round(world.hypervisor.processors.asked(vm.record.vm), 3)))
    # long enough for a daemon that was down to be started, and warm again
    await asyncio.sleep(1200.0)
    for _ in range(2):
        await _tidy_up(stage)


def _repairs(stage: Stage) -> Iterator[Act]:
    world, at = stage.world, 0.0
    for host in stage.setting.cluster.hosts:
        yield Act(at, "behave", host=host.name)
        yield Act(at, "conduct", host=host.name, word="honest")
        controller = world.power.controllers[host.name]
        if world.host(host.name).powered or not _is_ours_to_wake(stage, host.name):
            if not controller.is_powered:
                yield Act(at, "press", host=host.name)
            yield Act(at, "heal", host=host.name)
        for (metric, subject), sample in world.agents.readings(host.name).items():
            if metric != "ecc.uncorrected":
                calm = 55.0 if metric == "temperature" else 0.0
                yield Act(at, "reading", host=host.name, metric=metric, subject=subject, value=calm,
                          critical=sample.critical, high=sample.high)


def _is_ours_to_wake(stage: Stage, host: HostName) -> bool:
    return stage.world.told.get(host) is False


async def _tidy_up(stage: Stage) -> None:
    """What operators do when they come in: resume, acknowledge, lift what was put up, trust again."""
    view = stage.daemon.view() if stage.daemon is not None else None
    for demoted in view.demotions if view is not None else ():
        await stage.say(Verb.PROMOTE, demoted.policy)
    for verb in (Verb.RESUME,):
        await stage.say(verb)
    for host in stage.setting.cluster.hosts:
        for verb in (Verb.ACKNOWLEDGE, Verb.UNDRAIN, Verb.UNCORDON, Verb.POWER_ON):
            await stage.say(verb, host.name)
    await asyncio.sleep(300.0)


def _happened(stage: Stage) -> dict[str, int]:
    kinds = Counter(str(record.content["kind"]) for record in stage.world.journal.records)
    routine = sum(1 for record in stage.world.journal.records
                  if record.content["kind"] == "MigrationOrdered" and record.content.get("routine"))
    adopted = sum(1 for number in stage.adopted if number)
    return {"moves": kinds["MigrationOrdered"], "routine": routine, "evacuations": kinds["EvacuationBegun"],
            "offs": kinds["PowerOffOrdered"], "wakes": kinds["HostAwake"], "adoptions": adopted,
            "starts": kinds["DaemonStarted"], "approvals": kinds["RecommendationApproved"],
            "lapses": kinds["ApprovalLapsed"], "demotions": kinds["PolicyDemoted"],
            "post_copies": kinds["PostCopyOrdered"], "shutdowns": kinds["ShutdownOrdered"]}


def without(seed: int, hours: float, violated: str) -> tuple[str, ...]:
    """Return the fewest faults of a seed, taken out one after the other, with which ``violated`` (a rule) still is."""
    names = chosen(seed)
    for name in FAULTS:
        if name in names:
            fewer = tuple(known for known in names if known != name)
            if any(one.rule == violated for one in run_seed(seed, hours, fewer).violations):
                names = fewer
    return names
