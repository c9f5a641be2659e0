"""Values that are well formed and make no sense are refused, each with its place and its cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import Limits
from ballastd.documents import load_policies, load_settings
from ballastd.errors import ConfigurationError

EVACUATION = "kind: Evacuation\nname: e\non: {severity: failing}\nrespond: drain\nmode: auto\n"
SETTINGS = 'hosts:\n  - {name: kvm-01, uri: "qemu+tls://kvm-01/system"}\n'
A_LINK = "write for example tcp://10.0.0.1"


def health(when: str, more: str = "") -> str:
    return f"kind: Health\nname: x\nwhen: {{{when}}}\nseverity: failing\n{more}"


def window(schedule: str) -> str:
    return f"kind: Window\nname: w\ndeny: {{{schedule}}}\n"


def limits(more: str) -> str:
    return f"kind: Limits\nname: l\n{more}\n"


@pytest.mark.parametrize(("text", "problem"), [
    ("kind: [Health]\nname: x\n", "1:1: kind: ['Health']: did you mean Health?"),
    ("kind: Limits\nname: 5\n", "2:1: name: expected a word, found 5; put it in quotes"),
    (health("metric: [temperature], above: 85C"),
     "3:8: when.metric: ['temperature'] is no metric; did you mean temperature?"),
    (health("metric: temperature, above: 127C"),
     "3:1: when: '127C': no reading of temperature ever lies above that"),
    (health("metric: temperature, below: -60C"),
     "3:1: when: '-60C': no reading of temperature ever lies below that"),
    (health("metric: temperature, above: -200C"),
     "3:1: when: '-200C': every reading of temperature lies above that"),
    (health("metric: temperature, relative_to: critical, above: 187C"),
     "3:1: when: '187C': no reading of temperature ever lies above that"),
    (health("metric: cpu.utilization, above: 100%"),
     "3:1: when: '100%': no reading of cpu.utilization ever lies above that"),
    (health("metric: ecc.corrected, increase: 1h, above: -1"),
     "3:1: when: -1: every reading of ecc.corrected lies above that"),
    (health("metric: ecc.corrected, increase: 0s, above: 1"),
     "3:31: when.increase: must be above zero; write for example 5m"),
    (health("metric: ecc.corrected, increase: 1h, above: .nan"),
     "3:1: when: '.nan': ecc.corrected is a plain number (count); write for example 0"),
    (health("metric: memory.available, below: 5"),
     "3:1: when: 5 has no unit; write a size, for example 4GiB"),
    (health("metric: fan.alarm, is: yes"),
     "3:27: when.is: expected true or false, found 'yes'; write one of them, without quotes"),
    (health("metric: temperature, above: 85C, increase: 1h"),
     "3:1: when: temperature is no counter; take increase out, and say how long with for: 5m"),
    (health("metric: temperature, above: 85C, for: 400d"),
     "3:41: when.for: '400d' is longer than a year, 366d at most; is the unit right?"),
    (health("metric: temperature, above: 85C, for: -5m"),
     "3:41: when.for: '-5m' is no duration; write for example 5m, 90s or 1h30m"),
    (health("metric: temperature, above: 85C", "clear: ack\n"),
     "5:1: clear: 'ack': write acknowledge, or for example {below: 60%, for: 30m}"),
    (health("metric: temperature, above: 85C", "clear: {belw: 60C}\n"),
     "5:9: clear.belw: unknown key; did you mean below?"),
    (health("metric: temperature, above: 85C", "clear: {above: 60C}\n"),
     "1:1: document: it fires above, so it clears below; write only below: and for: there"),
    (health("metric: fan.alarm, is: true", "clear: {below: 1}\n"),
     "1:1: document: a yes or no has no other edge; write for example clear: {for: 30m}"),
    (health("metric: temperature, above: 85C", "scope: {hosts: kvm-01}\n"),
     "5:9: scope.hosts: 'kvm-01': write all, or a list of host names and patterns, for example [rack1-*]"),
    (health("metric: temperature, above: 85C", "scope: {labels: {rack: 1}}\n"),
     "5:18: scope.labels.rack: expected a word, found 1; put it in quotes"),
    (EVACUATION + "deadline: 0s\n", "6:1: deadline: must be above zero; write for example 5m"),
    (EVACUATION + "ignore_windows: no\n",
     "6:1: ignore_windows: expected true or false, found 'no'; write one of them, without quotes"),
    (EVACUATION + "windows: nights\n", "6:1: windows: expected a list, found 'nights'; write for example windows: [nights]"),
    (window('days: [mon], at: "08:00", for: 8d, timezone: UTC'),
     "3:1: deny: 8d is longer than from one start to the next, so it never ends; write for example for: 7h"),
    (window('days: [mon], at: "08:00", for: 0s, timezone: UTC'),
     "3:34: deny.for: must be above zero; write for example 5m"),
    (window('days: [mon], at: "08:00", for: 1h, timezone: ../../etc/passwd'),
     "3:43: deny.timezone: '../../etc/passwd' is no IANA time zone; write for example Europe/Berlin"),
    (window("from: 0001-01-01, for: 1d, timezone: Europe/Berlin"),
     "3:8: deny.from: '0001-01-01': the year 1 is not ours; from 2000 to 2199"),
    (window("from: 2026-12-24T18:00+01:00, for: 1d, timezone: UTC"),
     "3:8: deny.from: write the local time here, and its zone as timezone; for example 2026-12-24 18:00"),
    (limits("in_flight: {cluster: 0}"), "3:13: in_flight.cluster: 0 is below 1, the least"),
    (limits("in_flight: {cluster: true}"),
     "3:13: in_flight.cluster: expected a whole number, found true; write for example 2"),
    (limits('in_flight: {cluster: "4"}'),
     "3:13: in_flight.cluster: expected a whole number, found '4'; take the quotes off"),
    (limits("bandwidth: {link_share: 0%}"),
     "3:13: bandwidth.link_share: must be above zero, or no migration could ever begin; write for example 60%"),
    (limits("bandwidth: {give_way: 50%}"),
     "3:13: bandwidth.give_way: 50% is less than migrations may take by themselves (link_share: 60%): they would never have "
     "their share; write that or more, for example 90%"),
    (limits("freeze: {caution: 20%, freeze: 10%}"),
     "3:1: freeze: caution comes before freeze: it must not be above it; for example {caution: 10%, freeze: 20%}"),
    (limits("failover: {hosts: 2}"), "3:12: failover.hosts: 2 is above 1, the most"),
    (limits("power: {hosts_off: 0%}"),
     "3:9: power.hosts_off: must be above zero; to keep every host on, let no Consolidation be in mode auto"),
    (limits("power: {wakes_per_min: 0}"), "3:9: power.wakes_per_min: 0 is below 1, the least"),
    (limits("power: {host_off: 20%}"), "3:9: power.host_off: unknown key; did you mean hosts_off?"),
    (limits("blast_radius: {same_sensor: 1 in 5m}"),
     "3:16: blast_radius.same_sensor: '1 in 5m': write hosts and a time, for example 3 in 5m"),
])
def test_a_policy_that_makes_no_sense_is_told_once_with_its_cure(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    assert caught.value.problems == (f"{tmp_path}/p.yaml:{problem}",)


@pytest.mark.parametrize("more", ["in_flight: {cluster: 9}", "in_flight: {host_out: 5}", "in_flight: {host_in: 5}",
                                  "bandwidth: {link_share: 81%}", "evacuations: {at_once: 3}", "evacuations: {per_hour: 7}",
                                  "blast_radius: {share: 35%}", "freeze: {caution: 21%, freeze: 30%}",
                                  "freeze: {freeze: 35%}", "retries: {per_move: 6}", "power: {hosts_off: 51%}",
                                  "power: {offs_per_10_min: 3}", "power: {wakes_per_min: 5}", "power: {cycles_per_day: 5}"])
def test_no_policy_rises_above_any_ceiling(tmp_path: Path, more: str) -> None:
    (tmp_path / "p.yaml").write_text(limits(more))
    with pytest.raises(ConfigurationError, match="above the ceiling of"):
        load_policies(tmp_path, None, 0.0)


def test_every_ceiling_itself_may_be_reached(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(limits(
        "in_flight: {cluster: 8, host_out: 4, host_in: 4}\nbandwidth: {link_share: 80%}\nretries: {per_move: 5}\n"
        "evacuations: {at_once: 2, per_hour: 6}\nblast_radius: {share: 34%}\nfreeze: {caution: 20%, freeze: 34%}\n"
        "power: {hosts_off: 50%, offs_per_10_min: 2, wakes_per_min: 4, cycles_per_day: 4}\nconvergence: {downtime_max: 1s}"))
    found = load_policies(tmp_path, None, 0.0).policies.limits
    assert found == Limits(
        in_flight_cluster=8, in_flight_host_out=4, in_flight_host_in=4, link_share=0.80, retries_per_move=5,
        evacuations_at_once=2, evacuations_per_hour=6, blast_share=0.34, caution_share=0.20, freeze_share=0.34,
        hosts_off_share=0.50, power_offs_per_10_min=2, wakes_per_min=4, power_cycles_per_day=4, downtime_max_ms=1000)


@pytest.mark.parametrize(("text", "problem"), [
    (SETTINGS + "mqtt: {host: mqtt://mq}\n",
     "3:8: mqtt.host: 'mqtt://mq' is no host name or address; write for example mq.example.net, and the port as port"),
    (SETTINGS + "mqtt: {password_file: /x}\n",
     "3:1: mqtt: password_file needs a username beside it; write for example username: ballastd"),
    (SETTINGS + "mqtt: {protocol: 5}\n", "3:8: mqtt.protocol: 5 is not one of auto, 5, 3.1.1; put it in quotes"),
    (SETTINGS + "mqtt: {port: 65536}\n", "3:8: mqtt.port: 65536 is above 65535, the most"),
    (SETTINGS + "mqtt: {tls: {cert_file: /x}}\n",
     "3:8: mqtt.tls: cert_file and key_file belong together; write both, or neither"),
    (SETTINGS + "libvirt: {unsafe_migration: off}\n",
     "3:11: libvirt.unsafe_migration: expected true or false, found 'off'; write one of them, without quotes"),
    (SETTINGS + "libvirt: {call_deadline: 0s}\n", "3:11: libvirt.call_deadline: must be above zero; write for example 5m"),
    (SETTINGS + "timing: {pace: 0s}\n", "3:10: timing.pace: must be above zero; write for example 5m"),
    (SETTINGS + "journal:\n", "3:1: journal: nothing stands here; write a value, or take the key out"),
    (SETTINGS + "cluster_name: x\n", "3:1: cluster_name: unknown key; did you mean cluster?"),
    (SETTINGS + "defaults: {memory_reserve: 4GB}\n",
     "3:12: defaults.memory_reserve: '4GB' is no size; write for example 4GiB (units: B, KiB, MiB, GiB, TiB)"),
    (SETTINGS + "defaults: {memory_reserve: 99999999TiB}\n",
     "3:12: defaults.memory_reserve: '99999999TiB' is more than there is; is the unit right?"),
    (SETTINGS.replace('"}', '", migration_uri: 10.0.0.1}'),
     f"2:53: hosts.0.migration_uri: '10.0.0.1' is no address for guest memory; {A_LINK}"),
    (SETTINGS + '  - {name: kvm-02, uri: "qemu:///system"}\n',
     "3:20: hosts.1.uri: 'qemu:///system' is this machine for whoever reads it; write as peer_uri how its peers reach it, "
     "for example qemu+tls://kvm-01/system"),
    ("hosts: [kvm-01]\n", "1:9: hosts.0: expected keys and values, found 'kvm-01'"),
    ("- a\n", "1:1: expected keys and values, found a list"),
])
def test_settings_that_make_no_sense_are_told_once_with_their_cure(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "s.yml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "s.yml")
    assert caught.value.problems == (f"{tmp_path}/s.yml:{problem}",)


def test_a_password_in_the_settings_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(SETTINGS + "mqtt: {password: hunter2}\n")
    with pytest.raises(ConfigurationError, match="name it as password_file") as caught:
        load_settings(tmp_path / "s.yml")
    assert "hunter2" not in str(caught.value)


def test_the_machine_we_run_on_may_be_a_host_if_its_peers_know_another_way(tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(
        SETTINGS + '  - {name: kvm-02, uri: "qemu:///system", peer_uri: "qemu+tls://kvm-02/system"}\n')
    assert [host.peer_uri for host in load_settings(tmp_path / "s.yml").cluster.hosts] == [
        "qemu+tls://kvm-01/system", "qemu+tls://kvm-02/system"]


@pytest.mark.parametrize(("when", "threshold"), [
    ("metric: memory.available, below: 4GiB", float(4 << 30)),
    ("metric: network.rx, above: 100MiB/s", float(100 << 20)),
    ("metric: cpu.utilization, above: 80%", 0.8),
    ("metric: temperature, relative_to: high, above: -5C", -5.0),
    ("metric: fan.speed, below: 500", 500.0),
])
def test_every_unit_can_be_written(tmp_path: Path, when: str, threshold: float) -> None:
    (tmp_path / "p.yaml").write_text(health(when))
    assert load_policies(tmp_path, None, 0.0).policies.health[0].condition.predicate.threshold == threshold
