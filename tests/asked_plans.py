"""A cluster, its books and everything that may be asked of it at once, from a seed: for whoever looks at plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from ballastd.core import autonomy_events as au
from ballastd.core import power_events as pw
from ballastd.core.arrays import Floats
from ballastd.core.books import OPERATOR
from ballastd.core.breaches import broken_on
from ballastd.core.consumption import HOURS
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.inventory import DeclaredHost, HostInventory, JobKind, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.loads import HostLoad, Loads
from ballastd.core.migrations import Ending, Failure, Migration, MigrationPhase, Moved, RoutineOrder
from ballastd.core.planning import plan
from ballastd.core.plans import Plan, Refusal, RefusalKind
from ballastd.core.policies import (
    BalancePolicy,
    ConsolidationPolicy,
    Cooldown,
    Edge,
    Health,
    Limits,
    Mode,
    MoveBudget,
    PlacementPolicy,
    PolicySet,
    Rule,
    Scope,
    VmSelector,
)
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant, Seconds, VmId
from ballastd.core.snapshot import HostFacts, Snapshot, take
from ballastd.sim.pages import free_pages

WALL = 1_750_000_000.0
NOW = Instant(100_000.0, WALL, "boot")
HOUR = 3600.0


@dataclass(frozen=True)
class AskedPlan:
    """What a plan is made from."""

    snapshot: Snapshot
    ledger: Ledger
    intents: tuple[Intent, ...]
    policies: PolicySet

    def plan(self) -> Plan:
        """Make it."""
        return plan(self.snapshot, self.ledger, self.intents, self.policies)


def asked_plan(seed: int) -> AskedPlan:
    """Return 3 to 8 hosts in racks, some of them full, cold, unknown or closed; 0 to 6 VMs on each, with tags, some of which
    moved, failed or are moving; rules of every kind; and an intent of any kind for any host. In some of them there are huge
    pages and other hardware, jobs of strangers and VMs in post-copy, people that were asked and answered, a second policy,
    or hosts and VMs that have nothing, and marks at their ends."""
    luck, more = Random(seed), _More(seed)
    networks = luck.choice(((None,), (None, 600.0)))
    hosts = [_host(luck, number, luck.choice(networks)) for number in range(luck.randint(3, 8))]
    order = luck.sample([host.name for host in hosts], len(hosts))
    odds = ((IntentKind.EVACUATE, order[0], 0.4), (IntentKind.DRAIN, order[1], 0.3), (IntentKind.EMPTY, order[-1], 0.4))
    leaving = {kind: host for kind, host, chance in odds if luck.random() < chance}
    vms = {host.name: [_vm(luck, f"{host.name}v{number}") for number in range(luck.randint(0, 6))] for host in hosts}
    more.disguise(vms)
    ledger = _books(luck, [host.name for host in hosts], vms)
    usage = {vm.vm: _usage(luck) for some in vms.values() for vm in some}
    facts = tuple(more.furnish(_facts(luck, host, vms[host.name], usage, host.name in leaving.values())) for host in hosts)
    snapshot = take(facts, ledger, NOW, _Used(luck, usage, counts_network=any(host.network_mib_s for host in hosts)))
    policies = more.ruled(_policies(luck))
    intents = _intents(luck, snapshot, policies, order, leaving)
    more.answer(ledger, intents, snapshot)
    return AskedPlan(snapshot, ledger, intents, policies)


class _More:
    """What is not so in every cluster, by a luck of its own."""

    def __init__(self, seed: int) -> None:
        self._luck = luck = Random(f"more {seed}")
        self._has_pages, self._has_strangers, self._has_answers, self._has_two, self._has_nothing = (
            luck.random() < 0.3 for _ in range(5))
        self._processors = Random(f"processors {seed}")
        self._most = self._processors.choice((None, None, 0.5, 1.0))

    def disguise(self, vms: dict[HostName, list[VmRecord]]) -> None:
        """Have some VMs need huge pages, other hardware or more processors, or be in the hands of somebody else; some hosts
        show others'."""
        for some in vms.values():
            some[:] = [self._disguised(vm) for vm in some]
            if self._has_strangers and self._luck.random() < 0.3:
                here = {vm.vm for vm in some}
                others = [vm for them in vms.values() for vm in them if vm.vm not in here]
                some += [replace(vm, tags=(), state=self._luck.choice((VmState.INCOMING, VmState.PAUSED)),
                                 job=self._luck.choice((JobKind.INCOMING, JobKind.NONE)))
                         for vm in self._luck.sample(others, min(1, len(others)))]

    def _disguised(self, vm: VmRecord) -> VmRecord:
        luck, needs = self._luck, vm.needs
        if self._has_pages and luck.random() < 0.4:
            part = luck.choice((vm.memory_max, vm.memory_max, Bytes(vm.memory_max // 2)))
            needs = Needs((Backing(Bytes(luck.choice((2 * MIB, 2 * MIB, 0, GIB))), part),), luck.choice(((), (), (0,))))
        if self._has_pages and luck.random() < 0.2:
            needs = replace(needs, sees_host=luck.random() < 0.5, likeness=luck.choice(("", "like")))
        state, job, memory = vm.state, JobKind.NONE, vm.memory_max
        if self._has_strangers and luck.random() < 0.15:
            state = luck.choice((vm.state, VmState.POSTCOPY, VmState.POSTCOPY_LEFT, VmState.POSTCOPY_FAILED,
                                 VmState.SHUTOFF))
            job = luck.choice((JobKind.OUTGOING, JobKind.NONE))
        if self._has_nothing and luck.random() < 0.1:
            needs, memory = Needs(), Bytes(0)
        vcpus = self._processors.choice((1, 2, 2, 4, 8))
        return replace(vm, needs=needs, state=state, job=job, memory_max=memory, vcpus=vcpus)

    def furnish(self, fact: HostFacts) -> HostFacts:
        """Return a host with pools of huge pages and a processor of some kind, or with nothing that VMs may use."""
        luck, inventory = self._luck, fact.inventory
        assert inventory is not None
        if self._has_pages and luck.random() < 0.9:
            pools = tuple(PagePool(Bytes(size), luck.choice((0, 4, 16)) * GIB // size, node)
                          for size in (2 * MIB, GIB) for node in (0, 1) if luck.random() < 0.6)
            hardware = Hardware(nodes=(0, 1), pools=pools, processor=luck.choice(((), ("x",), ("y",))))
            inventory = replace(inventory, hardware=hardware, pages_free=free_pages(hardware, inventory.vms),
                                misfits=luck.choice(({}, {}, {"like": "no such machine"})))
        if self._has_nothing and luck.random() < 0.3:
            if luck.random() < 0.5:
                fact = replace(fact, declared=replace(fact.declared, memory_limit=Bytes(0)))
            else:
                fact = replace(fact, load=replace(fact.load, limit=0.0))
        return replace(fact, inventory=inventory)

    def ruled(self, policies: PolicySet) -> PolicySet:
        """Return policies with another one that balances, and with marks at their ends."""
        (balance,), luck = policies.balance, self._luck
        if self._has_nothing:
            balance = replace(balance, cool_cpu=luck.choice((0.001, 0.5, 1.0)), cool_memory=luck.choice((0.001, 0.8, 1.0)),
                              cool_network=luck.choice((0.001, 0.5, 1.0)))
        if not self._has_two:
            return replace(policies, balance=(balance,), limits=Limits(vcpus_per_processor=self._most))
        hot = tuple(Edge(resource, luck.choice((0.3, 0.7, 0.88, 0.95))) for resource in ("cpu", "memory", "network")
                    if luck.random() < 0.8)
        second = replace(balance, name="second", hot=hot, cool_cpu=luck.choice((0.3, 0.65)), cool_memory=0.8,
                         scope=luck.choice((Scope(), Scope(("h0", "h1", "h2")))),
                         vms=luck.choice((VmSelector(), VmSelector(names=("*v[0-3]",)))))
        limits = Limits(failover_hosts=luck.choice((0, 1)), failover_domain=luck.choice(("host", "rack")),
                        vcpus_per_processor=self._most)
        return replace(policies, balance=(balance, second), limits=limits)

    def answer(self, ledger: Ledger, intents: tuple[Intent, ...], snapshot: Snapshot) -> None:
        """Book what was offered to people and what they did not want."""
        luck, names = self._luck, snapshot.hosts.names
        asked = [intent for intent in intents if intent.mode is Mode.RECOMMEND]
        for vm, home in zip(snapshot.vms.ids, snapshot.vms.host.tolist(), strict=True):
            if not (self._has_answers and asked and luck.random() < 0.5):
                continue
            intent, key = luck.choice(asked), f"offer-{vm}"
            ledger.autonomy.apply(au.Recommended(
                WALL - 60.0, key, intent.policy, intent.reason, luck.choice((names[home], intent.host)), "", Seconds(HOUR),
                vm, vm, luck.choice(names), Bytes(GIB)))
            if luck.random() < 0.5:
                ledger.autonomy.apply(au.RecommendationRejected(WALL - 60.0, key, "ann", WALL + HOUR, intent.policy, ""))


class _Used(Loads):
    """What VMs use: processors as they are given, their network where it is counted, hours of the day in every other
    cluster; unknown of some VMs."""

    def __init__(self, luck: Random, usage: dict[VmId, tuple[float, float]], *, counts_network: bool) -> None:
        super().__init__(Seconds(300.0))
        self._usage, known = usage, luck.choice((0.0, 0.0, 0.8, 1.0))
        unknown = luck.choice((0.0, 0.1, 0.3))
        self._mib_s = {vm: _usage(luck, 100.0, unknown) for vm in usage} if counts_network else None
        self._day = {vm: [luck.choice((0.1, 0.5, 1.0, 2.0)) if luck.random() < 0.9 else 6.0 for _ in range(HOURS)]
                     for vm in usage if luck.random() < known}

    def columns(self, vms: tuple[VmId, ...], now: Instant) -> tuple[Floats, Floats]:
        """See ``Loads``."""
        return _columns(self._usage, vms)

    def network(self, vms: tuple[VmId, ...], now: Instant) -> tuple[Floats, Floats] | None:
        """See ``Loads``."""
        return None if self._mib_s is None else _columns(self._mib_s, vms)

    def hours(self, vms: tuple[VmId, ...], now: Instant) -> Floats:
        """See ``Loads``."""
        return np.array([self._day.get(vm, [np.nan] * HOURS) for vm in vms]).reshape(-1, HOURS)


def _columns(usage: dict[VmId, tuple[float, float]], vms: tuple[VmId, ...]) -> tuple[Floats, Floats]:
    used, most = np.array([usage[vm] for vm in vms]).reshape(-1, 2).T
    return used, most


def _host(luck: Random, number: int, network: float | None) -> DeclaredHost:
    return DeclaredHost(HostName(f"h{number}"), "", memory_limit=Bytes(luck.choice((32, 64, 64, 128)) * GIB),
                        labels=(("rack", f"r{number // 2}"), ("cooling", luck.choice("ab"))),
                        network_mib_s=network)


def _vm(luck: Random, name: str) -> VmRecord:
    return VmRecord(VmId(name), name, luck.choice((VmState.RUNNING,) * 9 + (VmState.PAUSED,)),
                    Bytes(luck.choice((1, 2, 4, 4, 8, 16)) * GIB), priority=luck.choice((0, 0, 5)),
                    tags=tuple(tag for tag in ("web", "db") if luck.random() < 0.2))


def _usage(luck: Random, times: float = 1.0, unknown: float = 0.05) -> tuple[float, float]:
    used = float("nan") if luck.random() < unknown else times * luck.choice((0.1, 0.5, 1.0, 2.0, 4.0))
    return used, used * luck.choice((1.0, 1.0, 1.5))


def _facts(luck: Random, host: DeclaredHost, vms: list[VmRecord], usage: dict[VmId, tuple[float, float]],
           closed: bool) -> HostFacts:
    known = [usage[vm.vm][0] for vm in vms if not np.isnan(usage[vm.vm][0])]
    by_vms = sum(known) if len(known) == len(vms) else None
    used = None if luck.random() < 0.05 else sum(known) + luck.choice((0.0, 0.1, 1.0, 3.0))
    inventory = HostInventory(host.name, NOW, NOW, Bytes(256 * GIB), Bytes(luck.choice((256, 256, 24)) * GIB), 16,
                              tuple(sorted(vms, key=lambda vm: vm.vm)))
    avoid = (Refusal(RefusalKind.HOST_CORDONED, "closed", host=host.name),) if closed or luck.random() < 0.1 else ()
    return HostFacts(host, inventory, Health.HEALTHY, True, True, avoid, None, True, HostLoad(16.0, used, by_vms))


def _books(luck: Random, hosts: list[HostName], vms: dict[HostName, list[VmRecord]]) -> Ledger:
    """Return a ledger in which a third of all VMs have a past or are on their way."""
    ledger = Ledger()
    for host, vm in ((host, vm) for host, some in vms.items() for vm in some):
        other = luck.choice([one for one in hosts if one != host])
        ago, kind = luck.choice((60.0, 200.0, 2 * HOUR, 8 * HOUR, 20 * HOUR)), luck.random()
        if kind < 0.12:
            ledger.moved[vm.vm] = (Moved(WALL - ago, other, host, luck.choice(("even-load", ""))),)
        elif kind < 0.2:
            ledger.failures[vm.vm] = (Failure(WALL - ago, other, Ending.FAILED, luck.random() < 0.3),)
        elif kind < 0.25:
            ledger.routine_orders += (RoutineOrder(WALL - ago, "even-load", vm.vm),) * luck.choice((1, 2))
        elif kind < 0.3:
            phase = luck.choice((MigrationPhase.ORDERED, MigrationPhase.RUNNING, MigrationPhase.FAILED))
            ledger.migrations[vm.name] = Migration(vm.name, vm.vm, vm.name, host, other, vm.memory_max, 100, "even-load", "",
                                                   WALL - 60.0, WALL + HOUR, 60.0, phase)
    if luck.random() < 0.3:
        ledger.kept[hosts[0]] = pw.HostKept(WALL - 3 * HOUR, hosts[0], "")
    if luck.random() < 0.3:
        ledger.switched_on[hosts[-1]] = WALL - 3 * HOUR
    return ledger


def _policies(luck: Random) -> PolicySet:
    rests = Cooldown(*(Seconds(luck.choice((HOUR, 6 * HOUR)) * times) for times in (1, 4)), Seconds(300.0),
                     Seconds(luck.choice((HOUR, 12 * HOUR))))
    budget = MoveBudget(in_flight=luck.choice((1, 4)))
    kinds = [(VmSelector(tags=(tag,)), rule, across)
             for tag in ("web", "db") for rule in Rule for across in ("host", "rack")]
    rules = tuple(PlacementPolicy(f"rule-{number}", vms, rule, across, Scope(("h0", "h2", "h3")),
                                  luck.choice((None, 5, 50)), cooldown=rests, budget=budget)
                  for number, (vms, rule, across) in enumerate(luck.sample(kinds, luck.choice((0, 1, 3)))))
    balance = BalancePolicy("even-load", cool_cpu=luck.choice((0.3, 0.5, 0.65)), cool_memory=luck.choice((0.5, 0.82)),
                            cooldown=rests, budget=budget, imbalance_above=0.2)
    nights = ConsolidationPolicy("nights", "night", fill_cpu=luck.choice((0.5, 0.8)), fill_memory=0.8, cooldown=rests,
                                 budget=budget)
    return PolicySet(balance=(balance,), consolidation=(nights,), placement=rules)


def _intents(luck: Random, snapshot: Snapshot, policies: PolicySet, names: list[HostName],
             leaving: dict[IntentKind, HostName]) -> tuple[Intent, ...]:
    """Return intents in the order in which the mind gives them: what may be done before what is only looked at."""
    wanted: list[Intent] = []
    balance, nights = policies.balance[0], policies.consolidation[0]
    second = policies.balance[-1]

    def asks(kind: IntentKind, host: HostName, policy: str, severity: Health = Health.HEALTHY, fill: Fill | None = None,
             **more: object) -> None:
        mode = luck.choice((Mode.AUTO, Mode.AUTO, Mode.AUTO, Mode.RECOMMEND))
        wanted.append(Intent(kind, host, policy, "", severity, NOW, mode, fill=fill, **more))  # type: ignore[arg-type]

    cool, full = Fill(balance.cool_cpu, balance.cool_memory, balance.cool_network), Fill(
        nights.fill_cpu, nights.fill_memory, nights.fill_network)
    if IntentKind.EVACUATE in leaving:
        asks(IntentKind.EVACUATE, names[0], "failing", luck.choice((Health.FAILING, Health.DEGRADED)), urgent=True,
             avoid_labels=luck.choice(((), ("cooling",))), vms=luck.choice((VmSelector(), VmSelector(names=("*v[0-3]",)))))
    if IntentKind.DRAIN in leaving:
        asks(IntentKind.DRAIN, names[1], OPERATOR, urgent=True)
    for host in names[:luck.choice((0, 1, 2))]:
        asks(IntentKind.RELIEVE, host, balance.name, fill=cool, cooldown=balance.cooldown, budget=balance.budget,
             minimum_gain=0.05)
    inside = [host for host in names if second.scope.covers(snapshot.facts[snapshot.row(host)].declared)]
    for host in inside[:2] if second is not balance else ():
        asks(IntentKind.RELIEVE, host, second.name, fill=Fill(second.cool_cpu, second.cool_memory, second.cool_network),
             cooldown=second.cooldown, budget=second.budget, minimum_gain=0.05, vms=second.vms)
    for rule in policies.placement:
        for host in broken_on(snapshot, rule):
            asks(IntentKind.REPAIR, host, rule.name, fill=cool, cooldown=rule.cooldown, budget=rule.budget, vms=rule.vms)
    if IntentKind.EMPTY in leaving:
        asks(IntentKind.EMPTY, names[-1], nights.name, fill=full, cooldown=nights.cooldown, budget=nights.budget,
             next_hosts=tuple(names[-2:-1]))
    elif luck.random() < 0.6 and not any(intent.kind is IntentKind.RELIEVE for intent in wanted):
        fullest = max(names, key=lambda name: float(np.nan_to_num(snapshot.hosts.cpu[snapshot.row(name)])))
        asks(IntentKind.EVEN, fullest, balance.name, fill=cool, cooldown=balance.cooldown, budget=balance.budget,
             minimum_gain=0.05)
    return tuple(sorted(wanted, key=lambda intent: intent.mode is not Mode.AUTO))
