"""A pretend host, and the life of a pretend migration: rounds of copying, and what faults make of them.

The caller's answer and the guest's fate are decided apart, because in life they are apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ballastd.core.hardware import Hardware
from ballastd.core.inventory import JobKind, Progress, VmRecord, VmState
from ballastd.core.plans import Order, Refusal
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Seconds, VmId
from ballastd.errors import (
    MigrationAborted,
    MigrationError,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    VmVanished,
)
from ballastd.sim.links import Flow
from ballastd.sim.precopy import PreCopy

PREPARE_SECONDS = 0.5
DOWNTIME_SECONDS = 0.03
CLEANUP_SECONDS = 0.2
RECKONING_SECONDS = 0.3
"""So long after a round has begun QEMU says of it what it said of the one before; of its second round, the limit."""
LINK_MIB_S = 10e9 / 8 / MIB


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


class Guests(dict[VmId, VmRecord]):
    """The VMs of a host, which says when one begins or ceases to run. ``told``: with the VM, and whether it runs."""

    def __init__(self, records: Mapping[VmId, VmRecord] = MappingProxyType({})) -> None:
        super().__init__(records)
        self.told: Callable[[VmId, bool], None] = lambda _vm, _runs: None
        self._in_order: tuple[VmRecord, ...] | None = None

    @property
    def in_order(self) -> tuple[VmRecord, ...]:
        """All of them, by their ids."""
        if self._in_order is None:
            self._in_order = tuple([record for _, record in sorted(self.items())])
        return self._in_order

    def _changed(self, vm: VmId, before: VmRecord | None, after: VmRecord | None) -> None:
        ran, runs = (record is not None and record.state.runs for record in (before, after))
        if ran is not runs:
            self.told(vm, runs)

    def __setitem__(self, vm: VmId, record: VmRecord) -> None:
        before = self.get(vm)
        super().__setitem__(vm, record)
        self._in_order = None
        self._changed(vm, before, record)

    def __delitem__(self, vm: VmId) -> None:
        before = self[vm]
        super().__delitem__(vm)
        self._in_order = None
        self._changed(vm, before, None)

    def drop(self, vm: VmId) -> None:
        """Take a VM away if it is there."""
        if vm in self:
            del self[vm]

    def clear(self) -> None:
        """Take all away."""
        for vm in list(self):
            del self[vm]


@dataclass(slots=True)
class SimulatedHost:
    """A host and what is wrong with it. ``cut``: its network is away; ``hung``: libvirtd says nothing;
    ``down``: libvirtd is dead, its guests run on; ``powered``: False has lost its guests.
    ``refuses``: what ``examine`` finds against it as a target. ``watts``: idle and busy, None where unknown.
    ``link_mib_s``: the speed of its link, in each direction. ``machine``: its SMBIOS UUID, one of no meaning where empty.
    ``hardware``: what it is, None where its hypervisor does not say.
    ``misfits``: what it says against VMs of a likeness."""

    name: HostName
    memory_total: Bytes = Bytes(64 * GIB)
    cpus: int = 16
    vms: Guests = field(default_factory=Guests)
    cut: bool = False
    hung: bool = False
    down: bool = False
    powered: bool = True
    refuses: tuple[Refusal, ...] = ()
    watts: tuple[float, float] | None = None
    link_mib_s: float = LINK_MIB_S
    machine: str = ""
    hardware: Hardware | None = None
    misfits: dict[str, str] = field(default_factory=dict)

    @property
    def ordinary_total(self) -> int:
        """Bytes that are not set aside as huge pages."""
        return self.memory_total - (0 if self.hardware is None else self.hardware.pooled)

    @property
    def carries_memory(self) -> bool:
        """Whether guest memory gets to and from it."""
        return self.powered and not self.cut

    @property
    def answers(self) -> bool:
        """Whether its libvirtd does."""
        return self.carries_memory and not self.hung and not self.down


class SimulatedJob:
    """One migration. It belongs to the hosts: its caller may leave, be told nonsense, or die. ``changed``: told of each
    change of a VM on a host; ``share``: called when the flows over the links have changed."""

    def __init__(self, order: Order, source: SimulatedHost, target: SimulatedHost, fate: Fate, copy: PreCopy,
                 changed: Callable[[HostName, VmId], None], share: Callable[[], None]) -> None:
        self.source, self.target = source, target
        self.vm = order.move.vm
        self.answer: asyncio.Future[Seconds | None] = asyncio.get_running_loop().create_future()
        self.fate = fate
        self.handing_over = False
        """Whether it is between stopping the guest at its source and running it at its target."""
        self.rate_mib_s = 0.0
        """What the links give it."""
        self.has_parted = False
        """Whether it is in post-copy: the guest runs at its target, and what is left of its memory follows it."""
        self._may_part = order.post_copy
        self._copy_of = copy
        self._bandwidth_mib_s = max(1, order.bandwidth_mib_s)
        self._began = self._counted = asyncio.get_running_loop().time()
        self._copying = False
        self._round_began = self._began
        self._needed = self._needed_before = copy.downtime_max
        self._failure: MigrationError | None = None
        self._woken = asyncio.Event()
        self._changed = changed
        self._share = share

    def tell(self, error: MigrationError | None) -> None:
        """Answer the caller, who learns how long the guest stood still; only the first answer counts."""
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(Seconds(DOWNTIME_SECONDS))
        else:
            self.answer.set_exception(error)
            self.answer.exception()  # a caller that left does not make it an unheard error

    def fail(self, error: MigrationError) -> None:
        """End it at its next step; the VM stays at its source. In post-copy it is torn instead, and no abort is heard."""
        if self.has_parted and isinstance(error, MigrationAborted):
            return
        self._failure = self._failure or error
        self._woken.set()

    def wake(self) -> None:
        """Look at what has become of the guest."""
        self._woken.set()

    def flow(self) -> Flow | None:
        """Return what it asks of the links now, None where nothing flows."""
        flows = self.source.carries_memory and self.target.carries_memory and not self.target.hung
        if not self._copying or not flows:
            return None
        return Flow(self.source.name, self.target.name, float(self._bandwidth_mib_s))

    def count(self, rate_mib_s: float | None = None) -> None:
        """Take into account what was copied so far; from now on at another rate if one is given."""
        now = asyncio.get_running_loop().time()
        if self._copying:
            rounds = self._copy_of.iteration
            self._copy_of.advance(now - self._counted, self.rate_mib_s)
            if self._copy_of.iteration > rounds:
                self._round_began, self._needed_before = now, self._needed
                self._needed = self._copy_of.left / max(self.rate_mib_s, 0.001)
        self._counted = now
        if rate_mib_s is not None and rate_mib_s != self.rate_mib_s:
            self.rate_mib_s = rate_mib_s
            self._woken.set()

    def set_bandwidth(self, bandwidth_mib_s: int) -> None:
        """Copy at another speed from now on."""
        self._bandwidth_mib_s = max(1, bandwidth_mib_s)
        self._share()

    def set_downtime(self, downtime_ms: int) -> None:
        """Let the guest stand still for so long at the end of a round from now on."""
        self._copy_of.downtime_max = max(1, downtime_ms) / 1000

    def start_post_copy(self) -> None:
        """Have the guest run at its target now.

        Raises:
            MigrationRefused: it was not begun so that it can, or nothing is being copied.
        """
        if self.has_parted:
            return
        if not (self._may_part and self._copying):
            raise MigrationRefused("post-copy was not prepared, or nothing is copied", code=55, domain=10)
        self.count()
        self.has_parted = True
        self._copy_of.start_post_copy()
        self._put(self.source, state=VmState.POSTCOPY_LEFT, reason="3/12")
        self._put(self.target, state=VmState.POSTCOPY, reason="1/10")
        self.wake()

    @property
    def downtime_ms(self) -> int:
        """For how long the guest may stand still at the end."""
        return round(1000 * self._copy_of.downtime_max)

    @property
    def dirties(self) -> float:
        """How fast its VM dirties its memory, MiB/s; 0 in its first round."""
        return self._copy_of.dirties if self._copy_of.iteration > 1 else 0.0

    def progress(self) -> Progress:
        """Return where it is; sizes are 0 until it copies, rates until its second round."""
        self.count()
        copy, elapsed = self._copy_of, self._counted - self._began
        if not self._copying:
            return Progress(elapsed, Bytes(0), Bytes(0), Bytes(0), 0, 0.0, 0.0, 0.0)
        is_reckoned = self._counted - self._round_began >= RECKONING_SECONDS
        return Progress(
            elapsed=elapsed, memory_total=Bytes(int(copy.total * MIB)), memory_processed=Bytes(int(copy.sent * MIB)),
            memory_remaining=Bytes(int(copy.remaining * MIB)), iteration=copy.iteration,
            dirty_bytes_s=self.dirties * MIB,
            throughput_bytes_s=self.rate_mib_s * MIB,
            expected_downtime=self._needed if is_reckoned else self._needed_before)

    async def run(self) -> None:
        """Live the whole life; afterwards both ends and the answer are as its fate says."""
        self._put(self.source, job=JobKind.OUTGOING)
        await asyncio.sleep(PREPARE_SECONDS)
        if self._failure is None and (arriving := self.source.vms.get(self.vm)) is not None:
            self.target.vms[self.vm] = dataclasses.replace(
                arriving, state=VmState.INCOMING, job=JobKind.INCOMING, reason="3/2", autostart=False)
            self._changed(self.target.name, self.vm)
        await self._copy()
        if self.has_parted:
            self._come_together(self._failure)
        elif self._failure is not None:
            self._roll_back(self._failure)
        else:
            await self._hand_over()

    async def _copy(self) -> None:
        copy = self._copy_of
        self._copying, self._counted = True, asyncio.get_running_loop().time()
        self._share()
        while not copy.is_ready and self._failure is None:
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(copy.until_next(self.rate_mib_s)):
                    await self._woken.wait()
            self.count()
            if self.vm not in self.source.vms:
                self.fail(VmVanished("domain is not running", code=9, domain=20))
            elif self.vm not in self.target.vms:
                self.fail(MigrationFailed("job 'migration out' failed", code=9, domain=10))
        self._copying = False
        self._share()
        if self.fate is Fate.FAILS and not self.has_parted:
            self.fail(MigrationFailed("job 'migration out' failed", code=9, domain=10))

    async def _hand_over(self) -> None:
        self.handing_over = True
        self._put(self.source, state=VmState.HANDOVER, reason="3/2")
        await asyncio.sleep(DOWNTIME_SECONDS)
        self.handing_over = False
        if self.fate is Fate.NOWHERE:
            self.target.vms.drop(self.vm)
        else:
            # whom somebody stopped on the way is set going, too
            self._put(self.target, state=VmState.RUNNING, job=JobKind.NONE, reason="1/2")
        await asyncio.sleep(CLEANUP_SECONDS)
        match self.fate:
            case Fate.SPLIT:
                self._put(self.source, state=VmState.RUNNING, job=JobKind.NONE, reason="1/6")
            case Fate.LEFTOVER | Fate.NOWHERE:
                self._put(self.source, state=VmState.LEFTOVER, job=JobKind.NONE, reason="3/2")
            case _ if self.source.down and (left := self.source.vms.get(self.vm)) is not None and left.persistent:
                # whoever would have taken its definition away is dead
                self._put(self.source, state=VmState.SHUTOFF, job=JobKind.NONE, reason="5/0")
            case _:
                self.source.vms.drop(self.vm)
        self._changed(self.source.name, self.vm)
        good = self.fate in (Fate.COMPLETES, Fate.NEVER_CONVERGES)
        self.tell(None if good else OutcomeUnknown("client socket is closed", code=1, domain=7))

    def _come_together(self, torn: MigrationError | None) -> None:
        """All of its memory has come after it, or never will."""
        if torn is None:
            self.source.vms.drop(self.vm)
            self._put(self.target, state=VmState.RUNNING, job=JobKind.NONE, reason="1/2")
        elif self.vm not in self.source.vms:
            self._put(self.target, state=VmState.POSTCOPY_FAILED, job=JobKind.NONE, reason="1/11")
        elif not self.source.down:
            self._put(self.source, state=VmState.POSTCOPY_LEFT_FAILED, job=JobKind.NONE, reason="3/13")
        self._changed(self.source.name, self.vm)
        self.tell(torn)

    def _roll_back(self, failure: MigrationError) -> None:
        arriving = self.target.vms.get(self.vm)
        if arriving is not None and arriving.state is VmState.INCOMING:
            del self.target.vms[self.vm]
            self._changed(self.target.name, self.vm)
        here = self.source.vms.get(self.vm)
        is_stopped = here is not None and here.state is not VmState.RUNNING
        self._put(self.source, state=VmState.RUNNING, job=JobKind.NONE, reason="1/6" if is_stopped else None)
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
