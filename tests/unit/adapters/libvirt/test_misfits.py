"""What a host said of guests alike is kept while it is what it was then, and never more of it than a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.libvirt.access import MISFITS_MAX, HostAccess
from ballastd.adapters.libvirt.connections import LibvirtOptions, Shared
from ballastd.adapters.libvirt.identity import HostIdentity, Registry, read_identity
from ballastd.adapters.libvirt.links import Graveyard
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName
from ballastd.errors import Unreachable

OLD, NEW = HostIdentity("a", (), None, "old"), HostIdentity("a", (), None, "new")


def with_access(story: Callable[[HostAccess], None]) -> None:
    async def tell() -> None:
        lanes = Lanes()
        shared = Shared(lanes, Graveyard(lanes), LibvirtOptions())
        access = HostAccess(DeclaredHost(HostName("h1"), "test:///default"), shared, Registry(), lambda _: None)
        story(access)
        access.let_go()
        await lanes.close()

    asyncio.run(tell())


def test_a_no_holds_until_the_host_is_another_or_says_yes() -> None:
    def story(access: HostAccess) -> None:
        access.judge("4711", "it lacks something", "old")
        access.judge("0815", "", "old")
        assert access.misfits_of(OLD) == {"4711": "it lacks something"}
        assert access.misfits_of(NEW) == access.misfits_of(None) == {}
        kept = access.misfits_of(OLD)
        access.judge("4711", "", "old")
        assert (access.misfits_of(OLD), kept) == ({}, {"4711": "it lacks something"})
        access.judge("4711", "it lacks something", "old")
        access.judge("0815", "it lacks another thing", "new")
        assert (access.misfits_of(NEW), access.misfits_of(OLD)) == ({"0815": "it lacks another thing"}, {})

    with_access(story)


def test_a_host_that_was_away_is_asked_again() -> None:
    async def tell() -> None:
        lanes = Lanes()
        shared = Shared(lanes, Graveyard(lanes), LibvirtOptions(reconnect_min_s=0.01))
        access = HostAccess(DeclaredHost(HostName("h1"), "test:///default"), shared, Registry(), lambda _: None)
        identity, _ = await access.watch(access.describe)
        assert identity is not None
        access.judge("4711", "it lacks something", identity.digest)
        await access.watch(access.describe)
        assert access.misfits_of(identity) == {"4711": "it lacks something"}
        with pytest.raises(Unreachable):
            await access.watch(silence)
        await asyncio.sleep(0.1)
        assert (await access.watch(access.describe))[0] == identity
        assert access.misfits_of(identity) == {}
        access.let_go()
        await lanes.close()

    asyncio.run(tell())


def silence(_: Any) -> None:
    raise Unreachable("it fell silent")


def test_a_guest_of_no_likeness_is_not_remembered_and_not_everything_is() -> None:
    def story(access: HostAccess) -> None:
        access.judge("", "it lacks something", "old")
        assert access.misfits_of(OLD) == {}
        for number in range(MISFITS_MAX + 5):
            access.judge(str(number), "it lacks something", "old")
        assert len(access.misfits_of(OLD)) == MISFITS_MAX
        assert str(MISFITS_MAX + 4) in access.misfits_of(OLD)

    with_access(story)


class Capabilities:
    """A connection that answers who the host is."""

    def __init__(self, frequency: int = 1, model: str = "EPYC", version: int = 7002022) -> None:
        self._frequency, self._model, self._version = frequency, model, version

    def getCapabilities(self) -> str:  # noqa: N802  libvirt's name
        return (f"<capabilities><host><uuid>A</uuid><cpu><arch>x86_64</arch><model>{self._model}</model>"
                f"<counter name='tsc' frequency='{self._frequency}'/></cpu></host><guest/></capabilities>")

    def getLibVersion(self) -> int:  # noqa: N802  libvirt's name
        return 9000000

    def getVersion(self) -> int:  # noqa: N802  libvirt's name
        return self._version


def test_a_host_is_another_with_another_processor_or_emulator_and_not_with_each_start() -> None:
    known = read_identity(Capabilities()).digest
    assert read_identity(Capabilities(frequency=2)).digest == known
    assert read_identity(Capabilities(model="EPYC-Rome")).digest != known
    assert read_identity(Capabilities(version=8000000)).digest != known
