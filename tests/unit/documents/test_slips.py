"""Slips that look right: a condition true of every sound host, a key without effect, a number round a ceiling."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ballastd.documents import load_policies, load_settings
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

NOW = 1_795_400_000.0
EVACUATION = "kind: Evacuation\nname: e\non: {severity: failing}\nrespond: evacuate\nmode: auto\n"
QUARANTINE = EVACUATION.replace("evacuate", "quarantine")
HOSTS = ('hosts:\n  - {name: kvm-01, uri: "qemu+tls://kvm-01/system"FIRST}\n'
         '  - {name: kvm-02, uri: "qemu+tls://kvm-02/system"SECOND}\n')


def health(when: str) -> str:
    return f"kind: Health\nname: h\nwhen: {{{when}}}\nseverity: failing\n"


def problems(folder: Path, text: str, hosts: int = 0) -> list[str]:
    (folder / "p.yaml").write_text(text)
    cluster = a_cluster()
    for number in range(hosts):
        cluster = cluster.host(f"kvm-{number:02}")
    with pytest.raises(ConfigurationError) as caught:
        load_policies(folder, cluster.build() if hosts else None, NOW)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(("when", "words"), [
    ("metric: fan.alarm, is: false", "off on every sound host"),
    ("metric: ecc.corrected, increase: 1h, below: 5", "rises too little on every sound host"),
    ("metric: temperature, relative_to: critical, below: -5C", "below its critical limit"),
])
def test_a_condition_that_is_true_of_every_sound_host_is_refused(tmp_path: Path, when: str, words: str) -> None:
    (problem,) = problems(tmp_path, health(when))
    assert words in problem
    assert problem.startswith("p.yaml:3:")


@pytest.mark.parametrize("key", ["deadline: 30m", "ignore_windows: true"])
def test_a_quarantine_takes_no_key_that_only_moves_have(tmp_path: Path, key: str) -> None:
    (problem,) = problems(tmp_path, QUARANTINE + key + "\n")
    assert f"{key.partition(':')[0]} would do nothing" in problem


@pytest.mark.parametrize("order", ["[]", "[shortest, shortest]"])
def test_an_order_says_each_key_once(tmp_path: Path, order: str) -> None:
    assert "each key once" in problems(tmp_path, EVACUATION + f"order: {order}\n")[0]


@pytest.mark.parametrize("section", ["blast_radius", "freeze"])
@pytest.mark.parametrize(("hosts", "at_least", "allowed"), [(4, 3, 2), (12, 10, 4), (20, 8, 6)])
def test_a_least_number_does_not_go_round_its_ceiling(tmp_path: Path, section: str, hosts: int, at_least: int,
                                                      allowed: int) -> None:
    text = "kind: Limits\nname: l\n" + section + ": {at_least: NUMBER}\n"
    assert problems(tmp_path, text.replace("NUMBER", str(at_least)), hosts) == [
        f"p.yaml:3:{len(section) + 4}: {section}.at_least: {at_least} of {hosts} hosts is above the ceiling of 34%, which "
        f"no policy can raise; at most {allowed}"]
    (tmp_path / "p.yaml").write_text(text.replace("NUMBER", str(allowed)))
    cluster = a_cluster()
    for number in range(hosts):
        cluster = cluster.host(f"kvm-{number:02}")
    load_policies(tmp_path, cluster.build(), NOW)


def test_a_misspelt_key_is_one_mistake(tmp_path: Path) -> None:
    assert problems(tmp_path, health("metric: fan.alarm, is: true").replace("severity", "severty")) == [
        "p.yaml:4:1: severty: unknown key; did you mean severity?"]


@pytest.mark.parametrize("zone", ["right/UTC", "posix/Europe/Berlin", "localtime"])
def test_a_zone_is_one_that_means_the_same_everywhere(tmp_path: Path, zone: str) -> None:
    text = f"kind: Window\nname: w\ndeny: {{days: [mon], at: 08:00, for: 1h, timezone: {zone}}}\n"
    assert "no IANA time zone" in problems(tmp_path, text)[0]


def test_digits_of_other_scripts_are_no_digits_here(tmp_path: Path) -> None:
    assert "no temperature" in problems(tmp_path, health("metric: temperature, above: \u0668\u0665C"))[0]


def test_an_escape_beyond_unicode_is_refused_and_no_crash(tmp_path: Path) -> None:
    assert "not YAML" in problems(tmp_path, 'kind: "\\UFFFFFFFF"\n')[0]


def test_what_cannot_be_looked_at_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path / ("a" * 300), None, NOW)
    assert "cannot be read: File name too long" in caught.value.problems[0]
    (tmp_path / "policies").mkdir()
    loop = tmp_path / "policies" / "loop.yaml"
    loop.symlink_to(loop)
    profile = tmp_path / "profile.yaml"
    profile.write_text("kind: Profile\nname: p\ninclude: [policies]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_policies(profile, None, NOW)
    assert caught.value.problems[0] == f"{loop}: cannot be read: Too many levels of symbolic links"


def test_a_file_whose_name_is_not_utf8_is_read_like_any_other(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.yaml"
    Path(os.fsdecode(path)).write_text("kind: Limits\nname: l\n")
    assert load_policies(tmp_path, None, NOW).policies.digest
    Path(os.fsdecode(path)).write_text("kind: Limit\nname: l\n")
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, NOW)
    caught.value.problems[0].encode("utf-8")


@pytest.mark.parametrize(("key", "address"), [
    ("migration_uri", "tcp://10.0.0.1"),
    ("peer_uri", "qemu+tls://a/system"),
])
def test_two_hosts_do_not_share_an_address(tmp_path: Path, key: str, address: str) -> None:
    path, pair = tmp_path / "s.yaml", f', {key}: "{address}"'
    path.write_text(HOSTS.replace("FIRST", pair).replace("SECOND", pair))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert f"hosts.1.{key}: {address} is declared twice" in caught.value.problems[0]


@pytest.mark.parametrize(("first", "second", "words"), [
    ("", ', peer_uri: "URI"', "hosts.1.peer_uri: URI is declared twice (first as hosts.0); each host has its own"),
    (', peer_uri: "OTHER"', "", "hosts.0.peer_uri: OTHER is declared twice (also as hosts.1); each host has its own"),
])
def test_no_host_is_reached_by_its_peers_where_another_one_is_by_us(tmp_path: Path, first: str, second: str, words: str
                                                                    ) -> None:
    path, uris = tmp_path / "s.yaml", re.findall(r"qemu[^\s,}\"']+", HOSTS)

    def with_uris(text: str) -> str:
        return text.replace("URI", uris[0]).replace("OTHER", uris[1])

    path.write_text(HOSTS.replace("FIRST", with_uris(first)).replace("SECOND", with_uris(second)))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert caught.value.problems[0].endswith(with_uris(words))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("uri", ["qemu+tls://root:secret@kvm-01/system", "xen://kvm-01/", "lxc+ssh://kvm-01/",
                                 "qemu+tls://[fd00::1/system", "qemu+tls://kvm-01:99999/system", "qemu+tls://kvm-01:x/system"])
def test_a_uri_is_of_qemu_and_carries_no_password(tmp_path: Path, uri: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f'hosts:\n  - {{name: kvm-01, uri: "{uri}"}}\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert "secret" not in str(caught.value)
