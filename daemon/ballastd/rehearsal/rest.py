"""Whether a cluster that was put right came to rest: nothing moves any more, nothing is open, and nothing is left that a
legal move would have helped.

What is legal the checkers say, each asked whether it would object; what would help is computed here from the truth, with
margins, so that a mind that is a little more careful than this judge is not called wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.plans import Move, Order
from ballastd.core.policies import BalancePolicy, Mode, PlacementPolicy
from ballastd.core.quantities import MIB, HostName, Seconds, VmId
from ballastd.rehearsal.stage import Stage
from ballastd.sim.checkers import Checker
from ballastd.sim.checkers.copies import NoOtherCopy, OneMigration, Twins
from ballastd.sim.checkers.limits import Concurrency, Cooldowns, Modes, Pause, Windows
from ballastd.sim.checkers.room import Memory, Overcommit, limit_of, place_of
from ballastd.sim.checkers.rules import MustRules, Wishes
from ballastd.sim.checkers.targets import FitTarget, Frozen, OwnersWord, StartUp

ASKED: tuple[type[Checker], ...] = (
    OneMigration, Twins, NoOtherCopy, Concurrency, Cooldowns, Windows, Modes, Pause, Memory, Overcommit, MustRules, Wishes,
    FitTarget,
    Frozen, OwnersWord, StartUp)
"""Who is asked whether a move would be legal. Room for a failure is judged here, by packing, and how often a VM was moved
within the day, and for a policy, from the journal; what counts by the hour is not asked: nothing moved for an hour."""
DAY_SECONDS = 86400.0
EDGE = 0.03
"""How far beyond a policy's edge something has to be before this judge speaks of it."""
GAIN = 1.5
"""How many times as much as the policy asks for a move has to bring."""
WORTH = 0.05
"""What it has to bring at least, as a share of a host: far more than any copying costs."""
COPIED = 0.5
"""At most at this share of the speed at which it would be copied may a VM dirty its memory, or have shown within the day
that it does (for so long a migration speaks for its VM), so that it surely arrives."""


@dataclass(frozen=True, slots=True)
class _Host:
    """A host as it truly is. ``domain``: what dies with it; ``cpu``: processors its VMs ask for; ``limit``: bytes that VMs
    may use; ``carried``: MiB/s that they carry over their network, of ``network_limit``, infinite where nobody says."""

    name: HostName
    domain: str
    vms: tuple[VmRecord, ...]
    cpu: float
    cpu_limit: float
    limit: int
    carried: float
    network_limit: float

    @property
    def loaded(self) -> float:
        return self.carried / self.network_limit

    @property
    def busy(self) -> float:
        return self.cpu / self.cpu_limit

    @property
    def held(self) -> int:
        return sum(vm.ordinary for vm in self.vms)

    @property
    def full(self) -> float:
        return self.held / self.limit


def orders_of(stage: Stage) -> int:
    """Return how many moves were ordered."""
    return sum(1 for record in stage.world.journal.records if record.content["kind"] == "MigrationOrdered")


def judge_rest(stage: Stage, before: int, rest: float) -> None:
    """Complain of what is not at rest. ``before``: what ``orders_of`` said ``rest`` seconds ago."""
    view = stage.daemon.view() if stage.daemon is not None else None
    checker = stage.checkers[0]
    if view is None:
        checker.complain("rest: no daemon runs")
        return
    if view.posture != "acting":
        checker.complain(f"rest: still {view.posture}: {view.gates[0].reason}")
    if (late := orders_of(stage) - before) > 0:
        checker.complain(f"rest: {late} migrations were ordered within the last {rest / 60:.0f} minutes")
    for migration in view.migrations:
        if not migration.ending:
            checker.complain(f"rest: {migration.vm_name} is still {migration.phase}: {migration.detail}")
    for host in view.hosts:
        if host.health != "healthy" and host.vms_running and host.power in ("on", "unmanaged"):
            checker.complain(f"rest: {host.name} is {host.health} still")
    for name in _evacuations(stage):
        checker.complain(f"rest: the evacuation of {name} never ended")
    for name in _asleep(stage):
        checker.complain(f"rest: {name} is off still, and its night is long over")
    if view.posture == "acting" and late <= 0:
        for helps in legal_help(stage):
            checker.complain(f"rest: {helps}, and nobody does it")


def legal_help(stage: Stage) -> Iterator[str]:
    """Yield, in words, one legal move for each host that is too full, or far fuller than another, and for each rule that is
    broken, for a policy that may act."""
    hosts = tuple(_hosts(stage))
    for rule in stage.world.policies.placement:
        may_act = rule.mode is Mode.AUTO and _has_moves_left(stage, rule)
        found = next(_repairs(stage, rule, hosts), None) if may_act else None
        if found is not None:
            yield f"{rule.name} is broken, {found} would put it right"
    for policy in stage.world.policies.balance:
        if policy.mode is not Mode.AUTO or not _has_moves_left(stage, policy):
            continue
        for source in hosts:
            if _is_hot(policy, source, EDGE):
                found = next(_moves(stage, policy, source, hosts, uneven=False), None)
                if found is not None:
                    network = f", {source.loaded:.0%} of its network" if source.loaded else ""
                    yield (f"{source.name} is too full for {policy.name} ({source.busy:.0%} of its processors, "
                           f"{source.full:.0%} of its memory{network}), {found} would help")
        if any(_is_hot(policy, one, -EDGE) for one in hosts):
            continue  # relief comes before evenness: while a host is hot nothing is evened out
        fullest, emptiest = max(hosts, key=lambda one: one.busy), min(hosts, key=lambda one: one.busy)
        if fullest.busy - emptiest.busy > policy.imbalance_above + EDGE and fullest.busy > policy.ignore_below + EDGE:
            found = next(_moves(stage, policy, fullest, hosts, uneven=True), None)
            if found is not None:
                yield (f"{fullest.name} is far fuller than {emptiest.name} for {policy.name} ({fullest.busy:.0%} and "
                       f"{emptiest.busy:.0%}), {found} would help")


def _edge(policy: BalancePolicy, resource: str) -> float:
    return min((edge.above for edge in policy.hot if edge.resource == resource), default=float("inf"))


def _hosts(stage: Stage) -> Iterator[_Host]:
    world = stage.world
    for declared in world.declared.hosts:
        known = world.host(declared.name)
        if not (known.powered and known.answers):
            continue
        limit = limit_of(declared, known)
        vms = tuple(record for record in known.vms.values() if record.state.holds_memory)
        # a paused copy that a migration left behind holds memory, and works no more
        cpu = sum(world.hypervisor.processors.asked(vm.vm) for vm in vms if vm.state is VmState.RUNNING)
        carried = sum(_carries(stage, vm.vm) for vm in vms if vm.state is VmState.RUNNING)
        domain = place_of(declared, world.policies.limits.failover_domain)
        yield _Host(declared.name, domain, vms, cpu, declared.cpu_limit or float(known.cpus), limit, carried,
                    declared.network_mib_s or float("inf"))


def _carries(stage: Stage, vm: VmId) -> float:
    return stage.world.hypervisor.traffic.mib_s.get(vm, 0.0)


def _is_hot(policy: BalancePolicy, host: _Host, margin: float) -> bool:
    levels = (("cpu", host.busy), ("memory", host.full), ("network", host.loaded))
    return any(level > _edge(policy, resource) + margin for resource, level in levels)


def _moves(stage: Stage, policy: BalancePolicy, source: _Host, hosts: Sequence[_Host], *, uneven: bool) -> Iterator[str]:
    """Yield the moves off a host that would help and that nobody objects to."""
    failed, resting, dirties = _failed_pairs(stage), _moved_enough(stage, policy), _dirties(stage)
    for vm in source.vms:
        if vm.state is not VmState.RUNNING or vm.name in resting:
            continue
        asks, most = stage.world.hypervisor.processors.asked(vm.vm), stage.world.most(vm.vm)
        for target in hosts:
            is_copied = dirties.get(vm.vm, 0.0) <= _copies(stage, source, target)
            if target is source or (vm.vm, target.name) in failed or not is_copied:
                continue
            carries = _carries(stage, vm.vm)
            gains = _evens(policy, asks, source, target, hosts) if uneven else _relieves(policy, vm, asks, carries, source)
            if (gains and _stays_cool(policy, vm, most, carries, target) and _survives(hosts, vm, source, target)
                    and not _objections(stage, policy, vm, source, target)):
                yield f"{vm.name} to {target.name}"


def _repairs(stage: Stage, rule: PlacementPolicy, hosts: Sequence[_Host]) -> Iterator[str]:
    """Yield the moves that put a rule right and that nobody objects to; none where somebody moved one of its VMs within the
    day, which is left in peace then, and none of VMs of which other wishes speak."""
    failed, moved, dirties = _failed_pairs(stage), _moved_lately(stage), _dirties(stage)
    if any(rule.vms.covers(vm) and vm.name in moved for host in hosts for vm in host.vms):
        return
    others = [one for one in stage.world.policies.placement if one is not rule and not one.must]
    cool = stage.world.policies.balance or (BalancePolicy(""),)
    for source in hosts:
        for vm in source.vms:
            if (vm.state is not VmState.RUNNING or not rule.vms.covers(vm)
                    or any(one.vms.covers(vm) for one in others)):
                continue
            most = stage.world.most(vm.vm)
            for target in hosts:
                if (target is not source and (vm.vm, target.name) not in failed
                        and dirties.get(vm.vm, 0.0) <= _copies(stage, source, target)
                        and all(_stays_cool(policy, vm, most, _carries(stage, vm.vm), target) for policy in cool)
                        and _survives(hosts, vm, source, target) and not _objections(stage, rule, vm, source, target)):
                    yield f"{vm.name} to {target.name}"


def _relieves(policy: BalancePolicy, vm: VmRecord, asks: float, carries: float, source: _Host) -> bool:
    over = (source.busy - policy.cool_cpu, source.full - policy.cool_memory, source.loaded - policy.cool_network)
    takes = (asks / source.cpu_limit, vm.ordinary / source.limit, carries / source.network_limit)
    excess = max(over)
    off = max(share if beyond > 0 else 0.0 for share, beyond in zip(takes, over, strict=True))
    return min(off, excess) > max(WORTH, GAIN * policy.minimum_gain * excess)


def _evens(policy: BalancePolicy, asks: float, source: _Host, target: _Host, hosts: Sequence[_Host]) -> bool:
    """Return whether two hosts come nearer to one another by enough of what lies between the fullest and the emptiest, and
    the source does not become the emptiest of all, nor the target as full as the source was: the only VM of a small host
    leaves it as uneven as before, and so does one that is much to a small host."""
    emptiest = min(host.busy for host in hosts)
    before, here = source.busy - target.busy, source.busy - asks / source.cpu_limit
    there = target.busy + asks / target.cpu_limit
    if there > source.busy - EDGE:
        return False
    after = abs(here - there)
    return here > emptiest + EDGE and before - after > max(WORTH, GAIN * policy.minimum_gain * (source.busy - emptiest))


def _stays_cool(policy: BalancePolicy, vm: VmRecord, most: float, carries: float, target: _Host) -> bool:
    """Return whether a target is below the policy's cool edges with the VM at its most."""
    busy, full = (target.cpu + most) / target.cpu_limit, (target.held + vm.ordinary) / target.limit
    loaded = (target.carried + carries) / target.network_limit
    return busy < policy.cool_cpu - EDGE and full < policy.cool_memory - EDGE and loaded < policy.cool_network - EDGE


def _dirties(stage: Stage) -> dict[VmId, float]:
    """Return how fast VMs dirty their memory, or showed on a migration within the day that they do, MiB/s."""
    world, since = stage.world, stage.world.clock.now().wall - DAY_SECONDS
    found, ordered = dict(world.hypervisor.dirty_mib_s), dict[str, VmId]()
    for record in world.journal.records:
        content = record.content
        if content["kind"] == "MigrationOrdered":
            ordered[content["id"]] = VmId(content["vm"])
        elif content["kind"] == "MigrationSettled" and content.get("dirtied") and content["wall"] > since:
            vm = ordered.get(content["id"])
            if vm is not None:
                found[vm] = max(found.get(vm, 0.0), content["dirtied"]["mib_s"])
    return found


def _copies(stage: Stage, source: _Host, target: _Host) -> float:
    """Return how fast a VM may dirty its memory that is surely copied from one host to another, MiB/s."""
    link = min(stage.world.host(host.name).link_mib_s for host in (source, target))
    return COPIED * stage.world.policies.limits.link_share * link


def _survives(hosts: Sequence[_Host], vm: VmRecord, source: _Host, target: _Host) -> bool:
    """Return whether, after the move, any one failure domain may die and all of its VMs fit elsewhere, the largest first."""
    sizes = {host.name: [one.ordinary for one in host.vms if one.vm != vm.vm] for host in hosts}
    sizes[target.name].append(vm.ordinary)
    for dying in sorted({host.domain for host in hosts}):
        room = {host.name: host.limit - sum(sizes[host.name]) for host in hosts
                if host.domain != dying and host is not source}
        for size in sorted((size for host in hosts if host.domain == dying for size in sizes[host.name]), reverse=True):
            place = next((name for name, left in room.items() if left >= size), None)
            if place is None:
                return False
            room[place] -= size
    return True


def _objections(stage: Stage, policy: BalancePolicy | PlacementPolicy, vm: VmRecord, source: _Host, target: _Host) -> bool:
    """Return whether any checker would complain of the move."""
    move = Move(vm.vm, vm.name, source.name, target.name, vm.memory_max, Seconds(vm.memory_max / MIB / 100.0), policy.name,
                "it would help", routine=True)
    order = Order("what-if", move, 100, Seconds(300.0), 0)
    for checker in stage.checkers:
        if isinstance(checker, ASKED):
            kept, checker.violations = checker.violations, []
            checker.migrating(order)
            objects, checker.violations = bool(checker.violations), kept
            if objects:
                return True
    return False


def _has_moves_left(stage: Stage, policy: BalancePolicy | PlacementPolicy) -> bool:
    """Return whether a policy ordered fewer routine moves within the day than it may."""
    since = stage.world.clock.now().wall - DAY_SECONDS
    made = sum(1 for record in stage.world.journal.records if record.content["wall"] > since
               and record.content["kind"] == "MigrationOrdered" and record.content.get("routine")
               and record.content["policy"] == policy.name)
    return made < policy.budget.per_day


def _moved_enough(stage: Stage, policy: BalancePolicy) -> set[str]:
    """Return the VMs that were ordered to move, or could not be moved, as often within the day as is allowed."""
    since = stage.world.clock.now().wall - DAY_SECONDS
    contents = [record.content for record in stage.world.journal.records if record.content["wall"] > since]
    names = {content["id"]: str(content["vm_name"]) for content in contents if content["kind"] == "MigrationOrdered"}
    routine = Counter(names[content["id"]] for content in contents
                      if content["kind"] == "MigrationOrdered" and content.get("routine"))
    failed = Counter(names[content["id"]] for content in contents if content["kind"] == "MigrationSettled"
                     and content["ending"] != "completed" and content["id"] in names)
    retries = stage.world.policies.limits.retries_per_move
    return {name for name in names.values()
            if routine[name] >= policy.budget.per_vm_per_day or failed[name] > retries}


def _moved_lately(stage: Stage) -> set[str]:
    """Return the VMs that we ordered to move within the day, or saw moved."""
    since = stage.world.clock.now().wall - DAY_SECONDS
    return {str(record.content["vm_name"]) for record in stage.world.journal.records
            if record.content["kind"] in ("MigrationOrdered", "ForeignMoveSeen") and record.content["wall"] > since}


def _failed_pairs(stage: Stage) -> set[tuple[VmId, HostName]]:
    """Return which VM did not get where: that is not tried again for a day."""
    ordered: dict[str, tuple[VmId, HostName]] = {}
    failed = set()
    for record in stage.world.journal.records:
        content = record.content
        if content["kind"] == "MigrationOrdered":
            ordered[content["id"]] = VmId(content["vm"]), HostName(content["target"])
        elif content["kind"] == "MigrationSettled" and content["ending"] != "completed" and content["id"] in ordered:
            failed.add(ordered[content["id"]])
    return failed


def _evacuations(stage: Stage) -> list[str]:
    begun: set[str] = set()
    for record in stage.world.journal.records:
        if record.content["kind"] == "EvacuationBegun":
            begun.add(record.content["host"])
        elif record.content["kind"] == "EvacuationEnded":
            begun.discard(record.content["host"])
    return sorted(begun)


def _asleep(stage: Stage) -> list[str]:
    """Return the hosts that a policy switched off, and that ought to be on again by the closing of its window."""
    world, wall = stage.world, stage.world.clock.now().wall
    last: dict[str, str] = {}
    for record in world.journal.records:
        if record.content["kind"] in ("PowerOffOrdered", "HostAwake", "HostKept", "PowerFailed"):
            is_off = record.content["kind"] == "PowerOffOrdered"
            last[record.content["host"]] = record.content["policy"] if is_off else ""
    nights = {policy.name: world.policies.windows[policy.window] for policy in world.policies.consolidation}
    over = {name for name, window in nights.items()
            if not any(begin <= wall < end + 3600.0 for begin, end in window.intervals)}
    return sorted(host for host, policy in last.items() if policy in over and not world.host(HostName(host)).powered)
