"""What ought to change, with the policy and the evidence behind it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.policies import EVERY_VM, Cooldown, EvacuationOrder, Health, Mode, MoveBudget, VmSelector
from ballastd.core.quantities import HostName, Instant


class IntentKind(enum.Enum):
    """What ought to happen to a host."""

    EVACUATE = "evacuate"
    DRAIN = "drain"
    RELIEVE = "relieve"
    """Take load off it until it is cool."""
    EVEN = "even"
    """Give some of its load to emptier hosts."""
    EMPTY = "empty"
    """Move everything off it, so that it can be switched off."""
    REPAIR = "repair"
    """Move off it who breaks a rule about where VMs live."""


ROUTINE = frozenset({IntentKind.RELIEVE, IntentKind.EVEN, IntentKind.EMPTY, IntentKind.REPAIR})


@dataclass(frozen=True, slots=True)
class Fill:
    """What share of its processors, of its memory and of its network a target may use after a routine move, [0,
    1]. ``until_wall``: until when what stays there is reckoned with hour by hour, wall seconds; None: at every hour of the
    day."""

    cpu: float
    memory: float
    network: float
    until_wall: float | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """Take VMs off ``host``. ``policy``: the policy's name, or ``operator``. ``because``: evidence in words.

    ``urgent``: windows do not apply. ``severity``: FAILING may use the failover reserve. ``fill``, ``cooldown``,
    ``budget``: what a routine intent keeps to, None for the others. ``minimum_gain``: by how much of itself a move
    must lessen the difference of two hosts. ``vms``: which VMs it speaks of; the others stay. ``next_hosts``: those that
    are to be emptied after it; nothing is packed onto them.
    """

    kind: IntentKind
    host: HostName
    policy: str
    because: str
    severity: Health
    since: Instant
    mode: Mode = Mode.AUTO
    urgent: bool = False
    deadline_wall: float | None = None
    windows: tuple[str, ...] = ()
    avoid_labels: tuple[str, ...] = ()
    """Host labels that a target must not share with the host: its fault may be theirs (cooling, power), or the policy
    says so."""
    order: tuple[EvacuationOrder, ...] = (EvacuationOrder.PRIORITY, EvacuationOrder.SHORTEST)
    fill: Fill | None = None
    cooldown: Cooldown | None = None
    budget: MoveBudget | None = None
    minimum_gain: float = 0.0
    vms: VmSelector = EVERY_VM
    next_hosts: tuple[HostName, ...] = ()

    @property
    def reason(self) -> str:
        """The class of reasons it is for: what is recommended for another one is another recommendation."""
        return f"{self.kind.value}, {self.severity.name.lower()}"

    @property
    def routine(self) -> bool:
        """Whether it balances, packs or tidies up: nothing is at stake but comfort and energy."""
        return self.kind in ROUTINE

    @property
    def keeps_wishes(self) -> bool:
        """Whether it is worth less than any should-rule."""
        return self.kind in (IntentKind.EVEN, IntentKind.EMPTY)

    @property
    def saves_from_failing_host(self) -> bool:
        """Whether the failover reserve may be used: only while saving VMs from a failing host."""
        return self.severity is Health.FAILING


class Wants:
    """Which intent a move is for, by the host that wants it and its policy."""

    def __init__(self, intents: tuple[Intent, ...]) -> None:
        self._by_host = {(intent.host, intent.policy, intent.routine): intent for intent in intents}
        self._evening = {intent.policy: intent for intent in intents if intent.kind is IntentKind.EVEN}

    def of(self, host: HostName, policy: str, *, routine: bool, makes_room: bool = False) -> Intent:
        """Return the intent about a host, or that of the policy which evens its hosts out, whichever they are. A move that
        makes room is a routine one whatever wants it."""
        saving = self._by_host.get((host, policy, False)) if makes_room else None
        return saving or self._by_host.get((host, policy, routine)) or self._evening[policy]
