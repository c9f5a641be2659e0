"""Words with units, as operators write them: ``5m``, ``80%``, ``4GiB``, ``10Gbit/s``. Each error shows a right one."""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from ballastd.core.vouching import entry_of

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_NUMBER_AND_UNIT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([A-Za-z%/]+)", re.ASCII)
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LINK = {"Mbit/s": 1e6 / 8 / (1 << 20), "Gbit/s": 1e9 / 8 / (1 << 20), "MiB/s": 1.0, "GiB/s": 1024.0}
_MOMENT = {"ms": 1.0, "s": 1000.0}
_NO_ZONE = re.compile(r"right/|posix/|localtime$|posixrules$|Factory$")
_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DURATION_MAX_SECONDS = 366 * 86400.0
AMOUNT_MAX = float(1 << 56)
PROCESSORS_MAX = 65536.0
WATTS_MAX = 100_000.0
SHOWN_MAX = 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, and as it was written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "keys and values"
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


def _word(value: Any, what: str, example: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is no {what.split(' ', 1)[1]}; write for example {example}")
    if not isinstance(value, str):
        raise ValueError(f"{value!r} has no unit; write {what}, for example {example}")
    return value.strip()


def duration(value: Any) -> float:
    """Return seconds."""
    if isinstance(value, float | int) and not isinstance(value, bool) and value == 0:
        return 0.0
    text = _word(value, "a duration", "5m, 90s or 1h30m")
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{shown(text)} is no duration; write for example 5m, 90s or 1h30m")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if total > DURATION_MAX_SECONDS:
        raise ValueError(f"{shown(text)} is longer than a year, 366d at most; is the unit right?")
    return total


def lasting(value: Any) -> float:
    """Return seconds, more than none."""
    found = duration(value)
    if found <= 0:
        raise ValueError("must be above zero; write for example 5m")
    return found


def percent(value: Any) -> float:
    """Return a ratio in [0, 1]."""
    text = _word(value, "a percentage", "80%")
    found = _NUMBER_AND_UNIT.fullmatch(text)
    if found is None or found[2] != "%":
        raise ValueError(f"{shown(text)} is no percentage; write for example 80%")
    if not 0 <= float(found[1]) <= 100:
        raise ValueError(f"{text[:SHOWN_MAX]} is not between 0% and 100%")
    return float(Decimal(found[1]).scaleb(-2))


def share(value: Any) -> float:
    """Return a ratio in (0, 1]."""
    found = percent(value)
    if found <= 0:
        raise ValueError("must be above zero; write for example 30%")
    return found


def as_percent(ratio: float) -> str:
    """Return a ratio as an operator writes it."""
    return f"{ratio * 100:g}%"


def as_duration(seconds: float) -> str:
    """Return a duration as an operator writes it: ``7h``, ``1h30m``, ``8d``."""
    rest, words = round(seconds), ""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def size(value: Any) -> int:
    """Return bytes."""
    return int(_unit(value, _BYTES, "a size", "4GiB"))


def link(value: Any) -> float:
    """Return MiB/s."""
    found = _unit(value, _LINK, "a link speed", "10Gbit/s")
    if found <= 0:
        raise ValueError("a link speed must be above zero; write for example 10Gbit/s")
    return found


def bandwidth(value: Any) -> float:
    """Return MiB/s."""
    return _unit(value, _LINK, "a bandwidth", "100MiB/s")


def milliseconds(value: Any) -> int:
    """Return whole milliseconds, at least one."""
    found = _unit(value, _MOMENT, "a moment", "500ms")
    if found < 1 or found != int(found):
        raise ValueError(f"{shown(value)}: at least one millisecond, and whole ones; write for example 500ms")
    return int(found)


def _unit(value: Any, units: dict[str, float] | dict[str, int], what: str, example: str) -> float:
    text = _word(value, what, example)
    found = _NUMBER_AND_UNIT.fullmatch(text)
    if found is None or found[2] not in units:
        raise ValueError(f"{shown(text)} is no {what.split(' ', 1)[1]}; write for example {example} "
                         f"(units: {', '.join(units)})")
    if float(found[1]) < 0:
        raise ValueError(f"{shown(text)} is below zero; write for example {example}")
    amount = float(found[1]) * units[found[2]]
    if amount > AMOUNT_MAX:
        raise ValueError(f"{shown(text)} is more than there is; is the unit right?")
    return amount


def processors(value: Any) -> float:
    """Return a number of processors, which need not be whole."""
    return _number(value, "a number of processors", "64, or 0.5", PROCESSORS_MAX)


def watts(value: Any) -> float:
    """Return watts."""
    return _number(value, "a number of watts", "120", WATTS_MAX)


def _number(value: Any, what: str, example: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        quotes = "; take the quotes off" if isinstance(value, str) and value.strip().isdecimal() else ""
        raise ValueError(f"{shown(value)} is not {what}; write for example {example}{quotes}")
    if not 0 < value <= most:
        raise ValueError(f"{shown(value)}: {what} is above 0, and at most {most:g}")
    return float(value)


def clock_time(value: Any) -> time:
    """Return a time of day."""
    text = value if isinstance(value, str) else str(value)
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"{shown(value)} is no time of day; write for example \"22:00\"")
    return time(int(found[1]), int(found[2]))


def daily(value: Any) -> time | None:
    """Return a time of day, or None for ``never``."""
    if value == "never":
        return None
    try:
        return clock_time(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is no time of day; write for example \"03:30\", or never") from None


def zone(value: Any) -> zoneinfo.ZoneInfo:
    """Return a time zone. One that counts leap seconds, or is whatever this machine's is, is none."""
    text = value if isinstance(value, str) else shown(value)
    try:
        return zoneinfo.ZoneInfo("" if _NO_ZONE.match(text) else text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # an abbreviation is shared by zones that have nothing else in common
        known = sorted(zoneinfo.available_timezones()) if "/" in text and not _NO_ZONE.match(text) else []
        near = difflib.get_close_matches(text[:SHOWN_MAX], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{shown(text)} is no IANA time zone; write for example Europe/Berlin{hint}") from None


def days(value: Any) -> tuple[int, ...]:
    """Return weekdays, 0 for Monday: from a list of names or of ranges (``mon-fri``)."""
    items = value if isinstance(value, list) else [value]
    found: set[int] = set()
    for item in items:
        first, _, last = str(item).partition("-")
        names = (first.strip(), last.strip() or first.strip())
        if not all(name in DAYS for name in names):
            raise ValueError(f"{shown(item)} is no weekday; write for example [mon, tue] or [mon-fri]")
        begin, end = DAYS.index(names[0]), DAYS.index(names[1])
        found.update((begin + i) % 7 for i in range((end - begin) % 7 + 1))
    if not found:
        raise ValueError("no weekday; write for example [mon-fri]")
    return tuple(sorted(found))


def listen_address(value: Any) -> tuple[str, int]:
    """Return a host and a port to listen on; the host of an IPv6 address without its brackets."""
    found = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise ValueError(f"{shown(value)} is no address to listen on; write for example 127.0.0.1:9464 or [::1]:9464")
    try:
        host = str(ipaddress.IPv6Address(found["v6"]) if found["v6"] else ipaddress.IPv4Address(found["v4"]))
    except ValueError as error:
        raise ValueError(f"{shown(value)} is no address to listen on: {error}") from None
    return host, int(found["port"])


def ip_network(value: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return a network of addresses; one address is a network, too."""
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{shown(value)} is no network; write for example 10.0.0.0/8, with no bit set beyond its length, "
                         "or one address") from None


def absolute_path(value: Any) -> Path:
    """Return an absolute path."""
    if not isinstance(value, str) or not value.startswith("/") or "\x00" in value:
        raise ValueError(f"{shown(value)} is no absolute path; write for example /var/lib/ballastd/journal.db")
    return Path(value)


def vouched(value: Any) -> str:
    """Return storage that somebody vouches for."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no storage; write for example /srv/vms, /dev/vg_san or rbd:pool")
    try:
        return entry_of(value)
    except ValueError as error:
        raise ValueError(f"{shown(value)} {error}") from error


def _annotated(parse: Callable[[Any], Any], example: str, show: Callable[[Any], Any] = str) -> Any:
    return (BeforeValidator(parse), PlainSerializer(show), WithJsonSchema({"type": "string", "examples": [example]}))


YesNo = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Duration = Annotated[float, *_annotated(duration, "5m")]
Lasting = Annotated[float, *_annotated(lasting, "5m")]
Percent = Annotated[float, *_annotated(percent, "80%")]
Share = Annotated[float, *_annotated(share, "80%")]
Processors = Annotated[float, BeforeValidator(processors)]
Watts = Annotated[float, BeforeValidator(watts)]
Size = Annotated[int, *_annotated(size, "4GiB")]
LinkSpeed = Annotated[float, *_annotated(link, "10Gbit/s")]
Bandwidth = Annotated[float, *_annotated(bandwidth, "100MiB/s")]
Moment = Annotated[int, *_annotated(milliseconds, "500ms")]
ClockTime = Annotated[time, *_annotated(clock_time, "22:00")]
Daily = Annotated[time | None, *_annotated(daily, "03:30")]
Days = Annotated[tuple[int, ...], BeforeValidator(days),
                 WithJsonSchema({"type": "array", "items": {"type": "string"}, "examples": [["mon-fri"]]})]
Zone = Annotated[zoneinfo.ZoneInfo, *_annotated(zone, "Europe/Berlin")]
IpNetwork = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, *_annotated(ip_network, "10.0.0.0/8")]
AbsolutePath = Annotated[Path, *_annotated(absolute_path, "/var/lib/ballastd/journal.db")]
Vouched = Annotated[str, *_annotated(vouched, "/srv/vms")]
