"""A cluster of which only URIs are known: each host gets a name of its own, and what is no URI is refused in words."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from ballastd.core.quantities import GIB
from ballastd.core.readiness import HostSurvey
from ballastd.doctor import settings_for, who_claims
from ballastd.documents import load_settings
from ballastd.documents.first_settings import first_settings
from ballastd.errors import ConfigurationError


def test_hosts_are_called_as_their_uris_say_unless_two_would_be_called_alike() -> None:
    uris = ("qemu+tls://KVM-01/system", "qemu+ssh://root@kvm-02/system", "qemu+tls://kvm-02/system", "qemu:///system")
    names = {host.uri: host.name for host in settings_for(uris).cluster.hosts}
    assert [names[uri] for uri in uris] == ["kvm-01", "host-2", "host-3", "host-4"]


@pytest.mark.parametrize("uris", [
    ("foo",), ("",), ("qemu+ssh://root:secret@kvm-01/system",), ("qemu+tls://a/system", "qemu+tls://a/system"),
    ("\x1b[2J",), ("qemu+tls://[fd00::1/system",), ("qemu+tls://[zz]/system",), ("qemu+tls://a:99999/system",),
    ("qemu+ssh://root@a:22:33/system",)])
def test_what_is_no_uri_is_refused_in_words(uris: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_for(uris)
    assert "validation error" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("cluster", ["cluster", "rack 12: left", "# none", "yes", "a\nb: c", "K\xf6ln \U0001f600",
                                     'a "b" \\ \x7f\u2028'])
@pytest.mark.parametrize("name", ["kvm-01.example.net", "localhost", "", "Two Words", "kvm\x00", "101.example.net", "null",
                                  "true", "1e5", "b", "host-1", "host-2"])
def test_a_first_settings_file_is_taken_whatever_names_say(cluster: str, name: str, tmp_path: Path) -> None:
    hosts = settings_for(("qemu:///system", "qemu+tls://b/system")).cluster.hosts
    survey = HostSurvey(hosts[0].name, name=name, memory_total=GIB, cpu=("EPYC\n- name: x",))
    file = tmp_path / "ballastd.yaml"
    file.write_text(first_settings(cluster, hosts, {host.name: replace(survey, host=host.name) for host in hosts}))
    found = load_settings(file)
    assert len(found.cluster.hosts) == 2
    assert found.cluster_name == cluster


@pytest.mark.parametrize(("uris", "said", "names"), [
    (("qemu+tls://kvm-01/system", "qemu+tls://kvm-02/system"), ("kvm-02", "localhost"), ["kvm-01", "kvm-02"]),
    (("qemu+tls://10.0.0.1/system", "qemu+tls://kvm-02/system"), ("kvm-02", "kvm-02"), ["10.0.0.1", "kvm-02"]),
    (("qemu+tls://10.0.0.1/system", "qemu+tls://10.0.0.2/system"), ("kvm", "kvm"), ["10.0.0.2", "kvm"]),
    (("qemu+unix://here/system", "qemu+tls://b/system?pkipath=/a:"), ("a", "b"), ["a", "b"]),
], ids=["one calls himself another", "one has another's name", "one template", "a local socket, a colon"])
def test_hosts_that_answer_strangely_have_names_of_their_own_in_a_first_settings_file(
        uris: tuple[str, ...], said: tuple[str, ...], names: list[str], tmp_path: Path) -> None:
    hosts = settings_for(uris).cluster.hosts
    says = dict(zip(uris, said, strict=True))
    surveys = {host.name: HostSurvey(host.name, name=says[host.uri], memory_total=GIB) for host in hosts}
    file = tmp_path / "ballastd.yaml"
    file.write_text(first_settings("site", hosts, surveys))
    found = load_settings(file).cluster.hosts
    assert [host.name for host in found] == names
    assert {host.uri for host in found} == set(uris)


def test_a_first_settings_file_says_where_the_speed_of_the_vms_network_goes(tmp_path: Path) -> None:
    hosts = settings_for(("qemu:///system",)).cluster.hosts
    text = first_settings("site", hosts, {hosts[0].name: HostSurvey(hosts[0].name, name="kvm-01", memory_total=GIB)})
    file = tmp_path / "ballastd.yaml"
    file.write_text(text)
    assert load_settings(file).cluster.hosts[0].network_mib_s is None
    file.write_text(text.replace("# network_speed:", "network_speed:"))
    assert load_settings(file).cluster.hosts[0].network_mib_s == pytest.approx(119.2, abs=0.1)


def test_where_no_broker_is_reached_nobody_knows_whether_a_daemon_is_at_work() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        settings = settings_for(("qemu+tls://a/system",))
        broker = settings.mqtt.model_copy(update={"port": nobody.getsockname()[1]})
        assert who_claims(settings.model_copy(update={"mqtt": broker}), seconds=0.3) is None
