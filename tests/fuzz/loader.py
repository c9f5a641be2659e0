"""Fuzzing of the policy loader: whatever stands in a directory, the answer is a sound set or a clean list of problems.

Texts come from a grammar (the JSON Schema of policies, followed loosely) and from mutations of the shipped files, the
documents' examples, the known mistakes and of what was interesting so far: a text is kept when what is said of it has not
been said before, or when it is taken. A crash is every exception but ``ConfigurationError``, a problem without a place, one
over several lines or too long, a set above a ceiling, windows out of order, and whatever takes longer than ``SLOW_SECONDS``
of processor time.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ballastd.core.policies import PolicySet
from ballastd.documents import load_policies, policy_schema
from ballastd.errors import ConfigurationError
from tests.caps import above_the_caps
from tests.mistakes import FOLDER, NOW, cluster

ROOT = Path(__file__).parents[2]
SLOW_SECONDS = 4.0
"""Processor time for one file of at most ``TEXT_MAX`` bytes."""
TEXT_MAX = 6000
KEPT_MAX = 3000
LINE_MAX = 1000
PLACE = re.compile(r"\S[^\n]*?:\d+:\d+: |\S+: ")
TOKENS = (
    "", " ", "\n", "\t", ":", "- ", "{", "}", "[", "]", ",", "'", '"', "#", "---\n", "&a", "*a", "!!str ", "|\n", ">\n", "%",
    "null", "~", "true", "no", "on", "off", "0", "-1", "1e9", ".inf", "9" * 30, "0x10", "1_000", "22:30", "0s", "5m",
    "99999d", "80%", "101%", "-5C", "4GiB", "100Mb/s", "3 in 5m", "mon-fri", "sun-sat", "Europe/Berlin", "UTC",
    "Pacific/Apia", "all", "2026-02-30", "2026-12-24 18:00", "9999-12-31 23:59", "2000-01-01 00:00", "* * * * *",
    "0 22 * * 1#5", "0 0 29 2 *", "0 0 L * *", "FREQ=DAILY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=MONTHLY;BYDAY=-5SU", "FREQ=WEEKLY;COUNT=9999;BYMONTH=1", "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=MO",
    "UNTIL=20991231T000000Z", "INTERVAL=1000", "change.ics", "freeze.ics", "should(5)", "apart", "never-on", "kvm-0*",
    "\u2028", "\u0000", "\ufeff", "\u00e9")


@dataclass
class Report:
    """What has been tried, and what broke."""

    tried: int = 0
    taken: int = 0
    slowest: float = 0.0
    said: set[str] = field(default_factory=set)
    broken: list[tuple[str, bytes]] = field(default_factory=list)


def run(seconds: float, seed: int) -> bool:
    """Fuzz for some time, and return whether nothing broke; what did is left in files that are named."""
    luck, report = Random(seed), Report()
    good, kept = seeds()
    schema, calendar = policy_schema(), (FOLDER / "window" / "freeze.ics").read_bytes()
    until, told = time.monotonic() + seconds, time.monotonic() + 30.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "freeze.ics").write_bytes(calendar)
        while time.monotonic() < until and len(report.broken) < 10:
            taken = report.taken
            data, other = _next(luck, good if luck.random() < 0.5 else kept, schema, calendar)
            if _try(folder, data, other, report) and other is None:
                (good if report.taken > taken else kept)[KEPT_MAX:] = ()
                (good if report.taken > taken else kept).append(data)
            if time.monotonic() > told:
                told += 30.0
                print(_line(report), flush=True)
    print(_line(report))
    for what, data in report.broken:
        with tempfile.NamedTemporaryFile(prefix="ballastd-fuzz-", suffix=".yaml", delete=False) as file:
            file.write(data)
        print(f"BROKEN {file.name}\n{what}")
    return not report.broken


def _line(report: Report) -> str:
    return (f"{report.tried} texts, {report.taken} taken, {len(report.said)} different things said, slowest "
            f"{report.slowest:.2f} s, {len(report.broken)} broken")


def seeds() -> tuple[list[bytes], list[bytes]]:
    """Return what mutations begin with: shipped policies and examples of the documents; known mistakes."""
    found = [path.read_bytes() for path in sorted((ROOT / "policies").rglob("*.yaml"))]
    for page in sorted((ROOT / "docs").glob("*.md")):
        found.extend(text.encode() for text in re.findall(r"```yaml policy\n(.*?)```", page.read_text(), re.DOTALL))
    return ([data[:TEXT_MAX] for data in found], [path.read_bytes()[:TEXT_MAX] for path in sorted(FOLDER.rglob("*.yaml"))])


def _next(luck: Random, kept: Sequence[bytes], schema: dict[str, Any], calendar: bytes) -> tuple[bytes, bytes | None]:
    """Return a policy file, and a calendar beside it where that is what is tried."""
    which = luck.random()
    if which < 0.35:
        documents = [json.dumps(_value(luck, schema, schema, 0)) for _ in range(luck.choice((1, 1, 2, 4)))]
        return "\n---\n".join(documents).encode("utf-8", "surrogatepass"), None
    if which < 0.40:
        text = b"kind: Window\nname: w\ndeny: {ics: change.ics, events: all, timezone: Europe/Berlin}\n"
        return text, _mutated(luck, calendar, kept)
    return _mutated(luck, luck.choice(kept), kept)[:TEXT_MAX], None


def _mutated(luck: Random, data: bytes, kept: Sequence[bytes]) -> bytes:
    for _ in range(luck.choice((1, 1, 2, 3, 8))):
        data = luck.choice((_flip, _cut, _double, _insert, _number, _scalar, _splice, _lines))(luck, data, kept)
    return data


def _span(luck: Random, data: bytes, most: int = 30) -> tuple[int, int]:
    begin = luck.randint(0, len(data))
    return begin, min(len(data), begin + luck.randint(0, most))


def _flip(luck: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = luck.randrange(len(data) + 1)
    return data[:at] + bytes([luck.randrange(256)]) + data[at + 1:]


def _cut(luck: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(luck, data)
    return data[:begin] + data[end:]


def _double(luck: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(luck, data, 200)
    return data[:end] + data[begin:end] * luck.choice((1, 1, 5)) + data[end:]


def _insert(luck: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(luck, data, 6)
    return data[:begin] + luck.choice(TOKENS).encode() + data[luck.choice((begin, end)):]


def _number(luck: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    if not found:
        return data
    one = luck.choice(found)
    value = int(one[0][:18])
    other = luck.choice((value + 1, value - 1, value * 10, value * 1000, -value, 0, luck.randint(0, 100)))
    return data[:one.start()] + str(other).encode() + data[one.end():]


def _scalar(luck: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = list(re.finditer(rb"(?<=: )[^,{}\[\]\n#]+", data))
    if not found:
        return data
    one = luck.choice(found)
    return data[:one.start()] + luck.choice(TOKENS).encode() + data[one.end():]


def _splice(luck: Random, data: bytes, kept: Sequence[bytes]) -> bytes:
    other = luck.choice(kept)
    begin, _ = _span(luck, data)
    return data[:begin] + other[luck.randint(0, len(other)):]


def _lines(luck: Random, data: bytes, kept: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n") + luck.choice(kept).split(b"\n")[:luck.choice((0, 3))]
    a, b = luck.randrange(len(lines)), luck.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _value(luck: Random, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    """Return a value that mostly follows ``schema``; now and then another, a key too many, or one too few."""
    if depth > 8 or luck.random() < 0.03:
        return luck.choice(TOKENS)
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _value(luck, found, root, depth)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return _value(luck, luck.choice(schema[choice]), root, depth + 1)
    if "const" in schema or "enum" in schema:
        return luck.choice(schema.get("enum") or [schema["const"]])
    if schema.get("examples") and luck.random() < 0.7:
        return luck.choice(schema["examples"])
    return _of_a_kind(luck, schema, root, depth)


def _of_a_kind(luck: Random, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = luck.choice(kind)
    if kind == "object":
        return _object(luck, schema, root, depth)
    if kind == "array":
        return [_value(luck, schema.get("items", {}), root, depth + 1) for _ in range(luck.choice((0, 1, 1, 2, 3)))]
    if kind == "boolean":
        return luck.random() < 0.5
    if kind in ("integer", "number"):
        return luck.choice((0, 1, 2, 3, 8, 60, 400, 10**9, -1, 0.5))
    if "pattern" in schema and luck.random() < 0.8:
        return luck.choice(("a", "nights", "even", "freeze.ics", f"n{luck.randint(0, 5)}"))
    return luck.choice(TOKENS)


def _object(luck: Random, schema: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    needed = set(schema.get("required", ()))
    keys = [key for key in schema.get("properties", {}) if luck.random() < (0.97 if key in needed else 0.4)]
    found = {key: _value(luck, schema["properties"][key], root, depth + 1) for key in keys}
    if isinstance(schema.get("additionalProperties"), dict) or luck.random() < 0.03:
        found[luck.choice(("rack", "kind", "name", "x"))] = luck.choice(TOKENS)
    return found


def _try(folder: Path, data: bytes, calendar: bytes | None, report: Report) -> bool:
    """Load a text, book what came of it, and return whether something was said that never was before."""
    (folder / "p.yaml").write_bytes(data)
    if calendar is not None:
        (folder / "change.ics").write_bytes(calendar)
    begin, said = time.process_time(), []
    try:
        loaded = load_policies(folder, cluster(), NOW)
    except ConfigurationError as error:
        said = list(error.problems)
        wrong = _unclean(said)
    except Exception:  # noqa: BLE001  that is what is looked for
        wrong = traceback.format_exc()
    else:
        report.taken += 1
        said = list(loaded.warnings)
        wrong = _unsound(loaded.policies)
    spent = time.process_time() - begin
    report.tried += 1
    report.slowest = max(report.slowest, spent)
    if spent > SLOW_SECONDS:
        wrong = wrong or f"took {spent:.1f} s of processor time"
    if wrong:
        report.broken.append((wrong, data if calendar is None else calendar))
    shapes = {_shape(text, folder) for text in said}
    new = not shapes <= report.said
    report.said |= shapes
    return new


def _unclean(problems: Sequence[str]) -> str:
    for problem in problems:
        if "\n" in problem or len(problem) > LINE_MAX or not PLACE.match(problem):
            return f"an unclean problem: {problem[:300]!r}"
        try:
            problem.encode()
        except UnicodeEncodeError:
            return f"a problem that cannot be shown: {problem[:300]!r}"
    return "" if problems else "refused without a word"


def _unsound(policies: PolicySet) -> str:
    found = above_the_caps(policies)
    for window in policies.windows.values():
        edges = [edge for interval in window.intervals for edge in interval]
        if edges != sorted(set(edges)) or any(end <= NOW or begin >= window.horizon for begin, end in window.intervals):
            found.append(f"window {window.name}: {window.intervals[:5]}")
    return "; ".join(found)


def _shape(text: str, folder: Path) -> str:
    return re.sub(r"'[^']*'|\d+|\[[^]]*\]", "_", text.replace(str(folder), ""))[:120]
