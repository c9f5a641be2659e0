"""Small files of /proc and /sys: read once, bounded, and every failure named.

There an error is part of everyday life: a sensor that is not connected answers EIO, one that is asleep
ENODATA, a busy bus EAGAIN. It costs one reading, never the rest.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from pathlib import Path

from ballastd.core.telemetry import Sample

SIZE_MAX_BYTES = 256 * 1024
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")


class Unreadable(Exception):
    """One reading that could not be had; the text says why. Never leaves the agent's readers."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A reading that is there and is not used: where (a path below the root) and why."""

    where: str
    reason: str


@dataclass(slots=True)
class Findings:
    """What one look at one source found. Absent sources leave no trace: absence is not an error."""

    samples: list[Sample] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, where: Path, reason: str) -> None:
        """Note a reading that is not used, by as much of its path as tells it apart."""
        parts = 3 if where.parent.name.startswith(("dimm", "rank")) else 2
        self.refused.append(Refused("/".join(where.parts[-parts:]), reason))

    def extend(self, other: Findings) -> None:
        """Add what another look found."""
        self.samples += other.samples
        self.refused += other.refused


def read_text(path: Path) -> str | None:
    """Return the content without white space at its ends, or None when there is no such file.

    Bytes that are no text become ``?``.

    Raises:
        Unreadable: it is there and cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # built into the kernel, switched off at boot: as good as absent
            return None
        raise Unreadable(errno.errorcode.get(error.errno or 0, "unreadable")) from error
    return content.decode("utf-8", "replace").replace("\ufffd", "?").strip(" \t\r\n\0")


def read_integer(path: Path) -> int | None:
    """Return the whole number in the file, or None when there is no such file.

    Raises:
        Unreadable: there is something else in it, or nothing.
    """
    text = read_text(path)
    if text is None:
        return None
    if not text:
        raise Unreadable("empty")
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Unreadable(f"not a whole number: {printable(text)[:40]}")
    return int(text)


def read_flag(path: Path) -> bool | None:
    """Return the flag in the file, or None when there is no such file.

    Raises:
        Unreadable: there is something else than 0 or 1 in it.
    """
    number = read_integer(path)
    if number is None:
        return None
    if number not in (0, 1):
        raise Unreadable(f"{number} is neither 0 nor 1")
    return number == 1


def children(directory: Path, pattern: str) -> list[Path]:
    """Return what matches ``pattern`` (a regular expression for the whole name) in number order; nothing when
    there is no such directory."""
    try:
        found = [path for path in directory.iterdir() if re.fullmatch(pattern, path.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (int(re.sub(r"[^0-9]", "", path.name) or 0), path.name))


def printable(text: str) -> str:
    """Return ``text`` with every control sign as ``?``."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
