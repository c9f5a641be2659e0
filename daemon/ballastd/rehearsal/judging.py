"""Examples judged: what was expected against what there was to see, in words and with the numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ballastd.core.examples import Claim, Example, Expected, MovePattern
from ballastd.core.policies import AnyPolicy, Mode, PolicySet
from ballastd.core.quantities import human_seconds
from ballastd.core.views import ClusterView, HostView
from ballastd.rehearsal.trial import Seen, begins_of, play

BECAUSE_MAX = 6
_PHASES = ("firing", "pending", "clear", "unknown")


@dataclass(frozen=True, slots=True)
class Miss:
    """One expectation that was not met, with the numbers behind what there was instead."""

    place: str
    what: str
    expected: str
    got: str
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """One example and what it came to. ``looked_at``: how many expectations; ``seconds``: how long it took us."""

    example: Example
    misses: tuple[Miss, ...]
    looked_at: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.misses


def judge(example: Example, compiled: Callable[[float], PolicySet]) -> Judged:
    """Play an example and judge it. ``compiled``: the policies, windows from a wall second on."""
    began = time.perf_counter()
    policies = compiled(begins_of(example))
    if example.mode is not None:
        policies = in_mode(policies, example)
    seen = play(example, policies)
    misses = tuple(miss for one in seen for expected in one.look.expected if (miss := _miss(expected, one)) is not None)
    count = sum(len(one.look.expected) for one in seen)
    return Judged(example, misses, count, time.perf_counter() - began)


def in_mode(policies: PolicySet, example: Example) -> PolicySet:
    """Return the policies with the mode of the example's own policy as the example has it."""
    def mode(one: AnyPolicy) -> Mode:
        is_its_own = type(one).__name__ == f"{example.kind}Policy" and one.name == example.policy
        return example.mode if is_its_own and example.mode is not None else one.mode

    return policies.with_modes(mode)


def _miss(expected: Expected, seen: Seen) -> Miss | None:
    wanted, got, because = _FOUND[expected.claim](expected, seen)
    if got is None:
        return None
    what = " ".join(part for part in (expected.claim.value, expected.policy, expected.subject and f"of {expected.subject}")
                    if part)
    at = f"at {human_seconds(seen.look.at)}: {what}"
    return Miss(expected.place, at, wanted, got, tuple(because[:BECAUSE_MAX]))


Found = tuple[str, str | None, list[str]]
"""What was wanted in words, what there was (None where it is the same), and why."""


def _same(wanted: str, got: str, because: list[str]) -> Found:
    return wanted, None if wanted == got else got, because


def _host(seen: Seen, name: str) -> HostView:
    return next(host for host in seen.view.hosts if host.name == name)


def _health(expected: Expected, seen: Seen) -> Found:
    host = _host(seen, expected.subject)
    return _same(expected.words[0], host.health, _verdicts(host))


def _verdicts(host: HostView) -> list[str]:
    told = [f"{one.policy} is {'latched' if one.latched else one.phase}" + (f": {one.evidence}" if one.evidence else "")
            for one in sorted(host.verdicts, key=lambda one: _PHASES.index(one.phase)) if one.evidence]
    return told or [f"no condition on {host.name} says anything"]


def _condition(expected: Expected, seen: Seen) -> Found:
    host = _host(seen, expected.subject)
    verdict = next((one for one in host.verdicts if one.policy == expected.policy), None)
    if verdict is None:
        return expected.words[0], "nothing", [f"{expected.policy} does not speak of {host.name}"]
    wanted = expected.words[0]
    got = "latched" if verdict.latched and wanted == "latched" else verdict.phase
    since = human_seconds(max(0.0, seen.view.wall - verdict.since_wall))
    return _same(wanted, got, [f"for {since}" + (f": {verdict.evidence}" if verdict.evidence else "")])


def _targets(expected: Expected, seen: Seen) -> Found:
    got = [host.name for host in seen.view.hosts if host.target]
    because = [f"{host.name}: {why}" for host in seen.view.hosts for why in host.why_not]
    return _same(_list(sorted(expected.words)), _list(got), because)


def _power(expected: Expected, seen: Seen) -> Found:
    host = _host(seen, expected.subject)
    return _same(expected.words[0], host.power, [host.power_detail, *_noes(seen.view, "refusal"),
                                                 *_noes(seen.view, "deferral")])


def _posture(expected: Expected, seen: Seen) -> Found:
    return _same(expected.words[0], seen.view.posture, [f"{gate.kind}: {gate.reason}" for gate in seen.view.gates])


def _intents(expected: Expected, seen: Seen) -> Found:
    got = sorted(f"{one.kind} {one.host}" for one in seen.view.intents)
    because = [f"{one.kind} {one.host}: {one.policy}, {one.state}: {one.because}" for one in seen.view.intents]
    return _same(_list(sorted(expected.words)), _list(got), because or _ailments(seen))


def _ailments(seen: Seen) -> list[str]:
    return [f"{host.name}: {text}" for host in seen.view.hosts for text in _verdicts(host)
            if not text.startswith("no condition")]


def _moves(expected: Expected, seen: Seen) -> Found:
    told = [f"{order.move.vm_name} from {order.move.source} to {order.move.target}" for order in seen.moves]
    moves = [(order.move.vm_name, str(order.move.source), str(order.move.target)) for order in seen.moves]
    because = [*(f"{order.move.vm_name}: {order.move.policy}: {order.move.because}" for order in seen.moves),
               *_noes(seen.view, "refusal"), *_noes(seen.view, "deferral")]
    return _wanted(expected.patterns), None if _all_fit(expected.patterns, moves) else _list(told), because


def _planned(expected: Expected, seen: Seen) -> Found:
    waiting = [one for one in seen.view.moves if one.state != "starting"]
    told = [f"{one.vm_name} from {one.source} to {one.target}" for one in waiting]
    moves = [(one.vm_name, one.source, one.target) for one in waiting]
    because = [*_noes(seen.view, "refusal"), *_noes(seen.view, "deferral")]
    return _wanted(expected.patterns), None if _all_fit(expected.patterns, moves) else _list(told), because


def _wanted(patterns: tuple[MovePattern, ...]) -> str:
    return _list([" ".join(part for part in (one.vm or str(one.count), one.source and f"from {one.source}",
                                             one.target and f"to {one.target}") if part) for one in patterns])


def _all_fit(patterns: tuple[MovePattern, ...], moves: list[tuple[str, str, str]]) -> bool:
    """Return whether each move is one of the patterns', the narrowest first, and each pattern has all of its moves."""
    left = list(moves)
    for one in sorted(patterns, key=lambda p: -sum(map(bool, (p.vm, p.vm, p.source, p.target)))):
        mine = [move for move in left if one.vm in ("", move[0]) and one.source in ("", move[1])
                and one.target in ("", move[2])][:one.count]
        if len(mine) < one.count:
            return False
        for move in mine:
            left.remove(move)
    return not left


def _refusals(expected: Expected, seen: Seen) -> Found:
    return _among(expected, seen, "refusal")


def _deferrals(expected: Expected, seen: Seen) -> Found:
    return _among(expected, seen, "deferral")


def _among(expected: Expected, seen: Seen, sort: str) -> Found:
    """An empty list stands for none at all; else each that is named must be there, and others may be."""
    there = [no for no in seen.view.noes if no.sort == sort]
    names = {text for no in there for text in (no.kind, f"{no.kind} {no.vm_name}", f"{no.kind} {no.host}")}
    got = sorted({" ".join(part for part in (no.kind, no.vm_name or no.host) if part) for no in there})
    met = set(expected.words) <= names if expected.words else not there
    return _list(list(expected.words)), None if met else _list(got), _noes(seen.view, sort)


def _noes(view: ClusterView, sort: str) -> list[str]:
    return [" ".join(part for part in (no.kind, no.vm_name, no.host) if part) + f": {no.detail}" for no in view.noes
            if no.sort == sort]


def _cordons(expected: Expected, seen: Seen) -> Found:
    return _same(_list(sorted(expected.words)), _list(list(seen.cordons)), _ailments(seen))


def _list(words: list[str]) -> str:
    return ", ".join(words) or "none"


_FOUND: dict[Claim, Callable[[Expected, Seen], Found]] = {
    Claim.HEALTH: _health, Claim.CONDITION: _condition, Claim.TARGETS: _targets, Claim.POWER: _power,
    Claim.POSTURE: _posture, Claim.INTENTS: _intents, Claim.MOVES: _moves, Claim.PLANNED: _planned,
    Claim.REFUSALS: _refusals, Claim.DEFERRALS: _deferrals, Claim.CORDONS: _cordons}
