"""What becomes of guests that are asked to shut down in order, as durable facts: see ``events``."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.quantities import HostName, VmId


class ShutdownEnding(enum.Enum):
    """What was seen of a VM in the end that was asked to shut down."""

    DOWN = "down"
    """It is shut off, or gone and seen nowhere, by whomever."""
    STAYED = "stayed"
    """It runs on where it was, and nothing is asked of it any more."""
    ELSEWHERE = "elsewhere"
    """It runs on another host: it was moved after all, or somebody started it there."""
    LOST = "lost"
    """Its host is confirmed dead, or is not declared any more: nobody can see how it ended."""


@dataclass(frozen=True, slots=True)
class ShutdownOrdered:
    """The intent to have a guest shut down in order, and to ask it: recorded before it is asked. ``times``: which time that
    is; more than one where it was asked for the same evidence before, and that was withdrawn."""

    wall: float
    id: str
    vm: VmId
    vm_name: str
    host: HostName
    policy: str
    because: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class ShutdownAskedAgain:
    """The intent to ask it once more, for the time ``times``."""

    wall: float
    id: str
    times: int


@dataclass(frozen=True, slots=True)
class ShutdownWithdrawn:
    """It is not asked again. It may still go down by what it was asked before, so it is watched for a while."""

    wall: float
    id: str
    because: str


@dataclass(frozen=True, slots=True)
class ShutdownEnded:
    """The books of a shutdown are closed."""

    wall: float
    id: str
    ending: ShutdownEnding
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ShutdownOver:
    """Nobody has to start a guest any more that went down. ``because``: it runs again, or a person said so."""

    wall: float
    id: str
    vm_name: str
    host: HostName
    because: str


ShutdownEvent = ShutdownOrdered | ShutdownAskedAgain | ShutdownWithdrawn | ShutdownEnded | ShutdownOver
