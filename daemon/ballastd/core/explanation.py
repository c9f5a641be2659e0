"""Why a host or a VM is as it is, and what it waits for: one view in, sentences and their structure out.

Every sentence is also a record (kind, policy, host, VM, since and until), so that a program never has to read
prose. Times are told relative to the view, because a reader's clock need not be the daemon's.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from ballastd.core.quantities import human_bytes, human_seconds
from ballastd.core.views import (
    ClusterView,
    GateView,
    HostView,
    IntentView,
    MigrationView,
    MoveView,
    NoView,
    VerdictView,
    VmView,
)

SETTLED_SHOWN = 5


class SubjectKind(enum.Enum):
    """What can be explained."""

    HOST = "host"
    VM = "vm"


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, and what a program would want of it. Wall seconds; None where nobody knows."""

    kind: str
    text: str
    policy: str = ""
    host: str = ""
    vm: str = ""
    since_wall: float | None = None
    until_wall: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer; ``statements`` is never empty: "nothing" is an answer, too."""

    key: str
    title: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything worth saying about one subject. ``next_change_wall``: when a "not yet" about it runs out
    first, None when no clock decides that."""

    kind: SubjectKind
    name: str
    id: str
    headline: str
    sections: tuple[Section, ...]
    next_change_wall: float | None
    revision: int
    wall: float

    def lines(self) -> tuple[str, ...]:
        """Return the text for people: the headline, then each section with its statements indented."""
        body = [line for section in self.sections
                for line in ("", section.title, *(f"  {said.text}" for said in section.statements))]
        return (self.headline, *body)


def subjects(view: ClusterView, name: str, kind: SubjectKind | None = None) -> tuple[HostView | VmView, ...]:
    """Return what ``name`` may mean: a host's name, a VM's id, or the name of one or more VMs.

    A VM's id is unique and ends the search. ``kind`` narrows it. Empty: there is no such thing.
    """
    by_id = tuple(vm for vm in view.vms if vm.id == name.lower())
    if by_id and kind is not SubjectKind.HOST:
        return by_id
    hosts = tuple(host for host in view.hosts if host.name == name)
    vms = tuple(vm for vm in view.vms if vm.name == name)
    if kind is SubjectKind.HOST:
        return hosts
    return vms if kind is SubjectKind.VM else (*hosts, *vms)


def explain(view: ClusterView, subject: str, kind: SubjectKind | None = None) -> Explanation | None:
    """Return the explanation of the one host or VM that ``subject`` means, or None where it means nothing,
    or more than one thing (``subjects`` tells which)."""
    found = subjects(view, subject, kind)
    if len(found) != 1:
        return None
    one = found[0]
    return _explain_host(view, one) if isinstance(one, HostView) else _explain_vm(view, one)


# hosts


def _explain_host(view: ClusterView, host: HostView) -> Explanation:
    noes = tuple(no for no in view.noes if no.host == host.name)
    intents = tuple(intent for intent in view.intents if intent.host == host.name)
    sections = (
        Section("state", "What it is", _host_state(host)),
        Section("health", "Its health, and what speaks for that", _host_health(view, host)),
        Section("target", "Whether VMs may be sent to it", _host_target(host)),
        Section("intents", "What ought to change",
                _or(tuple(_intent(view, i) for i in intents), "nothing: no policy and no operator asks for it")),
        Section("moves", "Moves planned and running",
                _or(_host_moves(view, host), "none planned, none running")),
        Section("noes", "What cannot be, and what must wait", _or(
            tuple(_no(view, no) for no in noes), "nothing is refused or put off on its account")),
        Section("gates", "What holds the whole cluster back", _gates(view)),
        Section("next", "When that may change", _next(view, noes, _host_migrations(view, host))),
    )
    marks = f", {', '.join(host.marks)}" if host.marks else ""
    headline = f"host {host.name}: {host.health}{marks}, {host.vms_running} VMs running"
    return Explanation(SubjectKind.HOST, host.name, host.name, headline, sections,
                       _next_wall(view, noes), view.revision, view.wall)


def _host_state(host: HostView) -> tuple[Statement, ...]:
    return tuple(Statement(kind, text, host=host.name) for kind, text in (
        ("hypervisor", _hypervisor(host)),
        ("telemetry", _telemetry(host)),
        ("agent", f"its agent is {host.agent or 'unknown'}, its cordon hook is{'' if host.hook else ' not'} confirmed"),
        ("memory", (f"memory: {human_bytes(host.memory_used)} used and {human_bytes(host.memory_reserved)} "
                    f"reserved of {human_bytes(host.memory_limit)} that VMs may have")),
        ("cpu", "CPU utilization is unknown" if host.cpu_utilization is None
                else f"CPU utilization is {host.cpu_utilization:.0%}"),
        ("labels", "labels: " + (", ".join(f"{key}={value}" for key, value in host.labels) or "none")),
    ))


def _hypervisor(host: HostView) -> str:
    if not host.reachable:
        return f"its hypervisor does not answer: {host.unreachable_reason or 'no reason known'}"
    if host.inventory_age is None:
        return "its hypervisor has not been asked yet"
    return f"its hypervisor answered {human_seconds(host.inventory_age)} ago"


def _telemetry(host: HostView) -> str:
    if host.telemetry_age is None:
        return "no telemetry has been heard since the start or the last reconnect"
    return f"telemetry was last heard {human_seconds(host.telemetry_age)} ago ({host.reports_heard} reports)"


def _host_health(view: ClusterView, host: HostView) -> tuple[Statement, ...]:
    standing = Statement("health", f"{host.health}" + (f" ({', '.join(host.marks)})" if host.marks else ""),
                         host=host.name)
    return (standing, *(_verdict(view, host, verdict) for verdict in host.verdicts))


def _verdict(view: ClusterView, host: HostView, verdict: VerdictView) -> Statement:
    latched = ", latched until somebody acknowledges it" if verdict.latched else ""
    evidence = f": {verdict.evidence}" if verdict.evidence else ""
    text = (f"{verdict.policy} ({verdict.severity}) {verdict.phase} for "
            f"{_ago(view, verdict.since_wall)}{latched}{evidence}")
    return Statement(f"verdict-{verdict.phase}", text, verdict.policy, host.name, since_wall=verdict.since_wall)


def _host_target(host: HostView) -> tuple[Statement, ...]:
    if host.target:
        room = human_bytes(max(0, host.memory_limit - host.memory_used - host.memory_reserved))
        return (Statement("target", f"yes: nothing speaks against it, and it has room for {room}", host=host.name),)
    reasons = host.why_not or ("no reason was given",)
    return tuple(Statement("not-target", f"no: {reason}", host=host.name) for reason in reasons)


def _host_migrations(view: ClusterView, host: HostView) -> tuple[MigrationView, ...]:
    return tuple(m for m in view.migrations if m.settled_wall is None and host.name in (m.source, m.target))


def _host_moves(view: ClusterView, host: HostView) -> tuple[Statement, ...]:
    running = tuple(_migration(view, migration) for migration in _host_migrations(view, host))
    planned = tuple(_move(move) for move in view.moves if host.name in (move.source, move.target))
    return (*running, *planned)


# VMs


def _explain_vm(view: ClusterView, vm: VmView) -> Explanation:
    noes = tuple(no for no in view.noes if no.vm == vm.id)
    migrations = tuple(m for m in view.migrations if m.vm == vm.id)
    open_ones = tuple(m for m in migrations if m.settled_wall is None)
    settled = sorted((m for m in migrations if m.settled_wall is not None),
                     key=lambda m: (-(m.settled_wall or 0.0), m.id))[:SETTLED_SHOWN]
    sections = (
        Section("state", "What it is", _vm_state(vm)),
        Section("pins", "Whether it can move live", _pins(vm)),
        Section("moves", "Its move", _vm_moves(view, vm, open_ones)),
        Section("noes", "What cannot be, and what must wait", _or(
            tuple(_no(view, no) for no in noes), "nothing is refused or put off on its account")),
        Section("past", "How it moved before", _or(
            tuple(_settled(view, m) for m in settled), "no migration of it ended lately")),
        Section("gates", "What holds the whole cluster back", _gates(view)),
        Section("next", "When that may change", _next(view, noes, open_ones)),
    )
    headline = f"VM {vm.name} ({vm.id}): {vm.state} on {vm.host}"
    return Explanation(SubjectKind.VM, vm.name, vm.id, headline, sections,
                       _next_wall(view, noes), view.revision, view.wall)


def _vm_state(vm: VmView) -> tuple[Statement, ...]:
    return (
        Statement("state", f"{vm.state} on {vm.host}", host=vm.host, vm=vm.id),
        Statement("size", f"{vm.vcpus} vCPUs, {human_bytes(vm.memory)} of memory, priority {vm.priority}",
                  vm=vm.id),
    )


def _pins(vm: VmView) -> tuple[Statement, ...]:
    return _or(tuple(Statement("pin", f"no: {pin}", vm=vm.id) for pin in vm.pins), "yes: nothing pins it")


def _vm_moves(view: ClusterView, vm: VmView, migrations: tuple[MigrationView, ...]) -> tuple[Statement, ...]:
    moves = tuple(move for move in view.moves if move.vm == vm.id)
    said = [_migration(view, migration) for migration in migrations]
    for move in moves:
        said.append(_move(move))
        said.append(_choice(move))
    return tuple(said) or _unmoved(view, vm)


def _choice(move: MoveView) -> Statement:
    others = f"next best: {', '.join(move.runners_up)}" if move.runners_up else "no other host could take it"
    return Statement("choice", f"{move.target} is the best of those that may take it; {others}",
                     move.policy, move.target, move.vm)


def _unmoved(view: ClusterView, vm: VmView) -> tuple[Statement, ...]:
    """Return why nothing is planned for it: either its host is to be emptied and something is in the way, or
    nobody asked."""
    asked = tuple(intent for intent in view.intents if intent.host == vm.host)
    if not asked:
        return (Statement("not-asked", f"none: no policy and no operator asks for {vm.host} to be emptied",
                          host=vm.host, vm=vm.id),)
    reasons = [no.detail for no in view.noes if no.vm == vm.id]
    why = "; ".join(reasons) if reasons else "see what holds the cluster back, below"
    return tuple(Statement(
        "not-planned", f"none, though {intent.policy} wants {vm.host} emptied ({intent.state}): {why}",
        intent.policy, vm.host, vm.id, since_wall=intent.since_wall) for intent in asked)


# what both are told


def _intent(view: ClusterView, intent: IntentView) -> Statement:
    due = "" if intent.deadline_wall is None else f", {_due(view, intent.deadline_wall)}"
    text = (f"{intent.kind} ({intent.state}, mode {intent.mode}) for {_ago(view, intent.since_wall)}{due}: "
            f"{intent.policy}: {intent.because}; {intent.vms_left} VMs left"
            + (f": {intent.forecast}" if intent.forecast else ""))
    return Statement(f"intent-{intent.state}", text, intent.policy, intent.host,
                     since_wall=intent.since_wall, until_wall=intent.deadline_wall)


def _migration(view: ClusterView, migration: MigrationView) -> Statement:
    done = "" if migration.progress is None else f", {migration.progress:.0%} copied"
    detail = f" ({migration.detail})" if migration.detail else ""
    text = (f"migration {migration.id}: {migration.vm_name} from {migration.source} to {migration.target}, "
            f"{migration.phase} for {human_seconds(migration.elapsed)}{done}, "
            f"{_due(view, migration.deadline_wall)}: {migration.policy}: {migration.because}{detail}")
    return Statement(f"migration-{migration.phase}", text, migration.policy, migration.target, migration.vm,
                     migration.ordered_wall, migration.deadline_wall)


def _settled(view: ClusterView, migration: MigrationView) -> Statement:
    ended = migration.ordered_wall if migration.settled_wall is None else migration.settled_wall
    detail = f": {migration.detail}" if migration.detail else ""
    text = (f"{migration.id}: {migration.source} to {migration.target}, {migration.ending} "
            f"{_ago(view, ended)} ago{detail}")
    return Statement(f"ended-{migration.ending}", text, migration.policy, migration.target, migration.vm,
                     migration.ordered_wall, migration.settled_wall)


def _move(move: MoveView) -> Statement:
    text = (f"planned: {move.vm_name} from {move.source} to {move.target} ({human_bytes(move.memory)}, about "
            f"{human_seconds(move.predicted)}), {move.state}: {move.policy}: {move.because}")
    return Statement("move", text, move.policy, move.target, move.vm)


def _no(view: ClusterView, no: NoView) -> Statement:
    about = f"{no.vm_name or no.vm}: " if no.vm else ""
    until = "" if no.until_wall is None else f", until {_when(view, no.until_wall)}"
    sort = "cannot" if no.sort == "refusal" else "not yet"
    return Statement(no.kind, f"{sort}: {about}{no.detail} ({no.kind}{until})", host=no.host, vm=no.vm,
                     until_wall=no.until_wall)


def _gates(view: ClusterView) -> tuple[Statement, ...]:
    return _or(tuple(_gate(view, gate) for gate in view.gates), f"nothing: the daemon is {view.posture}")


def _gate(view: ClusterView, gate: GateView) -> Statement:
    until = "until its cause is gone" if gate.until_wall is None else f"until {_when(view, gate.until_wall)}"
    return Statement(gate.kind, f"{gate.kind}: {gate.reason}, {until}", until_wall=gate.until_wall)


def _next(view: ClusterView, noes: tuple[NoView, ...],
          migrations: tuple[MigrationView, ...]) -> tuple[Statement, ...]:
    said = [Statement("migration-end", f"when migration {m.id} ends ({_due(view, m.deadline_wall)})",
                      vm=m.vm, until_wall=m.deadline_wall) for m in migrations]
    clocks = _next_wall(view, noes)
    if clocks is not None:
        said.append(Statement("clock", f"{_when(view, clocks)}, when the first \"not yet\" above runs out",
                              until_wall=clocks))
    said.extend(Statement("cause", f"when the cause of the gate {gate.kind} is gone")
                for gate in view.gates if gate.until_wall is None)
    said.extend(Statement("cause", f"when this changes: {no.detail}", host=no.host, vm=no.vm)
                for no in noes if no.until_wall is None)
    return _or(tuple(said), "at any step, should a policy or an operator ask for a change")


def _next_wall(view: ClusterView, noes: Iterable[NoView]) -> float | None:
    walls = [no.until_wall for no in noes] + [gate.until_wall for gate in view.gates]
    return min((wall for wall in walls if wall is not None and wall > view.wall), default=None)


def _or(statements: tuple[Statement, ...], nothing: str) -> tuple[Statement, ...]:
    return statements or (Statement("nothing", nothing),)


def _ago(view: ClusterView, wall: float) -> str:
    return human_seconds(max(0.0, view.wall - wall))


def _when(view: ClusterView, wall: float) -> str:
    left = wall - view.wall
    return f"in {human_seconds(left)}" if left >= 0 else f"{human_seconds(-left)} ago"


def _due(view: ClusterView, wall: float) -> str:
    left = wall - view.wall
    return f"due in {human_seconds(left)}" if left >= 0 else f"overdue by {human_seconds(-left)}"
