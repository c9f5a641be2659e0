"""Writable disks: what libvirt migrates without a murmur, and what QEMU locks, are different things.

==========  ==============================  ====================================================
kind        libvirt migrates it             a second opener
==========  ==============================  ====================================================
locked      only with the flag UNSAFE       refused by QEMU's lock, wherever it starts
shareable   only with the flag UNSAFE       starts: two writers
nbd         yes                             starts: two writers
==========  ==============================  ====================================================
"""

from __future__ import annotations

import signal
from pathlib import Path

from tests.lab.commands import run
from tests.lab.guest import Disk, LabGuest
from tests.lab.namespaces import inside, path_of
from tests.lab.network import CONTROLLER_ADDRESS
from tests.lab.processes import arguments, command, in_network, send

DISK_BYTES = 4 * 1024 * 1024
FIRST_PORT = 10810
UNSAFE: tuple[Disk, ...] = ("locked", "shareable")


def free_port(guests: list[LabGuest]) -> int:
    """Return a port for another network disk."""
    return max([FIRST_PORT - 1, *(guest.nbd_port for guest in guests)]) + 1


def make_file(path: Path) -> None:
    """Make an empty disk unless there is one already."""
    if not path.exists():
        with path.open("wb") as file:
            file.truncate(DISK_BYTES)


def describe(guest: LabGuest, path: Path) -> str:
    """Return the guest's writable disk for its definition, empty when it has none."""
    if guest.disk is None:
        return ""
    if guest.disk == "nbd":
        server = f"<host name='{CONTROLLER_ADDRESS}' port='{guest.nbd_port}'/>"
        return ("<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/>"
                f"<source protocol='nbd' name='d'>{server}</source><target dev='vdb' bus='virtio'/></disk>\n")
    shareable = "<shareable/>" if guest.disk == "shareable" else ""
    return ("<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source file='{path}'/><target dev='vdb' bus='virtio'/>{shareable}</disk>\n")


def serve(guest: LabGuest, path: Path, controller: str) -> None:
    """Offer a network disk to all hosts, from the controller's namespace."""
    if _server(guest, controller) is None:
        run(*inside(controller, "qemu-nbd", "-t", "-e", "4", "-x", "d", "-b", CONTROLLER_ADDRESS,
                    "-p", str(guest.nbd_port), "-f", "raw", "--fork", str(path)))


def withdraw(guest: LabGuest, controller: str) -> None:
    """Stop offering a network disk."""
    server = _server(guest, controller)
    if server is not None:
        send(server, signal.SIGKILL)


def _server(guest: LabGuest, controller: str) -> int | None:
    for pid in in_network(path_of(controller)):
        if command(pid) == "qemu-nbd" and str(guest.nbd_port) in arguments(pid):
            return pid
    return None
