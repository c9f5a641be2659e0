"""What planners made of one cluster, and which targets ours meets by it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OURS, EVEN, HBAL, PROXLB, BEST, BOUND, EVEN_BOUND = (
    "ours", "ours, evened out", "hbal", "ProxLB", "solver", "bound", "bound, evened out")
SECONDS = {50: 0.1, 1000: 1.0}
"""For relief, by hosts."""
MANY_HOSTS = 50
"""From here on ours takes at most this share of hbal's time:"""
TIME_SHARE = 0.01
OVER_BEST, OVER_BOUND = 1.15, 1.5
EVEN_SHARE = 0.5
"""Of hbal's GiB, evened out as far as hbal does."""


@dataclass(frozen=True)
class Line:
    """What one planner made of one cluster. ``by``: who, one of the above, of ProxLB the beginning; ``hot``: hosts hot by
    processors and hosts hot by memory, -1 where it was not run or has no placement; ``broken``: moves that broke a rule
    or a host's memory on the way, -1 where no order is known; ``seconds``: of processors; ``note``: how it ended, where
    that is not by itself."""

    cluster: str
    hosts: int
    by: str
    hot: int = -1
    moves: int = -1
    gib: float = math.nan
    cpu_spread: float = math.nan
    memory_spread: float = math.nan
    seconds: float = math.nan
    broken: int = -1
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a target is met in a cluster; ``figures`` say by what."""

    cluster: str
    target: str
    is_met: bool
    figures: str


def verdicts(lines: Sequence[Line]) -> list[Verdict]:
    """Return the verdicts on one cluster, of those targets for which there is something to hold ours against."""
    ours = next(line for line in lines if line.by == OURS)
    found = [(*one, line) for line in lines for one in _against(ours, line)]
    found += [("every move legal when it begins", line.broken == 0, f"{line.broken} broken", line)
              for line in lines if line.by in (OURS, EVEN)]
    if (limit := SECONDS.get(ours.hosts)) is not None:
        found.append((f"in less than {limit:g} s", ours.seconds < limit, f"{ours.seconds:.3f} s", ours))
    found += [(*one, line) for line in lines if line.by == EVEN for one in _evened(line, lines)]
    return [Verdict(ours.cluster, target, is_met, figures) for target, is_met, figures, _ in found]


def _against(ours: Line, line: Line) -> Iterator[tuple[str, bool, str]]:
    """A peer that leaves more hosts hot, or breaks something, is beaten, however few its moves."""
    if line.hot >= 0 and line.by.startswith((HBAL, PROXLB)):
        yield f"no hotter than {line.by}", ours.hot <= line.hot, f"{ours.hot} and {line.hot} hot"
        if line.hot <= ours.hot and line.broken == 0:
            yield (f"no more moves or GiB than {line.by}", ours.moves <= line.moves and ours.gib <= line.gib,
                   f"{ours.moves} and {line.moves} moves, {ours.gib:.1f} and {line.gib:.1f} GiB")
    is_quick = ours.seconds <= TIME_SHARE * line.seconds
    # of a peer that was stopped it is not known how much longer it would have taken
    if line.by == HBAL and line.hot >= 0 and ours.hosts >= MANY_HOSTS and (is_quick or not line.note):
        yield (f"at most {TIME_SHARE:g} of hbal's time", is_quick,
               f"{ours.seconds:.3f} and {line.seconds:.1f} s, {ours.seconds / line.seconds:.5f}")
    if line.by == BEST and line.hot == 0:
        yield "no host hot", ours.hot == 0, f"{ours.hot} hot"
        yield (f"at most {OVER_BEST:g} of the solver's GiB", ours.gib <= OVER_BEST * line.gib,
               f"{ours.gib:.1f} and {line.gib:.1f} GiB, {_ratio(ours.gib, line.gib):.2f}")
    if line.by == BOUND and ours.hosts > MANY_HOSTS:
        yield (f"at most {OVER_BOUND:g} of the bound", ours.gib <= OVER_BOUND * line.gib,
               f"{ours.gib:.1f} and {line.gib:.1f} GiB, {_ratio(ours.gib, line.gib):.2f}")


def _evened(even: Line, lines: Sequence[Line]) -> Iterator[tuple[str, bool, str]]:
    """hbal is a measure only where it came to its end."""
    for hbal in (line for line in lines if line.by == HBAL and line.hot >= 0 and not line.note):
        yield ("as even as hbal", even.cpu_spread <= hbal.cpu_spread and even.memory_spread <= hbal.memory_spread,
               f"{even.cpu_spread:.4f} and {hbal.cpu_spread:.4f}, {even.memory_spread:.4f} and {hbal.memory_spread:.4f}")
        least = next((line.gib for line in lines if line.by == EVEN_BOUND), math.nan)
        yield (f"evened out with at most {EVEN_SHARE:g} of hbal's GiB", even.gib <= EVEN_SHARE * hbal.gib,
               f"{even.gib:.1f} and {hbal.gib:.1f} GiB, {_ratio(even.gib, hbal.gib):.2f}; no placement below "
               f"{_ratio(least, hbal.gib):.2f}")


def _ratio(one: float, other: float) -> float:
    return one / other if other else math.nan
