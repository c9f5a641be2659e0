"""One call in flight, everything in time, nothing left to a destructor: tried on libvirt's in-process driver."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.libvirt.access import ABANDONED_MAX, HostAccess
from ballastd.adapters.libvirt.connections import Connection, LibvirtOptions, Shared
from ballastd.adapters.libvirt.events import HintBox
from ballastd.adapters.libvirt.identity import Registry
from ballastd.adapters.libvirt.links import Graveyard, Link
from ballastd.adapters.libvirt.opening import Address, probe_address
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName
from ballastd.errors import MigrationRefused, Unreachable

libvirt = pytest.importorskip("libvirt")

LOCAL = "test:///default"
OPTIONS = LibvirtOptions(call_deadline_s=0.4, open_deadline_s=0.4, probe_deadline_s=0.2, reconnect_min_s=0.01,
                         reconnect_max_s=0.4, job_connections_max=3)


@pytest.fixture
async def shared() -> AsyncIterator[Shared]:
    lanes = Lanes()
    yield Shared(lanes, Graveyard(lanes), OPTIONS)
    await lanes.close()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server whose kernel accepts connections and which says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


class Gate:
    """Work that waits until it is let through, and counts who is in."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = 0
        self.most = 0

    def __call__(self, conn: Any) -> str:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.opened.wait(10.0)
        self.inside -= 1
        return str(conn.getHostname())


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def connection(shared: Shared, uri: str = LOCAL, **more: Any) -> Connection:
    return Connection(shared, HostName("h"), uri, "h", **more)


async def test_a_call_opens_the_connection_and_the_next_finds_it_open(shared: Shared) -> None:
    opened: list[int] = []
    link = connection(shared, opened=lambda: opened.append(1))
    assert await link.call(lambda conn: conn.getType()) == "TEST"
    assert await link.call(lambda conn: conn.getType()) == "TEST"
    assert len(opened) == 1
    link.let_go()


async def test_calls_take_turns(shared: Shared) -> None:
    gate, link = Gate(), connection(shared)
    calls = [asyncio.create_task(link.call(gate)) for _ in range(4)]
    await until(lambda: gate.inside == 1)
    await asyncio.sleep(0.05)
    gate.opened.set()
    await asyncio.gather(*calls)
    assert gate.most == 1
    link.let_go()


async def test_a_call_that_hangs_costs_its_connection_and_no_more(shared: Shared) -> None:
    gate, lost = Gate(), list[str]()
    link = connection(shared, lost=lost.append)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"h: .*no answer"):
        await link.call(gate)
    assert time.monotonic() - begun < 1.0
    assert (len(lost), len(shared.graveyard)) == (1, 1)
    await link.wait_for_next_attempt()
    assert await link.call(lambda conn: conn.getType()) == "TEST"
    gate.opened.set()
    await until(lambda: len(shared.graveyard) == 0)
    link.let_go()


async def test_a_call_that_is_left_lets_no_other_join_it(shared: Shared) -> None:
    gate, link = Gate(), connection(shared)
    leaving = asyncio.create_task(link.call(gate))
    await until(lambda: gate.inside == 1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert len(shared.graveyard) == 1
    gate.opened.set()
    await link.wait_for_next_attempt()
    assert await link.call(gate)
    assert gate.most == 1
    await until(lambda: len(shared.graveyard) == 0)
    link.let_go()


async def test_an_answer_that_is_an_error_leaves_the_connection_open(shared: Shared) -> None:
    opened: list[int] = []
    link = connection(shared, opened=lambda: opened.append(1))
    with pytest.raises(Unreachable, match=r"h: .*\(42,12\)"):
        await link.call(lambda conn: conn.lookupByName("nobody").name())
    assert await link.call(lambda conn: conn.getType()) == "TEST"
    assert len(opened) == 1
    link.let_go()


async def test_waiting_for_a_turn_counts_against_the_deadline(shared: Shared) -> None:
    gate, link = Gate(), connection(shared)
    long = asyncio.create_task(link.call(gate, deadline=5.0))
    await until(lambda: gate.inside == 1)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="take too long"):
        await link.call(lambda conn: conn.getType())
    assert time.monotonic() - begun < 1.0
    gate.opened.set()
    await long
    link.let_go()


async def test_nothing_of_libvirts_objects_survives_a_failed_call(shared: Shared) -> None:
    """A domain left in a traceback would free itself, and with it the connection, in whatever thread."""
    link = connection(shared)

    def fail(conn: Any) -> None:
        domain = conn.lookupByName("test")
        raise KeyError(domain.name())

    gc.disable()
    try:
        with pytest.raises(KeyError) as raised:
            await link.call(fail)
        with pytest.raises(Unreachable):
            await link.call(lambda conn: conn.lookupByName("test").snapshotLookupByName("none"))
        assert raised.value.__traceback__ is not None
        assert not [thing for thing in gc.get_objects() if isinstance(thing, libvirt.virDomain)]
    finally:
        gc.enable()
    link.let_go()


async def test_after_it_was_let_go_it_does_not_come_back(shared: Shared) -> None:
    link = connection(shared)
    await link.ensure()
    link.let_go()
    with pytest.raises(Unreachable, match="let go"):
        await link.call(lambda conn: conn.getType())
    await until(lambda: len(shared.graveyard) == 0)


async def test_back_off_fails_at_once_with_the_last_reason(shared: Shared, silent: socket.socket) -> None:
    link = connection(shared, f"qemu+tcp://127.0.0.1:{silent.getsockname()[1]}/system")
    with pytest.raises(Unreachable, match="no answer"):
        await link.call(lambda conn: conn.getType())
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="no answer"):
        await link.call(lambda conn: conn.getType())
    assert time.monotonic() - begun < OPTIONS.probe_deadline_s, "nobody was asked again"
    link.let_go()


async def test_attempts_that_hang_grow_rare_and_the_first_that_ends_is_noticed(
        shared: Shared, silent: socket.socket) -> None:
    link = connection(shared, f"qemu+tcp://127.0.0.1:{silent.getsockname()[1]}/system")
    begun = asyncio.get_running_loop().time()
    for _ in range(3):
        with contextlib.suppress(Unreachable):
            await link.ensure()
        await link.wait_for_next_attempt()
    assert asyncio.get_running_loop().time() - begun > 3 * 0.4 + (0.4 + 0.8 + 1.6) * 0.75
    with contextlib.suppress(Unreachable):
        await link.ensure()
    assert link._hung_attempts == 4
    waiting = asyncio.create_task(link.wait_for_next_attempt())
    silent.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            silent.accept()[0].close()
    await asyncio.wait_for(waiting, 1.0)  # back-off alone would have been 3 s
    await until(lambda: link._hung_attempts == 0)
    link.let_go()


async def test_a_port_where_nobody_listens_is_told_apart_from_silence(shared: Shared, silent: socket.socket) -> None:
    port = silent.getsockname()[1]
    silent.close()
    link = connection(shared, f"qemu+tcp://127.0.0.1:{port}/system")
    with pytest.raises(Unreachable, match="refused"):
        await link.ensure()
    link.let_go()


@pytest.mark.parametrize(("uri", "address"), [
    ("qemu+tcp://h1/system", Address("h1", 16509)),
    ("qemu+tcp://h1:1234/system", Address("h1", 1234)),
    ("qemu+tls://h1/system", Address("h1", 16514)),
    ("qemu://h1/system", Address("h1", 16514)),
    ("qemu+tcp://[fd00::7]/system", Address("fd00::7", 16509)),
    ("qemu+tcp://user@h1/system?keepalive_interval=1", Address("h1", 16509)),
    ("qemu+ssh://h1/system", None),
    ("qemu+unix:///system", None),
    ("qemu:///system", None),
    ("test:///default", None),
    ("", None),
])
def test_only_addresses_with_a_port_of_libvirts_are_probed(uri: str, address: Address | None) -> None:
    assert probe_address(uri) == address


async def test_what_hangs_at_the_end_is_left_as_it_is(shared: Shared) -> None:
    gate, link = Gate(), connection(shared)
    with pytest.raises(Unreachable):
        await link.call(gate)
    begun = time.monotonic()
    await shared.graveyard.rest(0.3)
    assert time.monotonic() - begun < 0.5
    assert len(shared.graveyard) == 1
    gate.opened.set()


def test_a_link_that_was_given_up_begins_no_call() -> None:
    link = Link(libvirt.open(LOCAL), "h")
    link.retire(lambda: None)
    with pytest.raises(Unreachable, match="given up"):
        link.perform(lambda conn: conn.getType())
    link.close()


async def test_jobs_have_a_bounded_number_of_connections(shared: Shared) -> None:
    access = HostAccess(DeclaredHost(HostName("h"), LOCAL), shared, Registry(), HintBox().put)
    with contextlib.ExitStack() as jobs:
        for _ in range(OPTIONS.job_connections_max):
            jobs.enter_context(access.job_connection())
        with pytest.raises(MigrationRefused, match="3 calls that take long"), access.job_connection():
            pass
    with access.job_connection() as again:
        assert await again.call(lambda conn: conn.getType()) == "TEST"


async def test_while_many_calls_hang_nobody_asks_what_vms_use(shared: Shared) -> None:
    class Crowded(Lanes):
        hanging = ABANDONED_MAX

        def abandoned(self) -> int:
            return self.hanging

    lanes = Crowded()
    access = HostAccess(DeclaredHost(HostName("h"), LOCAL), replace(shared, blocking=lanes), Registry(), HintBox().put)
    with pytest.raises(Unreachable, match=f"{ABANDONED_MAX} calls hang"):
        await access.measure(lambda conn: conn.getType())
    lanes.hanging -= 1
    assert await access.measure(lambda conn: conn.getType()) == "TEST"
    access.let_go()
    await lanes.close()


async def test_what_vms_use_is_waited_for_no_longer_than_it_is_worth(shared: Shared) -> None:
    gate = Gate()
    options = replace(OPTIONS, call_deadline_s=5.0, usage_deadline_s=0.2)
    access = HostAccess(DeclaredHost(HostName("h"), LOCAL), replace(shared, options=options), Registry(), HintBox().put)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="no answer"):
        await access.measure(gate)
    assert time.monotonic() - begun < 2.0
    assert await access.watch(lambda conn: conn.getType()) == "TEST"
    gate.opened.set()
    access.let_go()
