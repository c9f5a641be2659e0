"""Storage of which the operator says that its locks keep a second copy of a guest from writing, kind by kind. Pure.

=================  =========================================================================================
``/srv/vms``       raw and qcow2 files below it
``/dev/vg_san``    block devices below it, or the one of that name; ``/dev/mapper/san-*`` by how names begin
``rbd:POOL``       images of a pool, of a namespace in it (``rbd:POOL/NAMESPACE``), or one image
``iscsi:IQN``      the LUNs of a target, or one of them (``iscsi:IQN/1``)
``nbd:HOST``       exports of a server, or one of them (``nbd:HOST/EXPORT``); so ``gluster:`` and ``nfs:``
=================  =========================================================================================

Names are taken by whole components. No kind speaks for another: ``/`` vouches for no device.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

DEVICES = "/dev"
PROTOCOLS: Mapping[str, bool] = {"rbd": False, "iscsi": False, "nbd": True, "gluster": True, "nfs": True}
"""Protocols of network disks, and whether a name means nothing without the server that has it."""
EVERYBODYS = ("/dev", "/dev/mapper", "/dev/disk", "/dev/block", "/dev/shm")  # noqa: S108  names, not files
"""Where a host's own disks are as well, or no disks at all."""
LETTERED, NUMBERED = ("sd", "hd", "vd", "xvd"), ("nvme", "dm-", "md", "loop", "rbd", "zd", "mmcblk", "pmem", "ram", "sr")
_COUNTED = re.compile(rf"(?:{'|'.join(LETTERED)})[a-z]{{1,2}}\d*|(?:{'|'.join(NUMBERED)})\d.*")
"""Names that a kernel gives to devices in the order in which it finds them."""


def entry_of(text: str) -> str:
    """Return an entry of ``vouched_storage`` as it is compared.

    Raises:
        ValueError: it is none; why, and the cure, to be said after its words.
    """
    if not text.isprintable() or ".." in text.replace(":", "/").split("/"):
        raise ValueError("is no storage; write it without .. and control characters, for example /srv/vms")
    return _path(text) if text.startswith("/") else _names(text)


def _path(text: str) -> str:
    path = "/" + posixpath.normpath(text).strip("/")
    is_device = _is_below(path, DEVICES) or path == DEVICES
    folder, _, last = path.rpartition("/")
    if "*" in path and (not is_device or not last.endswith("*") or path.count("*") > 1):
        raise ValueError("has a *, which may only end the names of devices; write for example /dev/mapper/san-*")
    whole = folder if last == "*" else path
    first = path.split("/", 3)[2] if is_device and path != DEVICES else ""
    if is_device and (whole in EVERYBODYS or posixpath.dirname(whole) == "/dev/disk" or _is_any_counted(first)):
        raise ValueError("is every device of the host, its own disks too; write for example /dev/vg_san or "
                         "/dev/mapper/san-*")
    if _COUNTED.fullmatch(first) or _is_below(path, "/dev/block"):
        raise ValueError("is a name that each host gives in the order in which it finds its disks, so it is another disk on "
                         "another host; write one that all hosts have for it, for example /dev/disk/by-id/wwn-...")
    return path


def _is_any_counted(pattern: str) -> bool:
    """Return whether a pattern of names in ``/dev`` takes in devices by the order in which they were found."""
    stem = pattern.removesuffix("*")
    return stem != pattern and (_COUNTED.fullmatch(stem) is not None or
                                any(one.startswith(stem) for one in (*LETTERED, *NUMBERED)))


def _names(text: str) -> str:
    protocol, colon, name = text.partition(":")
    if not colon or protocol not in PROTOCOLS:
        raise ValueError("is no storage; write the path of files (/srv/vms) or of devices (/dev/vg_san), or for a network "
                         f"disk its protocol and name (rbd:pool); protocols: {', '.join(PROTOCOLS)}")
    name = name.rstrip("/")
    if not name or "*" in name or not all(name.split("/")):
        example = {"rbd": "rbd:pool", "iscsi": "iscsi:iqn.2026-01.org.example:vms"}.get(protocol, f"{protocol}:10.0.0.9/vms")
        raise ValueError(f"names no storage; write for example {example}")
    return f"{protocol}:{name}"


def vouches_for_file(entries: Iterable[str], path: str) -> bool:
    """Return whether an absolute path of a file lies on storage that is vouched for. What lies among devices is no file."""
    plain = _plain(path)
    return plain is not None and not _is_below(plain, DEVICES) and any(
        _is_below(plain, entry) for entry in entries if entry.startswith("/"))


def vouches_for_device(entries: Iterable[str], path: str) -> bool:
    """Return whether a block device is vouched for by the very path that its VM knows it by."""
    plain = _plain(path)
    return plain is not None and any(_is_device(plain, entry) for entry in entries if entry.startswith(f"{DEVICES}/"))


def vouches_for_image(entries: Iterable[str], protocol: str, servers: Sequence[str], name: str) -> bool:
    """Return whether a network disk is vouched for; where its name means nothing without one, at each of its ``servers``."""
    parts = [part for part in name.strip("/").split("/") if part]
    if protocol not in PROTOCOLS or ".." in parts:
        return False
    ends = servers if PROTOCOLS[protocol] else [""]
    names = ["/".join([*([server] if PROTOCOLS[protocol] else []), *parts]) for server in ends]
    prefixes = [entry.partition(":")[2] for entry in entries if entry.startswith(f"{protocol}:")]
    return bool(names) and all(any(one == prefix or _is_below(one, prefix) for prefix in prefixes) for one in names)


def takes_in(entry: str, other: str) -> bool:
    """Return whether an entry vouches for all that another one does; both as they are compared."""
    if entry.startswith("/") and _is_below(entry, DEVICES) != _is_below(other, DEVICES):
        return False
    return _is_device(other, entry)


def _plain(path: str) -> str | None:
    """Return an absolute path as entries are written, None where it is none or climbs out. Of two slashes at its beginning,
    which POSIX would keep, one is left: to Linux they mean the same."""
    if not path.startswith("/") or ".." in path.split("/"):
        return None
    return "/" + posixpath.normpath(path).strip("/")


def _is_below(name: str, top: str) -> bool:
    return name.startswith(f"{top.rstrip('/')}/")


def _is_device(path: str, entry: str) -> bool:
    if entry.endswith("*"):
        return path.startswith(entry[:-1]) and posixpath.dirname(path) == posixpath.dirname(entry)
    return path == entry or _is_below(path, entry)
