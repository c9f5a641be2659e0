"""What the daemon kept of guests that were moved, should a host die with one, held against what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.lab.guest import LabGuest

DIRECTORY, SUFFIX, PART = "definitions", ".xml", ".part"
MODE = 0o600
KIB = {"KiB": 1, "MiB": 1024}


def wrong_of_kept(home: Path, moved: list[tuple[LabGuest, str]]) -> Iterator[str]:
    """Yield what is wrong of the definitions beside the journal in ``home``, in words: each of those that were ``moved`` has
    a whole one that says what it is, which its owner alone may read, and none is half written any more. ``moved``: each with
    its definition as the host shows it where it runs now."""
    for guest, shown in moved:
        path = home / DIRECTORY / f"{guest.uuid}{SUFFIX}"
        if not path.exists():
            yield f"{guest.name} was moved, and nothing was kept of what it is"
            continue
        try:
            said = essence(path.read_text(encoding="utf-8"))
        except (ElementTree.ParseError, UnicodeDecodeError) as error:
            yield f"what was kept of {guest.name} is no whole definition: {error}"
            continue
        if said != (is_now := essence(shown)):
            yield f"{guest.name} is {is_now}, and was kept as {said}"
        if path.stat().st_mode & 0o777 != MODE:
            yield f"what was kept of {guest.name} may be read by others"
    yield from (f"{half.name} was half written, and is there still" for half in (home / DIRECTORY).glob(f"*{PART}"))


def essence(definition: str) -> dict[str, object]:
    """Return of a definition what libvirt does not fill in by itself: who it is, how big, what it uses, its owner's word.

    Raises:
        ParseError: it is no XML.
    """
    root = ElementTree.fromstring(definition)
    memory = root.find("memory")
    unit, amount = ("", "0") if memory is None else (memory.get("unit", "KiB"), memory.text or "0")
    return {"name": root.findtext("name"), "uuid": root.findtext("uuid"), "vcpus": root.findtext("vcpu"),
            "memory_kib": KIB.get(unit, 0) * int(amount),
            "disks": sorted(source.get("file", "") for source in root.iterfind("devices/disk/source")),
            "serial": [source.get("path") for source in root.iterfind("devices/serial/source")],
            "owner": [sorted(element.attrib.items()) for element in root.iterfind("metadata/*")]}
