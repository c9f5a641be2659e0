"""The alert rules and the dashboard speak only of metrics and labels that exist, and the docs of all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from ballastd.core.migrations import ALARMING
from ballastd.web.metrics import Meter
from tests.paper_console import PaperConsole
from tests.pictures import a_busy_view, a_full_view

ROOT = Path(__file__).parents[2]
RULES = ROOT / "monitoring/alerts.yaml"
DASHBOARD = ROOT / "monitoring/dashboard.json"
NAME = re.compile(r"\bballastd_[a-z_]+")
MATCHER = re.compile(r"(ballastd_[a-z_]+)\{([^}]*)\}")
LABEL = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')


def known() -> dict[str, set[str]]:
    """Return each sample's name and the labels it ever carries."""
    found: dict[str, set[str]] = {}
    for view in (a_busy_view(), a_full_view()):
        console = PaperConsole(view)
        console.counters = lambda: {"migrations.ended.completed": 1.0, "malformed.h.x": 1.0, "telemetry.received": 2.0,  # type: ignore[method-assign]
                                    "inbox.folded.report": 1.0, "arrivals.silent": 1.0, "shutdowns.down": 1.0}
        text, _ = Meter(console).exposition("")
        for family in text_string_to_metric_families(text.decode()):
            found.setdefault(family.name, set())
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def rules() -> list[dict[str, object]]:
    document = YAML(typ="safe").load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, object]]:
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


EXPRESSIONS = [str(rule["expr"]) for rule in rules()] + [t["expr"] for p in panels() for t in p["targets"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_speaks_of_what_exists(expression: str) -> None:
    there = known()
    names = NAME.findall(expression)
    assert names or expression.startswith("up{")
    assert not [name for name in names if name not in there]
    for name, inside in MATCHER.findall(expression):
        assert set(LABEL.findall(inside)) <= there[name]
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_where_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"]
    assert re.search(r"Begin with: |Look at ", rule["annotations"]["description"])


def test_every_ending_that_a_person_has_to_look_at_alarms() -> None:
    expression = next(str(rule["expr"]) for rule in rules() if rule["alert"] == "BallastdCopies")
    found = re.search(r'ending=~"([a-z|]+)"', expression)
    assert found is not None
    assert set(found[1].split("|")) == {ending.value for ending in ALARMING}


def test_names_are_used_once() -> None:
    alerts, titles = [rule["alert"] for rule in rules()], [panel["title"] for panel in panels()]
    assert len(alerts) == len(set(alerts))
    assert len(titles) == len(set(titles))


def test_the_docs_name_every_metric_and_no_other() -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    told = set(re.findall(r"`(ballastd_[a-z_]+)`", text))
    there = {name for name in known() if not re.search(r"_(bucket|sum|count|created)$", name)}
    families = {name for name in there if name + "_total" not in there and (name + "_info") not in there}
    assert told == families


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_agrees() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
