"""The keys of an example that stands in a policy: what is given, and what should come of it."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from ballastd.core.examples import MovePattern
from ballastd.core.inputs import Verb
from ballastd.core.plans import DeferralKind, RefusalKind
from ballastd.core.policies import Mode
from ballastd.core.telemetry import METRICS
from ballastd.documents.cluster_models import HostKeys, HostModel, VmModel
from ballastd.documents.metric_values import metric_value
from ballastd.documents.scalars import duration, shown, zone
from ballastd.documents.validation import Strict

EXAMPLES_MAX = 100
LASTS_MAX_SECONDS = 3 * 86400.0
HOSTS_MAX, VMS_MAX = 32, 32
BEGINS = "2026-01-07 12:00"
"""A Wednesday at noon, UTC."""
LOOKS_MAX = 20
VM = {"memory": "4GiB", "vcpus": 4}
"""What a VM is of which nothing else is said."""
VERBS = (Verb.ACKNOWLEDGE, Verb.CORDON, Verb.UNCORDON, Verb.DRAIN, Verb.UNDRAIN, Verb.PAUSE, Verb.RESUME, Verb.CONFIRM_DEAD,
         Verb.POWER_ON, Verb.POWER_OFF)
WITHOUT_HOST = (Verb.PAUSE, Verb.RESUME)
INTENTS = ("evacuate", "drain", "relieve", "even", "empty")
_MOVE = re.compile(r"(?P<what>\S+)(?: from (?P<source>\S+))?(?: to (?P<target>\S+))?")
_EITHER = {"speaks": 1.0, "silent": 0.0}


def moment(value: Any) -> float:
    """Return seconds after the beginning of an example."""
    found = duration(value)
    if found > LASTS_MAX_SECONDS:
        raise ValueError(f"{shown(value)} is more than 3 days after the beginning; an example is short, as in 10m")
    return found


def _begins(value: Any) -> float:
    text = value if isinstance(value, str) else ""
    day, _, rest = text.partition(" ")
    time, _, where = rest.partition(" ")
    try:
        naive = datetime.fromisoformat(f"{day} {time}")
    except ValueError:
        raise ValueError(f"{shown(value)} is no date and time; write for example \"{BEGINS} Europe/Berlin\"") from None
    if naive.tzinfo is not None or not 2000 <= naive.year < 2200:
        raise ValueError(f"{shown(value)}: write the local time and its zone, for example \"{BEGINS} Europe/Berlin\"")
    place: zoneinfo.ZoneInfo | Any = zone(where) if where else UTC
    return naive.replace(tzinfo=place).timestamp()


def _hosts(value: Any) -> Any:
    """A number of hosts, or hosts by name: the name is put where the model of a saved cluster has it."""
    if isinstance(value, dict):
        return {name: _named(name, keys) for name, keys in value.items()}
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HOSTS_MAX:
        raise ValueError(f"{shown(value)}: write how many hosts, 1 to {HOSTS_MAX} (they are h1, h2, ...), or each by its "
                         "name, for example {kvm-01: {labels: {rack: r1}}, kvm-02: {}}")
    return {f"h{number}": {"name": f"h{number}"} for number in range(1, value + 1)}


def _vms(value: Any) -> Any:
    if isinstance(value, dict):
        named = {name: _named(name, keys) for name, keys in value.items()}
        return {name: VM | keys if isinstance(keys, dict) else keys for name, keys in named.items()}
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= VMS_MAX:
        raise ValueError(f"{shown(value)}: write how many VMs are on each host, 0 to {VMS_MAX} (those of h1 are h1-vm1, "
                         "h1-vm2, ...), or each by its name, for example {web-1: {host: h1, demand: 2}}")
    return value


def _how_many(value: Any) -> str:
    return "named" if isinstance(value, dict) else "each"


def _named(name: str, keys: Any) -> Any:
    if keys is None:
        return {"name": name}
    if isinstance(keys, dict) and "name" in keys:
        raise ValueError(f"{shown(name)}: its name stands before the colon; take name out")
    return {**keys, "name": name} if isinstance(keys, dict) else keys


def _moments(value: Any) -> Any:
    """Refuse one moment written in two ways: one of the two would be lost."""
    if not isinstance(value, dict):
        return value
    seen: dict[float, str] = {}
    for key in value:
        try:
            at = moment(key)
        except ValueError:
            continue
        if at in seen:
            raise ValueError(f"{key} and {seen[at]} are the same moment; write both under one")
        seen[at] = key
    return value


def _over_time(value: Any) -> Any:
    """One value for all the time, or values by the moment from which they hold."""
    if isinstance(value, list) or value is None or value == {}:
        raise ValueError(f"{shown(value)}: write one value, or values by the time from which they hold, for example "
                         "{0s: 40C, 5m: 96C}")
    return _moments(value)


def _speaks(value: Any) -> Any:
    for word in (value.values() if isinstance(value, dict) else (value,)):
        if not isinstance(word, str) or word not in _EITHER:
            raise ValueError(f"{shown(word)}: write silent or speaks, for example {{5m: silent, 10m: speaks}}")
    return _moments(value)


def _wish(value: Any) -> tuple[Verb, str]:
    words = value.split() if isinstance(value, str) else []
    verb = next((verb for verb in VERBS if words and words[0] == verb.value), None)
    if verb is None or len(words) != (1 if verb in WITHOUT_HOST else 2):
        raise ValueError(f"{shown(value)}: write what an operator asks for, for example acknowledge h1, or pause; known: "
                         f"{', '.join(verb.value for verb in VERBS)}")
    return verb, "".join(words[1:])


def _none_or_list(value: Any) -> Any:
    return [] if value == "none" else value


def _pattern(value: Any) -> MovePattern:
    found = _MOVE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{shown(value)}: write which move, for example web-1, web-1 from h1 to h2, or 2 from h1")
    what = found["what"]
    if what.isdecimal():
        return MovePattern(int(what), "", found["source"] or "", found["target"] or "")
    return MovePattern(1, what, found["source"] or "", found["target"] or "")


def _moves(value: Any) -> tuple[MovePattern, ...]:
    if value == "none":
        return ()
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return (MovePattern(value),) if value else ()
    if not isinstance(value, list) or not value:
        raise ValueError(f"{shown(value)}: write none, how many, or a list, for example [web-1 from h1 to h2, 2 from h3]")
    return tuple(_pattern(item) for item in value)


def _intent(value: Any) -> str:
    words = value.split() if isinstance(value, str) else []
    if len(words) != 2 or words[0] not in INTENTS:
        raise ValueError(f"{shown(value)}: write what is wanted of which host, for example evacuate h1; known: "
                         f"{', '.join(INTENTS)}")
    return " ".join(words)


def _no(kinds: tuple[str, ...]) -> Any:
    def check(value: Any) -> str:
        words = value.split() if isinstance(value, str) else []
        if not 1 <= len(words) <= 2 or words[0] not in kinds:
            raise ValueError(f"{shown(value)}: write a kind, and a VM or host after it if you like; known: "
                             f"{', '.join(kinds)}")
        return " ".join(words)

    return AfterValidator(check)


def _looks(value: Any) -> Any:
    if not isinstance(value, dict) or not 1 <= len(value) <= LOOKS_MAX:
        raise ValueError(f"write when to look, up to {LOOKS_MAX} times, and what should be seen, for example "
                         "{2m: {health: {h1: failing}}}")
    return _moments(value)


def _nothing(value: Any) -> Any:
    if value == "nothing":
        return {"intents": "none", "moves": "none", "planned": "none"}
    if isinstance(value, str) or value == {}:
        raise ValueError(f"{shown(value)}: write nothing, or what should be seen, for example {{health: {{h1: failing}}, "
                         "moves: none}}")
    return value


def _example_name(value: str) -> str:
    if not value.strip() or len(value) > 120 or not value.isprintable():
        raise ValueError("a name is a short sentence that says what the example shows; write for example one error empties "
                         "the host")
    return value


Moment = Annotated[float, BeforeValidator(moment)]
OverTime = Annotated[Any, BeforeValidator(_over_time), WithJsonSchema(
    {"type": ["string", "number", "boolean", "object"], "examples": [{"0s": "40C", "5m": "96C"}]})]
Speaking = Annotated[Any, BeforeValidator(_speaks), WithJsonSchema(
    {"type": ["string", "object"], "examples": [{"5m": "silent", "10m": "speaks"}]})]
Begins = Annotated[float, BeforeValidator(_begins), WithJsonSchema(
    {"type": "string", "examples": ["2026-01-07 22:00 Europe/Berlin"]})]
Hosts = Annotated[dict[str, HostModel], BeforeValidator(_hosts), WithJsonSchema({"type": ["integer", "object"]})]
Vms = Annotated[
    Annotated[Annotated[dict[str, VmModel], Tag("named")] | Annotated[int, Tag("each")], Discriminator(_how_many)],
    BeforeValidator(_vms), WithJsonSchema({"type": ["integer", "object"]})]
Asked = Annotated[tuple[Verb, str], BeforeValidator(_wish), WithJsonSchema(
    {"type": "string", "examples": ["acknowledge h1"]})]
Moves = Annotated[tuple[MovePattern, ...], BeforeValidator(_moves), WithJsonSchema(
    {"type": ["string", "integer", "array"], "items": {"type": "string"}, "examples": ["none", 2, ["web-1 from h1 to h2"]]})]
_LIST = WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}})
Intents = Annotated[list[Annotated[str, AfterValidator(_intent)]], BeforeValidator(_none_or_list), _LIST]
_Refusal = Annotated[str, _no(tuple(kind.value for kind in RefusalKind))]
_Deferral = Annotated[str, _no(tuple(kind.value for kind in DeferralKind))]
Refusals = Annotated[list[_Refusal], BeforeValidator(_none_or_list), _LIST]
Deferrals = Annotated[list[_Deferral], BeforeValidator(_none_or_list), _LIST]
HostNames = Annotated[list[str], BeforeValidator(_none_or_list), _LIST]
Telemetry = Annotated[dict[str, OverTime], Field(min_length=1)]


def _file(value: str) -> str:
    if not value or "\x00" in value:
        raise ValueError(f"{shown(value)} is no file; write the path of a saved cluster, counted from here, as in "
                         "site.cluster")
    return value


def _celsius(value: Any) -> float | None:
    return None if value == "none" else metric_value(METRICS["temperature"], value, relative=False)


OwnLimit = Annotated[float | None, BeforeValidator(_celsius), WithJsonSchema(
    {"type": "string", "examples": ["95C", "none"]})]


class SensorLimits(Strict):
    """What every temperature sensor of the example declares as its own limits; ``none``: it has none."""

    high: OwnLimit = 85.0
    critical: OwnLimit = 95.0


class GivenModel(Strict):
    """The cluster and what is heard of it. It has been like this for five minutes when the example begins."""

    cluster: Annotated[str, AfterValidator(_file)] | None = None
    hosts: Hosts | None = None
    each: HostKeys = HostKeys()
    vms: Vms | None = None
    begins: Begins = _begins(BEGINS)
    telemetry: dict[str, Telemetry] = Field(default_factory=dict)
    limits: SensorLimits = SensorLimits()
    load: dict[str, OverTime] = Field(default_factory=dict)
    agents: dict[str, Speaking] = Field(default_factory=dict)
    hypervisors: dict[str, Speaking] = Field(default_factory=dict)
    operator: Annotated[dict[Moment, Asked], BeforeValidator(_moments)] = Field(default_factory=dict)
    mode: Mode | None = None

    @model_validator(mode="after")
    def _one_cluster(self) -> GivenModel:
        if self.cluster is not None and (self.hosts is not None or self.vms is not None):
            raise ValueError("a saved cluster has hosts and VMs of its own; write either cluster, or hosts and vms")
        return self


Phase = Literal["clear", "pending", "firing", "latched", "unknown"]
Power = Literal["unmanaged", "on", "emptying", "closing", "going-off", "off", "waking", "failed"]
Posture = Literal["acting", "paused", "frozen", "site-event", "starting-up", "self-suspect", "observing"]


class ExpectModel(Strict):
    """What should be seen at one moment. ``moves`` are all that began until then; what is not named is not looked at."""

    health: dict[str, Literal["healthy", "suspect", "degraded", "failing"]] = Field(default_factory=dict)
    conditions: dict[str, dict[str, Phase]] = Field(default_factory=dict)
    power: dict[str, Power] = Field(default_factory=dict)
    posture: Posture | None = None
    intents: Intents | None = None
    moves: Moves | None = None
    planned: Moves | None = None
    refusals: Refusals | None = None
    deferrals: Deferrals | None = None
    targets: HostNames | None = None
    cordons: HostNames | None = None


class ExampleModel(Strict):
    """One example: a name that says what it shows, what is given, and what should be seen when."""

    name: Annotated[str, AfterValidator(_example_name)]
    given: GivenModel = GivenModel()
    expect: Annotated[dict[Moment, Annotated[ExpectModel, BeforeValidator(_nothing)]],
                      BeforeValidator(_looks)]

