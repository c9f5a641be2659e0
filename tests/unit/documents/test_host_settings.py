"""What a host has beside memory, the times that power needs, and where metrics are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import Timing
from ballastd.core.quantities import Seconds
from ballastd.documents import Settings, load_settings
from ballastd.errors import ConfigurationError

HOSTS = 'hosts:\n  - {name: kvm-01, uri: "qemu+tls://kvm-01/system"KEYS}\n  - {name: kvm-02, uri: "qemu+tls://kvm-02/system"}\n'


def loaded(folder: Path, text: str) -> Settings:
    (folder / "s.yml").write_text(text)
    return load_settings(folder / "s.yml")


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    (problem,) = caught.value.problems
    return problem.replace(f"{folder}/", "")


def test_a_host_overrides_the_defaults_key_by_key(tmp_path: Path) -> None:
    text = "defaults: {cpu_limit: 64, idle_watts: 120}\n" + HOSTS.replace("KEYS", ", cpu_limit: 0.6")
    one, two = loaded(tmp_path, text).cluster.hosts
    assert (one.cpu_limit, one.idle_watts) == (0.6, 120.0)
    assert (two.cpu_limit, two.idle_watts) == (64.0, 120.0)


def test_without_a_word_the_hypervisor_says_how_many_processors(tmp_path: Path) -> None:
    assert [(host.cpu_limit, host.idle_watts) for host in loaded(tmp_path, HOSTS.replace("KEYS", "")).cluster.hosts] == [
        (None, None), (None, None)]


@pytest.mark.parametrize(("key", "words"), [
    ("memory_limit: 0B", "memory_limit: 0 would leave VMs no memory at all; to keep them off a host, cordon it: ballastctl "
     "host cordon"),
    ("cpu_limit: 0", "cpu_limit: 0: a number of processors is above 0, and at most 65536"),
    ("cpu_limit: -1", "cpu_limit: -1: a number of processors is above 0, and at most 65536"),
    ("cpu_limit: 1e999", "cpu_limit: inf: a number of processors is above 0, and at most 65536"),
    ("cpu_limit: 80%", "cpu_limit: '80%' is not a number of processors; write for example 64, or 0.5"),
    ("cpu_limit: true", "cpu_limit: true is not a number of processors; write for example 64, or 0.5"),
    ('cpu_limit: "64"',
     "cpu_limit: '64' is not a number of processors; write for example 64, or 0.5; take the quotes off"),
    ("idle_watts: 120W", "idle_watts: '120W' is not a number of watts; write for example 120"),
    ("idle_watts: 0", "idle_watts: 0: a number of watts is above 0, and at most 100000"),
])
def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path, key: str, words: str) -> None:
    assert refused(tmp_path, HOSTS.replace("KEYS", f", {key}")) == f"s.yml:2:53: hosts.0.{words}"


def test_the_times_of_power_are_settings(tmp_path: Path) -> None:
    text = HOSTS.replace("KEYS", "")
    assert loaded(tmp_path, text).cluster.timing == Timing()
    short = "timing: {load_window: 21s, cordon_confirm: 2s, power_off: 3s, wake: 4s, wake_proof: 5d}\n"
    assert loaded(tmp_path, text + short).cluster.timing == Timing(
        load_window=Seconds(21.0), cordon_confirm=Seconds(2.0), power_off=Seconds(3.0), wake=Seconds(4.0),
        wake_proof=Seconds(5 * 86400.0))
    assert refused(tmp_path, text + "timing: {wake: 0s}\n") == (
        "s.yml:4:10: timing.wake: must be above zero; write for example 5m")


@pytest.mark.parametrize(("written", "address"), [
    ("127.0.0.1:9464", ("127.0.0.1", 9464)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:65535", ("::1", 65535)),
    ("[2001:DB8::0:1]:80", ("2001:db8::1", 80))])
def test_metrics_are_served_where_it_is_said(tmp_path: Path, written: str, address: tuple[str, int]) -> None:
    text = HOSTS.replace("KEYS", "")
    assert loaded(tmp_path, f'{text}metrics: {{listen: "{written}"}}\n').metrics.listen == address


@pytest.mark.parametrize("more", ["", "metrics:\n", "metrics: {}\n"])
def test_metrics_are_not_served_unless_it_is_said(tmp_path: Path, more: str) -> None:
    assert loaded(tmp_path, HOSTS.replace("KEYS", "") + more).metrics.listen is None


@pytest.mark.parametrize("written", ['"9464"', "9464", '":9464"', "localhost:9464", "127.0.0.1", "127.0.0.1:0",
                                     "127.0.0.1:65536", '"::1:9464"', "256.0.0.1:80", '"[::1::]:80"', "true"])
def test_what_is_no_address_to_listen_on_is_refused(tmp_path: Path, written: str) -> None:
    problem = refused(tmp_path, f"{HOSTS.replace('KEYS', '')}metrics: {{listen: {written}}}\n")
    assert problem.startswith("s.yml:4:11: metrics.listen: ")
    assert "is no address to listen on" in problem


def test_an_emptied_listen_is_a_mistake(tmp_path: Path) -> None:
    assert refused(tmp_path, HOSTS.replace("KEYS", "") + "metrics:\n  listen:\n") == (
        "s.yml:5:3: metrics.listen: nothing stands here; write a value, or take the key out")
