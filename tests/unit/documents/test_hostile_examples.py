"""Examples and profiles out of joint: whatever stands where, it is refused with its place, and nothing breaks."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ballastd.documents.loading import read_policies
from ballastd.documents.policy_examples import examples_of
from ballastd.documents.positions import parse
from ballastd.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3.5, 10**17, "", "no", "h1", "1m", "0s", "9 to 1 in 2m", "1 to 2 in 0s",
    "5 to 6 to 7 in 8m", "nothing", "none", "missing", "silent", "acknowledge h1", "nan", "1e400", "x" * 300, "\u2603",
    "a\nb", "a\x00b", [], ["a"], [1], [[]], [None], {}, {"a": 1}, {"1m": 1}, {"0s": {}}, {"": ""}, {"h1": {"name": "x"}},
    {"h1": None}, "../..", [".."], ["/"])
SHIPPED = [document.value for path in sorted((ROOT / "policies").glob("**/*.yaml"))
           for document in parse(str(path), path.read_text(encoding="utf-8"))]
EXEMPLARY = [value for value in SHIPPED if "examples" in value or value["kind"] == "Profile"]
TRIES = 60


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from paths(one, (*before, key))


def spoiled(value: Any, luck: Random) -> Any:
    """Return a document with something else somewhere in its examples: another value, another key, one more."""
    value = copy.deepcopy(value)
    for _ in range(luck.randint(1, 3)):
        places = [path for path in paths(value) if path and (path[0] == "examples" or value.get("kind") == "Profile")]
        if not places:
            break
        path = luck.choice(places)
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        do = luck.random()
        if do < 0.6 or isinstance(inner, list):
            inner[path[-1]] = copy.deepcopy(luck.choice(JUNK))
        elif do < 0.8:
            inner[str(luck.choice(JUNK))[:50]] = inner.pop(path[-1])
        else:
            inner[str(luck.choice(JUNK))[:50]] = copy.deepcopy(luck.choice(JUNK))
    return value


@pytest.mark.parametrize("seed", range(6))
def test_nothing_in_an_example_breaks_the_loader(seed: int, tmp_path: Path) -> None:
    luck, path, refused = Random(f"{seed} hostile"), tmp_path / "p.yaml", 0
    problems: list[str] = []
    for _ in range(TRIES):
        path.write_text(json.dumps(spoiled(luck.choice(EXEMPLARY), luck)), encoding="utf-8")
        try:
            examples_of(read_policies(path, None).taken)
        except ConfigurationError as error:
            refused += 1
            problems.extend(error.problems)
    assert refused > TRIES / 2
    assert [problem for problem in problems if "\n" in problem] == []
