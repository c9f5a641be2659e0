"""Hints: from any thread, bounded, in order, the same one waiting only once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ballastd.adapters.libvirt.events import HintBox
from ballastd.adapters.libvirt.identity import HostIdentity, Registry
from ballastd.core.quantities import HostName, VmId
from ballastd.errors import Unreachable
from ballastd.ports.hosts import HostChange, HostHint

H1, H2 = HostName("h1"), HostName("h2")


def hint(number: int, host: HostName = H1) -> HostHint:
    return HostHint(host, HostChange.LIFECYCLE, VmId(f"vm-{number}"))


async def taken(box: HintBox, count: int) -> list[HostHint]:
    found: list[HostHint] = []
    async with asyncio.timeout(2.0):
        async for one in box.taken():
            found.append(one)
            if len(found) == count:
                return found
    raise AssertionError("it never ends")


async def is_empty(box: HintBox) -> bool:
    try:
        await asyncio.wait_for(anext(box.taken()), 0.05)
    except TimeoutError:
        return True
    return False


async def test_hints_come_in_the_order_they_were_put() -> None:
    box = HintBox()
    for number in (3, 1, 2):
        box.put(hint(number))
    assert await taken(box, 3) == [hint(3), hint(1), hint(2)]


async def test_the_same_hint_waits_only_once() -> None:
    box = HintBox()
    for _ in range(100):
        box.put(hint(1))
    assert await taken(box, 1) == [hint(1)]
    assert await is_empty(box)
    box.put(hint(1))
    assert await taken(box, 1) == [hint(1)]


async def test_a_flood_becomes_one_hint_about_its_host() -> None:
    box = HintBox(capacity=10)
    for number in range(10_000):
        box.put(hint(number))
        box.put(hint(number, H2))
    found = await taken(box, 12)
    assert {(one.host, one.vm) for one in found[10:]} == {(H1, None), (H2, None)}
    assert await is_empty(box)


async def test_hints_from_many_threads_all_arrive() -> None:
    box = HintBox()
    threads = [threading.Thread(target=lambda base=base: [box.put(hint(base + n)) for n in range(50)])
               for base in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    assert {one.vm for one in await taken(box, 400)} == {f"vm-{n}" for n in range(400)}
    for thread in threads:
        thread.join()


def test_a_hint_after_the_end_does_no_harm() -> None:
    async def make() -> tuple[HintBox, asyncio.AbstractEventLoop]:
        return HintBox(), asyncio.get_running_loop()

    box, loop = asyncio.run(make())
    with pytest.raises(RuntimeError):
        loop.call_soon_threadsafe(lambda: None)
    box.put(hint(1))


def test_two_hosts_with_one_uuid_are_refused_and_a_change_of_identity_is_not() -> None:
    registry = Registry()
    registry.claim(H1, HostIdentity("a", ()))
    registry.claim(H1, HostIdentity("a", ()))
    with pytest.raises(Unreachable, match="host_uuid of h1"):
        registry.claim(H2, HostIdentity("a", ()))
    assert registry.identity(H2) is None
    registry.claim(H1, HostIdentity("b", ()))
    registry.claim(H2, HostIdentity("a", ()))
    assert registry.identity(H2) == HostIdentity("a", ())
