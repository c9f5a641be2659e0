"""What we ship is sound, complete, and says the truth about its defaults."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ballastd.core.policies import BalancePolicy, ConsolidationPolicy, Limits, Mode
from ballastd.documents import Settings, load_policies, load_settings, policy_schema
from ballastd.documents.positions import parse
from ballastd.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config" / "ballastd.yaml"


def test_the_shipped_settings_and_policies_are_sound() -> None:
    shipped = load_settings(CONFIG)
    loaded = load_policies(ROOT / "policies", shipped.cluster, 1_795_400_000.0)
    assert len(loaded.policies.health) >= 9
    answers = (*loaded.policies.evacuation, *loaded.policies.balance, *loaded.policies.consolidation,
               *loaded.policies.placement)
    acting = {p.name for p in answers if p.mode is Mode.AUTO}
    assert acting == {"failing-hosts", "suspect-hosts"}, "whatever else acts must be asked for by its operator"


def test_the_shipped_balance_and_consolidation_are_the_defaults() -> None:
    policies = load_policies(ROOT / "policies", None, 0.0).policies
    balance = next(one for one in policies.balance if one.name == "even-load")
    assert balance == BalancePolicy("even-load", windows=("business-hours", "nightly-backup", "year-end-freeze"),
                                    mode=Mode.RECOMMEND, description=balance.description, source=balance.source)
    for packing in policies.consolidation:
        assert packing == ConsolidationPolicy(packing.name, f"{packing.name}.window", description=packing.description,
                                              source=packing.source, denials=("nightly-backup", "year-end-freeze"))


def test_no_shipped_placement_rule_fires_on_vms_that_nobody_tagged() -> None:
    rules = load_policies(ROOT / "policies", None, 0.0).policies.placement
    assert rules
    assert all(tag.startswith("ballastd-") for rule in rules for tag in rule.vms.tags)
    assert all(rule.vms.tags for rule in rules)


@pytest.mark.parametrize("name", ["placement.yaml"])
def test_a_document_that_is_commented_out_is_sound_as_well(name: str, tmp_path: Path) -> None:
    for place in (ROOT / "policies").glob("*.yaml"):
        (tmp_path / place.name).write_text(place.read_text())
    shipped, mark, commented = (ROOT / "policies" / name).read_text().partition("\n# ---\n")
    (tmp_path / name).write_text(shipped + mark + re.sub(r"(?m)^# ([a-z_]+: .*)$", r"\1", "---\n" + commented))
    assert len(parse(name, (tmp_path / name).read_text())) == len(parse(name, shipped)) + 1
    load_policies(tmp_path, load_settings(CONFIG).cluster, 1_795_400_000.0)


def test_the_shipped_limits_are_the_defaults() -> None:
    assert load_policies(ROOT / "policies", None, 0.0).policies.limits == Limits()


def test_the_commented_defaults_are_the_real_ones(tmp_path: Path) -> None:
    """Uncomment every ``# key: value`` and compare with what the models say without them."""
    text = re.sub(r"(?m)^(\s*)# ((?:[a-z_]+): .*)$", r"\1\2", CONFIG.read_text())
    text = re.sub(r"(?m)^\s*(memory_limit|cpu_limit|network_speed|processors|idle_watts|power|username|password_file|tls|"
                  r"group|operators|peer_uri|migration_uri|listen|directory): .*$", "", text)
    path = tmp_path / "all.yaml"
    path.write_text(text)
    explicit, shipped = load_settings(path), load_settings(CONFIG)
    for name in Settings.model_fields:
        assert getattr(explicit, name) == getattr(shipped, name), name


def keys_of(annotation: object) -> set[str]:
    """Every key of a model and of the models within it, in whatever union or list they stand."""
    found: set[str] = set()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, spec in annotation.model_fields.items():
            found |= {spec.alias or name} | keys_of(spec.annotation)
    for inner in getattr(annotation, "__args__", ()):
        found |= keys_of(inner)
    return found


def test_the_keys_within_a_choice_are_keys_as_well() -> None:
    assert {"trust_identity", "insecure_tls", "cpu_limit", "listen"} <= keys_of(Settings)


def test_every_key_stands_in_the_commented_file() -> None:
    text = CONFIG.read_text()
    missing = [key for key in sorted(keys_of(Settings)) if not re.search(rf"\b{key}:|\b{key}\b,|{key} may", text)]
    assert missing == []


def test_the_digest_follows_the_text_and_not_the_time(tmp_path: Path) -> None:
    for path in (ROOT / "policies").glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    first = load_policies(tmp_path, None, 0.0).policies.digest
    assert load_policies(tmp_path, None, 1e9).policies.digest == first
    (tmp_path / "limits.yaml").write_text((tmp_path / "limits.yaml").read_text() + "# more\n")
    assert load_policies(tmp_path, None, 0.0).policies.digest != first


def test_hidden_and_backup_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Limits\nname: l\n")
    for name in (".a.yaml.swp", "a.yaml~", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text("nonsense: [")
    assert load_policies(tmp_path, None, 0.0).policies.limits == Limits()


def test_the_schema_names_every_kind() -> None:
    text = json.dumps(policy_schema())
    for word in ("Health", "Evacuation", "Balance", "Consolidation", "Placement", "Window", "Limits", "relative_to",
                 "same_sensor", "ecc.uncorrected", "cpu.pressure.some", "ahead_of_window_end", "never-on"):
        assert word in text


@given(st.text(max_size=200) | st.text(alphabet="kind: Health\n-{}[]'\"&*!|>%@,#?:\t0", max_size=120))
@settings(max_examples=300)
def test_any_text_is_documents_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        for document in parse("any.yaml", text):
            assert document.file == "any.yaml"


@pytest.mark.parametrize("line", ["\ufeffkind: Limits\nname: l\n", "kind: Limits\r\nname: l\r\n"])
def test_marks_and_line_ends_of_other_systems_do_no_harm(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.yaml").write_bytes(line.encode())
    assert load_policies(tmp_path, None, 0.0).policies.limits == Limits()
