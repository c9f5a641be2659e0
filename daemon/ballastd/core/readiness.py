"""Whether a cluster is fit to be put into a daemon's hands: what was found, judged, each finding with its cure.

What was found comes from hosts, broker and power controllers, asked once and changed by nothing. What could not be asked is
said to be unknown; it is never taken for well.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ballastd.core.certificates import Shown
from ballastd.core.hardware import Emulator
from ballastd.core.inventory import PinKind, VmRecord, VmState
from ballastd.core.plans import Refusal
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import AgentState, Report

NAMED_MAX = 4


class Area(enum.Enum):
    """What a finding is about."""

    REACH = "reach"
    TRANSPORT = "transport"
    CERTIFICATE = "certificate"
    VERSION = "version"
    CPU = "cpu"
    NETWORK = "network"
    STORAGE = "storage"
    LOCKS = "locks"
    DEVICES = "devices"
    TELEMETRY = "telemetry"
    CLOCK = "clock"
    LINK = "link"
    POWER = "power"


class Grade(enum.IntEnum):
    """How bad it is. NOTE: worth knowing, or unknown. WARNING: some of what the daemon is for will not work. FAULT: put it
    right before the daemon may act."""

    GOOD = 0
    NOTE = 1
    WARNING = 2
    FAULT = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """``hosts``: whom it concerns, none for the cluster as a whole. ``cure``: what to do about it."""

    area: Area
    grade: Grade
    hosts: tuple[HostName, ...]
    words: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool of a host: what it is called, its kind (``dir``, ``netfs``, ``logical``), where its volumes are."""

    name: str
    kind: str
    path: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a host. ``mbit_s``: what it does while it is up, None where that is not said. ``is_real``:
    whether there is hardware behind it; what a virtual one says of its speed is made up. ``is_bond``: whether it is several
    others in one. ``addresses``: as far as libvirt knows them."""

    name: str
    is_up: bool = True
    mbit_s: int | None = None
    is_real: bool = True
    is_bond: bool = False
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostSurvey:
    """What one host said. ``trouble``: why it said nothing; ``steering``: why nothing may be changed there; empty where it
    may be. ``machine``: its UUID, ``name``: what it calls itself. ``libvirt``, ``emulator``: versions. ``cpu``: model,
    vendor and microcode. ``memory_total``: bytes. ``interfaces``: None where its libvirt shows none. ``arch``: its own;
    ``emulators``: what it runs guests by."""

    host: HostName
    trouble: str = ""
    steering: str = ""
    machine: str = ""
    name: str = ""
    libvirt: tuple[int, int, int] = (0, 0, 0)
    emulator: tuple[int, int, int] = (0, 0, 0)
    cpu: tuple[str, ...] = ()
    processors: int = 0
    memory_total: int = 0
    pools: tuple[Pool, ...] = ()
    guests: tuple[VmRecord, ...] = ()
    is_complete: bool = True
    interfaces: tuple[Interface, ...] | None = None
    arch: str = ""
    emulators: tuple[Emulator, ...] = ()

    @property
    def movable(self) -> tuple[VmRecord, ...]:
        """The VMs that run and that nothing pins, but for storage that nobody has vouched for yet."""
        return tuple(guest for guest in self.guests if guest.state is VmState.RUNNING
                     and all(pin.kind is PinKind.DISK_UNLOCKED for pin in guest.pins))


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether one VM could come to a host. ``refusals``: what that host has against it; ``unseen``: what it keeps where no
    storage pool there shows it, which does not mean that it is not there. ``trouble``: why nobody knows."""

    vm_name: str
    source: HostName
    target: HostName
    refusals: tuple[Refusal, ...] = ()
    unseen: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Whether a host's processor has all that guests of another may be given, None where nobody knows, and why."""

    source: HostName
    target: HostName
    has_all: bool | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came from the broker while it was listened to, for so many seconds. ``trouble``: why it was not reached.
    ``daemon``: who claims this cluster already, empty where nobody does. ``strangers``: messages under names that are not
    declared, or that are no telemetry. ``unread``: of declared names under which something came that could not be used,
    why the last could not."""

    seconds: float
    trouble: str = ""
    reports: Mapping[HostName, Report] = field(default_factory=dict)
    agents: Mapping[HostName, AgentState] = field(default_factory=dict)
    daemon: str = ""
    strangers: int = 0
    unread: Mapping[HostName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PowerAnswer:
    """What a host's controller said, or why it said nothing."""

    trouble: str = ""
    state: PowerState = PowerState.UNKNOWN
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster as it was declared, and all that was found. ``heard``: None where no broker was asked. ``shown``:
    certificates, looked at when it was ``wall``."""

    declared: ClusterDeclaration
    surveys: Mapping[HostName, HostSurvey]
    fits: tuple[Fit, ...] = ()
    heard: Heard | None = None
    power: Mapping[HostName, PowerAnswer] = field(default_factory=dict)
    shown: tuple[Shown, ...] = ()
    wall: float = 0.0
    likenesses: tuple[Likeness, ...] = ()

    @property
    def answering(self) -> dict[HostName, HostSurvey]:
        """The hosts that said something."""
        return {name: survey for name, survey in self.surveys.items() if not survey.trouble}


@dataclass(frozen=True, slots=True)
class Pair:
    """How many VMs of one host could come to another, of how many that could leave, and the first thing against one.
    ``mbit_s``: how fast the interfaces of the two are; ``processor``: whether the other's has all that guests of the one
    may be given; ``machines``: what types the one offers and the other does not; each None where that is not known."""

    source: HostName
    target: HostName
    could: int
    of: int
    obstacle: str = ""
    mbit_s: tuple[int | None, int | None] = (None, None)
    processor: bool | None = None
    machines: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Findings, the worst first; what was looked at on each host and how bad the worst is; and every pair of hosts."""

    findings: tuple[Finding, ...]
    grid: Mapping[HostName, Mapping[Area, Grade]]
    pairs: tuple[Pair, ...]

    @property
    def worst(self) -> Grade:
        """How bad the worst finding is."""
        return max((finding.grade for finding in self.findings), default=Grade.GOOD)


@dataclass(frozen=True, slots=True)
class Leg:
    """One way of a VM to another host. ``predicted``, ``took``: seconds; ``sent``: bytes, as last seen. ``trouble``: why it
    is not where it should be; ``runs_on``: where it was seen to run afterwards."""

    source: HostName
    target: HostName
    bandwidth_mib_s: int
    predicted: float
    took: float = 0.0
    sent: int = 0
    trouble: str = ""
    runs_on: tuple[HostName, ...] = ()


@dataclass(frozen=True, slots=True)
class Roundtrip:
    """A VM's way to another host and back: the second leg is missing where the first went wrong."""

    vm_name: str
    legs: tuple[Leg, ...]

    @property
    def is_well(self) -> bool:
        """Whether it is back where it was."""
        return len(self.legs) == 2 and not any(leg.trouble for leg in self.legs)


def named(names: Iterable[str]) -> str:
    """Return a few names, and how many more there are."""
    several = list(names)
    more = len(several) - NAMED_MAX
    return ", ".join(several[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def count(things: Sequence[object], word: str) -> str:
    """Return how many there are, in words."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
