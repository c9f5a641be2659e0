"""Numbers with units, as ``scalars`` reads them: the shortest text that is read back as the very same number."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ballastd.documents.scalars import bandwidth

_SIZES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_IN_MIB_S = {"Gbit/s": 1e9 / 8 / (1 << 20), "Mbit/s": 1e6 / 8 / (1 << 20)}
WHOLE_MAX = 1e15


def number(value: float) -> float | int:
    """Return a number that is written without a trailing ``.0`` where it is whole."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < WHOLE_MAX else value


def size(value: int) -> str:
    """Return bytes in the largest unit that holds them exactly: ``4GiB``, ``1536MiB``."""
    for unit, one in _SIZES:
        if value and value % one == 0:
            return f"{value // one}{unit}"
    return f"{value}B"


def duration(seconds: float) -> str:
    """Return a duration: ``3m``, ``1h30m``, ``0.25s``."""
    if not float(seconds).is_integer():
        return f"{_plain(seconds)}s"
    left, parts = int(seconds), []
    for unit, one in _SPANS:
        count, left = divmod(left, one)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def share(ratio: float) -> str:
    """Return a ratio in percent: ``12.5%``."""
    return f"{format((Decimal(repr(float(ratio))) * 100).normalize(), 'f')}%"


def link(mib_s: float) -> str:
    """Return the speed of a link: ``10Gbit/s`` where that is exact."""
    return _bandwidth(mib_s, ("Gbit/s", "Mbit/s"))


def traffic(mib_s: float) -> str:
    """Return a bandwidth: ``5MiB/s``."""
    return _bandwidth(mib_s, ())


def _bandwidth(mib_s: float, units: Iterable[str]) -> str:
    for unit in units:
        text = f"{mib_s / _IN_MIB_S[unit]:.6g}{unit}"
        if "e" not in text and bandwidth(text) == mib_s:
            return text
    return f"{_plain(mib_s)}MiB/s"


def _plain(value: float) -> str:
    """Return a number without an exponent, which no unit follows."""
    return format(Decimal(repr(number(value))), "f")
