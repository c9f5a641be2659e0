"""Why a move is planned, and planned so: what it gains and costs, and what decided between its target and the next best."""

from __future__ import annotations

from collections.abc import Sequence

from ballastd.core.accounts import Account, Against, Figure, Worth
from ballastd.core.draft import Candidate, Draft
from ballastd.core.intents import IntentKind
from ballastd.core.plans import Refusal
from ballastd.core.prediction import Copy

TOLD_MAX = 20_000
"""Of so many candidates a plan says one by one what speaks against them: each takes some hundred bytes."""
_EMPTIED = {
    IntentKind.EVACUATE: "memory off a host that fails",
    IntentKind.DRAIN: "memory off a host that is drained",
    IntentKind.EMPTY: "memory off a host that can be switched off then",
}


def worth_of_leaving(kind: IntentKind, memory: int, copy: Copy, risk: float) -> Worth:
    """Return what it gains and costs that a VM leaves a host that is to be emptied."""
    return Worth("", (Figure(_EMPTIED[kind], memory, "B"),), copying_costs(memory, copy, risk))


def copying_costs(memory: int, copy: Copy, risk: float) -> tuple[Figure, ...]:
    """Return what every move costs: bytes of memory, and seconds on its link; and, as far as that is known, the bytes that
    are copied again, for how long its VM stands still, and what the risk makes of all that. Of copying that never ends, what
    its first round takes."""
    again = (Figure("memory to copy again", copy.copied - memory, "B"),) if copy.copied > memory else ()
    stands = (Figure("standstill at the end", round(copy.downtime, 3), "s"),) if copy.downtime is not None else ()
    risky = (Figure("risk, by how moves of it and between its hosts went", risk, "times"),) if risk > 1.0 else ()
    on_link = "time on the link" if copy.ends else "time on the link for its first round, and more without an end"
    return (Figure("memory to copy", memory, "B"), *again, Figure(on_link, copy.takes, "s"), *stands, *risky)


def account_of(draft: Draft, source: int, ranked: list[Candidate], worth: Worth) -> Account:
    """Return why the first of ``ranked`` is taken and the second is not."""
    best = ranked[0]
    chosen = draft.weighed(best, source)
    if len(ranked) == 1:
        return Account(worth.gains, worth.costs, chosen, because=_hot(best))
    second = ranked[1]
    decided = "; ".join(words for words in (_what_decided(best, second), _hot(best)) if words)
    return Account(worth.gains, worth.costs, chosen, draft.weighed(second, source), decided)


def _hot(best: Candidate) -> str:
    """Return in words that a target will be hot, which it is taken for all the same; empty where it will not."""
    return f"{best.name} will be hot with it" if best.is_hot else ""


def _what_decided(best: Candidate, second: Candidate) -> str:
    """Return in words why one target comes before another one: the order in which a shortlist looks at it."""
    apart = best.points - second.points
    if best.is_picked:
        return "places for all moves of the plan are chosen together"
    if best.is_kept:
        return f"the plan in progress has {best.name}, and another is not so much better that it is worth changing course"
    if best.refusals < second.refusals:
        return f"it was turned away at {second.name} within the hour"
    if best.refusals == second.refusals and second.is_hot and not best.is_hot:
        return f"{second.name} would be hot with it"
    if best.refusals > second.refusals or best.worth < second.worth or apart < 0:
        return f"a person was offered {best.name}"
    if best.worth > second.worth:
        return f"more is gained at {best.name}"
    return f"it has {apart} points more" if apart else "they are equal, and the order of their names decides"


def told_one_by_one(draft: Draft, noes: Sequence[Refusal]) -> tuple[Against, ...]:
    """Return what speaks against each candidate, for as long as a plan has not told of too many."""
    if draft.told + len(noes) > TOLD_MAX:
        return ()
    draft.told += len(noes)
    return tuple(no.as_against() for no in noes)
