"""A file that is made to exhaust us is refused within two seconds, whichever way it tries."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ballastd.core.policies import ClusterDeclaration
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

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


PLACEMENT = "kind: Placement\nname: p{i}\nvms: {{tag: a}}\nrule: {rule}\n"
CROWDS = {
    "rules for the same hosts": PLACEMENT.replace("{rule}", "on\nhosts: [kvm-*]"),
    "rules that part": PLACEMENT.replace("{rule}", "apart\nacross: l{i}"),
    "packing beside balancing": "kind: Consolidation\nname: c{i}\nwindow: nights\nscope: {{hosts: ['kvm-??[0-4]']}}\n"
                                "fill_to: {{cpu: 67%}}\n---\n"
                                "kind: Balance\nname: b{i}\nhot: {{cpu: 66%}}\nscope: {{hosts: ['kvm-??[5-9]']}}\n",
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_of_documents_is_held_against_one_another_within_two_seconds(tmp_path: Path, crowd: str) -> None:
    cluster = a_cluster()
    for number in range(100):
        cluster = cluster.host(f"kvm-{number:03}")
    count = 300 if "packing" in crowd else 900
    nights = 'kind: Window\nname: nights\nallow: {days: [mon-fri], at: "22:00", for: 7h, timezone: UTC}\n---\n'
    (tmp_path / "p.yaml").write_text(nights + "---\n".join(CROWDS[crowd].format(i=i) for i in range(count)))
    sound = load_time(tmp_path, None)
    assert load_time(tmp_path, cluster.build()) < sound + SECONDS


def load_time(folder: Path, cluster: ClusterDeclaration | None) -> float:
    begun = time.process_time()
    load_policies(folder, cluster, 0.0)
    return time.process_time() - begun
