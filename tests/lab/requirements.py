"""What a lab needs of the machine."""

from __future__ import annotations

import os
from pathlib import Path

from tests.lab.cgroups import find
from tests.lab.commands import LabError, find_tool
from tests.lab.guest import EMULATOR

ROOT = "the lab needs root: it makes namespaces, mounts and control groups"
TOOLS = {
    "libvirtd": "libvirt-daemon-system", "virsh": "libvirt-clients", "qemu-nbd": "qemu-utils",
    "ip": "iproute2", "tc": "iproute2", "mosquitto": "mosquitto", "as": "binutils", "ld": "binutils",
    "setsid": "util-linux", "unshare": "util-linux", "nsenter": "util-linux", "fsfreeze": "util-linux",
    "mkfs.ext4": "e2fsprogs", "faketime": "faketime",
}


def missing() -> str:
    """Return why no lab can run here, empty when one can."""
    if os.geteuid() != 0:
        return ROOT
    packages = {package for tool, package in TOOLS.items() if find_tool(tool) is None}
    if not Path(EMULATOR).exists():
        packages.add("qemu-system-x86")
    if packages:
        return f"the lab needs packages that are not installed: apt install {' '.join(sorted(packages))}"
    if find(Path("/proc/self/mountinfo").read_text()) is None:
        return "the lab needs a cgroup file system with a cpu controller"
    return ""


def check() -> None:
    """Raise a LabError unless a lab can run here."""
    reason = missing()
    if reason:
        raise LabError(reason)
