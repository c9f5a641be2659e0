"""A rehearsal as a JSON document, and back to an equal value.

``{"format": "ballastd-rehearsal", "version": 1, "summary": {...}, "rehearsed": {...}}``. Under ``rehearsed`` stand the
fields of ``Rehearsed`` by their names, seconds and joules as they are; ``summary`` holds what is asked most often and is
not read back. Keys stay within a version: new ones may come, none goes or changes its meaning.
"""

from __future__ import annotations

import json
from typing import Any

from ballastd.cli.rehearsal.account import COMPLETED, by_policy, energy, hosts_off, overload
from ballastd.core.plain import from_plain, to_plain
from ballastd.core.rehearsed import Rehearsed, Sampled
from ballastd.errors import ConfigurationError

FORMAT, VERSION = "ballastd-rehearsal", 1


def to_json(rehearsed: Rehearsed) -> str:
    """Return the document: one item of a list on a line, so that two can be compared line by line.

    Raises:
        ValueError: a number in it is not finite, which JSON cannot say.
    """
    fields = ",\n".join(f'    "{name}": {_value(value)}' for name, value in to_plain(rehearsed).items())
    head = ",\n".join(f'  "{name}": {_dumped(value)}' for name, value in (
        ("format", FORMAT), ("version", VERSION), ("summary", summary(rehearsed))))
    return f'{{\n{head},\n  "rehearsed": {{\n{fields}\n  }}\n}}\n'


def _value(value: Any) -> str:
    if not isinstance(value, list) or not value or not isinstance(value[0], list | dict | str):
        return _dumped(value)
    return "[\n" + ",\n".join(f"      {_dumped(one)}" for one in value) + "\n    ]"


def _dumped(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def summary(rehearsed: Rehearsed) -> dict[str, Any]:
    """Return what scripts ask most often. Energy in kWh and None where unknown, overload in host-minutes, time in
    seconds (``..._seconds``) or hours (``..._hours``)."""
    spent = energy(rehearsed)
    return {
        "violations": len(rehearsed.violations),
        "moves": len(rehearsed.moves),
        "moves_completed": sum(move.ending == COMPLETED for move in rehearsed.moves),
        "moves_by_policy": {of.policy: of.count for of in by_policy(rehearsed.moves)},
        "switched_off": sum(not switch.on for switch in rehearsed.switches),
        "switched_on": sum(switch.on for switch in rehearsed.switches),
        "off_host_hours": sum(one.hours or 0.0 for one in hosts_off(rehearsed)) if rehearsed.samples else None,
        "energy_kwh": None if spent is None else spent.used,
        "energy_unmanaged_kwh": None if spent is None else spent.unmanaged,
        "energy_saved_kwh": None if spent is None else spent.saved,
        "energy_saved_share": None if spent is None else spent.share,
        "overload_host_minutes": overload(rehearsed).host_minutes,
        "withheld": sum(count for _, count in rehearsed.withheld),
        "virtual_seconds": rehearsed.seconds,
        "wall_seconds": rehearsed.wall_seconds,
        "seed": rehearsed.seed,
    }


def from_json(text: str, name: str = "rehearsal") -> Rehearsed:
    """Return the value that ``to_json`` made ``text`` of. ``name``: what to call the document in errors.

    Raises:
        ConfigurationError: it is no such document, or one of another version.
    """
    try:
        return _checked(from_plain(Rehearsed, _fields(json.loads(text))))
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigurationError((f"{name}: not a rehearsal that this version can read: {error}; "
                                  "it should be what `--output json` wrote",)) from error


def _fields(document: Any) -> Any:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'it does not say "format": "{FORMAT}"')
    if document.get("version") != VERSION:
        raise ValueError(f"it is of version {document.get('version')!r}, not {VERSION}")
    return document.get("rehearsed")


def _checked(rehearsed: Rehearsed) -> Rehearsed:
    hosts = len(rehearsed.hosts)
    if len(rehearsed.overload_seconds) != hosts:
        raise ValueError(f"overload_seconds tells of {len(rehearsed.overload_seconds)} hosts, and there are {hosts}")
    for number, sample in enumerate(rehearsed.samples):
        if {len(column) for column in _columns(sample)} != {hosts}:
            raise ValueError(f"samples[{number}] does not tell of all {hosts} hosts")
    return rehearsed


def _columns(sample: Sampled) -> tuple[tuple[object, ...], ...]:
    return (sample.utilization, sample.demand, sample.memory, sample.on)
