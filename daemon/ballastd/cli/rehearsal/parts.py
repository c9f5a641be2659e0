"""A rehearsal in words, part by part, in the order an operator asks: did it hold, what moved, what did it cost."""

from __future__ import annotations

from ballastd.cli.formats import NOTHING
from ballastd.cli.rehearsal.account import (
    COMPLETED,
    UNDER_WAY,
    Durations,
    MovesOf,
    by_policy,
    ending,
    energy,
    hosts_off,
    moves_of,
    notices_by_level,
    overload,
    reasons,
    took,
)
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
    hours,
    rest,
    row,
    seconds,
    titles,
    wall_clock,
)
from ballastd.core.plans import DeferralKind
from ballastd.core.rehearsed import Rehearsed, RehearsedMove

FEW, MANY = 10, 200
"""How many rows a part lists in a terminal, and on a page."""
ENDINGS = {COMPLETED: GOOD, UNDER_WAY: FAINT, "aborted": CAUTION}
BY_MODE = "policy-mode: their policy is not in mode auto, so they were planned and not made; --auto rehearses as if it were"
LEVELS = {"alarm": BAD, "warning": CAUTION}


def parts(rehearsed: Rehearsed, most: int = FEW) -> tuple[Part, ...]:
    """Return all parts but the list of moves, each with ``most`` rows at most."""
    return (headline(rehearsed), violations(rehearsed, most), moves_by_policy(rehearsed), why(rehearsed, most),
            switched(rehearsed, most), energy_part(rehearsed), overload_part(rehearsed, most), withheld(rehearsed, most),
            notices(rehearsed), again(rehearsed))


def headline(rehearsed: Rehearsed) -> Part:
    """Return what was rehearsed and how fast."""
    ratio = rehearsed.seconds / rehearsed.wall_seconds if rehearsed.wall_seconds > 0 else None
    began = wall_clock(rehearsed.began_wall, 0.0)
    return Part("rehearsal", rows=(
        row("cluster", Cell(rehearsed.cluster, STRONG)),
        row("size", f"{counted(len(rehearsed.hosts), 'host')}, {counted(rehearsed.vms, 'VM')}"),
        row("virtual time", seconds(rehearsed.seconds) + ("" if began == NOTHING else f" from {began}")),
        row("took", seconds(rehearsed.wall_seconds) + ("" if ratio is None else f" ({ratio:,.0f} times as fast)")),
        row("seed", str(rehearsed.seed)),
        row("faults", ", ".join(rehearsed.faults) or "none"),
    ))


def violations(rehearsed: Rehearsed, most: int) -> Part:
    """Return every invariant that did not hold, the first first."""
    found = sorted(rehearsed.violations, key=lambda one: one.at)
    rows = tuple(row(Cell(elapsed(one.at), BAD), Cell(wall_clock(rehearsed.began_wall, one.at), BAD),
                     Cell(one.rule, BAD), Cell(one.detail, BAD)) for one in found[:most])
    return Part(f"violations: {len(found)}" if found else "violations", titles("AT", "WALL TIME", "RULE", "WHAT"), rows,
                Cell("none", GOOD), rest(len(found), most, "violations"))


def moves_by_policy(rehearsed: Rehearsed) -> Part:
    """Return the moves by policy and ending with how long they took, and all of them where policies are several."""
    each = by_policy(rehearsed.moves)
    whole = (moves_of("all", rehearsed.moves),) if len(each) > 1 else ()
    named = titles("POLICY", ">MOVES", "ENDED", ">MEDIAN", ">WORST", ">PREDICTED", ">ACTUAL/PREDICTED")
    return Part("moves by policy", named, tuple(map(_policy_row, (*each, *whole))), Cell("no VM was moved", FAINT))


def _policy_row(of: MovesOf) -> tuple[Cell, ...]:
    clean = all(word == COMPLETED for word, _ in of.endings)
    ended = Cell(", ".join(f"{count} {word}" for word, count in of.endings), GOOD if clean else CAUTION)
    return row(of.policy or NOTHING, str(of.count), ended, *duration_words(of.durations))


def duration_words(of: Durations | None) -> tuple[str, str, str, str]:
    """Return median, worst, predicted, and actual by predicted in words."""
    if of is None:
        return (NOTHING, NOTHING, NOTHING, NOTHING)
    return (seconds(of.median), seconds(of.worst), seconds(of.predicted), NOTHING if of.ratio is None else f"{of.ratio:.2f}")


def why(rehearsed: Rehearsed, most: int) -> Part:
    """Return the most frequent reasons of moves, an example each."""
    found = reasons(rehearsed.moves)
    return Part("why", titles(">MOVES", "POLICY", "BECAUSE, FOR EXAMPLE"),
                tuple(row(str(one.count), one.policy or NOTHING, one.example or NOTHING) for one in found[:most]),
                Cell("no VM was moved", FAINT), rest(len(found), most, "reasons"))


def switched(rehearsed: Rehearsed, most: int) -> Part:
    """Return hosts that were off or were told to."""
    found = hosts_off(rehearsed)
    known = [one.hours for one in found if one.hours is not None]
    whole = (Cell(f"{hours(sum(known))} host-hours off in all"),) if known else ()
    return Part("hosts switched", titles("HOST", ">TOLD OFF", ">TOLD ON", ">HOURS OFF"),
                tuple(row(one.host, str(one.offs), str(one.ons), hours(one.hours)) for one in found[:most]),
                Cell("all hosts stayed on", FAINT), (*rest(len(found), most, "hosts"), *whole))


def energy_part(rehearsed: Rehearsed) -> Part:
    """Return energy used and saved, or that it is unknown."""
    found = energy(rehearsed)
    if found is None:
        return Part("energy", empty=Cell("unknown: the draw of at least one host is not declared", CAUTION))
    percent = "" if found.share is None else f" ({found.share:.1%})"
    return Part("energy", rows=(
        row("used", f"{found.used:,.1f} kWh"),
        row("without us", f"{found.unmanaged:,.1f} kWh, had nothing been switched off"),
        row("saved", Cell(f"{found.saved:,.1f} kWh{percent}", GOOD if found.saved > 0 else "")),
    ))


def overload_part(rehearsed: Rehearsed, most: int) -> Part:
    """Return how much more was asked of processors than there are, and where."""
    found = overload(rehearsed)
    rows = tuple(row(host, f"{minutes:,.1f}") for host, minutes in found.worst[:most])
    whole = (Cell(f"{found.host_minutes:,.1f} host-minutes in all, {found.share:.2%} of the time of all hosts"),)
    return Part("overload", titles("HOST", ">MINUTES"), rows, Cell("none", GOOD),
                (*rest(len(found.worst), most, "hosts"), *(whole if rows else ())))


def withheld(rehearsed: Rehearsed, most: int) -> Part:
    """Return what was not done, by kind, and how to see what a mode held back."""
    found = rehearsed.withheld
    looks = Cell(f"counted at each of {counted(len(rehearsed.samples), 'look')}", FAINT)
    modes = (Cell(BY_MODE, CAUTION),) if any(kind == f"deferral: {DeferralKind.MODE.value}" for kind, _ in found) else ()
    return Part("withheld", titles(">TIMES", "KIND"), tuple(row(f"{count:,}", kind) for kind, count in found[:most]),
                Cell("nothing", FAINT), (*rest(len(found), most, "kinds"), *((looks,) if found else ()), *modes))


def notices(rehearsed: Rehearsed) -> Part:
    """Return how many notices of each level, and the first."""
    return Part("notices", titles("LEVEL", ">COUNT", "FIRST AT", "FIRST"), tuple(
        row(Cell(level, LEVELS.get(level, "")), str(count), elapsed(at), text)
        for level, count, at, text in notices_by_level(rehearsed)))


def again(rehearsed: Rehearsed) -> Part:
    """Return how to see the same once more."""
    return Part("again", empty=Cell(f"the same cluster, policies, duration and faults with seed {rehearsed.seed}"))


def all_moves(rehearsed: Rehearsed) -> Part:
    """Return every move, in the order they were ordered."""
    ordered = sorted(rehearsed.moves, key=lambda move: (move.ordered_at, move.id))
    return Part("all moves", titles("AT", "MOVE", "VM", "FROM", "TO", "ENDED", ">TOOK", ">PREDICTED", "POLICY", "BECAUSE"),
                tuple(map(_move_row, ordered)), Cell("no VM was moved", FAINT))


def _move_row(move: RehearsedMove) -> tuple[Cell, ...]:
    ended = ending(move)
    return row(elapsed(move.ordered_at), move.id, move.vm_name, move.source, move.target,
               Cell(ended, ENDINGS.get(ended, BAD)), seconds(took(move)), seconds(move.predicted), move.policy or NOTHING,
               move.because or NOTHING)


def all_notices(rehearsed: Rehearsed) -> Part:
    """Return every notice, in order."""
    return Part("all notices", titles("AT", "LEVEL", "NOTICE"), tuple(
        row(elapsed(at), Cell(level, LEVELS.get(level, "")), text) for at, level, text in rehearsed.notices))


def all_switches(rehearsed: Rehearsed) -> Part:
    """Return every order to go off or to come on, in order."""
    return Part("all switches", titles("AT", "HOST", "TOLD", "BECAUSE"), tuple(
        row(elapsed(one.at), one.host, "on" if one.on else "off", one.because or NOTHING) for one in rehearsed.switches),
        Cell("all hosts stayed on", FAINT))
