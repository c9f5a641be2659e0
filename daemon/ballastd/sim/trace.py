"""What happened, a line each, in virtual seconds: the same seed and commit give the same lines, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import Check
from ballastd.core.plain import from_plain

HIDDEN = frozenset({"CountersNoted", "MigrationCalled", "CheckpointTaken", "PoliciesLoaded"})
"""Records that are bookkeeping: a trace is read by people."""
NUMBERED = {"MigrationOrdered": "m", "PowerOffOrdered": "p", "WakeOrdered": "p", "ShutdownOrdered": "s"}


class Trace:
    """Collects lines. Orders are numbered in their own order, so that one step more or less changes no line."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.lines: list[str] = []
        self._now = now
        self._numbers: dict[str, str] = {}

    def say(self, words: str) -> None:
        """Add a line."""
        self.lines.append(f"{self._now():10.1f}  {words}")

    def act(self, act: Act) -> None:
        """Something happened to the cluster."""
        self.say(f"> {act.words()}")

    def notice(self, level: str, text: str) -> None:
        """The daemon told somebody something."""
        self.say(f"! {level}: {text}")

    def record(self, content: dict[str, Any]) -> None:
        """The daemon made something durable."""
        kind = str(content["kind"])
        if kind in HIDDEN or (kind in {"WayGiven", "BandwidthOrdered"} and not content.get("because")):
            return
        if kind in NUMBERED:
            self._numbers[str(content["id"])] = f"{NUMBERED[kind]}{len(self._numbers) + 1}"
        self.say(f"{_WORDS.get(kind, _plainly)(content, self._name(content))}")

    def _name(self, content: dict[str, Any]) -> str:
        identity = str(content.get("id", ""))
        return self._numbers.get(identity, identity)


def _plainly(content: dict[str, Any], name: str) -> str:
    hidden = ("v", "kind", "wall", "id", "machine", "boot_id", "version", "vm")
    rest = " ".join(f"{key}={value}" for key, value in content.items()
                    if key not in hidden and value not in (None, "", [], False) and not key.endswith("_wall"))
    return " ".join(part for part in (str(content["kind"]), name, rest) if part)


def _ordered(content: dict[str, Any], name: str) -> str:
    retry = f" retry {content['retry']}" if content.get("retry") else ""
    adopted = " adopted" if content.get("adopted") else ""
    return (f"{name} ordered: {content['vm_name']} {content['source']} -> {content['target']}{retry}{adopted}"
            f"  [{content['policy']}: {content['because']}]")


def _moved(content: dict[str, Any], name: str) -> str:
    detail = f": {content['detail']}" if content.get("detail") else ""
    return f"{name} {content['phase']}{detail}"


def _settled(content: dict[str, Any], name: str) -> str:
    detail = f": {content['detail']}" if content.get("detail") else ""
    return f"{name} settled {content['ending']}{detail}"


def _way_given(content: dict[str, Any], name: str) -> str:
    less = f"gives way by {content['less_mib_s']} MiB/s" if content["less_mib_s"] else "does not give way"
    return f"{name} {less}: {content['because']}"


def _bandwidth(content: dict[str, Any], name: str) -> str:
    return f"{name} is given {content['bandwidth_mib_s']} MiB/s: {content['because']}"


def _to_ask(content: dict[str, Any], name: str) -> str:
    return f"{name} is to be asked: {from_plain(Check, content['check']).words()}"


def _asked_before(content: dict[str, Any], name: str) -> str:
    return f"{name} {'answers' if content['answered'] else 'does not answer'} before it leaves: {content.get('detail', '')}"


def _arrived(content: dict[str, Any], name: str) -> str:
    return f"{name} asked: {content['arrival']}: {content.get('detail', '')}"


def _power(content: dict[str, Any], name: str) -> str:
    what = "on" if content["kind"] == "WakeOrdered" else "off"
    return f"{name} power {what}: {content['host']}  [{content['policy']}: {content['because']}]"


def _shut_down(content: dict[str, Any], name: str) -> str:
    return f"{name} shut down: {content['vm_name']} on {content['host']}  [{content['policy']}: {content['because']}]"


def _recommended(content: dict[str, Any], name: str) -> str:
    what = f"{content['vm_name']} {content['source']} -> {content['target']}" if content.get("vm") else (
        f"{content['source']} emptied and switched off")
    return f"recommended {name}: {what}  [{content['policy']}: {content['because']}]"


_WORDS: dict[str, Callable[[dict[str, Any], str], str]] = {
    "MigrationOrdered": _ordered, "MigrationMoved": _moved, "MigrationSettled": _settled,
    "CheckOrdered": _to_ask, "AskedBefore": _asked_before, "ArrivalChecked": _arrived,
    "PowerOffOrdered": _power, "WakeOrdered": _power, "Recommended": _recommended,
    "ShutdownOrdered": _shut_down, "WayGiven": _way_given, "BandwidthOrdered": _bandwidth,
}
