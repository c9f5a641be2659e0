"""What pins a VM to its host, read off its definition. Pure.

Part of the text is a tenant's: nothing in it can make a VM easier to move than its devices allow.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

from ballastd.adapters.libvirt.wishes import wishes_of
from ballastd.adapters.libvirt.xml_reading import shown
from ballastd.core.inventory import Pin, PinKind
from ballastd.core.vouching import vouches_for_device, vouches_for_file, vouches_for_image

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
PINS_MAX = 32
DEFAULT_IMAGES = "/var/lib/libvirt/images"
LOCKABLE_FORMATS = ("raw", "qcow2")


def pins_of(domain: ET.Element, vouched_storage: tuple[str, ...]) -> tuple[Pin, ...]:
    """Return why this VM cannot leave its host live, each reason once; empty when nothing speaks against it.

    A writable disk is accepted only as a raw or qcow2 image that is not shareable, on storage for which the operator
    vouched (``core.vouching``): only there is a lock known to keep a second copy from writing.
    """
    unique = dict.fromkeys(_pins(domain, vouched_storage))
    return tuple(unique)[:PINS_MAX]


def unreadable(reason: str) -> Pin:
    """Return the pin of a VM whose definition cannot be read: its disks cannot be known."""
    return Pin(PinKind.DISK_UNLOCKED, f"its definition is not readable: {shown(reason)}",
               "look at it with virsh dumpxml; until then it stays where it is")


def _pins(root: ET.Element, vouched: tuple[str, ...]) -> Iterator[Pin]:
    yield from _operator_pin(root)
    for disk in root.iterfind("devices/disk"):
        yield from _disk_pins(disk, vouched)
    yield from _firmware_pins(root, vouched)
    for device in root.iterfind("devices/*"):
        yield from _device_pins(device)
    if root.find("launchSecurity") is not None:
        yield Pin(PinKind.PASSTHROUGH, "launchSecurity", "confidential guests cannot be migrated live here")
    if root.find(f"{{{QEMU_NAMESPACE}}}commandline/*") is not None:
        yield Pin(PinKind.DISK_UNLOCKED, "qemu:commandline", "its raw arguments may hide a disk: use libvirt's XML")


def _operator_pin(root: ET.Element) -> Iterator[Pin]:
    if wishes_of(root).pinned:
        yield Pin(PinKind.OPERATOR, "pinned by its metadata", "remove pinned from its ballastd metadata element")


def _disk_pins(disk: ET.Element, vouched: tuple[str, ...]) -> Iterator[Pin]:
    if disk.find("mirror") is not None:
        yield Pin(PinKind.BLOCK_JOB, _disk_name(disk), "let the block job end: virsh blockjob")
    source = disk.find("source")
    if disk.find("readonly") is not None or disk.get("device") == "cdrom" or source is None:
        return
    refused = _unlocked(disk, source, vouched)
    if refused is not None:
        kind, cure = refused
        yield Pin(kind, _disk_name(disk), cure)


def _unlocked(disk: ET.Element, source: ET.Element, vouched: tuple[str, ...]) -> tuple[PinKind, str] | None:
    """Return why a writable disk has no lock that keeps a second copy of the guest from writing, or None."""
    kind, driver = disk.get("type", ""), disk.find("driver")
    if kind == "nvme":
        return PinKind.PASSTHROUGH, "an NVMe device given to a guest cannot follow it"
    if disk.find("shareable") is not None:
        return PinKind.DISK_UNLOCKED, "a shareable disk is not locked: remove <shareable/>"
    if disk.find("transient") is not None:
        return PinKind.DISK_LOCAL, "what it writes to a transient disk stays on its host: remove <transient/>"
    if disk.get("device") == "lun":
        return PinKind.DISK_UNLOCKED, "what a guest sends to a LUN passes any lock by: use device='disk'"
    if kind not in _VOUCHED:
        return PinKind.DISK_UNLOCKED, f"no lock is known for {shown(kind)} disks: use a raw or qcow2 file"
    if driver is None or driver.get("type") not in LOCKABLE_FORMATS:
        return PinKind.DISK_UNLOCKED, "no lock is known for this format: use raw or qcow2"
    if _is_vouched(kind, source, vouched):
        return None
    if kind == "file" and vouches_for_file((DEFAULT_IMAGES,), source.get("file", "")):
        return PinKind.DISK_LOCAL, "put it on shared storage whose locks work, and vouch for that path"
    return PinKind.DISK_UNLOCKED, _VOUCHED[kind]


_VOUCHED = {
    "file": "vouch for its storage (vouched_storage) once its locks are known to work",
    "block": "vouch for its device (vouched_storage: /dev/...) once a lock between hosts is known to work there: "
             "QEMU's own does not",
    "network": "vouch for it by protocol and name (vouched_storage: rbd:pool) once a lock between hosts is known to work "
               "there",
}
"""Kinds of disks that the operator may vouch for, and what is to be done for that."""


def _is_vouched(kind: str, source: ET.Element, vouched: tuple[str, ...]) -> bool:
    if kind == "block":
        return vouches_for_device(vouched, source.get("dev", ""))
    if kind == "network":
        servers = [host.get("name", "") for host in source.iterfind("host")]
        return vouches_for_image(vouched, source.get("protocol", ""), servers, source.get("name", ""))
    return kind == "file" and vouches_for_file(vouched, source.get("file", ""))


def _disk_name(disk: ET.Element) -> str:
    target, source = disk.find("target"), disk.find("source")
    where = "" if source is None else next(
        (source.get(key, "") for key in ("file", "dev", "name", "dir", "volume") if source.get(key)), "")
    return shown(f"{'disk' if target is None else target.get('dev', 'disk')} {where}".strip())


def _firmware_pins(root: ET.Element, vouched: tuple[str, ...]) -> Iterator[Pin]:
    for nvram in root.iterfind("os/nvram"):
        source = nvram.find("source")
        path = (nvram.text or "").strip() if source is None else source.get("file", "")
        kind = nvram.get("type", "file")
        if not (vouches_for_file(vouched, path) if source is None else _is_vouched(kind, source, vouched)):
            yield Pin(PinKind.FIRMWARE_STATE, shown(f"UEFI variables {path}".strip()),
                      "keep them on vouched storage that every host sees")


_CARRIED = "remove the device, or move the VM while it is off"


def _device_pins(device: ET.Element) -> Iterator[Pin]:
    rule = _DEVICE_RULES.get(device.tag)
    kind = None if rule is None else rule(device)
    if kind is not None:
        yield Pin(kind, _device_name(device), _CURES.get(kind, _CARRIED))


_CURES = {
    PinKind.TPM_STATE: "TPM state lives on its host: move the VM while it is off",
    PinKind.SHARED_FILESYSTEM: "a file system shared with the host cannot follow: detach it",
    PinKind.SHARED_MEMORY: "memory shared with a process of the host cannot follow: detach it",
}


def _device_name(device: ET.Element) -> str:
    words = [device.tag, *(device.get(key, "") for key in ("type", "model", "name"))]
    alias = device.find("alias")
    if alias is not None:
        words.append(alias.get("name", ""))
    return shown(" ".join(word for word in words if word))


def _interface(device: ET.Element) -> PinKind | None:
    return {"hostdev": PinKind.PASSTHROUGH, "vdpa": PinKind.PASSTHROUGH,
            "vhostuser": PinKind.SHARED_MEMORY}.get(device.get("type", ""))


def _tpm(device: ET.Element) -> PinKind | None:
    backend = device.find("backend")
    passed = backend is not None and backend.get("type") == "passthrough"
    return PinKind.PASSTHROUGH if passed else PinKind.TPM_STATE


def _character(device: ET.Element) -> PinKind | None:
    return PinKind.PASSTHROUGH if device.get("type") == "dev" else None


def _vhost_user_driver(device: ET.Element) -> PinKind | None:
    driver = device.find("driver")
    return PinKind.SHARED_MEMORY if driver is not None and driver.get("name") == "vhostuser" else None


def _memory_device(device: ET.Element) -> PinKind | None:
    return PinKind.DISK_LOCAL if device.get("model") in ("nvdimm", "virtio-pmem") else None


def _input(device: ET.Element) -> PinKind | None:
    return PinKind.PASSTHROUGH if device.get("type") in ("passthrough", "evdev") else None


def _redirected(device: ET.Element) -> PinKind | None:
    return None if device.get("type") == "spicevmc" else PinKind.PASSTHROUGH


_DEVICE_RULES: dict[str, Callable[[ET.Element], PinKind | None]] = {
    "hostdev": lambda _: PinKind.PASSTHROUGH,
    "redirdev": _redirected,
    "filesystem": lambda _: PinKind.SHARED_FILESYSTEM,
    "shmem": lambda _: PinKind.SHARED_MEMORY,
    "interface": _interface,
    "tpm": _tpm,
    "serial": _character,
    "parallel": _character,
    "console": _character,
    "channel": _character,
    "video": _vhost_user_driver,
    "memory": _memory_device,
    "input": _input,
}
