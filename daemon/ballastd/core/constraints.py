"""Hard constraints: each answers two questions, written apart on purpose.

``refusal``: may this move be made on top of these? (what the planner asks, on columns)
``check_plan``: does this finished plan hold, at every instant and in any order its moves may start and end?
(what the checker asks of every plan, in production too, on plain sums over inventories.)
A move counts its memory at both ends until it settles, so nothing a plan frees may be used by the same plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ballastd.core.intents import Fill
from ballastd.core.inventory import DeclaredHost
from ballastd.core.ledger import OPERATOR, Ledger
from ballastd.core.placement import Occupied, must_refusal
from ballastd.core.plans import Move, Refusal, RefusalKind
from ballastd.core.policies import Cooldown, PlacementPolicy, Rule
from ballastd.core.quantities import HostName, VmId, human_bytes, human_seconds
from ballastd.core.snapshot import Snapshot, describe_room

FAILED_PAIR_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a move is made under. ``avoid_labels``: those the target must not share with the source;
    ``reserve_waived``: whether the failover reserve may be used; ``rules``: where VMs may live; ``by_operator``: a
    person asked for it; ``fill``, ``cooldown``: what a routine move keeps to, None for the others."""

    avoid_labels: tuple[str, ...] = ()
    reserve_waived: bool = False
    failover_hosts: int = 1
    rules: tuple[PlacementPolicy, ...] = ()
    by_operator: bool = False
    fill: Fill | None = None
    cooldown: Cooldown | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A move under consideration: rows in the snapshot, what this plan has promised to each host already (bytes), by
    how many processors it and what is in flight change the load of each, and what it moved where (VM row -> host
    row). ``homes``: the rows each VM occupies, or is about to."""

    snapshot: Snapshot
    ledger: Ledger
    vm: int
    source: int
    target: int
    promised: dict[int, int]
    shifted: dict[int, float]
    moved: dict[int, int]
    homes: Occupied
    terms: Terms = Terms()

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
    """A fault of cooling or power may be the neighbours' as well."""
    source = trial.snapshot.facts[trial.source].declared
    target = trial.snapshot.facts[trial.target].declared
    for key in trial.terms.avoid_labels:
        value = source.label(key)
        if value is not None and target.label(key) == value:
            return Refusal(RefusalKind.SAME_FAILURE_DOMAIN, f"shares {key}={value} with {source.name}",
                           trial.vm_id, trial.host)
    return None


def memory_fits(trial: Trial) -> Refusal | None:
    """The target has room for the VM's maximum beside everything there, on its way there, and promised."""
    need = int(trial.snapshot.vms.memory[trial.vm])
    promised = trial.promised.get(trial.target, 0)
    if need <= int(trial.snapshot.hosts.room[trial.target]) - promised:
        return None
    also = f" - promised by this plan {human_bytes(promised)}" if promised else ""
    return Refusal(RefusalKind.MEMORY, f"needs {human_bytes(need)}, "
                   f"{describe_room(trial.snapshot, trial.target)}{also}", trial.vm_id, trial.host)


def pair_did_not_fail_lately(trial: Trial) -> Refusal | None:
    """A target at which this VM's move failed is not tried again for a day: the next one is."""
    since = trial.snapshot.now.wall - FAILED_PAIR_SECONDS
    for failure in trial.ledger.recent_failures(trial.vm_id, since):
        if failure.target == trial.host and not failure.withheld:
            return Refusal(RefusalKind.TRIED_AND_FAILED, f"a move there ended {failure.ending.value} "
                           f"{(trial.snapshot.now.wall - failure.wall) / 60:.0f} min ago", trial.vm_id, trial.host)
    return None


STRANDED_KEPT = 4000
"""How many answers to ``stranded_by_one_failure`` are kept while VMs stay where they are."""


def failover_reserve_holds(trial: Trial) -> Refusal | None:
    """After the move any one host may die and its VMs still fit elsewhere, by actual packing; where that is
    not so already, the move must not make it worse. Waived only to save VMs from a failing host.

    The one constraint whose price grows with the cluster.
    """
    if trial.terms.reserve_waived or trial.terms.failover_hosts == 0:
        return None
    worse = _worse_after(trial.snapshot, trial.moved, trial.vm, trial.target, trial.source)
    if worse is None:
        return None
    row, before, after = worse
    return Refusal(RefusalKind.FAILOVER_RESERVE,
                   f"if {trial.snapshot.hosts.names[row]} died then, {human_bytes(after)} of its VMs would fit "
                   f"nowhere (now {human_bytes(before)})", trial.vm_id, trial.host)


def _worse_after(snapshot: Snapshot, moved: dict[int, int], vm: int, target: int, leaving: int
                 ) -> tuple[int, int, int] | None:
    """Return a host whose death would strand more bytes after the move than before: row, before, after."""
    before, after = (_stranded(snapshot, then, leaving) for then in (moved, {**moved, vm: target}))
    return next(((row, before[row], lost) for row, lost in after.items() if lost > before[row]), None)


def _stranded(snapshot: Snapshot, moved: dict[int, int], leaving: int) -> dict[int, int]:
    """Answer from memory while VMs are where they were and hosts have the room that they had."""
    known, hosts = snapshot.cast.stranded, snapshot.hosts
    key = (hosts.room.tobytes(), hosts.target.tobytes(), leaving, tuple(sorted(moved.items())))
    if key not in known:
        if len(known) >= STRANDED_KEPT:
            known.clear()
        known[key] = stranded_by_one_failure(snapshot, moved, leaving)
    return known[key]


def placement_rules_hold(trial: Trial) -> Refusal | None:
    """No must-rule is broken at any instant of the move."""
    why = must_refusal(trial.terms.rules, trial.snapshot, trial.homes, trial.vm, trial.source, trial.target,
                       by_operator=trial.terms.by_operator)
    return Refusal(RefusalKind.PLACEMENT, why, trial.vm_id, trial.host) if why else None


def load_fits(trial: Trial) -> Refusal | None:
    """A routine move leaves its target no fuller than its policy says; what is not known does not fit."""
    fill = trial.terms.fill
    if fill is None:
        return None
    hosts, row = trial.snapshot.hosts, trial.target
    used, more = float(hosts.cpu[row]), float(trial.snapshot.vms.peak[trial.vm])
    if np.isnan(used):
        why = trial.snapshot.facts[row].load.doubt or "its processor load is not known yet"
        return Refusal(RefusalKind.LOAD_UNKNOWN, why, trial.vm_id, trial.host)
    if np.isnan(more):
        return Refusal(RefusalKind.LOAD_UNKNOWN, "what the VM itself uses is not known yet", trial.vm_id, trial.host)
    after = used + max(0.0, trial.shifted.get(row, 0.0)) + more
    limit = float(hosts.cpu_limit[row])
    if after > fill.cpu * limit:
        return Refusal(RefusalKind.LOAD, f"{after:.2f} of {limit:g} processors would be used, at most {fill.cpu:.0%}",
                       trial.vm_id, trial.host)
    held = int(hosts.used[row]) + int(hosts.reserved[row]) + trial.promised.get(row, 0)
    full = held + int(trial.snapshot.vms.memory[trial.vm])
    if full > fill.memory * int(hosts.limit[row]):
        return Refusal(RefusalKind.LOAD, f"{human_bytes(full)} of {human_bytes(int(hosts.limit[row]))} memory would be "
                       f"used, at most {fill.memory:.0%}", trial.vm_id, trial.host)
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
    placement_rules_hold,
    memory_fits,
    load_fits,
    does_not_go_back,
    pair_did_not_fail_lately,
)
"""What each target is asked; ``failover_reserve_holds`` comes after them."""


def shut(snapshot: Snapshot, vm: int, promised: dict[int, int], shifted: dict[int, float], fill: Fill | None) -> list[bool]:
    """Return, per host row, whether its columns alone keep the VM out: the same as ``target_may_receive``, ``memory_fits``
    and ``load_fits`` say one by one, for all hosts at once and without a word why."""
    hosts, need = snapshot.hosts, int(snapshot.vms.memory[vm])
    more = np.zeros(len(hosts.names), dtype=np.int64)
    for row, memory in promised.items():
        more[row] = memory
    closed = ~hosts.target | (need > hosts.room - more)
    if fill is not None:
        coming = np.zeros(len(hosts.names))
        for row, processors in shifted.items():
            coming[row] = max(0.0, processors)
        # what is not known is nan, and no comparison with it holds
        fits = hosts.cpu + coming + float(snapshot.vms.peak[vm]) <= fill.cpu * hosts.cpu_limit
        fits &= hosts.used + hosts.reserved + more + need <= fill.memory * hosts.limit
        closed |= ~fits
    found: list[bool] = closed.tolist()
    return found


def refusal(trial: Trial) -> Refusal | None:
    """Return the first reason against the move, or None."""
    return next((no for constraint in CONSTRAINTS if (no := constraint(trial)) is not None), None)


def stranded_by_one_failure(snapshot: Snapshot, moved: dict[int, int], leaving: int) -> dict[int, int]:
    """Return, per host row, the bytes of VMs that would fit nowhere if that host died (first fit decreasing).

    ``moved``: VM row -> host row after the move. ``leaving``: the host being emptied, which receives nothing.
    Hosts that may not receive now receive nothing then either.
    """
    result: dict[int, int] = {}
    hosts = snapshot.hosts
    room = [int(r) for r in hosts.room]
    for vm, row in moved.items():
        room[row] -= int(snapshot.vms.memory[vm])
    sizes: list[list[int]] = [[] for _ in hosts.names]
    for vm, (home, memory) in enumerate(zip(snapshot.vms.host.tolist(), snapshot.vms.memory.tolist(), strict=True)):
        sizes[moved.get(vm, home)].append(memory)
    targets = hosts.target.tolist()
    open_room = [r if targets[i] and i != leaving else 0 for i, r in enumerate(room)]
    for dying in range(len(hosts.names)):
        if dying != leaving:
            left = open_room.copy()
            left[dying] = 0
            result[dying] = unpacked(sorted(sizes[dying], reverse=True), left)
    return result


def unpacked(sizes: list[int], room: list[int]) -> int:
    """Return the bytes that find no place: ``sizes`` go one by one into the first that has room left, of ``room``."""
    lost = 0
    for size in sizes:
        place = next((i for i, r in enumerate(room) if r >= size), None)
        if place is None:
            lost += size
        else:
            room[place] -= size
    return lost


def check_plan(snapshot: Snapshot, moves: tuple[Move, ...], failover_hosts: int = 1,
               rules: tuple[PlacementPolicy, ...] = ()) -> tuple[str, ...]:
    """Return what is wrong with a finished plan, in words; empty if it holds in every order and instant.

    Written without the planner's columns and constraints: it reads inventories and sums again.
    """
    wrong: list[str] = []
    facts = {fact.declared.name: fact for fact in snapshot.facts}
    arriving: dict[HostName, int] = defaultdict(int)
    seen: set[VmId] = set()
    for move in moves:
        name = f"{move.vm_name} {move.source} -> {move.target}"
        if move.vm in seen:
            wrong.append(f"{name}: moved twice in one plan")
        seen.add(move.vm)
        source, target = facts.get(move.source), facts.get(move.target)
        if source is None or target is None or source is target:
            wrong.append(f"{name}: source and target must be two declared hosts")
            continue
        record = source.inventory.find(move.vm) if source.inventory else None
        if record is None or record.state.value != "running" or record.pins or record.job.value != "none":
            wrong.append(f"{name}: not a free, running, unpinned VM at its source")
        elif record.memory_max != move.memory:
            wrong.append(f"{name}: reserves {move.memory} B for a VM of {record.memory_max} B")
        if target.avoid or not target.fresh or not target.reachable or target.health > 0:
            wrong.append(f"{name}: the target may not receive")
        arriving[move.target] += move.memory
    wrong.extend(_check_memory(snapshot, arriving))
    wrong.extend(_check_rules(snapshot, moves, rules))
    if failover_hosts and any(not move.reserve_waived for move in moves):
        wrong.extend(_check_failover(snapshot, moves))
    return tuple(wrong)


def _check_memory(snapshot: Snapshot, arriving: dict[HostName, int]) -> list[str]:
    wrong: list[str] = []
    for row, fact in enumerate(snapshot.facts):
        inventory, extra = fact.inventory, arriving.get(fact.declared.name, 0)
        if not extra or inventory is None:
            continue
        held: int = sum(vm.memory_max for vm in inventory.vms if vm.state.value not in ("shutoff", "crashed"))
        held += int(snapshot.hosts.reserved[row]) + extra
        reserve = 0 if fact.declared.memory_limit else int(fact.declared.memory_reserve)
        limit = min(fact.declared.memory_limit or inventory.memory_total, inventory.memory_total) - reserve
        if held > limit:
            wrong.append(f"{fact.declared.name}: {held} B of {limit} B with everything in flight")
    return wrong


def _check_rules(snapshot: Snapshot, moves: tuple[Move, ...], rules: tuple[PlacementPolicy, ...]) -> list[str]:
    """Put every VM on every host that it is on or may come to: what is apart must be apart even so, and so on."""
    rules = tuple(rule for rule in rules if rule.must)
    if not rules:
        return []
    hosts = {fact.declared.name: fact.declared for fact in snapshot.facts}
    sightings = [(vm, fact.declared.name) for fact in snapshot.facts if fact.inventory for vm in fact.inventory.vms
                 if vm.state.value not in ("shutoff", "crashed")]
    by_id = {vm.vm: vm for vm, _ in sightings}
    wrong: list[str] = []
    for rule in rules:
        for move in moves:
            vm, target = by_id.get(move.vm), hosts.get(move.target)
            if vm is None or target is None or not rule.vms.covers(vm):
                continue
            allowed = rule.hosts.covers(target)
            if (rule.rule is Rule.ON and not allowed) or (rule.rule is Rule.NEVER_ON and allowed):
                wrong.append(f"{move.vm_name} -> {move.target}: against {rule.name}")
            if rule.rule is Rule.PINNED and move.policy != OPERATOR:
                wrong.append(f"{move.vm_name} -> {move.target}: {rule.name} pins it")
            if rule.rule not in (Rule.APART, Rule.TOGETHER):
                continue
            where = _place_of(hosts, rule, move.target)
            if where == _place_of(hosts, rule, move.source):
                continue
            others = [(other, host) for other, host in sightings if other.vm != move.vm and rule.vms.covers(other)]
            others += [(by_id[m.vm], m.target) for m in moves if m.vm != move.vm and m.vm in by_id
                       and rule.vms.covers(by_id[m.vm])]
            shared = [other.name for other, host in others if _place_of(hosts, rule, host) == where]
            if (rule.rule is Rule.APART and shared) or (rule.rule is Rule.TOGETHER and len(shared) < len(others)):
                wrong.append(f"{move.vm_name} -> {move.target}: against {rule.name}")
    return wrong


def _place_of(hosts: Mapping[HostName, DeclaredHost], rule: PlacementPolicy, host: HostName) -> str:
    label = hosts[host].label(rule.across)
    return f"host {host}" if rule.across == "host" or label is None else f"{rule.across}={label}"


def _check_failover(snapshot: Snapshot, moves: tuple[Move, ...]) -> list[str]:
    """Replay the moves in order: no unwaived one may leave more stranded by one host's death than it found."""
    rows = {name: i for i, name in enumerate(snapshot.hosts.names)}
    index = {vm: i for i, vm in enumerate(snapshot.vms.ids)}
    moved: dict[int, int] = {}
    wrong: list[str] = []
    for move in moves:
        if move.vm not in index or move.source not in rows or move.target not in rows:
            continue
        vm, target = index[move.vm], rows[move.target]
        if not move.reserve_waived and (worse := _worse_after(snapshot, moved, vm, target, rows[move.source])):
            wrong.append(f"{move.vm_name} -> {move.target}: {worse[2]} B would be stranded if "
                         f"{snapshot.hosts.names[worse[0]]} died")
        moved[vm] = target
    return wrong
