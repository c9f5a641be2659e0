"""The documents: links lead somewhere, paths exist, and the examples are taken by the code that they explain."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import click
import pytest

from ballastd.adapters.mqtt.wire import decode
from ballastd.cli.ctl import main as ballastctl
from ballastd.cli.daemon import services
from ballastd.core.policies import Limits
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import METRICS, Report
from ballastd.documents import load_policies, load_settings
from ballastd.documents.loading import read_policies
from ballastd.documents.policy_examples import examples_of
from ballastd.rehearsal.judging import judge

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("policies/*.md"), *ROOT.glob("tests/lab/*.md")))
NOW = 1_795_400_020.0

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"`((?:daemon|tests|docs|tools|systemd|benchmarks|config|policies)/[\w./-]*)`")
ROOM = re.compile(r"`((?:core|kernel|service|adapters|agent|web|cli|documents|sim)/[\w./-]+)`")


COMMAND = re.compile(r"^(?:\$ |sudo )?(ballastctl|ballastd)((?: [a-z][a-z-]*)+)", re.MULTILINE)
INLINE = re.compile(r"`((?:ballastctl|ballastd) [^`]*)`")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def examples(page: Path, label: str) -> list[str]:
    return [body for tag, body in FENCE.findall(page.read_text(encoding="utf-8")) if tag == label]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        place, _, anchor = link.partition("#")
        if ":" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_that_is_named_exists(page: Path) -> None:
    text = prose(page)
    wanted = {*SOURCE.findall(text), *(f"daemon/ballastd/{room}" for room in ROOM.findall(text))}
    assert [path for path in sorted(wanted) if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()] == []


@pytest.mark.parametrize(("page", "count"), [("README.md", 1), ("docs/policies.md", 21)])
def test_every_policy_example_would_govern(page: str, count: int, tmp_path: Path) -> None:
    found = examples(ROOT / page, "yaml policy")
    assert len(found) == count
    for number, text in enumerate(found):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "example.yaml").write_text(text, encoding="utf-8")
        load_policies(directory, None, NOW)


@pytest.mark.parametrize("number", range(10))
def test_every_example_in_an_example_comes_out_as_it_says(number: int, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(examples(ROOT / "docs/policies.md", "yaml policy")[number], encoding="utf-8")
    read = read_policies(tmp_path, None)
    judged = [judge(example, read.compiled) for example in examples_of(read.taken)]
    assert [(one.example.name, one.misses) for one in judged if one.misses] == []
    assert judged or number == 7


def test_the_limits_that_are_said_to_be_the_defaults_are(tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text(examples(ROOT / "docs/policies.md", "yaml policy")[-1], encoding="utf-8")
    assert load_policies(tmp_path, None, NOW).policies.limits == Limits()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = [body for tag, body in FENCE.findall(text) if tag in ("bash", "console")] + INLINE.findall(prose(page))
    unknown = [f"{program}{words}" for program, words in COMMAND.findall("\n".join(shown))
               if not is_known(services if program == "ballastd" else ballastctl, words.split())]
    assert unknown == []


def is_known(command: click.Command, words: list[str]) -> bool:
    """Return whether ``words`` lead to a command; what comes after it are its arguments."""
    context = click.Context(command)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            return False
        command, words = found, words[1:]
    return True


@pytest.mark.parametrize(("page", "powers"), [
    ("docs/operations.md", {"kvm-01": "", "kvm-02": ""}),
    ("docs/policies.md", {"kvm-01": "redfish", "kvm-02": "command", "kvm-03": ""}),
])
def test_the_example_of_settings_is_taken(page: str, powers: dict[str, str], tmp_path: Path) -> None:
    (text,) = examples(ROOT / page, "yaml settings")
    file = tmp_path / "ballastd.yaml"
    file.write_text(text, encoding="utf-8")
    assert {host.name: host.power for host in load_settings(file).cluster.hosts} == powers


def test_the_example_of_a_report_is_taken_whole() -> None:
    (text,) = examples(ROOT / "docs/telemetry.md", "json native")
    report = decode("ballastd/v1/kvm-01/metrics", text.encode(), prefix="ballastd", declared={HostName("kvm-01")},
                    received=Instant(0.0, NOW), retained=False)
    assert isinstance(report, Report)
    assert len(report.samples) == len(json.loads(text)["samples"])
    assert report.refused_samples == 0


def test_the_table_of_metrics_is_the_vocabulary() -> None:
    text = prose(ROOT / "docs/telemetry.md")
    table = text[text.index("## Metrics and units"):text.index("## How far a report is believed")]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \| (gauge|counter) \|", table, re.MULTILINE)
    written = {name: (unit, kind) for names, unit, kind in rows for name in re.findall(r"`([^`]+)`", names)}
    assert written == {name: (metric.unit, metric.kind.value) for name, metric in METRICS.items()}


def test_the_order_inside_the_core_is_the_one_that_is_enforced() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(contract["layers"] for contract in settings["tool"]["importlinter"]["contracts"]
                  if contract["type"] == "layers" and contract["layers"][0].startswith("ballastd.core."))
    told = "\n".join(layer.replace("ballastd.core.", "") for layer in layers)
    assert f"```\n{told}\n```" in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
