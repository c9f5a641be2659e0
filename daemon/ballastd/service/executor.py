"""Hands: one task per order, every call through the kernel; what calls return goes back as an input."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import structlog

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.booking_clock import moved
from ballastd.core.decisions import Decision
from ballastd.core.inputs import BandwidthSet, CallReturned, PowerReturned, ShutdownReturned
from ballastd.core.migrations import CallResult
from ballastd.core.plans import CordonOrder, Order, RefusalKind, ShutdownOrder, TuneOrder
from ballastd.core.power import PowerOrder
from ballastd.core.quantities import HostName
from ballastd.errors import (
    BallastdError,
    MigrationAborted,
    MigrationRefused,
    PowerRefused,
    ShutdownRefused,
)
from ballastd.kernel.kernel import Kernel, Withheld
from ballastd.ports.running import Clock
from ballastd.service.asking import Asker
from ballastd.service.inbox import Inbox

log = structlog.get_logger("ballastd.executor")
T = TypeVar("T")

CORDON_SECONDS = 900.0
"""A cordon request expires by itself, so that a dead daemon does not leave a host closed for ever."""
CORDON_RENEWAL_SECONDS = 300.0
_LIFTING = (ev.HostUncordoned, ev.DrainCancelled, ev.VerdictsAcknowledged, pw.HostAwake, pw.HostKept)


class Executor:
    """Carries out decisions that are durable. Cancelling it detaches from running jobs; it never aborts them.

    ``lifted``: hosts that a run before opened, and when (wall); its agents may not have heard of it. ``closed_until``: until
    when (wall) a host's agent says that it refuses guests, None where it does not, or nobody knows."""

    def __init__(self, kernel: Kernel, inbox: Inbox, clock: Clock, watch_power: Callable[[HostName], None],
                 asker: Asker, lifted: Mapping[HostName, float] = MappingProxyType({}),
                 closed_until: Callable[[HostName], float | None] = lambda _host: None) -> None:
        self._kernel = kernel
        self._asker = asker
        self._watch_power = watch_power
        self._inbox = inbox
        self._clock = clock
        self._tasks: set[asyncio.Task[object]] = set()
        self._aborting: set[asyncio.Task[object]] = set()
        self._cordoned: dict[HostName, float] = {}
        self._lifted = dict(lifted)
        self._closed_until = closed_until
        kernel.announce, kernel.concede = _announce, _concede

    def carry_out(self, decision: Decision) -> None:
        """Begin everything that ``decision`` orders."""
        self._asker.follow(decision.checks)
        self._steer_then_move(decision)
        for longer in decision.downtimes:
            log.info("standstill of a VM at the end of its migration", migration=longer.migration,
                     at_most_ms=longer.downtime_ms)
            self._spawn(_steer(self._kernel.allow_downtime(longer), longer.migration, "standstill not changed"))
        for resort in decision.post_copies:
            log.warning("VM goes to its target before its memory", migration=resort.migration, because=resort.because)
            self._spawn(_steer(self._kernel.start_post_copy(resort), resort.migration, "post-copy not begun"))
        for abort in decision.aborts:
            log.warning("migration is being aborted", migration=abort.migration, reason=abort.reason)
            call = self._kernel.abort(abort)
            task = self._spawn(_steer(call, abort.migration, "abort not delivered; it will be tried again"))
            self._aborting.add(task)
            task.add_done_callback(self._aborting.discard)
        for again in decision.autostarts:
            log.info("autostart of a VM that was moved", migration=again.migration, host=again.host, on=again.on)
            self._spawn(_steer(self._kernel.set_autostart(again), again.migration, "autostart not set; tried again"))
        for shutdown in decision.shutdowns:
            self._spawn(self._shut_down(shutdown))
        for order in decision.power:
            self._spawn(self._switch(order))
        self._follow_cordons(decision)

    def _spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _steer_then_move(self, decision: Decision) -> None:
        """Give jobs new bandwidths, less before more, and begin each migration once those that share an end with it have
        theirs, or cannot be told: the kernel counts what they were told last."""
        tunes: list[tuple[TuneOrder, asyncio.Task[object]]] = []
        for tune in decision.tunes:
            before = [task for one, task in tunes if tune.rises and not one.rises
                      and (one.source == tune.source or one.target == tune.target)]
            tunes.append((tune, self._spawn(self._tune(tune, before))))
        for order in decision.orders:
            ends = {order.move.source, order.move.target}
            beside = [task for tune, task in tunes if tune.source in ends or tune.target in ends]
            self._spawn(self._migrate(order, beside))

    async def _tune(self, tune: TuneOrder, after: Sequence[asyncio.Task[object]]) -> None:
        await asyncio.gather(*after, return_exceptions=True)
        if await _steer(self._kernel.tune(tune), tune.migration, "bandwidth not changed"):
            self._inbox.put(BandwidthSet(tune.migration, tune.bandwidth_mib_s, self._clock.now()))

    async def _migrate(self, order: Order, after: Sequence[asyncio.Task[object]]) -> None:
        await asyncio.gather(*after, return_exceptions=True)
        result, message, downtime = await _outcome(self._kernel.migrate(order), order.id)
        log.info("migration call returned", migration=order.id, vm=order.move.vm_name, result=result.value,
                 message=message)
        self._inbox.put(CallReturned(order.id, result, message, self._clock.now(), downtime))

    async def _switch(self, order: PowerOrder) -> None:
        log.warning("host is being woken" if order.on else "host is told to shut down", host=order.host, order=order.id,
                    because=order.because)
        result, message, _ = await _outcome(self._kernel.switch(order), order.id)
        self._watch_power(order.host)
        log.info("power call returned", host=order.host, order=order.id, result=result.value, message=message)
        self._inbox.put(PowerReturned(order.id, order.host, result, message, self._clock.now()))

    async def _shut_down(self, order: ShutdownOrder) -> None:
        log.warning("guest is asked to shut down", vm=order.vm_name, host=order.host, order=order.id, times=order.times,
                    because=order.because)
        result, message, _ = await _outcome(self._kernel.shut_down(order), order.id)
        log.info("shutdown call returned", vm=order.vm_name, host=order.host, order=order.id, result=result.value,
                 message=message)
        self._inbox.put(ShutdownReturned(order.id, order.times, result, message, self._clock.now()))

    def _follow_cordons(self, decision: Decision) -> None:
        now = self._clock.now()
        for host in sorted(decision.cordons):
            if now.monotonic - self._cordoned.get(host, float("-inf")) >= CORDON_RENEWAL_SECONDS:
                self._cordoned[host] = now.monotonic
                self._kernel.cordon(CordonOrder(host, now.wall + CORDON_SECONDS, decision.revision))
        for host in sorted(set(self._cordoned) - decision.cordons):
            del self._cordoned[host]
            self._kernel.cordon(CordonOrder(host, None, decision.revision))
        self._lift_again(decision)

    def _lift_again(self, decision: Decision) -> None:
        """Open what a run before opened, where the agent still goes by a request of before that: one that is newer was set
        again since, and one that nobody sees yet may be either."""
        for host, lifted in list(self._lifted.items()):
            until = self._closed_until(host)
            if host in decision.cordons or (until is not None and until > lifted + CORDON_SECONDS):
                del self._lifted[host]
            elif until is not None:
                del self._lifted[host]
                self._kernel.cordon(CordonOrder(host, None, decision.revision))

    async def deliver_aborts(self) -> None:
        """Return once every abort that was begun has arrived, or is known not to."""
        await asyncio.gather(*self._aborting, return_exceptions=True)

    async def detach(self) -> None:
        """Let go of every running call; the jobs go on without us."""
        await self._asker.detach()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def lately_lifted(events: Iterable[ev.Event], wall: float) -> dict[HostName, float]:
    """Return the hosts whose cordon the books say was lifted so short a time before ``wall`` (seconds) that a request of
    before may stand still, and when the last time."""
    lifted: dict[HostName, float] = {}
    for event in events:
        if isinstance(event, _LIFTING):
            lifted[event.host] = event.wall
        elif isinstance(event, ev.ClockStepped):
            lifted = {host: moved(at, event) for host, at in lifted.items()}
    return {host: at for host, at in lifted.items() if wall - CORDON_SECONDS < at <= wall}


async def _steer(call: Awaitable[None], migration: str, otherwise: str) -> bool:
    """Await a call of the kernel that steers a job; return whether it arrived, and say so where it did not."""
    try:
        await call
    except BallastdError as no:
        log.warning(otherwise, migration=migration, reason=str(no))
    except Exception:
        log.exception(otherwise, migration=migration)
    else:
        return True
    return False


async def _outcome(call: Awaitable[T], order: str) -> tuple[CallResult, str, T | None]:
    """Return how a call of the kernel ended, what was said, and what it returned."""
    try:
        return CallResult.OK, "", await call
    except Withheld as no:
        # what a controller contradicts does not pass by itself: it counts as its own refusal, and people are told
        lies = any(one.kind is RefusalKind.CONTROLLER for one in no.refusals)
        return CallResult.REFUSED if lies else CallResult.WITHHELD, str(no), None
    except (MigrationRefused, PowerRefused, ShutdownRefused) as no:
        return CallResult.REFUSED, str(no), None
    except MigrationAborted as end:
        return CallResult.ABORTED, str(end), None
    except BallastdError as trouble:
        return CallResult.ERROR, f"{type(trouble).__name__}: {trouble}", None
    except Exception as surprise:
        log.exception("unexpected error from a call", order=order)
        return CallResult.ERROR, f"{type(surprise).__name__}: {surprise}", None


def _concede(order: Order, reason: str) -> None:
    """Log that a migration begins whose VM's definition could not be kept."""
    log.warning("the definition of a VM is not kept; it is moved all the same", migration=order.id, vm=order.move.vm_name,
                reason=reason)


def _announce(order: Order) -> None:
    """Log a migration at the instant its call goes out: what the reaction time is measured by."""
    log.info("migration begins", migration=order.id, vm=order.move.vm_name, source=order.move.source,
             target=order.move.target, bandwidth_mib_s=order.bandwidth_mib_s, because=order.move.because)
