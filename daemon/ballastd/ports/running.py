"""What the daemon runs on: clocks, threads for what blocks, the calendar; and what its console asks of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import time
from typing import Protocol, TypeVar

from ballastd.core.inputs import Answer, OperatorCommand
from ballastd.core.quantities import Instant, VmId
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.core.summary import Summary
from ballastd.core.views import ClusterView, NoView
from ballastd.ports.keeping import JournalRecord, KeptDefinition

T = TypeVar("T")


class Clock(Protocol):
    """Both clocks. In the simulator both are virtual."""

    def now(self) -> Instant:
        """Return the present instant; ``monotonic`` never goes back, ``wall`` may."""
        ...


class Blocking(Protocol):
    """Runs calls that block, one at a time per lane, each lane on a thread of its own."""

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """Return what ``call`` returns.

        A lane runs its calls one after the other, in order. After ``deadline`` seconds (counted from the
        start of the wait, queueing included) the call is abandoned together with its lane: its thread is
        left behind and counted, and the next call on that lane gets a new thread.

        Raises:
            Unreachable: the deadline passed, or too many calls are abandoned already.
        """
        ...

    def abandoned(self) -> int:
        """Return how many abandoned calls have still not returned."""
        ...

    async def close(self) -> None:
        """Let go of all lanes; never waits for a hung call."""
        ...


class Calendar(Protocol):
    """Chores at a time of day. Late ones are done late or left to the next day, never twice."""

    def daily(self, name: str, at: time, chore: Callable[[], Awaitable[None]]) -> None:
        """Enter ``chore`` for ``at`` every day, in the calendar's zone; before ``start``. One that fails is logged."""
        ...

    def start(self) -> None:
        """Begin, on the running event loop."""
        ...

    def stop(self) -> None:
        """Begin nothing more; what runs goes on."""
        ...


class Console(Protocol):
    """What the local API needs of the daemon."""

    def view(self) -> ClusterView | None:
        """Return the picture after the last step, or None before the first."""
        ...

    def noes(self) -> tuple[NoView, ...]:
        """Return what the last step refused or put off: of the picture, what costs little to draw."""
        ...

    async def command(self, command: OperatorCommand) -> Answer:
        """Hand a command to the mind; return its answer once it is durable (or refused)."""
        ...

    async def journal(self, count: int) -> tuple[JournalRecord, ...]:
        """Return the last ``count`` journal records, oldest first."""
        ...

    async def definition(self, vm: VmId) -> KeptDefinition | None:
        """Return what was kept of a VM's definition when it was moved last, or None.

        Raises:
            Unreachable: it took too long, or cannot be read.
        """
        ...

    async def summary(self) -> Summary:
        """Return what was done and not done within the last day.

        Raises:
            Unreachable: the journal could not be read in time.
        """
        ...

    async def reload(self) -> tuple[bool, str]:
        """Load the policies again; return whether they govern now, and what was found."""
        ...

    def copy(self) -> ClusterCopy | None:
        """Return the cluster as it was seen last, to be saved; None before the first look."""
        ...

    def counters(self) -> dict[str, float]:
        """Return running counts: messages dropped, malformed per host, abandoned calls and the like."""
        ...
