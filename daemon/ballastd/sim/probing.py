"""Guests of a pretend cluster that are asked whether they answer, behind ``ports.ArrivalProbe``."""

from __future__ import annotations

import asyncio

from ballastd.core.arrival_checks import Check, CheckKind
from ballastd.core.quantities import HostName, VmId
from ballastd.ports.hosts import ProbeAnswer
from ballastd.sim.hypervisor import SimulatedHypervisor

ANSWER_SECONDS = 0.01
SILENCE_SECONDS = 3.0


class SimulatedProbe:
    """``mute``: guests that answer nobody; ``isolated``: hosts on which none is reached."""

    def __init__(self, hypervisor: SimulatedHypervisor) -> None:
        self.mute: set[VmId] = set()
        self.isolated: set[HostName] = set()
        self._hypervisor = hypervisor

    async def ask(self, host: HostName, vm: VmId, check: Check) -> ProbeAnswer:
        """A guest answers over its network from wherever it runs; its agent only through the host that is asked."""
        at = [one.name for one in self._hypervisor.hosts.values()
              if vm in one.vms and one.vms[vm].state.runs and one.carries_memory and one.name not in self.isolated]
        if vm in self.mute or not (host in at if check.kind is CheckKind.AGENT else at):
            await asyncio.sleep(SILENCE_SECONDS)
            return ProbeAnswer(answered=False, detail=f"no answer within {SILENCE_SECONDS:g} s")
        await asyncio.sleep(ANSWER_SECONDS)
        return ProbeAnswer(answered=True, detail="it answers")
