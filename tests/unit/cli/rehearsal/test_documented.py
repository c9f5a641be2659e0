"""The page on reports names every key that the JSON has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from ballastd.cli.rehearsal.plain_json import summary
from ballastd.core.rehearsed import Rehearsed, RehearsedMove, RehearsedSwitch, Sampled, Violation
from tests.rehearsals import a_rehearsal

PAGE = Path(__file__).parents[4] / "docs" / "rehearsals.md"
KEYS = sorted({*summary(a_rehearsal()), *(one.name for of in (Rehearsed, RehearsedMove, RehearsedSwitch, Sampled, Violation)
                                         for one in fields(of))})


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_documented(key: str):
    documented = re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").partition("## The JSON")[2])
    assert key in documented
