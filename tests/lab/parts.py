"""From a lab's plan to its parts: the same in every process that acts on it."""

from __future__ import annotations

from tests.lab import cgroups
from tests.lab.cgroups import CpuGroup
from tests.lab.host import LabHost
from tests.lab.network import CONTROLLER_ADDRESS, Port, host_address
from tests.lab.sensors import Sensors
from tests.lab.state import Plan


def controller_link(plan: Plan) -> Port:
    """Return the controller's cable."""
    return Port(plan.controller, plan.switch, "ctl", CONTROLLER_ADDRESS)


def hosts_of(plan: Plan) -> dict[str, LabHost]:
    """Return the lab's hosts by name, on or off."""
    where = cgroups.mounted()
    hosts = {}
    for number, name in enumerate(plan.host_names(), 1):
        netns, home = plan.host_netns(name), plan.path / name
        hosts[name] = LabHost(
            name, plan.host_uuid(name), home, Port(netns, plan.switch, f"p{number}", host_address(number)),
            CpuGroup(netns, plan.cpu_quota, where), Sensors(home / "sysfs"))
    return hosts
