"""When a running migration is called off: its time is over, it gets nowhere, its target turned sick, its window closed,
somebody paused its VM, or asked for."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from ballastd.core import events as ev
from ballastd.core.hand_pauses import why_called_off
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.plans import AbortOrder
from ballastd.core.policies import Health, PolicySet
from ballastd.core.quantities import HostName, Instant

ABORT_AGAIN_SECONDS = 10.0


class Aborts:
    """Remembers deadlines on the monotonic clock, and when each abort was last asked for."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def follow(self, ledger: Ledger, policies: PolicySet, health: Callable[[HostName], Health],
               hopeless: Mapping[str, str], spared: Container[str], revision: int, now: Instant
               ) -> tuple[tuple[ev.AbortOrdered, ...], tuple[AbortOrder, ...]]:
        """Return the aborts to book, and those to carry out now: asked for again until the job is gone. ``hopeless``:
        why migrations (ids) get nowhere; ``spared``: those that cannot be called off any more."""
        events: list[ev.AbortOrdered] = []
        orders: list[AbortOrder] = []
        self._deadlines = {key: at for key, at in self._deadlines.items() if key in ledger.migrations}
        self._asked = {key: at for key, at in self._asked.items() if key in ledger.migrations}
        for m in ledger.open_migrations():
            left = max(0.0, min(m.deadline_wall - now.wall, m.deadline_wall - m.ordered_wall))
            deadline = self._deadlines.setdefault(m.id, now.monotonic + left)
            stuck = hopeless.get(m.id, "")
            reason = m.abort_reason or _reason(m, deadline, policies, health, now) or stuck
            if not reason or not m.holds_slot or m.id in spared:
                continue
            if not m.abort_reason:
                is_its_own = reason == stuck or now.monotonic > deadline
                events.append(ev.AbortOrdered(now.wall, m.id, reason, overran=is_its_own))
            if now.monotonic - self._asked.get(m.id, float("-inf")) >= ABORT_AGAIN_SECONDS:
                self._asked[m.id] = now.monotonic
                orders.append(AbortOrder(m.id, m.vm, m.source, reason, revision))
        return tuple(events), tuple(orders)

    def deadlines(self) -> Iterable[float]:
        """Return the monotonic instants at which open migrations run out of time."""
        return self._deadlines.values()


def _reason(m: Migration, deadline: float, policies: PolicySet, health: Callable[[HostName], Health], now: Instant) -> str:
    if now.monotonic > deadline:
        return f"not done within {m.deadline_wall - m.ordered_wall:.0f} s"
    here, there = health(m.source), health(m.target)
    if there > Health.HEALTHY and there >= here:
        return f"target {m.target} turned {there.name.lower()}"
    if hand := why_called_off(m):
        return hand
    return _closed_window(m, policies, now.wall)


def _closed_window(m: Migration, policies: PolicySet, wall: float) -> str:
    if m.urgent:
        return ""  # as when its deadline had passed: it was begun outside of its windows, and they do not end it
    named = [policies.windows[name] for name in _windows_of(m.policy, policies)]
    denied = any(not w.allows and w.open_until(wall) is not None for w in named if w.cancel_at_close)
    allowing = [w for w in named if w.allows]
    closed = (any(w.cancel_at_close for w in allowing)
              and all(w.is_known(wall) and w.open_until(wall) is None for w in allowing))
    return "its window closed" if denied or closed else ""


def _windows_of(name: str, policies: PolicySet) -> tuple[str, ...]:
    for evacuation in policies.evacuation:
        if evacuation.name == name:
            return () if evacuation.ignore_windows else evacuation.windows
    for balance in policies.balance:
        if balance.name == name:
            return balance.windows
    return next(((packing.window, *packing.denials) for packing in policies.consolidation if packing.name == name), ())
