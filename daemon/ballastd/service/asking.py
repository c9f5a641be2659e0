"""Asks VMs whether they answer, beside the loop: what comes of it goes back as an input, and nothing waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import structlog

from ballastd.core.arrival_checks import CheckKind
from ballastd.core.arrivals import ArrivalCheck
from ballastd.core.inputs import VmAsked
from ballastd.core.quantities import HostName
from ballastd.errors import CheckRefused
from ballastd.ports.hosts import ArrivalProbe, ProbeAnswer
from ballastd.ports.running import Clock
from ballastd.service.inbox import Inbox

log = structlog.get_logger("ballastd.asking")

AT_ONCE_MAX = 8
"""So many that have arrived are asked at the same time, and through one host one agent; the others wait for their turn,
within their own time."""
BEFORE_SECONDS = 1.0
"""So long it may take a VM to answer before it is moved. Its migration does not wait for that."""
AGAIN_SECONDS = 3.0
ANSWER_SECONDS_MAX = 15.0
"""An answer that takes longer is given up, whatever the probe says of itself."""
NO_TURN = ProbeAnswer(None, "so many are being asked that its turn did not come in time")


class Asker:
    """Asks everybody who is to be asked, each in a task of its own. ``probe``: None where there is nothing to ask with."""

    def __init__(self, probe: ArrivalProbe | None, inbox: Inbox, clock: Clock) -> None:
        self._probe = probe
        self._inbox = inbox
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._agents: defaultdict[HostName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asking: dict[tuple[str, bool], asyncio.Task[None]] = {}

    def follow(self, checks: tuple[ArrivalCheck, ...]) -> None:
        """Begin with those of ``checks`` that are not being asked, and leave those that are not in it any more."""
        wanted = {(check.migration, check.before): check for check in checks}
        for key in [key for key in self._asking if key not in wanted]:
            self._asking.pop(key).cancel()
        for key, check in wanted.items():
            if key not in self._asking:
                self._asking[key] = asyncio.ensure_future(self._ask(check))

    async def detach(self) -> None:
        """Ask nobody any more; what was to be asked is in the books, and the next run goes on."""
        asking = tuple(self._asking.values())
        self.follow(())
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, check: ArrivalCheck) -> None:
        last = NO_TURN
        try:
            async for answer in self._before(check) if check.before else self._after(check):
                last = _that_says_more(last, answer)
        except CheckRefused as no:
            last = _that_says_more(last, ProbeAnswer(None, str(no)))
        except Exception as surprise:
            log.exception("unexpected error from asking a VM", migration=check.migration)
            last = _that_says_more(last, ProbeAnswer(None, f"{type(surprise).__name__}: {surprise}"))
        log.info("VM was asked whether it answers", migration=check.migration, vm=check.vm, before=check.before,
                 check=check.check.words(), answered=last.answered, detail=last.detail)
        self._inbox.put(VmAsked(check.migration, check.before, last.answered, last.detail, self._clock.now()))

    async def _before(self, check: ArrivalCheck) -> AsyncIterator[ProbeAnswer]:
        # no more than there are migrations in flight: nobody waits for a turn
        yield await self._once(check, BEFORE_SECONDS)

    async def _after(self, check: ArrivalCheck) -> AsyncIterator[ProbeAnswer]:
        """Ask until it answers or its time is over; yield what came of each attempt."""
        while True:
            answer = await self._in_turn(check)
            yield answer
            if answer.answered or self._clock.now().monotonic + AGAIN_SECONDS > check.until:
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _in_turn(self, check: ArrivalCheck) -> ProbeAnswer:
        """Ask once. A host has one connection for its agents: who waited there behind others would not have been asked, and
        would keep a turn from everybody else."""
        async with contextlib.AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(max(0.0, check.until - self._clock.now().monotonic)):
                    if check.check.kind is CheckKind.AGENT:
                        await turn.enter_async_context(self._agents[check.host])
                    await turn.enter_async_context(self._turns)
            except TimeoutError:
                return NO_TURN
            return await self._once(check, ANSWER_SECONDS_MAX)

    async def _once(self, check: ArrivalCheck, seconds: float) -> ProbeAnswer:
        if self._probe is None:
            raise CheckRefused("this daemon has nothing to ask with")
        try:
            async with asyncio.timeout(seconds):
                return await self._probe.ask(check.host, check.vm, check.check)
        except TimeoutError:
            # of an agent we do not even know that it was asked: that happens at its host, and after others
            answered = None if check.check.kind is CheckKind.AGENT else False
            return ProbeAnswer(answered, f"no answer within {seconds:g} s")


def _that_says_more(last: ProbeAnswer, answer: ProbeAnswer) -> ProbeAnswer:
    """Return what stands after one more attempt: the last that was really made; where none was, the last that had a turn."""
    if answer.answered is not None or (last.answered is None and answer is not NO_TURN):
        return answer
    return last
