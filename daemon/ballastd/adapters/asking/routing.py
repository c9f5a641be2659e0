"""Each way of asking by whoever knows it: agents through their hypervisors, everything else over the network."""

from __future__ import annotations

from typing import Protocol

from ballastd.adapters.asking.network import NetworkProbe
from ballastd.core.arrival_checks import AllowedChecks, Check, CheckKind
from ballastd.core.quantities import HostName, VmId
from ballastd.errors import CheckRefused, Unreachable
from ballastd.ports.hosts import ProbeAnswer


class Agents(Protocol):
    """The guest agents of all VMs, each through the hypervisor of its host."""

    async def ping_agent(self, host: HostName, vm: VmId) -> str:
        """Return why the agent of a VM does not answer, empty where it does.

        Raises:
            Unreachable: nobody knows whether it does.
        """
        ...


class Probes:
    """Implements ``ports.ArrivalProbe``."""

    def __init__(self, allowed: AllowedChecks, agents: Agents) -> None:
        self._allowed = allowed
        self._agents = agents
        self._network = NetworkProbe(allowed)

    async def ask(self, host: HostName, vm: VmId, check: Check) -> ProbeAnswer:
        """See ``ports.ArrivalProbe``."""
        if check.kind is not CheckKind.AGENT:
            return await self._network.ask(check)
        if no := self._allowed.why_not(check):
            raise CheckRefused(no)
        try:
            why = await self._agents.ping_agent(host, vm)
        except Unreachable as error:
            return ProbeAnswer(None, str(error))
        return ProbeAnswer(not why, why or "its agent answers")
