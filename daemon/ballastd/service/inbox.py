"""What waits for the next step: bounded, conflating, newest per subject wins, and what is dropped is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ballastd.core.inputs import CallReturned, HostUnreachable, Input, OperatorCommand, PowerSeen, ProgressSeen, VmAsked
from ballastd.core.inventory import HostInventory
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import METRICS, AgentState, MetricKind, Report, Sample

COMMANDS_MAX = 100
ITEMS_MAX = 20_000


class Inbox:
    """Filled by tasks of the same loop, drained by the control loop. ``urgent`` says whom to wake for."""

    def __init__(self, urgent: Callable[[Input], bool]) -> None:
        self._items: dict[tuple[str, ...], Input] = {}
        self._handed_out: dict[HostName, tuple[str, int]] = {}
        """Run and number of the newest report of each host that was drained."""
        self._urgent = urgent
        self._serial = 0
        self._commands = 0
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self.dropped: Counter[str] = Counter()
        """What was lost or folded into a newer one, by kind; of reports that are no news, why."""

    def put(self, one: Input) -> bool:
        """Take ``one`` in; never blocks. Return False where it was refused for want of room."""
        if isinstance(one, OperatorCommand):
            if self._commands >= COMMANDS_MAX:
                self.dropped["command"] += 1
                return False
            self._commands += 1
        if isinstance(one, Report) and (why := self._no_news(one)):
            # folded into the next live one, it would count a counter's rise anew and bring back what that does not show
            self.dropped[why] += 1
            return True
        key = self._key(one)
        waiting = self._items.pop(key, None)
        if waiting is None and len(self._items) >= ITEMS_MAX:
            self.dropped[type(one).__name__] += 1
            return False
        # urgency is asked before folding: the older report may be the one that rose
        hurry = self._urgent(one)
        if isinstance(one, Report) and isinstance(waiting, Report):
            self.dropped["report"] += 1
            one = fold(waiting, one)
        self._items[key] = one
        self._wake.set()
        if hurry:
            self._hurry.set()
        return True

    def _no_news(self, one: Report) -> str:
        """Return why nobody is to hear a report: a broker kept it, or its run said newer things; empty where it is news."""
        if one.retained:
            return "retained"
        run, newest = self._handed_out.get(one.host, ("", 0))
        return "replayed" if one.boot_id == run and one.sequence <= newest else ""

    def _key(self, one: Input) -> tuple[str, ...]:
        match one:
            case Report():
                return ("report", one.host, one.boot_id)
            case HostInventory():
                return ("look", one.host)
            case HostUnreachable():
                return ("look", one.host)
            case AgentState():
                return ("agent", one.host)
            case ProgressSeen():
                return ("progress", one.migration)
            case CallReturned():
                return ("call", one.migration)
            case VmAsked():
                return ("asked", one.migration, str(one.before))
            case PowerSeen():
                return ("power", one.host)
            case _:
                self._serial += 1
                return ("one", str(self._serial))

    def drain(self) -> tuple[Input, ...]:
        """Return everything that waits, oldest first, and forget it."""
        items = tuple(self._items.values())
        self._handed_out |= {one.host: (one.boot_id, one.sequence) for one in items
                             if isinstance(one, Report)}
        self._items.clear()
        self._commands = 0
        self._wake.clear()
        self._hurry.clear()
        return items

    async def wait(self, routine: float, calm: float) -> None:
        """Return at once for something urgent, ``calm`` seconds after anything else came, at the latest after
        ``routine`` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + routine
        waited = asyncio.ensure_future(self._hurry.wait())
        try:
            if not self._wake.is_set():
                woken = asyncio.ensure_future(self._wake.wait())
                try:
                    done, _ = await asyncio.wait({waited, woken}, timeout=routine, return_when="FIRST_COMPLETED")
                finally:
                    woken.cancel()
                if not done or waited in done:
                    return
            await asyncio.wait({waited}, timeout=max(0.0, min(calm, until - loop.time())))
        finally:
            waited.cancel()


def fold(older: Report, newer: Report) -> Report:
    """Return one report that says what both said, the newer one's values winning; both of one run of one host.

    Of a counter the first waiting value is kept beside the last: it may be the only starting point there is.
    """
    if newer.sequence <= older.sequence:
        return older
    values: dict[tuple[str, str], list[Sample]] = {}
    for sample in (*older.samples, *newer.samples):
        waiting = values.setdefault((sample.metric, sample.subject), [])
        kept = 1 if _is_counter(sample.metric) and waiting and waiting[0].value != sample.value else 0
        waiting[kept:] = [sample]
    return replace(newer, samples=tuple(sample for waiting in values.values() for sample in waiting),
                   refused_samples=older.refused_samples + newer.refused_samples)


def _is_counter(metric: str) -> bool:
    known = METRICS.get(metric)
    return known is not None and known.kind is MetricKind.COUNTER
