"""What we ship is what it says: every example in the shipped policies comes out so, whatever a profile lets act."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ballastd.documents.loading import read_policies
from ballastd.documents.policy_examples import examples_of
from ballastd.rehearsal.judging import judge

ROOT = Path(__file__).parents[3]
PLACES = ["policies", "policies/profiles/cautious.yaml"]
"""As they stand, and as far from that as a profile takes them."""


@pytest.mark.parametrize("place", PLACES)
def test_every_example_comes_out_as_it_says(place: str) -> None:
    read = read_policies(ROOT / place, None)
    examples = examples_of(read.taken)
    assert len(examples) > 40
    judged = [judge(example, read.compiled) for example in examples]
    assert [(one.example.name, one.misses) for one in judged if one.misses] == []


def test_every_shipped_policy_stands_in_the_list() -> None:
    text = (ROOT / "policies" / "README.md").read_text(encoding="utf-8")
    read = read_policies(ROOT / "policies", None)
    assert [model.name for _, model in read.taken.models if f"`{model.name}`" not in text] == []
    assert len(re.findall(r"`[a-z-]+`", text.partition("| profile")[0])) == len(read.taken.models)


def test_every_shipped_policy_but_a_window_is_shown_by_an_example() -> None:
    read = read_policies(ROOT / "policies", None)
    bare = [model.name for document, model in read.taken.models if not model.examples and document.value["kind"] != "Window"]
    assert bare == []
    assert all(model.description for _, model in read.taken.models if model.name != "cluster")
