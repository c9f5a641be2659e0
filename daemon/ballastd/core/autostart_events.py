"""What becomes of VMs that start with their host once they are moved, as it stands in the journal. Part of ``events``."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.quantities import HostName


@dataclass(frozen=True, slots=True)
class AutostartNoted:
    """The VM of a migration starts with its host, which a hypervisor forgets on the way: noted with the order, before
    anything is done. ``owed``: it does not now, for what a migration before lost has not been given back yet."""

    wall: float
    id: str
    owed: bool = False


@dataclass(frozen=True, slots=True)
class AutostartOrdered:
    """The intent to have the VM of a completed migration start with its target again (``on``), or to have the definition
    that stayed behind not start with its source any more."""

    wall: float
    id: str
    host: HostName
    on: bool


@dataclass(frozen=True, slots=True)
class AutostartEnded:
    """A VM starts with its target as it did with its source, and with no other host; or, not ``restored``, it is given up,
    and why."""

    wall: float
    id: str
    restored: bool
    detail: str = ""


AutostartEvent = AutostartNoted | AutostartOrdered | AutostartEnded
