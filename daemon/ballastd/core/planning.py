"""Intents in, plan out: which VM goes where. A pure function of the snapshot and the books.

Evacuation is greedy in the order its policy asks for; every target passes every constraint with what the plan
promised before counted in. The finished plan goes through the independent checker before anybody sees it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ballastd.core.constraints import Trial, check_plan, refusal
from ballastd.core.intents import Intent
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Move, Plan, Refusal, RefusalKind
from ballastd.core.policies import EvacuationOrder, Limits
from ballastd.core.prediction import fair_share, predict
from ballastd.core.quantities import Bytes
from ballastd.core.scoring import score
from ballastd.core.snapshot import Snapshot

MOVES_MAX = 1000
RUNNERS_UP_SHOWN = 3


class PlanUnsound(ValueError):
    """The checker refused our own plan: our mistake, never carried out."""


@dataclass(slots=True)
class _Draft:
    snapshot: Snapshot
    ledger: Ledger
    limits: Limits
    promised: dict[int, int]
    moved: dict[int, int]
    moves: list[Move]
    refusals: list[Refusal]


def plan(snapshot: Snapshot, ledger: Ledger, intents: tuple[Intent, ...], limits: Limits) -> Plan:
    """Return the moves that empty the intents' hosts, worst severity first, and a refusal for each VM that
    cannot be placed. VMs that are moving already are left to their migrations.

    Raises:
        PlanUnsound: the independent checker found fault with the result.
    """
    draft = _Draft(snapshot, ledger, limits, {}, {}, [], [])
    planned: set[str] = set()
    for intent in intents:
        if intent.host in planned:
            continue
        planned.add(intent.host)
        _empty_host(draft, intent)
    wrong = check_plan(snapshot, tuple(draft.moves), limits.failover_hosts)
    if wrong:
        raise PlanUnsound("; ".join(wrong))
    return Plan(tuple(draft.moves), tuple(draft.refusals))


def _empty_host(draft: _Draft, intent: Intent) -> None:
    snapshot = draft.snapshot
    source = snapshot.row(intent.host)
    no = _why_host_cannot_be_emptied(draft, source)
    if no is not None:
        draft.refusals.append(no)
        return
    for vm in sorted(snapshot.vms_on(intent.host), key=lambda row: _leaving_key(snapshot, row, intent)):
        if draft.ledger.open_migration_of(snapshot.vms.ids[vm]) is not None:
            continue
        if snapshot.vm_why_not[vm]:
            draft.refusals.extend(Refusal(no.kind, no.detail, no.vm, intent.host) for no in snapshot.vm_why_not[vm])
        elif len(draft.moves) < MOVES_MAX:
            _place(draft, intent, vm, source)


def _why_host_cannot_be_emptied(draft: _Draft, source: int) -> Refusal | None:
    fact = draft.snapshot.facts[source]
    host = fact.declared.name
    if not fact.reachable:
        return Refusal(RefusalKind.HOST_UNREACHABLE, "its hypervisor does not answer, so nothing can leave it",
                       host=host)
    for _, seen in sorted(draft.ledger.duplicates.items()):
        if host in seen.hosts:
            return Refusal(RefusalKind.HOST_FROZEN, f"{seen.vm_name} was seen running on {' and '.join(seen.hosts)}; "
                           "nothing is done to either", host=host)
    return None


def _leaving_key(snapshot: Snapshot, vm: int, intent: Intent) -> tuple[int | str, ...]:
    keys: list[int | str] = []
    for order in intent.order:
        if order is EvacuationOrder.PRIORITY:
            keys.append(-int(snapshot.vms.priority[vm]))
        else:
            keys.append(int(snapshot.vms.memory[vm]))
    return (*keys, snapshot.records[vm].name, snapshot.vms.ids[vm])


def _place(draft: _Draft, intent: Intent, vm: int, source: int) -> None:
    snapshot = draft.snapshot
    candidates: list[tuple[int, str, int]] = []
    noes: list[Refusal] = []
    for target in range(len(snapshot.hosts.names)):
        if target == source:
            continue
        no = refusal(Trial(snapshot, draft.ledger, vm, source, target, draft.promised, draft.moved,
                           intent.avoid_labels, intent.saves_from_failing_host, draft.limits.failover_hosts))
        if no is not None:
            noes.append(no)
            continue
        points = score(snapshot, source, target, draft.promised)
        candidates.append((-points, snapshot.hosts.names[target], target))
    if not candidates:
        draft.refusals.append(_no_target(snapshot, intent, vm, noes))
        return
    candidates.sort()
    points, _, target = candidates[0]
    memory = int(snapshot.vms.memory[vm])
    draft.promised[target] = draft.promised.get(target, 0) + memory
    draft.moved[vm] = target
    draft.moves.append(Move(
        vm=snapshot.vms.ids[vm], vm_name=snapshot.records[vm].name, source=intent.host,
        target=snapshot.hosts.names[target], memory=Bytes(memory),
        predicted=predict(memory, _planned_bandwidth(draft, source, target)),
        policy=intent.policy, because=intent.because, urgent=intent.urgent,
        reserve_waived=intent.saves_from_failing_host, windows=intent.windows, score=-points,
        runners_up=tuple(f"{n} ({-p})" for p, n, _ in candidates[1:1 + RUNNERS_UP_SHOWN]),
    ))


def _planned_bandwidth(draft: _Draft, source: int, target: int) -> int:
    hosts = draft.snapshot.hosts
    return fair_share(float(hosts.link_mib_s[source]), int(hosts.jobs_out[source]) + 1,
                      float(hosts.link_mib_s[target]), int(hosts.jobs_in[target]) + 1, draft.limits.link_share)


def _no_target(snapshot: Snapshot, intent: Intent, vm: int, noes: list[Refusal]) -> Refusal:
    """Return one refusal that sums up why no host takes the VM: counts per kind and the best three in full."""
    counts = Counter(no.kind.value for no in noes)
    summed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    shown = "; ".join(f"{no.host}: {no.detail}" for no in noes[:3])
    detail = f"{summed} ({shown})" if noes else "there is no other host"
    return Refusal(RefusalKind.NO_TARGET, detail, snapshot.vms.ids[vm], intent.host)
