"""Why a host, a VM or a migration is as it is, and what it waits for: one view in, sentences and their structure out."""

from __future__ import annotations

from ballastd.core.migration_explained import explain_migration, vm_load, wishes_told
from ballastd.core.power import STANDING_BY, PowerPhase
from ballastd.core.quantities import human_bytes, human_seconds
from ballastd.core.statements import (
    Explanation,
    Section,
    Statement,
    SubjectKind,
    ago,
    ending_told,
    figure_told,
    gates_told,
    intent_told,
    migration_told,
    move_told,
    next_told,
    next_wall,
    no_told,
    or_nothing,
    shutdown_told,
)
from ballastd.core.views import ClusterView, HostView, IntentView, MigrationView, MoveView, VerdictView, VmView

SETTLED_SHOWN = 5
LOADS_APART = 0.2
"""How far a host's load and the sum of its VMs' may differ before that is worth a word."""
Subject = HostView | VmView | MigrationView


def subjects(view: ClusterView, name: str, kind: SubjectKind | None = None) -> tuple[Subject, ...]:
    """Return what ``name`` may mean: a host's name, a VM's id, the name of one or more VMs, or a migration's id.

    A VM's id is unique and ends the search. ``kind`` narrows it. Empty: there is no such thing.
    """
    by_id = tuple(vm for vm in view.vms if vm.id == name.lower())
    if by_id and kind in (None, SubjectKind.VM):
        return by_id
    found: dict[SubjectKind, tuple[Subject, ...]] = {
        SubjectKind.HOST: tuple(host for host in view.hosts if host.name == name),
        SubjectKind.VM: tuple(vm for vm in view.vms if vm.name == name),
        SubjectKind.MIGRATION: tuple(m for m in view.migrations if m.id == name),
    }
    return tuple(one for sort, those in found.items() if kind in (None, sort) for one in those)


def explain(view: ClusterView, subject: str, kind: SubjectKind | None = None) -> Explanation | None:
    """Return the explanation of the one host, VM or migration that ``subject`` means, or None where it means nothing,
    or more than one thing (``subjects`` tells which)."""
    found = subjects(view, subject, kind)
    if len(found) != 1:
        return None
    one = found[0]
    if isinstance(one, HostView):
        return _explain_host(view, one)
    return _explain_vm(view, one) if isinstance(one, VmView) else explain_migration(view, one)


# hosts


def _explain_host(view: ClusterView, host: HostView) -> Explanation:
    noes = tuple(no for no in view.noes if no.host == host.name)
    intents = tuple(intent for intent in view.intents if intent.host == host.name)
    sections = (
        Section("state", "What it is", _host_state(host)),
        Section("health", "Its health, and what speaks for that", _host_health(view, host)),
        Section("target", "Whether VMs may be sent to it", _host_target(host)),
        Section("intents", "What ought to change",
                or_nothing(tuple(intent_told(view, i) for i in intents), "nothing: no policy and no operator asks for it")),
        Section("moves", "Moves planned and running",
                or_nothing(_host_moves(view, host), "none planned, none running")),
        Section("noes", "What cannot be, and what must wait", or_nothing(
            tuple(no_told(view, no) for no in noes), "nothing is refused or put off on its account")),
        Section("gates", "What holds the whole cluster back", gates_told(view)),
        Section("next", "When that may change", next_told(view, noes, _host_migrations(view, host))),
    )
    marks = f", {', '.join(host.marks)}" if host.marks else ""
    headline = f"host {host.name}: {host.health}{marks}, {host.vms_running} VMs running"
    return Explanation(SubjectKind.HOST, host.name, host.name, headline, sections,
                       next_wall(view, noes), view.revision, view.wall)


def _host_state(host: HostView) -> tuple[Statement, ...]:
    return tuple(Statement(kind, text, host=host.name) for kind, text in (
        ("hypervisor", _hypervisor(host)),
        ("telemetry", _telemetry(host)),
        ("agent", f"its agent is {host.agent or 'unknown'}, its cordon hook is{'' if host.hook else ' not'} confirmed"),
        ("memory", (f"memory: {human_bytes(host.memory_used)} used and {human_bytes(host.memory_reserved)} "
                    f"reserved of {human_bytes(host.memory_limit)} that VMs may have")),
        ("cpu", "CPU utilization is unknown" if host.cpu_utilization is None
                else f"CPU utilization is {host.cpu_utilization:.0%} by telemetry"),
        ("cpu-by-vms", _cpu_by_vms(host)),
        *((("network", _network(host)),) if host.network_limit is not None else ()),
        ("power", _power(host)),
        ("labels", "labels: " + (", ".join(f"{key}={value}" for key, value in host.labels) or "none")),
    ))


def _cpu_by_vms(host: HostView) -> str:
    """Return what its VMs use together, and whether that can be all that telemetry sees."""
    if host.cpu_by_vms is None:
        return "how much of it its VMs use is unknown"
    said = f"its VMs use {host.cpu_by_vms:.1f} of the {host.cpu_limit:g} processors that they may use"
    if host.cpu_limit <= 0 or host.processors <= 0:
        return said
    said = f"{said} ({host.cpu_by_vms / host.cpu_limit:.0%})"
    by_vms = host.cpu_by_vms / host.processors
    apart = 0.0 if host.cpu_utilization is None else host.cpu_utilization - by_vms
    if apart > LOADS_APART:
        return f"{said}: something else works there, too"
    if apart < -LOADS_APART:
        return f"{said}: more than telemetry sees, so one of the two is late or wrong"
    return said


def _network(host: HostView) -> str:
    if host.network_share is None:
        told = "what all of its VMs carry over their network is unknown"
        return f"{told}, at least {host.network_share_least:.0%} of it" if host.network_share_least else told
    return (f"its VMs carry {host.network_by_vms:.1f} of the {host.network_limit:.0f} MiB/s of their network "
            f"({host.network_share:.0%})")


def _power(host: HostView) -> str:
    managed = host.power != "unmanaged"
    said = f"its power is {host.power}" if managed else "its power is not managed: it is never switched off"
    if host.power == PowerPhase.OFF.value:
        said = "it is switched off"
    return f"{said}: {host.power_detail}" if host.power_detail else said


def _hypervisor(host: HostView) -> str:
    if not host.reachable and host.power in {phase.value for phase in STANDING_BY}:
        return "its hypervisor is silent, as is to be expected"
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
            f"{ago(view, verdict.since_wall)}{latched}{evidence}")
    return Statement(f"verdict-{verdict.phase}", text, verdict.policy, host.name, since_wall=verdict.since_wall)


def _host_target(host: HostView) -> tuple[Statement, ...]:
    if host.target:
        room = human_bytes(max(0, host.memory_room))
        return (Statement("target", f"yes: nothing speaks against it, and it has room for {room}", host=host.name),)
    reasons = host.why_not or ("no reason was given",)
    return tuple(Statement("not-target", f"no: {reason}", host=host.name) for reason in reasons)


def _host_migrations(view: ClusterView, host: HostView) -> tuple[MigrationView, ...]:
    return tuple(m for m in view.migrations if m.settled_wall is None and host.name in (m.source, m.target))


def _host_moves(view: ClusterView, host: HostView) -> tuple[Statement, ...]:
    running = tuple(migration_told(view, migration) for migration in _host_migrations(view, host))
    planned = tuple(move_told(move) for move in view.moves if host.name in (move.source, move.target))
    asked = tuple(shutdown_told(view, one) for one in view.shutdowns if one.host == host.name)
    return (*running, *planned, *asked)


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
        Section("noes", "What cannot be, and what must wait", or_nothing(
            tuple(no_told(view, no) for no in noes), "nothing is refused or put off on its account")),
        Section("past", "How it moved before", or_nothing(
            tuple(ending_told(view, m) for m in settled), "no migration of it ended lately")),
        Section("gates", "What holds the whole cluster back", gates_told(view)),
        Section("next", "When that may change", next_told(view, noes, open_ones)),
    )
    headline = f"VM {vm.name} ({vm.id}): {vm.state} on {vm.host}"
    return Explanation(SubjectKind.VM, vm.name, vm.id, headline, sections,
                       next_wall(view, noes), view.revision, view.wall)


def _vm_state(vm: VmView) -> tuple[Statement, ...]:
    return (
        Statement("state", f"{vm.state} on {vm.host}", host=vm.host, vm=vm.id),
        Statement("size", f"{vm.vcpus} vCPUs, {human_bytes(vm.memory)} of memory, priority {vm.priority}",
                  vm=vm.id),
        Statement("load", vm_load(vm), vm=vm.id),
        Statement("group", f"group {vm.group or 'none'}, tags: {', '.join(vm.tags) or 'none'}", vm=vm.id),
        *((Statement("wishes", f"its owner's wishes: {wishes}", vm=vm.id),) if (wishes := wishes_told(vm)) else ()),
    )


def _pins(vm: VmView) -> tuple[Statement, ...]:
    return or_nothing(tuple(Statement("pin", f"no: {pin}", vm=vm.id) for pin in vm.pins), "yes: nothing pins it")


def _vm_moves(view: ClusterView, vm: VmView, migrations: tuple[MigrationView, ...]) -> tuple[Statement, ...]:
    moves = tuple(move for move in view.moves if move.vm == vm.id)
    said = [migration_told(view, migration) for migration in migrations]
    for move in moves:
        said.append(move_told(move))
        said.extend(_worth(move))
        said.append(_choice(move))
    return (*(tuple(said) or _unmoved(view, vm)), *(shutdown_told(view, one) for one in view.shutdowns if one.vm == vm.id))


def _choice(move: MoveView) -> Statement:
    account, others = move.account, f"next best: {', '.join(move.runners_up)}"
    if not move.runners_up:
        others = "no other host could take it"
        if account is not None and account.because:
            others += f"; {account.because}"
    elif account is not None and account.alternative is not None:
        others = f"next best: {account.alternative.host} with {account.alternative.words()}; {account.because}"
    chosen = move.target if account is None else f"{move.target} with {account.chosen.words()}"
    return Statement("choice", f"its target is {chosen}; {others}", move.policy, move.target, move.vm)


def _worth(move: MoveView) -> tuple[Statement, ...]:
    """Return what a move gains and costs."""
    if move.account is None:
        return ()
    sides = (("gains", move.account.gains), ("costs", move.account.costs))
    return tuple(Statement(side, f"{side}: " + ", ".join(figure_told(figure) for figure in figures), move.policy, vm=move.vm)
                 for side, figures in sides if figures)


_PARTLY = {"relieve": "relieved", "even": "evened out with others", "repair": "put right"}
"""What some VMs leave a host for, in words; for all else every VM is to leave."""


def _unmoved(view: ClusterView, vm: VmView) -> tuple[Statement, ...]:
    """Return why nothing is planned for it: either its host is to be emptied, or freed of some VMs, and something is in the
    way, or others go, or nobody asked."""
    asked = tuple(intent for intent in view.intents if intent.host == vm.host)
    if not asked:
        return (Statement("not-asked", f"none: no policy and no operator asks for {vm.host} to be emptied",
                          host=vm.host, vm=vm.id),)
    reasons = "; ".join(no.detail for no in view.noes if no.vm == vm.id)
    return tuple(_not_planned(vm, intent, reasons) for intent in asked)


def _not_planned(vm: VmView, intent: IntentView, reasons: str) -> Statement:
    wanted = f"{intent.policy} wants {vm.host} {_PARTLY.get(intent.kind, 'emptied')} ({intent.state})"
    why = ("it is not among those that are chosen to leave" if intent.kind in _PARTLY
           else "see what holds the cluster back, below")
    return Statement("not-planned", f"none, though {wanted}: {reasons or why}", intent.policy, vm.host, vm.id,
                     since_wall=intent.since_wall)
