"""The last look before a host is switched: empty by the hypervisor's own word, closed at its hook, the right machine.

Nobody's plan is believed here. A host with anything on it, or about which one sign is missing, is not told to go off;
none is ever forced.
"""

from __future__ import annotations

from ballastd.core.ceilings import Ceilings
from ballastd.core.inventory import DeclaredHost, HostInventory
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.power import (
    AGENT_WORD_SECONDS,
    STANDING_BY,
    PowerOrder,
    PowerPhase,
    PowerState,
    PowerStatus,
    same_machine,
)
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import AgentState
from ballastd.errors import PowerRefused, Unreachable
from ballastd.ports.hosts import Hypervisor, Power
from ballastd.ports.running import Clock

TEN_MINUTES_SECONDS = 600.0
MINUTE_SECONDS = 60.0
DAY_SECONDS = 24 * 3600.0
CORDON_LEFT_SECONDS = 30.0
MAY_BE_OFF = STANDING_BY | {PowerPhase.FAILED}
"""Phases of hosts that we told to go off, and that nobody has seen on since."""


class Switches:
    """Counts of power orders under their ceilings, and the checks before each."""

    def __init__(self, hypervisor: Hypervisor, power: Power, cluster: ClusterDeclaration, clock: Clock,
                 ceilings: Ceilings) -> None:
        self._hypervisor = hypervisor
        self._power = power
        self._cluster = cluster
        self._clock = clock
        self._ceilings = ceilings
        self._agents: dict[HostName, AgentState] = {}
        self._uuids: dict[HostName, str] = {}
        self._acts: list[tuple[float, HostName, bool]] = []
        self._off: set[HostName] = set()

    def hear(self, agent: AgentState) -> None:
        """Note what a host's agent says."""
        self._agents[agent.host] = agent

    def remember(self, ledger: Ledger, now: Instant) -> None:
        """Count the power orders of runs before, and the hosts they left off."""
        self._acts = [(now.monotonic - max(0.0, now.wall - act.wall), act.host, act.on) for act in ledger.power_acts]
        self._uuids = {host: power.machine for host, power in ledger.power.items() if power.machine}
        self._off = {host for host, power in ledger.power.items() if power.phase in MAY_BE_OFF}

    async def switch(self, order: PowerOrder) -> None:
        """Tell the controller; what it was told counts, whatever it answers. Who is told to come back is off until the books
        say that he is on."""
        self._acts.append((self._clock.now().monotonic, order.host, order.on))
        if order.on:
            await self._power.power_on(order.host)
        else:
            self._off.add(order.host)
            await self._power.power_off(order.host)

    async def refusal(self, order: PowerOrder) -> Refusal | None:
        """Return what speaks against ``order`` now, or None. Looks at the host and at its controller."""
        declared = self._cluster.host(order.host)
        if declared is None or not declared.power:
            return self._no(order, "it is not a declared host with a power driver")
        if (no := self.refusal_now(order)) is not None:
            return no
        if not order.on:
            no = await self._not_empty(order)
            if no is not None:
                return no
        return await self._wrong_machine(order, declared)

    def refusal_now(self, order: PowerOrder) -> Refusal | None:
        """Return what speaks against ``order`` now of that which was looked at before: others may have been switched, and
        the host's agent heard, while its hypervisor and its controller were asked."""
        over = self._over_ceiling(order)
        if over is not None:
            return Refusal(RefusalKind.CEILING, over, host=order.host)
        return None if order.on else self._not_shut(order)

    def is_off(self, host: HostName) -> bool:
        """Return whether the host went off by us, or was told to, and was not seen to be on since."""
        return host in self._off

    def goes_off(self, host: HostName) -> bool:
        """Return whether the host was told to go off lately, and was not seen to be on since: it may answer still."""
        now = self._clock.now().monotonic
        return host in self._off and any(one == host and not on and now - at < TEN_MINUTES_SECONDS
                                         for at, one, on in self._acts)

    def seen_on(self, host: HostName) -> None:
        """A host is on: it no longer counts as one that we switched off."""
        self._off.discard(host)

    def _over_ceiling(self, order: PowerOrder) -> str | None:
        now, top = self._clock.now().monotonic, self._ceilings
        self._acts = [act for act in self._acts if now - act[0] < DAY_SECONDS]
        if order.on:
            woken = sum(1 for at, _, on in self._acts if on and now - at < MINUTE_SECONDS)
            return f"{woken} wakes within a minute, ceiling {top.wakes_per_min}" if woken >= top.wakes_per_min else None
        sent = [host for at, host, on in self._acts if not on and now - at < TEN_MINUTES_SECONDS]
        cycles = sum(1 for _, host, on in self._acts if not on and host == order.host)
        off = len(self._off - {order.host})
        allowed = max(1, int(top.hosts_off_share * len(self._cluster.hosts)))
        if len(sent) >= top.power_offs_per_10_min:
            return f"{len(sent)} hosts told to go off within ten minutes, ceiling {top.power_offs_per_10_min}"
        if cycles >= top.power_cycles_per_day:
            return f"it was told to go off {cycles} times within a day, ceiling {top.power_cycles_per_day}"
        if off >= allowed:
            return f"{off} of {len(self._cluster.hosts)} hosts are off, ceiling {allowed}"
        return None

    def _not_shut(self, order: PowerOrder) -> Refusal | None:
        now, agent = self._clock.now(), self._agents.get(order.host)
        # what a broker kept for us may be of any age
        is_live = agent is not None and agent.online and not agent.retained
        if agent is None or not is_live or now.monotonic - agent.received.monotonic > AGENT_WORD_SECONDS:
            return self._no(order, "its agent is not heard, so nobody knows whether its hook is shut")
        if not agent.hook or agent.cordon_until is None or agent.cordon_until < now.wall + CORDON_LEFT_SECONDS:
            return self._no(order, "its hook is not shut: a guest could be started meanwhile")
        if agent.emulators != 0:
            return self._no(order, f"its agent counts {agent.emulators} emulators" if agent.emulators
                            else "its agent does not count emulators")
        return None

    async def _not_empty(self, order: PowerOrder) -> Refusal | None:
        try:
            inventory = await self._hypervisor.inventory(order.host, load=False)
        except Unreachable as error:
            return Refusal(RefusalKind.HOST_UNREACHABLE, str(error), host=order.host)
        self._uuids[order.host] = inventory.host_uuid
        return self._has_something(order, inventory)

    def _has_something(self, order: PowerOrder, inventory: HostInventory) -> Refusal | None:
        if not inventory.complete:
            return self._no(order, "its inventory is incomplete")
        if inventory.vms:
            return self._no(order, f"it has {', '.join(vm.name for vm in inventory.vms[:3])}")
        return None

    async def _wrong_machine(self, order: PowerOrder, declared: DeclaredHost) -> Refusal | None:
        try:
            status = await self._power.status(order.host)
        except (Unreachable, PowerRefused) as error:
            return self._no(order, f"its controller: {error}")
        wanted = PowerState.OFF if order.on else PowerState.ON
        if status.state not in (wanted, PowerState.UNKNOWN) and not order.on:
            return self._no(order, f"its controller says {status.state.value} while its hypervisor answers",
                            RefusalKind.CONTROLLER)
        return self._identity_refusal(order, declared, status)

    def _identity_refusal(self, order: PowerOrder, declared: DeclaredHost, status: PowerStatus) -> Refusal | None:
        if not declared.power_identity:
            return None
        known = self._uuids.get(order.host)
        if status.identity is None:
            return self._no(order, "its controller does not say which machine it controls; see power.trust_identity")
        if known is not None and not same_machine(status.identity, known):
            return self._no(order, f"its controller controls another machine ({status.identity}, not {known})",
                            RefusalKind.CONTROLLER)
        return None

    @staticmethod
    def _no(order: PowerOrder, detail: str, kind: RefusalKind = RefusalKind.POWER) -> Refusal:
        return Refusal(kind, detail, host=order.host)
