"""The schema for editors knows every kind and every key that the shipped policies use, and the settings show every key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ballastd.documents import (
    ApiSettings,
    LibvirtSettings,
    LoggingSettings,
    MetricsSettings,
    MqttSettings,
    policy_schema,
)
from ballastd.documents.host_settings import HostDefaults
from ballastd.documents.positions import parse
from ballastd.documents.settings import TimingSettings

ROOT = Path(__file__).parents[3]
SECTIONS = {"defaults": HostDefaults, "mqtt": MqttSettings, "libvirt": LibvirtSettings, "timing": TimingSettings,
            "api": ApiSettings, "logging": LoggingSettings, "metrics": MetricsSettings}


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def properties(part: Any, schema: Any, followed: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield every key that ``part`` of the schema knows, those of what it refers to as well."""
    if isinstance(part, dict):
        yield from part.get("properties", {})
        if "$ref" in part and part["$ref"] not in followed:
            name = part["$ref"].rsplit("/", 1)[-1]
            yield from properties(schema["$defs"][name], schema, followed | {part["$ref"]})
        for inner in part.values():
            yield from properties(inner, schema, followed)
    elif isinstance(part, list):
        for inner in part:
            yield from properties(inner, schema, followed)


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for inner in schema.values():
            yield from references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from references(inner)


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_names_every_key_of_the_shipped_policies(path: Path) -> None:
    schema = json.loads(json.dumps(policy_schema()))
    for document in parse(str(path), path.read_text()):
        known = set(properties(schema["$defs"][document.value["kind"]], schema))
        # the keys of an example are mostly names; its own are checked where it is played
        assert set(keys({key: value for key, value in document.value.items() if key != "examples"})) <= known | {"examples"}


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = policy_schema()
    for reference in references(schema):
        place: Any = schema
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert isinstance(place, dict)


@pytest.mark.parametrize(("section", "model"), SECTIONS.items(), ids=SECTIONS)
def test_every_key_of_a_section_stands_in_it_in_the_shipped_settings(section: str, model: type[BaseModel]) -> None:
    text = re.sub(r"(?m)^(\s*)# ((?:[a-z_]+): .*)$", r"\1\2", (ROOT / "config" / "ballastd.yaml").read_text())
    (document,) = parse("ballastd.yaml", text)
    assert set(document.value[section]) == {field.alias or name for name, field in model.model_fields.items()}
