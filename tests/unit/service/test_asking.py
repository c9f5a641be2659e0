"""VMs are asked beside the loop: each in time, few at once, and what comes of it is always told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from ballastd.core.arrival_checks import AGENT, Check, check_of
from ballastd.core.arrivals import ArrivalCheck
from ballastd.core.inputs import VmAsked
from ballastd.core.quantities import HostName, VmId
from ballastd.errors import CheckRefused
from ballastd.ports.hosts import ProbeAnswer
from ballastd.service.asking import AGAIN_SECONDS, ANSWER_SECONDS_MAX, AT_ONCE_MAX, BEFORE_SECONDS, NO_TURN, Asker
from ballastd.service.inbox import Inbox
from ballastd.sim.virtual_time import VirtualClock, run_virtual

CHECK = check_of("tcp://10.0.0.7:22")
YES, NO = ProbeAnswer(True, "it answers"), ProbeAnswer(False, "refused")
NOBODY_KNOWS = ProbeAnswer(None, "16 calls hang, and this one can wait")
Answering = Callable[["Probe"], Awaitable[ProbeAnswer]]


class Probe:
    """Answers as ``answering`` does."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked = self.at_once = self.most = self.left = 0

    async def ask(self, host: HostName, vm: VmId, check: Check) -> ProbeAnswer:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            return await self.answering(self)
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            self.at_once -= 1


def check(number: int = 1, *, before: bool = False, until: float = 60.0, by: Check = CHECK, host: str = "h2"
          ) -> ArrivalCheck:
    return ArrivalCheck(f"{number}-1", VmId(f"vm-{number}"), HostName(host), by, before, until)


async def slowly(_: Probe) -> ProbeAnswer:
    await asyncio.sleep(3.0)
    return NO


async def never(_: Probe) -> ProbeAnswer:
    await asyncio.Event().wait()
    return NO


async def at_once(_: Probe) -> ProbeAnswer:
    return YES


async def at_the_third(probe: Probe) -> ProbeAnswer:
    return YES if probe.asked >= 3 else NO


async def nobody_knows(_: Probe) -> ProbeAnswer:
    return NOBODY_KNOWS


async def once_only(probe: Probe) -> ProbeAnswer:
    return NO if probe.asked == 2 else NOBODY_KNOWS


async def not_allowed(_: Probe) -> ProbeAnswer:
    raise CheckRefused("it is our own")


async def surprised(_: Probe) -> ProbeAnswer:
    raise ZeroDivisionError("surprise")


def not_after_that(trouble: Exception) -> Answering:
    """Answer twice that there is none, and then not be able to ask any more."""
    async def answering(probe: Probe) -> ProbeAnswer:
        if probe.asked > 2:
            raise trouble
        return NO

    return answering


class Bench:
    def __init__(self, answering: Answering) -> None:
        self.probe, self.inbox = Probe(answering), Inbox(lambda _: False)
        self.asker = Asker(self.probe, self.inbox, VirtualClock())

    async def after(self, seconds: float) -> list[VmAsked]:
        await asyncio.sleep(seconds)
        return [one for one in self.inbox.drain() if isinstance(one, VmAsked)]


def played(story: Coroutine[Any, Any, None]) -> None:
    run_virtual(story)


def test_who_answers_is_asked_once() -> None:
    async def story() -> None:
        bench = Bench(at_once)
        for _ in range(3):  # every step names whom to ask; that begins nothing anew
            bench.asker.follow((check(),))
            await asyncio.sleep(1.0)
        [heard] = await bench.after(100.0)
        assert (heard.migration, heard.before, heard.answered, heard.detail) == ("1-1", False, True, "it answers")
        assert bench.probe.asked == 1

    played(story())


def test_who_does_not_is_asked_again_until_it_does() -> None:
    async def story() -> None:
        bench = Bench(at_the_third)
        bench.asker.follow((check(),))
        begun = VirtualClock().now().monotonic
        [heard] = await bench.after(100.0)
        assert (heard.answered, bench.probe.asked, heard.at.monotonic) == (True, 3, begun + 2 * AGAIN_SECONDS)

    played(story())


def test_who_never_answers_is_given_up_when_its_time_is_over() -> None:
    async def story() -> None:
        bench = Bench(slowly)
        bench.asker.follow((check(until=60.0),))
        assert await bench.after(50.0) == []
        [heard] = await bench.after(20.0)
        assert (heard.answered, heard.detail) == (False, "refused")
        assert heard.at.monotonic <= 60.0 + 3.0
        assert bench.probe.asked == 60.0 / (3.0 + AGAIN_SECONDS) + 1

    played(story())


def test_a_probe_that_never_comes_back_costs_one_attempt_and_no_more() -> None:
    async def story() -> None:
        bench = Bench(never)
        bench.asker.follow((check(until=20.0),))
        [heard] = await bench.after(60.0)
        assert (heard.answered, heard.detail) == (False, f"no answer within {ANSWER_SECONDS_MAX:g} s")
        assert bench.probe.at_once == 0

    played(story())


@pytest.mark.parametrize(("answering", "answered", "attempts"), [(nobody_knows, None, 20), (once_only, False, 20)])
def test_an_attempt_that_says_nothing_is_made_again_and_is_no_answer(
        answering: Answering, answered: bool | None, attempts: int) -> None:
    async def story() -> None:
        bench = Bench(answering)
        bench.asker.follow((check(until=59.0),))
        [heard] = await bench.after(100.0)
        detail = NO.detail if answered is False else NOBODY_KNOWS.detail
        assert (heard.answered, heard.detail, bench.probe.asked) == (answered, detail, attempts)

    played(story())


@pytest.mark.parametrize("trouble", [CheckRefused("it is our own"), ZeroDivisionError("surprise")])
def test_an_attempt_that_could_not_be_made_takes_back_none_that_was(trouble: Exception) -> None:
    async def story() -> None:
        bench = Bench(not_after_that(trouble))
        bench.asker.follow((check(),))
        [heard] = await bench.after(100.0)
        assert (heard.answered, heard.detail, bench.probe.asked) == (False, NO.detail, 3)

    played(story())


def test_of_an_agent_that_could_not_be_asked_in_time_nothing_is_said() -> None:
    async def story() -> None:
        bench = Bench(never)
        bench.asker.follow((check(1, by=AGENT, before=True, until=0.0), check(2, by=AGENT, until=20.0)))
        assert [one.answered for one in await bench.after(60.0)] == [None, None]

    played(story())


def test_agents_of_one_host_are_asked_one_by_one_and_keep_nobody_else_waiting() -> None:
    async def story() -> None:
        bench = Bench(never)
        crowd = tuple(check(number, by=AGENT) for number in range(AT_ONCE_MAX + 4))
        bench.asker.follow(crowd)
        await asyncio.sleep(1.0)
        assert bench.probe.at_once == 1
        bench.probe.answering = at_once
        others = (check(90), check(91, by=AGENT, host="h3"))
        bench.asker.follow((*crowd, *others))
        assert {one.migration for one in await bench.after(0.1)} == {"90-1", "91-1"}
        heard = await bench.after(ANSWER_SECONDS_MAX + AGAIN_SECONDS)
        assert {one.answered for one in heard} == {True}
        assert len(heard) == len(crowd)

    played(story())


def test_whose_turn_does_not_come_in_its_time_was_not_asked() -> None:
    async def story() -> None:
        bench = Bench(never)
        bench.asker.follow(tuple(check(number, by=AGENT, until=20.0) for number in range(3)))
        heard = {one.migration: one for one in await bench.after(21.0)}
        assert (heard["2-1"].answered, heard["2-1"].detail) == (None, NO_TURN.detail)
        assert bench.probe.asked == 2

    played(story())


@pytest.mark.parametrize(("answering", "answered"), [(at_once, True), (never, False)])
def test_before_it_leaves_it_is_asked_once_and_for_a_second_at_most(answering: Answering, answered: bool) -> None:
    async def story() -> None:
        bench = Bench(answering)
        bench.asker.follow((check(before=True, until=0.0),))
        [heard] = await bench.after(BEFORE_SECONDS + 0.1)
        assert (heard.before, heard.answered, bench.probe.asked) == (True, answered, 1)

    played(story())


@pytest.mark.parametrize(("answering", "detail"), [
    (not_allowed, "it is our own"), (surprised, "ZeroDivisionError: surprise")])
@pytest.mark.parametrize("before", [True, False])
def test_who_cannot_be_asked_is_told_as_such_at_once(answering: Answering, detail: str, before: bool) -> None:
    async def story() -> None:
        bench = Bench(answering)
        bench.asker.follow((check(before=before),))
        [heard] = await bench.after(1.0)
        assert (heard.answered, heard.detail) == (None, detail)

    played(story())


def test_with_nothing_to_ask_with_nobody_is_asked() -> None:
    async def story() -> None:
        bench = Bench(at_once)
        asker = Asker(None, bench.inbox, VirtualClock())
        asker.follow((check(),))
        [heard] = await bench.after(1.0)
        assert heard.answered is None

    played(story())


def test_a_flood_is_asked_few_at_a_time_and_each_in_its_turn() -> None:
    async def story() -> None:
        bench = Bench(slowly)
        bench.asker.follow(tuple(check(number, until=20.0) for number in range(50)))
        heard = await bench.after(120.0)
        assert bench.probe.most == AT_ONCE_MAX
        assert sorted(one.migration for one in heard) == sorted(f"{number}-1" for number in range(50))
        assert {one.answered for one in heard} == {False}

    played(story())


def test_those_who_leave_do_not_wait_for_those_who_arrived() -> None:
    async def story() -> None:
        bench = Bench(slowly)
        bench.asker.follow(tuple(check(number) for number in range(50)))
        await asyncio.sleep(1.0)
        bench.probe.answering = at_once
        bench.asker.follow((*(check(number) for number in range(50)), check(99, before=True)))
        [heard] = await bench.after(0.1)
        assert (heard.migration, heard.answered) == ("99-1", True)

    played(story())


def test_whoever_is_not_to_be_asked_any_more_is_left_in_the_middle() -> None:
    async def story() -> None:
        bench = Bench(never)
        bench.asker.follow((check(1), check(2)))
        await asyncio.sleep(1.0)
        bench.asker.follow((check(2),))
        await asyncio.sleep(1.0)
        assert bench.probe.left == 1
        await bench.asker.detach()
        assert bench.probe.left == 2
        assert await bench.after(100.0) == []

    played(story())
