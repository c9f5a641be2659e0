"""Sentences about what goes on, each with its structure beside it, so that a program never has to read prose.

Times are told relative to the view, because a reader's clock need not be the daemon's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ballastd.core.accounts import Figure
from ballastd.core.quantities import how_long, human_bytes, human_seconds
from ballastd.core.views import ClusterView, GateView, IntentView, LeavingView, MigrationView, MoveView, NoView, ShutdownView


class SubjectKind(enum.Enum):
    """What can be explained."""

    HOST = "host"
    VM = "vm"
    MIGRATION = "migration"


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


def intent_told(view: ClusterView, intent: IntentView) -> Statement:
    """Return what ought to change, since when, until when and why."""
    until = "" if intent.deadline_wall is None else f", {due(view, intent.deadline_wall)}"
    text = (f"{intent.kind} ({intent.state}, mode {intent.mode}) for {ago(view, intent.since_wall)}{until}: "
            f"{intent.policy}: {intent.because}; {intent.vms_left} VMs left"
            + (f": {intent.forecast}" if intent.forecast else ""))
    return Statement(f"intent-{intent.state}", text, intent.policy, intent.host,
                     since_wall=intent.since_wall, until_wall=intent.deadline_wall)


def migration_told(view: ClusterView, migration: MigrationView) -> Statement:
    """Return how an open migration stands."""
    done = "" if migration.progress is None else f", {migration.progress:.0%} copied"
    detail = f" ({migration.detail})" if migration.detail else ""
    text = (f"migration {migration.id}: {migration.vm_name} from {migration.source} to {migration.target}, "
            f"{migration.phase} for {human_seconds(migration.elapsed)}{done}, "
            f"{due(view, migration.deadline_wall)}: {migration.policy}: {migration.because}{detail}")
    return Statement(f"migration-{migration.phase}", text, migration.policy, migration.target, migration.vm,
                     migration.ordered_wall, migration.deadline_wall)


def ending_told(view: ClusterView, migration: MigrationView) -> Statement:
    """Return how a settled migration ended, and when."""
    ended = migration.ordered_wall if migration.settled_wall is None else migration.settled_wall
    detail = f": {migration.detail}" if migration.detail else ""
    text = (f"{migration.id}: {migration.source} to {migration.target}, {migration.ending} "
            f"{ago(view, ended)} ago{detail}")
    return Statement(f"ended-{migration.ending}", text, migration.policy, migration.target, migration.vm,
                     migration.ordered_wall, migration.settled_wall)


def move_told(move: MoveView) -> Statement:
    """Return a move that is planned."""
    takes = how_long(move.predicted, ends=move.ends, words=lambda seconds: f"about {human_seconds(seconds)}")
    text = (f"planned: {move.vm_name} from {move.source} to {move.target} ({human_bytes(move.memory)}, {takes}), "
            f"{move.state}{_awaits(move)}{_under(move)}{_leaves(move.leaves)}: {move.policy}: {move.because}")
    return Statement("move", text, move.policy, move.target, move.vm)


def shutdown_told(view: ClusterView, one: ShutdownView) -> Statement:
    """Return how it stands with a guest that was asked to shut down, and what is left to do."""
    times = "once" if one.times == 1 else f"{one.times} times"
    detail = f" ({one.detail})" if one.detail else ""
    ended = "" if one.ended_wall is None else f" {ago(view, one.ended_wall)} ago"
    cure = "" if one.state != "down" or one.seen else (
        f"; nobody starts it again: ballastctl vm definition {one.vm} has what it was")
    text = (f"{one.vm_name} was asked {times} to shut down on {one.host}, the last time {ago(view, one.asked_wall)} ago: "
            f"{one.state}{ended}{detail}: {one.policy}: {one.because}{cure}")
    return Statement(f"shutdown-{one.state}", text, one.policy, one.host, one.vm, one.ordered_wall, one.ended_wall)


def figure_told(figure: Figure) -> str:
    """Return one term of what a move gains or costs, with its unit."""
    return f"{figure.name} {_UNITS[figure.unit](figure.amount)}"


_UNITS: dict[str, Callable[[float], str]] = {
    "B": lambda amount: human_bytes(int(amount)),
    "s": human_seconds,
    "times": lambda amount: f"{amount:.1f} times all that",
    "of the host": lambda amount: f"{amount:.0%} of the host",
    "rules": lambda amount: f"({amount:g})",
    "of weight": lambda amount: f"(weight {amount:g})",
    "host seconds": lambda amount: f"{human_seconds(amount)} of a whole host's processors",
}


def have_left(names: Sequence[str], host: str) -> str:
    """Return in words that VMs have left a host."""
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'} left {host}"


def _awaits(move: MoveView) -> str:
    return f" until {have_left(move.after_names, move.target)}" if move.after else ""


def _leaves(one: LeavingView | None) -> str:
    """Return when a VM goes beside all others that leave, and by how much that is too late."""
    if one is None:
        return ""
    late = "" if one.late is None else f", {human_seconds(one.late)} after the deadline"
    return f", begins in about {human_seconds(one.begins)} and is safe in about {human_seconds(one.safe)}{late}"


def _under(move: MoveView) -> str:
    return f" as {move.recommendation}" if move.recommendation else ""


def no_told(view: ClusterView, no: NoView) -> Statement:
    """Return a refusal or a deferral, until when if a clock decides that, and the cure."""
    about = f"{no.vm_name or no.vm}: " if no.vm else ""
    until = "" if no.until_wall is None else f", until {when(view, no.until_wall)}"
    sort = "cannot" if no.sort == "refusal" else "not yet"
    cure = f"; cure: {no.cure}" if no.cure else ""
    return Statement(no.kind, f"{sort}: {about}{no.detail} ({no.kind}{until}){cure}", host=no.host, vm=no.vm,
                     until_wall=no.until_wall)


def gates_told(view: ClusterView) -> tuple[Statement, ...]:
    """Return what holds the whole cluster back, or that nothing does."""
    return or_nothing(tuple(_gate_told(view, gate) for gate in view.gates), f"nothing: the daemon is {view.posture}")


def _gate_told(view: ClusterView, gate: GateView) -> Statement:
    until = "until its cause is gone" if gate.until_wall is None else f"until {when(view, gate.until_wall)}"
    return Statement(gate.kind, f"{gate.kind}: {gate.reason}, {until}", until_wall=gate.until_wall)


def next_told(view: ClusterView, noes: tuple[NoView, ...],
              migrations: tuple[MigrationView, ...]) -> tuple[Statement, ...]:
    """Return when anything about ``noes`` and open ``migrations`` may change."""
    said = [Statement("migration-end", f"when migration {m.id} ends ({due(view, m.deadline_wall)})",
                      vm=m.vm, until_wall=m.deadline_wall) for m in migrations]
    clocks = next_wall(view, noes)
    if clocks is not None:
        said.append(Statement("clock", f"{when(view, clocks)}, when the first \"not yet\" above runs out",
                              until_wall=clocks))
    said.extend(Statement("cause", f"when the cause of the gate {gate.kind} is gone")
                for gate in view.gates if gate.until_wall is None)
    said.extend(Statement("cause", f"when this changes: {no.detail}", host=no.host, vm=no.vm)
                for no in noes if no.until_wall is None)
    return or_nothing(tuple(said), "at any step, should a policy or an operator ask for a change")


def next_wall(view: ClusterView, noes: Iterable[NoView]) -> float | None:
    """Return when the first clock runs out that decides about ``noes`` or a gate; None where none does."""
    walls = [no.until_wall for no in noes] + [gate.until_wall for gate in view.gates]
    return min((wall for wall in walls if wall is not None and wall > view.wall), default=None)


def or_nothing(statements: tuple[Statement, ...], nothing: str) -> tuple[Statement, ...]:
    """Return ``statements``, or one that says that there is nothing: that is an answer, too."""
    return statements or (Statement("nothing", nothing),)


def ago(view: ClusterView, wall: float) -> str:
    """Return how long before the view ``wall`` was."""
    return human_seconds(max(0.0, view.wall - wall))


def when(view: ClusterView, wall: float) -> str:
    """Return when ``wall`` is or was, as seen from the view."""
    left = wall - view.wall
    return f"in {human_seconds(left)}" if left >= 0 else f"{human_seconds(-left)} ago"


def due(view: ClusterView, wall: float) -> str:
    """Return how long there is until ``wall``, or how long it is overdue."""
    left = wall - view.wall
    return f"due in {human_seconds(left)}" if left >= 0 else f"overdue by {human_seconds(-left)}"
