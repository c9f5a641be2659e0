"""What tests of the libvirt adapter on real hosts share: two of them, and a way to tell stories in their world."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.lab_world import OPTIONS, LibvirtWorld
from tests.lab import Lab

Story = Callable[[LibvirtWorld], Awaitable[Any]]
Tell = Callable[..., None]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Two hosts; the tests are told inside their network."""
    with Lab(f"t{os.getpid()}v", 2, cpu_quota=None) as one:
        one.enter()
        yield one
        one.leave()


@pytest.fixture
def tell(lab: Lab) -> Tell:
    """Tell a story in a world of its own, with what it wants changed."""
    def telling(story: Story, **changes: Any) -> None:
        cluster = changes.pop("cluster", None)
        asyncio.run(LibvirtWorld(lab, replace(OPTIONS, **changes), cluster).tell(story))

    return telling


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)
