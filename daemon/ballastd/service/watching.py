"""Eyes on the hosts: an inventory of each at its own pace, and sooner when something hints or is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ballastd.core.inputs import HostUnreachable, PowerSeen, ProgressSeen
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Timing
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable
from ballastd.ports.hosts import Hypervisor, Power
from ballastd.ports.running import Clock
from ballastd.service.inbox import Inbox

log = structlog.get_logger("ballastd.watching")

BUSY_SECONDS = 0.5
"""How often the ends of an open migration are looked at, and hosts where a VM that arrived is asked whether it answers."""
IDLE_SECONDS = 2.0
"""How often it is seen whether there is a job to ask about."""
POWER_SECONDS = 60.0
"""How often a power controller is asked; they are slow machines."""
POWER_BUSY_SECONDS = 2.0
SPACING_SECONDS = 0.1
"""Least time between two looks at one host, however many hints come."""


class Watcher:
    """One task per host, one for the hints, one for progress. Everything it sees goes into the inbox."""

    def __init__(self, hypervisor: Hypervisor, power: Power, inbox: Inbox, clock: Clock, timing: Timing,
                 ledger: Callable[[], Ledger]) -> None:
        self._hypervisor = hypervisor
        self._power = power
        self._inbox = inbox
        self._clock = clock
        self._timing = timing
        self._ledger = ledger
        self._look_now: dict[HostName, asyncio.Event] = {}
        self._ask_now: dict[HostName, asyncio.Event] = {}

    def look_soon(self, host: HostName) -> None:
        """Have a look at ``host`` before its turn."""
        if host in self._look_now:
            self._look_now[host].set()

    def ask_power_soon(self, host: HostName) -> None:
        """Have a host's power controller asked before its turn: something was ordered of it."""
        if host in self._ask_now:
            self._ask_now[host].set()

    async def watch_host(self, host: HostName) -> None:
        """Look at one host for ever."""
        wake = self._look_now.setdefault(host, asyncio.Event())
        answered = True
        while True:
            wake.clear()
            try:
                self._inbox.put(await self._hypervisor.inventory(host))
                if not answered:
                    log.info("host answers again", host=host)
                answered = True
            except Unreachable as error:
                self._inbox.put(HostUnreachable(host, self._clock.now(), str(error)))
                if answered:
                    log.warning("host does not answer", host=host, reason=str(error))
                answered = False
            except Exception as surprise:
                # our own mistake about one host: nothing is known of it, and the others are watched on
                self._inbox.put(HostUnreachable(host, self._clock.now(), f"{type(surprise).__name__}: {surprise}"))
                if answered:
                    log.exception("unexpected error from looking at a host", host=host)
                answered = False
            looked = asyncio.get_running_loop().time()
            await _until(wake, self._pause(host))
            too_soon = SPACING_SECONDS - (asyncio.get_running_loop().time() - looked)
            if too_soon > 0:
                await asyncio.sleep(too_soon)

    def _pause(self, host: HostName) -> float:
        ledger = self._ledger()
        ends = {end for m in ledger.open_migrations() for end in (m.source, m.target)}
        ends.update(m.target for m in ledger.arrivals.values())
        busy = (host in ends or host in ledger.evacuating or host in ledger.switching() or host in ledger.shutdowns.hosts())
        return min(BUSY_SECONDS, self._timing.inventory_interval) if busy else self._timing.inventory_interval

    async def follow_hints(self) -> None:
        """Look where hints point, for ever."""
        async for hint in self._hypervisor.hints():
            self.look_soon(hint.host)

    async def follow_power(self, host: HostName) -> None:
        """Ask a host's power controller for ever: seldom, and often while the host is on its way off or back."""
        wake = self._ask_now.setdefault(host, asyncio.Event())
        while True:
            wake.clear()
            try:
                status, reason = await self._power.status(host), ""
            except (Unreachable, PowerRefused) as error:
                status, reason = None, str(error)
            except Exception as surprise:
                log.exception("unexpected error from a power controller", host=host)
                status, reason = None, f"{type(surprise).__name__}: {surprise}"
            self._inbox.put(PowerSeen(host, status, self._clock.now(), reason))
            await _until(wake, POWER_BUSY_SECONDS if self._is_switching(host) else POWER_SECONDS)

    def _is_switching(self, host: HostName) -> bool:
        power = self._ledger().power.get(host)
        return power is not None and power.phase in (PowerPhase.GOING_OFF, PowerPhase.WAKING)

    async def follow_progress(self) -> None:
        """Ask the sources of running jobs how far they are, for ever."""
        surprised: set[str] = set()
        while True:
            await asyncio.sleep(BUSY_SECONDS if self._ledger().migrations else IDLE_SECONDS)
            for migration in self._ledger().open_migrations():
                if not migration.holds_slot:
                    continue
                try:
                    progress = await self._hypervisor.progress(migration.source, migration.vm)
                except Unreachable:
                    # the inventory of that host says the same, with its reason
                    continue
                except Exception:
                    if migration.id not in surprised:
                        log.exception("unexpected error from asking about a job", migration=migration.id)
                    surprised.add(migration.id)
                    continue
                self._inbox.put(ProgressSeen(migration.id, progress, self._clock.now()))


async def _until(wake: asyncio.Event, seconds: float) -> None:
    """Wait for ``wake``, and set it after so many seconds at the latest."""
    timer = asyncio.get_running_loop().call_later(seconds, wake.set)
    try:
        await wake.wait()
    finally:
        timer.cancel()
