"""The page on reports names every key of the JSON and every fault, the page on scripts every act."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from ballastd.cli.rehearsal.plain_json import summary
from ballastd.core.acts import ACTS
from ballastd.core.rehearsed import Rehearsed, RehearsedMove, RehearsedSwitch, Sampled, Violation
from ballastd.documents.scripts import load_script
from ballastd.sim.chances import FAULTS
from tests.rehearsals import a_rehearsal

DOCS = Path(__file__).parents[4] / "docs"
PAGE, SCRIPTS = DOCS / "rehearsals.md", DOCS / "scripts.md"
WRITTEN = {"seconds": "for", "word": "as"}
KEYS = sorted({*summary(a_rehearsal()), *(one.name for of in (Rehearsed, RehearsedMove, RehearsedSwitch, Sampled, Violation)
                                         for one in fields(of))})


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_documented(key: str):
    documented = re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").partition("## The JSON")[2])
    assert key in documented


def test_every_fault_is_documented():
    listed = PAGE.read_text(encoding="utf-8").partition("## Trouble by chance")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([\w-]+)`", listed.partition("|---|---|")[2].partition("\n\n")[0])) == set(FAULTS)


@pytest.mark.parametrize("act", ACTS)
def test_every_act_is_documented(act: str):
    kind = ACTS[act]
    needs = [f"`{WRITTEN.get(name, name)}`" for name in kind.needs]
    takes = [f"(`{WRITTEN.get(name, name)}`)" for name in kind.takes]
    does = kind.does.replace("`seconds`", "`for`")
    assert f"| `{act}` | {', '.join((*needs, *takes)) or '-'} | {does} |\n" in SCRIPTS.read_text(encoding="utf-8")


def test_the_script_on_the_page_is_one(tmp_path: Path):
    file = tmp_path / "script.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", SCRIPTS.read_text(encoding="utf-8"), re.DOTALL)[0])
    assert len(load_script(file, None).acts) == 5
