"""The schema and the reference are what the models say, every key has a meaning, and what is committed is not stale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ballastd.core.ceilings import CEILINGS
from ballastd.documents import policy_schema
from ballastd.documents.example_models import ExampleModel
from ballastd.documents.meanings import CEILING_OF, MEANINGS
from ballastd.documents.positions import parse
from ballastd.documents.reference import ALL_KINDS, Key, as_page, keys_of

ROOT = Path(__file__).parents[3]
KEYS = [key for model in (*ALL_KINDS.values(), ExampleModel) for key in keys_of(model)]
POLICIES = sorted((ROOT / "policies").glob("**/*.yaml"))


def test_every_key_has_a_meaning() -> None:
    without = sorted({f"{key.model.__name__}.{key.name}" for key in KEYS if not key.meaning and key.name != "kind"})
    assert without == [], "say what they mean in documents/meanings.py, then: make pages"


def test_no_meaning_is_left_of_a_key_that_is_gone() -> None:
    known = {f"{one.__name__}.{key.name}" for key in KEYS for one in key.model.__mro__}
    assert sorted(set(MEANINGS) - known) == []
    assert sorted(set(CEILING_OF) - known) == []


def test_every_ceiling_is_told() -> None:
    told = 3  # keys that at_least_hosts is the ceiling of
    of_no_key = {"at_least_hosts", "guest_shutdowns"}
    assert len(CEILING_OF) == len(CEILINGS.__dataclass_fields__.keys() - of_no_key) + told


@pytest.mark.parametrize(("kind", "path", "type_", "default", "ceiling"), [
    ("Health", "when.for", "duration", "`0s`", ""),
    ("Health", "when.metric", "metric", "needed", ""),
    ("Evacuation", "mode", "`observe` \\| `recommend` \\| `auto`", "`observe`", ""),
    ("Evacuation", "order", "list of `priority` \\| `shortest`", "`[priority, shortest]`", ""),
    ("Balance", "hot.cpu", "share above 0, or `off`", "`80%`", ""),
    ("Balance", "budget.per_hour", "whole number", "`6`", "60"),
    ("Consolidation", "budget.per_hour", "whole number", "`20`", "60"),
    ("Limits", "bandwidth.migration_minimum", "bandwidth", "`100MiB/s`", ""),
    ("Limits", "bandwidth.link_share", "share", "`60%`", "80%"),
    ("Limits", "blast_radius.same_sensor", "as in `3 in 5m`", "`3 in 5m`", "10 hosts"),
])
def test_a_key_is_told_with_type_default_and_ceiling(kind: str, path: str, type_: str, default: str, ceiling: str) -> None:
    key: Key = next(key for key in keys_of(ALL_KINDS[kind]) if key.path == path)
    assert (key.type, key.default, key.ceiling) == (type_, default, ceiling)


def test_the_reference_is_not_stale() -> None:
    assert (ROOT / "docs" / "policy-reference.md").read_text(encoding="utf-8") == as_page(), "run: make pages"


def test_the_schema_is_not_stale() -> None:
    committed = json.loads((ROOT / "policies" / "schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(policy_schema())), "run: make pages"


def test_the_schema_tells_meanings() -> None:
    when = policy_schema()["$defs"]["ThresholdRoot"]["properties"]
    assert when["increase"]["description"] == "for counters: over what time the rise is counted"


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_every_shipped_file_names_the_schema_first(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    mark, _, name = first.partition("$schema=")
    assert mark == "# yaml-language-server: "
    assert (path.parent / name).resolve() == ROOT / "policies" / "schema.json"
    assert parse(str(path), path.read_text(encoding="utf-8"))
