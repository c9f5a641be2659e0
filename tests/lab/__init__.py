"""A lab of real libvirt hosts in namespaces of one machine; `python -m tests.lab --help` teaches its use."""

from tests.lab.broker import LabBroker
from tests.lab.commands import LabError
from tests.lab.guest import Heartbeat, LabGuest
from tests.lab.host import LabHost
from tests.lab.lab import Lab, Sighting
from tests.lab.requirements import missing
from tests.lab.sweeping import leftovers, sweep

__all__ = [
    "Heartbeat", "Lab", "LabBroker", "LabError", "LabGuest", "LabHost", "Sighting", "leftovers", "missing",
    "sweep",
]
