"""What stands against acts, as the kernel was told. It asks no order what it calls itself, and believes nothing for long."""

from __future__ import annotations

from ballastd.core.clearance import Clearance, Gate
from ballastd.core.plans import Refusal
from ballastd.core.quantities import HostName, Seconds, VmId
from ballastd.ports.running import Clock

TOLD_SECONDS = Seconds(60.0)
"""What was told longer ago says nothing of now. It is told with each step: every ten seconds, and one that waits for a
journal that hangs waits for thirty."""
UNTOLD = "nobody has told yet what stands against it"


class Clearing:
    """The last clearance, until it is doubted or old."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: Clearance | None = None
        self._doubt = UNTOLD

    def hear(self, told: Clearance) -> None:
        """Go by ``told`` from now on."""
        self._told = told

    def doubt(self, reason: str) -> None:
        """Go by nothing until it is told anew."""
        self._told, self._doubt = None, reason

    def asked(self, host: HostName) -> bool:
        """Return whether a person wants the host emptied or off."""
        return self._told is not None and host in self._told.asked

    def wakes(self, host: HostName) -> bool:
        """Return whether a person wants the host on."""
        return self._told is not None and host in self._told.wakes

    def packs(self, host: HostName) -> bool:
        """Return whether a policy empties the host to switch it off."""
        return self._told is not None and host in self._told.packing

    def why_held(self, source: HostName | None) -> str | None:
        """Return what keeps an act off ``source`` from beginning, or, for None, one that no gate lets pass."""
        if (doubt := self._why_doubted()) is not None:
            return doubt
        return next((gate.reason for gate in self._gates() if source not in gate.passes), None)

    def why_asleep(self) -> str | None:
        """Return what keeps a host from being switched on, or None."""
        if (doubt := self._why_doubted()) is not None:
            return doubt
        return next((gate.reason for gate in self._gates() if not gate.lets_wake), None)

    def refuses(self, vm: VmId, target: HostName) -> Refusal | None:
        """Return why nothing may land on ``target``, or None."""
        no = None if self._told is None else self._told.avoid.get(target)
        return None if no is None else Refusal(no.kind, f"{target}: {no.detail}", vm, target)

    def _gates(self) -> tuple[Gate, ...]:
        return () if self._told is None else self._told.gates

    def _why_doubted(self) -> str | None:
        if self._told is None:
            return self._doubt
        age = self._clock.now().monotonic - self._told.at.monotonic
        if age <= TOLD_SECONDS:
            return None
        return f"what stands against it was told {age:.0f} s ago, at most {TOLD_SECONDS:.0f} s count"
