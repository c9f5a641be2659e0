"""A file that is made to exhaust us is refused within two seconds, whichever way it tries."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError

SECONDS = 2.0
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(10))


@pytest.mark.parametrize(("text", "word"), [
    (LAUGHS, "anchors and aliases are not used"),
    ("a: &a [*a]\n", "anchors and aliases are not used"),
    ("a: " + "[" * 100_000, "nested deeper than 20 levels"),
    ("{a: " * 50_000, "nested deeper than 20 levels"),
    ("".join(" " * i + "a:\n" for i in range(700)), "nested deeper than 20 levels"),
    ("- " * 100_000 + "x", "nested deeper than 20 levels"),
    ("? " * 100_000, "a key must be a word"),
    ("".join(f"k{i}: 1\n" for i in range(100_000)), "bytes, at most 262144 are read"),
    ("".join(f"{i}:\n" for i in range(36_000)), "more than 10000 values"),
    ("[" + "1," * 130_000 + "]", "more than 10000 values"),
    ("kind: Limits\nname: l\n" + "".join(f"k{i}: 1\n" for i in range(9_000)), "unknown key"),
    ("x" * 10_000_000, "10000000 bytes, at most 262144 are read"),
    ("a: " + "9" * 200_000 + "\n", "kind: is missing"),
    ("kind: Limits\nname: " + "x" * 200_000 + "\n", "lower-case letters, digits and dashes"),
    ("kind: Window\nname: w\ndeny: {days: [mon], at: \"08:00\", for: 999999999d, timezone: UTC}\n", "longer than a year"),
    ("kind: Window\nname: w\ndeny: {days: [mon], at: \"08:00\", for: 1h, timezone: " + "Europe/" * 20_000 + "}\n",
     "is no IANA time zone"),
], ids=lambda text: text[:12] if " " not in text[:30] else None)
def test_a_bomb_is_refused_within_two_seconds(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    begun = time.process_time()
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    assert time.process_time() - begun < SECONDS
    assert word in caught.value.problems[0]
    assert len(str(caught.value)) < 20_000, "the answer is no bomb either"


def test_many_mistakes_are_counted_and_not_all_told(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("kind: Limits\nname: l\n" + "".join(f"k{i}: 1\n" for i in range(80)))
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1].endswith("and 30 problems more in this document")


def test_many_files_do_not_add_up(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i:03}.yaml").write_text("kind: Limits\nname: l\nx: [" + "1," * 1_000 + "]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    assert "009.yaml" in next(problem for problem in caught.value.problems if "more than 10000 values" in problem)


def test_a_directory_full_of_files_is_refused_unread(tmp_path: Path) -> None:
    for i in range(501):
        (tmp_path / f"{i}.yaml").touch()
    with pytest.raises(ConfigurationError, match="501 files; at most 500 are read"):
        load_policies(tmp_path, None, 0.0)
