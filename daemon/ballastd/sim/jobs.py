"""A pretend host, and the life of a pretend migration: T = c + M/(b - d), and what faults make of it.

The caller's answer and the guest's fate are decided apart, because in life they are apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from ballastd.core.inventory import NO_USAGE, JobKind, Progress, VmRecord, VmState
from ballastd.core.plans import Order, Refusal
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, VmId
from ballastd.errors import MigrationError, MigrationFailed, OutcomeUnknown, VmVanished

PREPARE_SECONDS = 0.5
DOWNTIME_SECONDS = 0.03
CLEANUP_SECONDS = 0.2
EXPECTED_DOWNTIME_SECONDS = 0.3


class Fate(enum.Enum):
    """What a migration comes to, whatever its caller is told."""

    COMPLETES = "completes"
    ERROR_YET_COMPLETES = "error-yet-completes"
    REFUSED = "refused"
    FAILS = "fails"
    NEVER_CONVERGES = "never-converges"
    SPLIT = "split"
    """It runs at both ends."""
    LEFTOVER = "leftover"
    """It runs at the target; a paused copy stays at the source."""
    NOWHERE = "nowhere"
    """A paused copy at the source, nothing at the target."""


@dataclass(slots=True)
class SimulatedHost:
    """A host and what is wrong with it. ``cut``: its network is away; ``hung``: libvirtd says nothing;
    ``down``: libvirtd is dead, its guests run on; ``powered``: False has lost its guests.
    ``refuses``: what ``examine`` finds against it as a target."""

    name: HostName
    memory_total: Bytes = Bytes(64 * GIB)
    cpus: int = 16
    vms: dict[VmId, VmRecord] = field(default_factory=dict)
    cut: bool = False
    hung: bool = False
    down: bool = False
    powered: bool = True
    refuses: tuple[Refusal, ...] = ()

    @property
    def carries_memory(self) -> bool:
        """Whether guest memory gets to and from it."""
        return self.powered and not self.cut

    @property
    def answers(self) -> bool:
        """Whether its libvirtd does."""
        return self.carries_memory and not self.hung and not self.down


class SimulatedJob:
    """One migration. It belongs to the hosts: its caller may leave, be told nonsense, or die."""

    def __init__(self, order: Order, source: SimulatedHost, target: SimulatedHost, fate: Fate,
                 dirty_mib_s: float, changed: Callable[[HostName, VmId], None]) -> None:
        self.source, self.target = source, target
        self.vm = order.move.vm
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fate = fate
        self._total = self._remaining = float(order.move.memory)
        self._bandwidth_mib_s = max(1, order.bandwidth_mib_s)
        self._dirty_mib_s = dirty_mib_s
        self._began = self._counted = asyncio.get_running_loop().time()
        self._copying = False
        self._failure: MigrationError | None = None
        self._woken = asyncio.Event()
        self._changed = changed

    def tell(self, error: MigrationError | None) -> None:
        """Answer the caller; only the first answer counts."""
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(None)
        else:
            self.answer.set_exception(error)
            self.answer.exception()  # a caller that left does not make it an unheard error

    def fail(self, error: MigrationError) -> None:
        """End it at its next step; the VM stays at its source."""
        self._failure = self._failure or error
        self._woken.set()

    def count(self) -> None:
        """Take into account what was copied so far: to be called before anything about the copying changes."""
        now = asyncio.get_running_loop().time()
        if self._copying:
            self._remaining = max(0.0, self._remaining - self._rate() * (now - self._counted))
        self._counted = now
        self._woken.set()

    def set_bandwidth(self, bandwidth_mib_s: int) -> None:
        """Copy at another speed from now on."""
        self.count()
        self._bandwidth_mib_s = max(1, bandwidth_mib_s)

    def progress(self) -> Progress:
        """Return where it is; sizes are 0 until it copies."""
        self.count()
        if not self._copying:
            return Progress(self._counted - self._began, Bytes(0), Bytes(0), Bytes(0), 0, 0.0, 0.0, 0.0)
        return Progress(
            elapsed=self._counted - self._began, memory_total=Bytes(int(self._total)),
            memory_processed=Bytes(int(self._total - self._remaining)), memory_remaining=Bytes(int(self._remaining)),
            iteration=1, dirty_bytes_s=self._dirty_mib_s * MIB,
            throughput_bytes_s=float(self._bandwidth_mib_s * MIB) if self._flows() else 0.0,
            expected_downtime=EXPECTED_DOWNTIME_SECONDS)

    async def run(self) -> None:
        """Live the whole life; afterwards both ends and the answer are as its fate says."""
        self._put(self.source, job=JobKind.OUTGOING)
        await asyncio.sleep(PREPARE_SECONDS)
        if self._failure is None and (arriving := self.source.vms.get(self.vm)) is not None:
            self.target.vms[self.vm] = dataclasses.replace(
                arriving, state=VmState.INCOMING, job=JobKind.INCOMING, reason="3/2", usage=NO_USAGE)
            self._changed(self.target.name, self.vm)
        await self._copy()
        if self._failure is not None:
            self._roll_back(self._failure)
        else:
            await self._hand_over()

    def _flows(self) -> bool:
        return self.source.carries_memory and self.target.carries_memory and not self.target.hung

    def _rate(self) -> float:
        if self._fate is Fate.NEVER_CONVERGES or not self._flows():
            return 0.0
        return max(0.0, self._bandwidth_mib_s - self._dirty_mib_s) * MIB

    async def _copy(self) -> None:
        self._copying, self._counted = True, asyncio.get_running_loop().time()
        while self._remaining >= 1.0 and self._failure is None:
            rate = self._rate()
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._remaining / rate if rate else None):
                    await self._woken.wait()
            self.count()
            if self.vm not in self.source.vms:
                self.fail(VmVanished("domain is not running", code=9, domain=20))
            elif self.vm not in self.target.vms:
                self.fail(MigrationFailed("job 'migration out' failed", code=9, domain=10))
        if self._fate is Fate.FAILS:
            self.fail(MigrationFailed("job 'migration out' failed", code=9, domain=10))

    async def _hand_over(self) -> None:
        self._put(self.source, state=VmState.HANDOVER, reason="3/2")
        await asyncio.sleep(DOWNTIME_SECONDS)
        if self._fate is Fate.NOWHERE:
            self.target.vms.pop(self.vm, None)
        else:
            self._put(self.target, state=VmState.RUNNING, job=JobKind.NONE, reason="1/2")
        await asyncio.sleep(CLEANUP_SECONDS)
        match self._fate:
            case Fate.SPLIT:
                self._put(self.source, state=VmState.RUNNING, job=JobKind.NONE, reason="1/6")
            case Fate.LEFTOVER | Fate.NOWHERE:
                self._put(self.source, state=VmState.LEFTOVER, job=JobKind.NONE, reason="3/2")
            case _:
                self.source.vms.pop(self.vm, None)
        self._changed(self.source.name, self.vm)
        good = self._fate in (Fate.COMPLETES, Fate.NEVER_CONVERGES)
        self.tell(None if good else OutcomeUnknown("client socket is closed", code=1, domain=7))

    def _roll_back(self, failure: MigrationError) -> None:
        arriving = self.target.vms.get(self.vm)
        if arriving is not None and arriving.state is VmState.INCOMING:
            del self.target.vms[self.vm]
            self._changed(self.target.name, self.vm)
        self._put(self.source, state=VmState.RUNNING, job=JobKind.NONE)
        self.tell(failure)

    def _put(self, host: SimulatedHost, *, job: JobKind | None = None, state: VmState | None = None,
             reason: str | None = None) -> None:
        record = host.vms.get(self.vm)
        if record is None:
            return
        host.vms[self.vm] = dataclasses.replace(
            record, job=job or record.job, state=state or record.state,
            reason=record.reason if reason is None else reason)
        self._changed(host.name, self.vm)
