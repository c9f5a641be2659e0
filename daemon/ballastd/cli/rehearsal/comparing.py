"""Two rehearsals beside each other: what other policies, or another world, would have changed."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from ballastd.cli.formats import NOTHING
from ballastd.cli.rehearsal.account import (
    COMPLETED,
    by_policy,
    ending,
    energy,
    hosts_off,
    moves_of,
    overload,
    took,
)
from ballastd.cli.rehearsal.parts import ENDINGS, FEW
from ballastd.cli.rehearsal.terminal import print_parts
from ballastd.cli.rehearsal.words import (
    BAD,
    CAUTION,
    FAINT,
    GOOD,
    STRONG,
    Cell,
    Part,
    counted,
    elapsed,
    rest,
    row,
    seconds,
    titles,
)
from ballastd.core.rehearsed import Rehearsed, RehearsedMove

_SAME = ("cluster", "hosts", "vms", "seconds", "seed", "faults", "began_wall")
_WORDS = {"hosts": "hosts", "vms": "number of VMs", "seconds": "virtual time", "began_wall": "beginning"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two rehearsals and how their moves pair up. ``both``: moves of the same VM to the same target, the first of ``a``
    with the first of ``b`` and so on; ``unlike``: what should be equal in both for the comparison to be fair, and is not."""

    a: Rehearsed
    b: Rehearsed
    name_a: str
    name_b: str
    only_a: tuple[RehearsedMove, ...]
    only_b: tuple[RehearsedMove, ...]
    both: tuple[tuple[RehearsedMove, RehearsedMove], ...]
    unlike: tuple[str, ...]


def compare(a: Rehearsed, b: Rehearsed, name_a: str = "A", name_b: str = "B") -> Comparison:
    """Return ``a`` and ``b`` beside each other, under the names that people know them by."""
    waiting: dict[tuple[str, str], deque[RehearsedMove]] = defaultdict(deque)
    for move in _ordered(b.moves):
        waiting[move.vm_name, move.target].append(move)
    only_a: list[RehearsedMove] = []
    both: list[tuple[RehearsedMove, RehearsedMove]] = []
    for move in _ordered(a.moves):
        same = waiting[move.vm_name, move.target]
        if same:
            both.append((move, same.popleft()))
        else:
            only_a.append(move)
    only_b = _ordered([move for left in waiting.values() for move in left])
    unlike = tuple(_WORDS.get(field, field) for field in _SAME if getattr(a, field) != getattr(b, field))
    return Comparison(a, b, name_a, name_b, tuple(only_a), tuple(only_b), tuple(both), unlike)


def _ordered(moves: Sequence[RehearsedMove]) -> list[RehearsedMove]:
    return sorted(moves, key=lambda move: (move.ordered_at, move.id, move.vm_name, move.target))


def render_comparison(comparison: Comparison, console: Console, moves: bool = False) -> None:
    """Print both beside each other. ``moves``: every move rather than the first few."""
    print_parts(comparison_parts(comparison, None if moves else FEW), console)


def comparison_parts(comparison: Comparison, most: int | None = FEW) -> tuple[Part, ...]:
    """Return the parts of a comparison; ``most``: rows of each list of moves, None for all."""
    c = comparison
    return (_headline(c), _figures(c), _policies(c), _violations(c),
            _moves(f"only in {c.name_a}: {counted(len(c.only_a), 'move')}", c.only_a, most),
            _moves(f"only in {c.name_b}: {counted(len(c.only_b), 'move')}", c.only_b, most), _both(c, most))


def _headline(c: Comparison) -> Part:
    fair = Cell("same cluster, time, seed and faults", GOOD)
    unfair = Cell(f"not equal, so what differs may come from there: {', '.join(c.unlike)}", CAUTION)
    return Part("comparison", rows=(row("cluster", Cell(c.a.cluster, STRONG)), row("between", f"{c.name_a} and {c.name_b}"),
                                    row("fair", unfair if c.unlike else fair)))


def _figures(c: Comparison) -> Part:
    a, b = _counted(c.a), _counted(c.b)
    return Part("side by side", titles("", f">{c.name_a}", f">{c.name_b}", ">CHANGE"), tuple(
        row(name, _number(one, digits), _number(other, digits), _change(one, other, digits, better))
        for (name, digits, better), one, other in zip(_MEASURES, a, b, strict=True)))


_MEASURES = (("violations", 0, -1), ("moves", 0, 0), ("moves completed", 0, 0), ("moves not completed", 0, -1),
             ("overload, host-minutes", 1, -1), ("energy used, kWh", 1, -1), ("energy saved, kWh", 1, 1),
             ("hosts told off", 0, 0), ("hosts told on", 0, 0), ("host-hours off", 1, 0), ("alarms", 0, -1),
             ("withheld", 0, 0), ("median move, s", 1, -1), ("worst move, s", 1, -1))
"""What is measured, with how many digits, and which way is better: more (1), less (-1), neither (0)."""


def _counted(of: Rehearsed) -> tuple[float | None, ...]:
    spent, lasted = energy(of), moves_of("", of.moves).durations
    completed = sum(move.ending == COMPLETED for move in of.moves)
    return (len(of.violations), len(of.moves), completed, sum(bool(move.ending) for move in of.moves) - completed,
            overload(of).host_minutes, None if spent is None else spent.used, None if spent is None else spent.saved,
            sum(not one.on for one in of.switches), sum(one.on for one in of.switches),
            sum(one.hours or 0.0 for one in hosts_off(of)) if of.samples else None,
            sum(level == "alarm" for _, level, _ in of.notices), sum(count for _, count in of.withheld),
            None if lasted is None else lasted.median, None if lasted is None else lasted.worst)


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _change(one: float | None, other: float | None, digits: int, better: int) -> Cell:
    if one is None or other is None:
        return Cell(NOTHING, FAINT)
    change = round(other - one, digits)
    if not change:
        return Cell("same", FAINT)
    return Cell(f"{change:+,.{digits}f}", (GOOD if change * better > 0 else BAD) if better else "")


def _policies(c: Comparison) -> Part:
    a, b = ({of.policy: of.count for of in by_policy(one.moves)} for one in (c.a, c.b))
    return Part("moves by policy", titles("POLICY", f">{c.name_a}", f">{c.name_b}"), tuple(
        row(policy or NOTHING, str(a.get(policy, 0)), str(b.get(policy, 0))) for policy in sorted({*a, *b})))


def _violations(c: Comparison) -> Part:
    found = [(one.at, name, one) for name, of in ((c.name_a, c.a), (c.name_b, c.b)) for one in of.violations]
    return Part("violations", titles("AT", "IN", "RULE", "WHAT"), tuple(
        row(Cell(elapsed(at), BAD), Cell(name, BAD), Cell(one.rule, BAD), Cell(one.detail, BAD))
        for at, name, one in sorted(found, key=lambda three: three[:2])), Cell("none", GOOD))


def _moves(title: str, moves: Sequence[RehearsedMove], most: int | None) -> Part:
    return Part(title, titles("AT", "VM", "FROM", "TO", "ENDED", ">TOOK", "POLICY", "BECAUSE"), tuple(
        row(elapsed(move.ordered_at), move.vm_name, move.source, move.target, _ended(move), seconds(took(move)),
            move.policy or NOTHING, move.because or NOTHING) for move in moves[:most]),
        below=() if most is None else rest(len(moves), most, "moves"))


def _ended(move: RehearsedMove) -> Cell:
    return Cell(ending(move), ENDINGS.get(ending(move), BAD))


def _both(c: Comparison, most: int | None) -> Part:
    named = titles("VM", "TO", f">AT IN {c.name_a}", f">AT IN {c.name_b}", ">LATER BY", f"POLICY IN {c.name_a}",
                   f"POLICY IN {c.name_b}")
    return Part(f"in both: {counted(len(c.both), 'move')}", named, tuple(
        row(a.vm_name, a.target, elapsed(a.ordered_at), elapsed(b.ordered_at), _later(a, b), a.policy or NOTHING,
            b.policy or NOTHING) for a, b in c.both[:most]), below=() if most is None else rest(len(c.both), most, "moves"))


def _later(a: RehearsedMove, b: RehearsedMove) -> str:
    """Return by how much ``b`` was ordered later than ``a``."""
    return f"{(b.ordered_at - a.ordered_at) / 60.0:+,.1f} min"
