"""YAML's old traps: what looks like one thing and is another is read as it was meant, or refused in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ballastd.core.policies import Scope
from ballastd.documents import load_policies, load_settings
from ballastd.documents.positions import parse
from ballastd.errors import ConfigurationError

HEALTH = "kind: Health\nname: hot\nwhen: {metric: temperature, above: 85C}\nseverity: failing\n"
SETTINGS = 'hosts:\n  - {name: kvm-01, uri: "qemu+tls://kvm-01/system"}\n'


def value(text: str) -> object:
    (document,) = parse("t.yaml", f"a: {text}\n")
    return document.value["a"]


def problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("word", ["no", "on", "off", "yes", "y", "22:30", "190:20:30", "2026-12-24", "2026-12-24 18:00:00",
                                  "0x10", "0o660", "1_000", ".inf", ".nan", "-.inf", "80%", "5m", "=", "<<", "1" * 19])
def test_words_stay_words(word: str) -> None:
    assert value(word) == word


@pytest.mark.parametrize(("text", "expected"), [
    ("5", 5), ("+5", 5), ("-0", 0), ("0660", 660), ("08", 8), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("true", True),
    ("FALSE", False), ("~", None), ("null", None), ("", None),
    ('"5"', "5"), ("'true'", "true"), ('""', ""), ('"null"', "null"),
])
def test_plain_scalars_follow_the_core_rules(text: str, expected: object) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("written", ['"0660"', "0660", "660", "0o660"])
def test_a_file_mode_is_octal_however_it_is_written(tmp_path: Path, written: str) -> None:
    (tmp_path / "s.yml").write_text(f"{SETTINGS}api: {{mode: {written}}}\n")
    assert load_settings(tmp_path / "s.yml").api.mode == 0o660


@pytest.mark.parametrize("written", ["438", "rw", "-660", "true", "0668", "0660.0"])
def test_what_is_no_octal_file_mode_is_refused(tmp_path: Path, written: str) -> None:
    (tmp_path / "s.yml").write_text(f"{SETTINGS}api: {{mode: {written}}}\n")
    with pytest.raises(ConfigurationError, match="is no file mode"):
        load_settings(tmp_path / "s.yml")


def test_an_emptied_scope_never_means_every_host(tmp_path: Path) -> None:
    assert problems(tmp_path, HEALTH + "scope:\n#  hosts: [kvm-01]\n") == [
        "p.yaml:5:1: scope: nothing stands here; write a value, or take the key out"]


def test_every_host_is_said_in_so_many_words(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(HEALTH + "scope: {hosts: all}\n")
    assert load_policies(tmp_path, None, 0.0).policies.health[0].scope == Scope()


def test_an_emptied_tls_never_means_a_plain_connection(tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(f"{SETTINGS}mqtt:\n  tls:\n#    ca_file: /etc/ballastd/ca.pem\n")
    with pytest.raises(ConfigurationError, match=r"s\.yml:4:3: mqtt\.tls: nothing stands here"):
        load_settings(tmp_path / "s.yml")


def test_a_section_whose_every_key_is_commented_out_is_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(SETTINGS)
    plain = load_settings(tmp_path / "s.yml")
    (tmp_path / "s.yml").write_text(f"{SETTINGS}mqtt:\ntiming:\n  # pace: 30s\napi:\ndefaults:\nlibvirt:\nlogging:\n")
    assert load_settings(tmp_path / "s.yml") == plain


@pytest.mark.parametrize("line", ["when: {metric: temperature, above: 85C, hold: 5m}",
                                  "when: {metric: fan.alarm, is_: true}"])
def test_the_names_that_keys_have_inside_are_no_keys(tmp_path: Path, line: str) -> None:
    found = problems(tmp_path, f"kind: Health\nname: x\n{line}\nseverity: failing\n")
    assert "unknown key" in found[0]


@pytest.mark.parametrize(("text", "problem"), [
    ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "t.yaml:5:3: c: stands here twice (first in line 3); keep one"),
    ("1: a\n'1': b\n", "t.yaml:2:1: 1: stands here twice (first in line 1); keep one"),
    ("a: {b: 1, b: 2}\n", "t.yaml:1:11: b: stands here twice (first in line 1); keep one"),
    ("a:\n\tb: 1\n",
     "t.yaml:2:1: not YAML: found character '\\t' that cannot start any token; indent with spaces, not tabs"),
    ("a: @x\n",
     "t.yaml:1:4: not YAML: found character '@' that cannot start any token; put the value in quotes: \"...\""),
    ("a: b: c\n", "t.yaml:1:5: not YAML: mapping values are not allowed here; check the indentation, and put a value that "
     'has a colon in quotes: "a: b"'),
    ("%YAML 1.1\n---\na: no\n", "t.yaml:2:1: this is read as YAML 1.2; take the %YAML line out"),
    ("a: *b\n", "t.yaml:1:4: anchors and aliases are not used here; write the value out"),
    ("&a b: 1\n", "t.yaml:1:1: anchors and aliases are not used here; write the value out"),
    ("a: !!str 5\n", "t.yaml:1:4: the tag 'tag:yaml.org,2002:str' is not used here; write a plain value"),
    ("!x b: 1\n", "t.yaml:1:1: the tag '!x' is not used here; write a plain value"),
    ("? [a]\n: 1\n", "t.yaml:1:3: a key must be a word"),
    ("a: 1\nb: \x07\n", "t.yaml:2:4: not YAML: the character U+0007 that no text has; take it out"),
    ('a: "\\ud800"\n', "t.yaml:1:4: half of a character (a surrogate); write the character itself"),
])
def test_what_no_document_needs_is_refused_where_it_stands(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("t.yaml", text)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "\ufeff", "~\n", "\r\n"])
def test_a_text_without_a_value_has_no_document(text: str) -> None:
    assert parse("t.yaml", text) == ()


def test_places_are_right_in_files_of_other_systems() -> None:
    (document,) = parse("t.yaml", "\ufeffa: 1\r\nb:\r\n  - c\r\n  - d: 2\r\n")
    assert [document.where(path) for path in (("a",), ("b", 0), ("b", 1, "d"), ("b", 1, "gone"))] == [
        "t.yaml:1:1", "t.yaml:3:5", "t.yaml:4:5", "t.yaml:4:5"]


def test_a_pipe_in_the_directory_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.yaml")
    with pytest.raises(ConfigurationError, match=r"p\.yaml: is no plain file"):
        load_policies(tmp_path, None, 0.0)


def test_a_link_to_itself_and_a_directory_called_yaml_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").mkdir()
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    assert [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        "a.yaml: cannot be read: Too many levels of symbolic links", "b.yaml: is no plain file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEALTH)
    (tmp_path / "a.yaml").chmod(0)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        load_policies(tmp_path, None, 0.0)
