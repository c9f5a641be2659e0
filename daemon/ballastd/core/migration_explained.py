"""Why a migration is or was made: why this VM, why this target, what was predicted and what came out."""

from __future__ import annotations

from ballastd.core.quantities import how_long, human_bytes, human_seconds
from ballastd.core.statements import (
    Explanation,
    Section,
    Statement,
    SubjectKind,
    due,
    ending_told,
    intent_told,
    no_told,
    or_nothing,
)
from ballastd.core.views import ClusterView, HostView, MigrationView, PairView, VmView

OTHERS_SHOWN = 10
AS_PREDICTED = 0.2
"""Within this share of it a prediction held."""


def explain_migration(view: ClusterView, migration: MigrationView) -> Explanation:
    """Return everything worth saying about a migration, open or lately settled."""
    noes = tuple(no for no in view.noes if no.vm == migration.vm)
    is_open = migration.settled_wall is None
    sections = (
        Section("state", "What it is", _state(view, migration)),
        Section("why", "Why this VM, and why now", _why(view, migration)),
        Section("choice", "Why this target", _choice(migration)),
        Section("others", "What speaks against the other hosts now", _others(view, migration)),
        Section("outcome", "What was predicted, and what came out", _outcome(view, migration)),
        Section("noes", "What cannot be, and what must wait", or_nothing(
            tuple(no_told(view, no) for no in noes), "nothing is refused or put off on its account")),
        Section("next", "When that may change", _next(view, migration)),
    )
    headline = (f"migration {migration.id}: {migration.vm_name} from {migration.source} to {migration.target}, "
                f"{migration.phase if is_open else migration.ending}")
    return Explanation(SubjectKind.MIGRATION, migration.vm_name, migration.id, headline, sections,
                       migration.deadline_wall if is_open else None, view.revision, view.wall)


def _state(view: ClusterView, m: MigrationView) -> tuple[Statement, ...]:
    said = [ending_told(view, m) if m.settled_wall is not None else Statement(
        f"migration-{m.phase}", f"{m.phase} for {human_seconds(m.elapsed)}, {due(view, m.deadline_wall)}", m.policy,
        m.target, m.vm, m.ordered_wall, m.deadline_wall)]
    if m.adopted:
        said.append(Statement("adopted", "it was found under way and taken into the books", vm=m.vm))
    if m.detail and m.settled_wall is None:
        said.append(Statement("detail", m.detail, vm=m.vm))
    return tuple(said)


def _why(view: ClusterView, m: MigrationView) -> tuple[Statement, ...]:
    said = [Statement("because", f"{m.policy}: {m.because}", m.policy, m.source, m.vm, m.ordered_wall)]
    vm = next((known for known in view.vms if known.id == m.vm), None)
    if vm is not None:
        said.append(Statement("size", f"{vm.name} has {vm.vcpus} vCPUs, {human_bytes(vm.memory)} of memory and priority "
                                      f"{vm.priority}", vm=m.vm))
        said.append(Statement("load", vm_load(vm), vm=m.vm))
    said.extend(intent_told(view, intent) for intent in view.intents
                if intent.host == m.source and intent.policy == m.policy)
    return tuple(said)


def wishes_told(vm: VmView) -> str:
    """Return what its owner wants for it, beside tags and priority; empty where it says nothing."""
    said = ["left alone altogether" if vm.ignored else "",
            {"live": "", "cold": "moved only while it is off"}.get(vm.mobility, "never moved"),
            "" if vm.downtime_max_ms is None else f"at most {vm.downtime_max_ms} ms of standstill at the end of a migration",
            "" if vm.post_copy else "no post-copy", "" if vm.shutdown else "not shut down",
            f"asked whether it answers once it was moved ({vm.check})" if vm.check else "",
            f"not asked whether it answers: {vm.check_flaw}" if vm.check_flaw else ""]
    return ", ".join(filter(None, said))


def vm_load(vm: VmView) -> str:
    """Return how much a VM uses of what it has, in words."""
    cpu = "how much CPU it uses is unknown" if vm.cpu is None else f"it uses {vm.cpu:.1f} of {vm.vcpus} vCPUs"
    memory = "how much memory is unknown" if vm.memory_used is None else (
        f"{human_bytes(vm.memory_used)} of {human_bytes(vm.memory)} of memory")
    return f"{cpu}, {memory}"


def _choice(m: MigrationView) -> tuple[Statement, ...]:
    if m.adopted:
        return (Statement("choice", f"{m.target} was not chosen by this daemon's plan", host=m.target, vm=m.vm),)
    others = f"next best: {', '.join(m.runners_up)}" if m.runners_up else "no other could take it"
    said = [Statement("choice", f"its target was {m.target}; {others}", m.policy, m.target, m.vm)]
    said.extend(Statement("rejected", f"not {words}", m.policy, vm=m.vm) for words in m.why_not)
    return tuple(said)


def _others(view: ClusterView, m: MigrationView) -> tuple[Statement, ...]:
    """Return why the other hosts are no targets at the moment of the view, which is not that of the choice."""
    others = [host for host in view.hosts if host.name not in (m.source, m.target) and not host.target]
    said = [_other(host) for host in others[:OTHERS_SHOWN]]
    if len(others) > OTHERS_SHOWN:
        said.append(Statement("more", f"and {len(others) - OTHERS_SHOWN} more hosts are no targets"))
    return or_nothing(tuple(said), "nothing: each of them may be sent VMs, there are just better places, or none is left")


def _other(host: HostView) -> Statement:
    return Statement("not-target", f"{host.name}: {'; '.join(host.why_not) or 'no reason was given'}", host=host.name)


def _outcome(view: ClusterView, m: MigrationView) -> tuple[Statement, ...]:
    predicted = "how long it would take was not predicted" if m.adopted or m.predicted <= 0 else (
        f"predicted: {how_long(m.predicted, ends=m.ends, words=human_seconds)}, with at most {m.bandwidth_mib_s} MiB/s")
    said = [Statement("predicted", predicted, vm=m.vm), *_experience(view, m)]
    if m.downtime_predicted_ms is not None or m.downtime_took_ms is not None:
        said.append(Statement("standstill", _standstill(m), vm=m.vm))
    if m.bandwidth_because:
        had = "it has" if m.settled_wall is None else "at its end it had"
        said.append(Statement("bandwidth", f"{had} {m.bandwidth_mib_s} MiB/s: {m.bandwidth_because}", m.policy, vm=m.vm))
    if m.gives_way:
        said.append(Statement("gives-way", gives_way_told(m), m.policy, vm=m.vm))
    if m.settled_wall is None:
        said.append(Statement("so-far", _so_far(m), vm=m.vm))
    else:
        said.append(Statement("took", f"{m.ending} after {human_seconds(m.elapsed)}{_compared(m)}", vm=m.vm,
                              since_wall=m.ordered_wall, until_wall=m.settled_wall))
    if m.check:
        said.append(Statement("arrival", _arrival(m), m.policy, m.target, m.vm))
    return tuple(said)


def gives_way_told(m: MigrationView) -> str:
    """Return by how much a migration gives way to others on its links, and why, in words."""
    if m.settled_wall is not None:
        return f"at its end it gave way: {m.gives_way}"
    less = f"it gives way by {m.less_mib_s} MiB/s" if m.less_mib_s else "it does not give way"
    return f"{less}: {m.gives_way}"


_ARRIVALS = {"": "it is asked once it has arrived", "awaited": "it is being asked", "answered": "it answers",
             "silent": "it does not answer, which counts against its hosts and itself for a day as a failed move does",
             "unproven": "it does not answer, which says nothing about the move",
             "unchecked": "it was not asked, or not to the end"}


def _arrival(m: MigrationView) -> str:
    before = {None: "is not known", True: "is so", False: "is not so"}[m.answered_before]
    left = m.settled_wall is not None and m.ending != "completed"
    after = "it did not arrive, and is not asked" if left else _ARRIVALS[m.arrival]
    detail = f": {m.arrival_detail}" if m.arrival_detail else ""
    return f"whether its VM answers ({m.check}): that it did before {before}; {after}{detail}"


def _experience(view: ClusterView, m: MigrationView) -> tuple[Statement, ...]:
    """Return how moves of its two hosts went, or of all where they had none, and by what that corrects a prediction."""
    pairs = {(one.source, one.target): one for one in view.pairs}
    pair = pairs.get((m.source, m.target), pairs.get(("", "")))
    if pair is None:
        return ()
    where = f"from {m.source} to {m.target}" if pair.source else "of all hosts"
    took = (f"{pair.moves} moves {where} took {pair.took:.2f} times what was reckoned" if pair.moves
            else f"no move {where} has arrived that could be compared with what was reckoned")
    is_own = f"{pair.factor:.2f}" == f"{pair.took:.2f}" and pair.source
    by = "" if is_own else f"; what is reckoned is multiplied by {pair.factor:.2f}"
    return (Statement("experience", took + _pair_told(pair) + by, vm=m.vm),)


def _pair_told(pair: PairView) -> str:
    """Return what else is known of a pair's moves, in words that go on a sentence."""
    stood = "" if pair.downtime is None else f", their VMs stood still {pair.downtime:.2f} times as long"
    failed = "" if not pair.failed else f"; {pair.failed} of {pair.tried} failed within the last day"
    risk = "" if pair.risk <= 1.0 else f"; a routine move there costs {pair.risk:.1f} times as much"
    return stood + failed + risk


def _standstill(m: MigrationView) -> str:
    foretold = "not foretold" if m.downtime_predicted_ms is None else f"foretold: {m.downtime_predicted_ms:.0f} ms"
    took = "" if m.downtime_took_ms is None else f", measured: {m.downtime_took_ms:.0f} ms"
    return f"how long its VM stands still at the end was {foretold}{took}"


def _so_far(m: MigrationView) -> str:
    copied = "how much is copied is unknown" if m.progress is None else f"{m.progress:.0%} of memory need no more copying"
    rate = "" if m.rate_mib_s is None else f", memory travels at {m.rate_mib_s:.0f} MiB/s"
    dirtied = "" if m.dirty_mib_s is None else f" and is dirtied at {m.dirty_mib_s:.0f}"
    needed = "" if m.downtime_needed_ms is None else f", {m.downtime_needed_ms:.0f} would be needed now"
    still = f"; its VM may stand still for {m.downtime_ms} ms at the end{needed}" if m.downtime_ms else ""
    if m.post_copy_because:
        still = f"; in post-copy, its VM went before its memory: {m.post_copy_because}"
    late = _compared(m) if m.ends and m.elapsed > m.predicted else ""
    return f"so far: {human_seconds(m.elapsed)}{late}, {copied}{rate}{dirtied}{still}"


def _compared(m: MigrationView) -> str:
    if m.adopted or m.predicted <= 0:
        return ""
    ratio = m.elapsed / m.predicted
    return " (as predicted)" if abs(ratio - 1.0) <= AS_PREDICTED else f" ({ratio:.1f} times the prediction)"


def _next(view: ClusterView, m: MigrationView) -> tuple[Statement, ...]:
    if m.settled_wall is not None:
        return (Statement("closed", "not any more: its books are closed", vm=m.vm),)
    return (Statement("migration-end", f"when it ends ({due(view, m.deadline_wall)}), and both hosts have shown so",
                      host=m.target, vm=m.vm, until_wall=m.deadline_wall),)
