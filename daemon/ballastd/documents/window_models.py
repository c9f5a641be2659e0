"""The Window document: when something may start, or may not."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from ballastd.documents.policy_models import PolicyModel
from ballastd.documents.recurrence import CRON_EXAMPLE, RULE_EXAMPLE, Cron, checked_parts, cron, recurrence
from ballastd.documents.scalars import ClockTime, Days, Lasting, Zone, shown
from ballastd.documents.validation import Clash, Strict
from ballastd.documents.windows import Once, Rule, Weekly

SCHEDULES_MAX = 50
FILE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.ics"
FORMS = {"days": "days", "at": "days", "begin": "from", "cron": "cron", "rrule": "rrule", "start": "rrule", "ics": "ics",
         "events": "ics"}
"""Which key belongs to which way of writing times."""
NEEDS = {"days": ("days", "at"), "from": ("from",), "cron": ("cron",), "rrule": ("rrule", "start"), "ics": ("ics", "events")}
EXAMPLES = {"days": "[mon-fri]", "at": '"22:00"', "rrule": RULE_EXAMPLE, "start": "2026-01-10 02:00", "ics": "freeze.ics",
            "events": "all", "for": "7h"}
EXAMPLE = '{days: [mon-fri], at: "08:00", for: 10h, timezone: Europe/Berlin}'
OWN_FIELDS = {"from": "begin", "for": "length"}


def _local(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{shown(value)} is no date and time; write for example 2026-12-24 18:00") from None
    if found.tzinfo is not None:
        raise ValueError("write the local time here, and its zone as timezone; for example 2026-12-24 18:00")
    if not 2000 <= found.year < 2200:
        raise ValueError(f"{shown(value)}: the year {found.year} is not ours; from 2000 to 2199")
    return found


def _cron(value: Any) -> str:
    try:
        return cron(value)
    except ValueError as error:
        raise ValueError(f"{shown(value)}: {error}") from None


def _rrule(value: Any) -> str:
    checked_parts(value)
    return str(value)


def _calendar(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(FILE, value):
        raise ValueError(f"{shown(value)}: write the name of an .ics file that lies beside this one, for example freeze.ics")
    return value


def _titles(value: Any) -> tuple[str, ...]:
    if value == "all":
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f'{shown(value)}: write all, or a list of summaries and patterns, for example ["Change freeze*"]')
    return tuple(value)


LocalTime = Annotated[datetime, BeforeValidator(_local), WithJsonSchema(
    {"type": "string", "examples": ["2026-12-24 18:00"]})]
CronText = Annotated[str, BeforeValidator(_cron), WithJsonSchema({"type": "string", "examples": [CRON_EXAMPLE.strip('"')]})]
RuleText = Annotated[str, BeforeValidator(_rrule), WithJsonSchema({"type": "string", "examples": [RULE_EXAMPLE]})]
CalendarName = Annotated[str, BeforeValidator(_calendar), WithJsonSchema({"type": "string", "pattern": f"^{FILE}$"})]
Titles = Annotated[tuple[str, ...], BeforeValidator(_titles), WithJsonSchema(
    {"oneOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})]


class Schedule(Strict):
    """Times in an IANA zone: weekly (days, at), by cron, by rrule from a start, once (from), or an .ics file's events."""

    days: Days | None = None
    at: ClockTime | None = None
    begin: Annotated[LocalTime | None, Field(alias="from")] = None
    cron: CronText | None = None
    rrule: RuleText | None = None
    start: LocalTime | None = None
    ics: CalendarName | None = None
    events: Titles | None = None
    length: Annotated[Lasting | None, Field(alias="for")] = None
    timezone: Zone

    @model_validator(mode="after")
    def _sound(self) -> Schedule:
        given = [name for name in FORMS if getattr(self, name) is not None]
        forms = list(dict.fromkeys(FORMS[name] for name in given))
        if not forms:
            raise ValueError(f"says no times; write days, at and for, or from and for, cron and for, rrule, start and for, "
                             f"or ics and events; for example deny: {EXAMPLE}")
        if len(forms) > 1:
            second = next(name for name in given if FORMS[name] == forms[1])
            raise Clash(({"begin": "from"}.get(second, second),), f"stands beside {forms[0]}: times are written in one way; "
                        "for more than one write a list")
        self._complete(forms[0], {"begin": "from"}.get(given[0], given[0]))
        if self.rrule is not None and self.start is not None and self.length is not None:
            try:
                recurrence(self.rrule, self.start, self.length, self.timezone)
            except ValueError as error:
                raise Clash(("rrule",), str(error)) from None
        return self

    def _complete(self, form: str, beside: str) -> None:
        needed = NEEDS[form] if form == "ics" else (*NEEDS[form], "for")
        for key in needed:
            if getattr(self, OWN_FIELDS.get(key, key)) is None:
                raise Clash((key,), f"is missing beside {beside}; write for example {key}: {EXAMPLES[key]}")
        if form == "ics" and self.length is not None:
            raise Clash(("for",), "events say themselves how long they last; take it out")

    def rule(self) -> Rule:
        """Return the rule to compile, of times that stand here."""
        assert self.length is not None
        if self.begin is not None:
            return Once(self.begin, self.length, self.timezone)
        if self.cron is not None:
            return Cron(self.cron, self.length, self.timezone)
        if self.rrule is not None:
            assert self.start is not None
            return recurrence(self.rrule, self.start, self.length, self.timezone)
        assert self.days is not None
        assert self.at is not None
        return Weekly(self.days, self.at, self.length, self.timezone)


def _some(value: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    if not 1 <= len(value) <= SCHEDULES_MAX:
        raise ValueError(f"{len(value)} times; from 1 to {SCHEDULES_MAX}; write for example [{EXAMPLE}]")
    return value


def _times(value: Any) -> Any:
    if not isinstance(value, dict | Schedule | list | tuple):
        raise ValueError(f"{shown(value)}: write times, for example {EXAMPLE}")
    return value


def _how_many(value: Any) -> str:
    return "many" if isinstance(value, list | tuple) else "one"


Several = Annotated[tuple[Schedule, ...], AfterValidator(_some)]
Times = Annotated[Annotated[Schedule, Tag("one")] | Annotated[Several, Tag("many")], Discriminator(_how_many),
                  BeforeValidator(_times)]


def as_schedules(times: Schedule | tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    """Return one schedule, or several, as several."""
    return (times,) if isinstance(times, Schedule) else times


class WindowModel(PolicyModel):
    """A time window; a denial wins over every permission."""

    kind: Literal["Window"]
    allow: Times | None = None
    deny: Times | None = None
    closing: Literal["finish", "cancel"] = "finish"

    @model_validator(mode="after")
    def _one(self) -> WindowModel:
        if (self.allow is None) == (self.deny is None):
            raise ValueError(f"write either allow or deny; for example deny: {EXAMPLE}")
        return self

    @property
    def times(self) -> tuple[Schedule, ...]:
        """What it allows or denies."""
        return as_schedules(self.allow or self.deny or ())

    @property
    def key(self) -> str:
        """The key under which its times stand."""
        return "deny" if self.allow is None else "allow"
