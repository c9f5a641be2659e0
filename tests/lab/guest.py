"""A guest: its boot image, its definition, and the heartbeat by which it is judged."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab.commands import LabError, run
from tests.lab.state import write_whole

Disk = Literal["locked", "shareable", "nbd"]
SOURCE = Path(__file__).with_name("guest.S")
IMAGE_BYTES = 1024 * 1024
EMULATOR = "/usr/bin/qemu-system-x86_64"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
KEYS = {"idle": "KEY_I", "burn": "KEY_B", "dirty": "KEY_D"} | {str(n): f"KEY_{n}" for n in range(1, 10)} | {
    f"work{n}": f"KEY_F{n}" for n in range(1, 11)}
BEAT = re.compile(rb"[0-9A-F]{8}")

DEFINITION = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>{metadata}
<memory unit='MiB'>{memory_mib}</memory><vcpu>{vcpus}</vcpu>
<os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>
<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu><clock offset='utc'/><devices>
<emulator>{emulator}</emulator><controller type='usb' model='none'/><memballoon model='none'/>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{image}'/>
<target dev='vda' bus='virtio'/><readonly/></disk>
{disk}<serial type='file'><source path='{beats}' append='on'/><target port='0'/></serial></devices></domain>
"""


@dataclass(frozen=True, slots=True)
class LabGuest:
    """One guest as it was made; where it runs is a question for the hosts."""

    name: str
    uuid: str
    memory_mib: int = 8
    vcpus: int = 1
    disk: Disk | None = None
    nbd_port: int = 0
    persistent: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a guest wrote on its serial port, and how often a number was not the one before plus 1.

    No breaks: it ran once, with its state. Two running copies show within a second, and so does a state from before: numbers
    come `again`. A guest that lost its state starts at 1, or writes what is no number, and then nothing more.
    """

    count: int
    last: int
    breaks: int
    again: int = 0


def read_heartbeat(path: Path) -> Heartbeat:
    """Return what the guest wrote so far; a line it is still writing does not count."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    breaks, again, last, most = 0, 0, 0, 0
    for line in lines:
        text = line.strip()
        value = int(text, 16) if BEAT.fullmatch(text) else -1
        if value != last + 1:
            breaks += 1
            again += 1 < value <= most
            most = 0 if value == 1 else most
        last, most = value, max(most, value)
    return Heartbeat(len(lines), last, breaks, again)


def build_image(directory: Path) -> Path:
    """Return the boot image, assembled in the lab's directory if it is not there yet."""
    image, draft = directory / "guest.img", directory / "guest.o"
    if image.exists():
        return image
    run("as", "--32", "-o", str(draft), str(SOURCE))
    run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", str(image), str(draft))
    draft.unlink()
    with image.open("r+b") as file:
        file.truncate(IMAGE_BYTES)
    return image


@dataclass(frozen=True, slots=True)
class GuestBook:
    """All guests of a lab, as files: every process that acts on the lab sees the same."""

    directory: Path
    machine: str = "pc-i440fx-7.2"

    def build(self) -> None:
        """Make the directories."""
        for name in ("guests", "beats", "disks"):
            (self.directory / name).mkdir(exist_ok=True)

    def enter(self, guest: LabGuest) -> None:
        """Write the guest down; its name decides the names of its files."""
        if not NAME.fullmatch(guest.name):
            raise LabError(f"not a guest's name: {guest.name!r}")
        uuid.UUID(guest.uuid)
        write_whole(self._record(guest.name), json.dumps(dataclasses.asdict(guest)))

    def find(self, name: str) -> LabGuest:
        """Return the guest of that name; a LabError when the lab never made it."""
        try:
            return LabGuest(**json.loads(self._record(name).read_text()))
        except FileNotFoundError as absent:
            raise LabError(f"this lab has no guest named {name!r}") from absent

    def everyone(self) -> list[LabGuest]:
        """Return all guests, by name."""
        return [self.find(path.stem) for path in sorted((self.directory / "guests").glob("*.json"))]

    def forget(self, name: str) -> None:
        """Take a guest out, with its files."""
        for path in (self._record(name), self.definition(name), self.beats(name), self.disk(name)):
            path.unlink(missing_ok=True)

    def beats(self, name: str) -> Path:
        """Return the file that every host's copy of the guest appends its heartbeat to."""
        return self.directory / "beats" / f"{name}.log"

    def disk(self, name: str) -> Path:
        """Return the guest's writable disk, where it has one."""
        return self.directory / "disks" / f"{name}.raw"

    def definition(self, name: str) -> Path:
        """Return the file with the guest's definition."""
        return self.directory / "guests" / f"{name}.xml"

    def write_definition(self, guest: LabGuest, disk: str, metadata: str) -> Path:
        """Return a new file with the guest's definition for libvirt."""
        image = build_image(self.directory)
        xml = DEFINITION.format(
            name=guest.name, uuid=guest.uuid, memory_mib=guest.memory_mib, vcpus=guest.vcpus,
            machine=self.machine, emulator=EMULATOR, image=image, disk=disk, beats=self.beats(guest.name),
            metadata=f"<metadata>{metadata}</metadata>" if metadata else "")
        path = self.definition(guest.name)
        write_whole(path, xml)
        return path

    def _record(self, name: str) -> Path:
        return self.directory / "guests" / f"{name}.json"
