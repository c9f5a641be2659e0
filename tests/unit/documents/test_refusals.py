"""A wrong policy is refused whole: file, line, column, key, what is wrong, and what would be right."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ballastd.core.quantities import HostName
from ballastd.documents import load_policies, load_settings
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

HEALTH = "kind: Health\nname: hot\nwhen: {metric: temperature, above: 85C}\nseverity: failing\n"
KINDS = "Health, Evacuation, Balance, Consolidation, Placement, Window, Limits"
EVACUATION = "kind: Evacuation\nname: e\non: {severity: failing}\nrespond: evacuate\nmode: auto\n"


def refused(tmp_path: Path, text: str | bytes) -> list[str]:
    path = tmp_path / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(("text", "problem"), [
    ("kind: Helth\n", "p.yaml:1:1: kind: 'Helth': did you mean Health?"),
    ("name: x\n", f"p.yaml:1:1: kind: is missing; write one of {KINDS}"),
    ("kind: Sparkling\nname: b\n", f"p.yaml:1:1: kind: 'Sparkling': known: {KINDS}"),
    ("- a\n- b\n", f"p.yaml:1:1: kind: is missing; write one of {KINDS}"),
    (HEALTH.replace("temperature", "temprature"),
     "p.yaml:3:8: when.metric: 'temprature' is no metric; did you mean temperature?"),
    (HEALTH.replace("above: 85C", "above: 85"),
     "p.yaml:3:1: when: 85 is no temperature; write for example 85C"),
    (HEALTH.replace("above: 85C", "above: 85C, for: 5"),
     "p.yaml:3:41: when.for: 5 has no unit; write a duration, for example 5m, 90s or 1h30m"),
    (HEALTH.replace("above: 85C", "above: 85C, fr: 5m"), "p.yaml:3:41: when.fr: unknown key; did you mean for?"),
    (HEALTH.replace("above: 85C", "above: 85C, below: 3C"),
     "p.yaml:3:1: when: exactly one edge is needed (above, below given); write for example above: 85C"),
    (HEALTH.replace("severity: failing", "severity: awful"),
     "p.yaml:4:1: severity: 'awful' is not one of suspect, degraded, failing"),
    (HEALTH + "mode: auto\n",
     "p.yaml:1:1: document: mode belongs to the response: write it in the Evacuation policy; a condition only judges"),
    (HEALTH + "clear: {below: 90C}\n",
     "p.yaml:1:1: document: it fires above 85 and would clear at 90, which is above that: it would flap"),
    (HEALTH.replace("name: hot", "name: Hot Host"),
     "p.yaml:2:1: name: 'Hot Host': lower-case letters, digits and dashes, as in failing-hosts"),
    ("kind: Health\nname: x\nwhen: {metric: ecc.uncorrected, above: 0}\nseverity: failing\n",
     "p.yaml:3:1: when: ecc.uncorrected is a counter: say over which time it rises, for example increase: 1h"),
    ("kind: Health\nname: x\nwhen: {metric: fan.alarm, above: 0}\nseverity: failing\n",
     "p.yaml:3:1: when: fan.alarm is a yes or no: write is: true"),
    ("kind: Health\nname: x\nwhen: {metric: cpu.utilization, above: 0.8}\nseverity: failing\n",
     "p.yaml:3:1: when: 0.8 has no unit; write a percentage, for example 80%"),
    ("kind: Health\nname: x\nwhen: {metric: cpu.utilization, above: 180%}\nseverity: failing\n",
     "p.yaml:3:1: when: 180% is not between 0% and 100%"),
    (HEALTH + "scope: {}\n",
     "p.yaml:5:1: scope: selects nothing; write hosts: all, hosts: [rack1-*], or labels: {rack: r1}"),
    (EVACUATION.replace("evacuate", "evacuat"),
     "p.yaml:4:1: respond: 'evacuat' is not one of quarantine, drain, evacuate; did you mean evacuate?"),
    (EVACUATION + "last_resort: [shutdown]\n",
     "p.yaml:1:1: document: shutdown is for VMs that are still there when the deadline has passed, and there is none; write "
     "for example deadline: 30m, or take shutdown out"),
    (EVACUATION + "deadline: 30m\nlast_resort: [shutdown, post_copy]\n",
     "p.yaml:7:1: last_resort: shutdown is the last of all: nothing comes after it; write [post_copy, shutdown]"),
    (EVACUATION.replace("failing", "degraded") + "deadline: 30m\nlast_resort: [shutdown]\n",
     "p.yaml:1:1: document: shutdown takes a VM out of service, and is for hosts that fail; take it out, or write on: "
     "{severity: failing}"),
    (EVACUATION + "last_resort: [post_copy, post_copy]\n",
     "p.yaml:6:1: last_resort: each once; write for example [post_copy]"),
    (EVACUATION.replace("failing", "degraded") + "last_resort: [post_copy]\n",
     "p.yaml:1:1: document: post_copy may cost a VM its life, and is for hosts that fail; take it out, or write on: "
     "{severity: failing}"),
    (EVACUATION + "avoid: [rack, rack]\n", "p.yaml:6:1: avoid: each label once; write for example [rack]"),
    (EVACUATION + "avoid: [host]\n",
     "p.yaml:6:1: avoid: no VM goes to the host that it leaves; write a label of hosts, for example [rack]"),
    (EVACUATION + "avoid: rack\n", "p.yaml:6:1: avoid: expected a list, found 'rack'; write for example avoid: [rack]"),
    (EVACUATION.replace("evacuate", "quarantine") + "avoid: [rack]\n",
     "p.yaml:1:1: document: a quarantine moves nothing, avoid would do nothing; take it out, or write respond: drain"),
    (EVACUATION + "windows: [nights]\n", "p.yaml:6:11: windows.0: there is no Window 'nights'; known: none"),
    (EVACUATION + "ignore_windows: true\nwindows: [nights]\n",
     "p.yaml:1:1: document: ignore_windows and windows contradict each other; keep one"),
    ("kind: Window\nname: w\ndeny: {days: [mon-fry], at: 08:00, for: 10h, timezone: Europe/Berlin}\n",
     "p.yaml:3:8: deny.days: 'mon-fry' is no weekday; write for example [mon, tue] or [mon-fri]"),
    ("kind: Window\nname: w\ndeny: {days: [mon], at: 25:00, for: 10h, timezone: Europe/Berlin}\n",
     "p.yaml:3:21: deny.at: '25:00' is no time of day; write for example \"22:00\""),
    ("kind: Window\nname: w\ndeny: {days: [mon], at: 08:00, for: 10h, timezone: Europe/Berln}\n",
     "p.yaml:3:42: deny.timezone: 'Europe/Berln' is no IANA time zone; write for example Europe/Berlin; did you mean "
     "Europe/Berlin?"),
    ("kind: Window\nname: w\n",
     'p.yaml:1:1: document: write either allow or deny; for example deny: {days: [mon-fri], at: "08:00", for: 10h, '
     "timezone: Europe/Berlin}"),
    ("kind: Limits\nname: l\nin_flight: {cluster: 9}\n",
     "p.yaml:3:13: in_flight.cluster: above the ceiling of 8, which no policy can raise"),
    ("kind: Limits\nname: l\nbandwidth: {link_share: 81%}\n",
     "p.yaml:3:13: bandwidth.link_share: above the ceiling of 80%, which no policy can raise"),
    ("kind: Limits\nname: l\nevacuations: {per_hour: 7}\n",
     "p.yaml:3:15: evacuations.per_hour: above the ceiling of 6, which no policy can raise"),
    ("kind: Limits\nname: l\nfreeze: {freeze: 35%}\n",
     "p.yaml:3:10: freeze.freeze: above the ceiling of 34%, which no policy can raise"),
    ("kind: Limits\nname: l\nblast_radius: {same_sensor: 3}\n",
     "p.yaml:3:16: blast_radius.same_sensor: 3: write hosts and a time, for example 3 in 5m"),
    ("kind: Limits\nname: l\nin_flight: many\n",
     "p.yaml:3:1: in_flight: expected keys and values, found 'many'; write for example in_flight: {cluster: 4, "
     "host_out: 2, host_in: 2}"),
    (HEALTH + "---\n" + HEALTH, "p.yaml:7:1: name: another Health is called hot (p.yaml:2:1); give each its own"),
    ("kind: Limits\nname: a\n---\nkind: Limits\nname: b\n",
     "p.yaml:4:1: kind: a second Limits (b); there is one for the cluster"),
    ("a: 1\na: 2\n", "p.yaml:2:1: a: stands here twice (first in line 1); keep one"),
    ("a: &x [1]\n", "p.yaml:1:4: anchors and aliases are not used here; write the value out"),
    ("a: !!python/object/apply:os.system [ls]\n",
     "p.yaml:1:4: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not used here; write a plain value"),
    ("\tkind: Health\n",
     "p.yaml:1:1: not YAML: found character '\\t' that cannot start any token; indent with spaces, not tabs"),
    ("kind: [Health\n", "p.yaml:2:1: not YAML: expected ',' or ']', but got '<stream end>'; close the brace or bracket that "
     "was opened in line 1, or put a comma between"),
    (b"kind: \xff\xfe\n", "p.yaml:1:7: not UTF-8 at byte 6; save it as UTF-8"),
])
def test_each_mistake_is_told_once_with_its_place_and_its_cure(tmp_path: Path, text: str | bytes, problem: str) -> None:
    assert refused(tmp_path, text) == [problem]


def test_all_mistakes_of_all_files_come_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Helth\n---\nkind: Health\nname: x\n")
    problems = refused(tmp_path, "kind: Limits\nname: l\nin_flight: {cluster: 9, hostout: 1}\n")
    assert len(problems) == 5
    assert problems[0].startswith("a.yaml:1:1")


def test_an_empty_or_absent_directory_is_an_error_with_the_cure(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match=r"policies are \*\.yaml|begin with a copy"):
            load_policies(place, None, 0.0)


def test_a_file_of_comments_only_holds_no_policy_and_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing yet\n---\n# nor here\n")
    assert load_policies(tmp_path, None, 0.0).policies.health == ()


@pytest.mark.parametrize("bomb", [
    "a: " + "[" * 3000 + "]" * 3000,
    "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n",
    "x: " + "y" * 300_000,
    "\n".join(f"k{i}: 1" for i in range(30_000)),
    "- " * 2000 + "x",
    "{" * 500,
    "? " * 800,
])
def test_bombs_are_refused_quickly(tmp_path: Path, bomb: str) -> None:
    begun = time.monotonic()
    assert refused(tmp_path, bomb)
    assert time.monotonic() - begun < 10.0


def test_words_that_old_yaml_turns_into_something_else_stay_words(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "kind: Window\nname: no\ndeny: {days: [mon], at: 22:30, for: 1h, timezone: Europe/Berlin}\n---\n" + EVACUATION)
    policies = load_policies(tmp_path, None, 0.0).policies
    assert "no" in policies.windows
    begin, end = policies.windows["no"].intervals[0]
    assert end - begin == 3600.0


def test_a_scope_that_matches_no_host_is_an_error(tmp_path: Path) -> None:
    cluster = a_cluster().host("kvm-01", rack="r1").build()
    (tmp_path / "p.yaml").write_text(HEALTH + "scope: {hosts: [kvm-1]}\n---\n"
                                     + HEALTH.replace("hot", "other") + "scope: {labels: {rack: r9}}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, cluster, 0.0)
    assert "'kvm-1' matches no declared host; did you mean kvm-01?" in caught.value.problems[0]
    assert "no declared host has rack: r9" in caught.value.problems[1]


def test_a_severity_that_nothing_reaches_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(EVACUATION)
    assert "no Health policy ever reaches" in load_policies(tmp_path, None, 0.0).warnings[0]


SETTINGS = "hosts:\n  - {name: kvm-01, uri: \"qemu+tls://kvm-01/system\"}\n"


PROTOCOLS = ("is no storage; write the path of files (/srv/vms) or of devices (/dev/vg_san), or for a network disk its "
             "protocol and name (rbd:pool); protocols: rbd, iscsi, nbd, gluster, nfs")
EVERY_DEVICE = "is every device of the host, its own disks too; write for example /dev/vg_san or /dev/mapper/san-*"
COUNTED = ("is a name that each host gives in the order in which it finds its disks, so it is another disk on another host; "
           "write one that all hosts have for it, for example /dev/disk/by-id/wwn-...")
NO_STORAGE = [
    ("srv/vms", f"'srv/vms' {PROTOCOLS}"), ("sheepdog:x", f"'sheepdog:x' {PROTOCOLS}"),
    ("7", "7 is no storage; write for example /srv/vms, /dev/vg_san or rbd:pool"),
    ("/srv/../etc", "'/srv/../etc' is no storage; write it without .. and control characters, for example /srv/vms"),
    ("/srv/vm*", "'/srv/vm*' has a *, which may only end the names of devices; write for example /dev/mapper/san-*"),
    ("/dev/v*/a", "'/dev/v*/a' has a *, which may only end the names of devices; write for example /dev/mapper/san-*"),
    *((path, f"'{path}' {EVERY_DEVICE}") for path in ("/dev", "/dev/mapper", "/dev/mapper/*", "/dev/disk/by-id/",
                                                            "/dev/sd*", "/dev/s*", "/dev/nvme1*", "/dev/dm-*")),
    *((path, f"'{path}' {COUNTED}") for path in ("/dev/sdb", "/dev/vda2", "/dev/nvme0n1", "/dev/dm-3", "/dev/block/8:16")),
    ("\"rbd:\"", "'rbd:' names no storage; write for example rbd:pool"),
    ("nbd:10.0.0.9//x", "'nbd:10.0.0.9//x' names no storage; write for example nbd:10.0.0.9/vms"),
]


@pytest.mark.parametrize(("text", "problem"), [
    ("hosts: []\n", "s.yaml:1:1: hosts: List should have at least 1 item after validation, not 0"),
    ("cluster: x\n", "s.yaml:1:1: hosts: is missing"),
    (SETTINGS.replace("kvm-01,", "KVM_01,"), "s.yaml:2:6: hosts.0.name: 'KVM_01' is no host name: lower-case letters, "
     "digits, dots and dashes, as in kvm-01 (it is also the name under which the host's telemetry comes)"),
    (SETTINGS.replace("qemu+tls://kvm-01/system", "kvm-01"),
     "s.yaml:2:20: hosts.0.uri: 'kvm-01' is no libvirt URI; write for example qemu+tls://kvm-01/system"),
    (SETTINGS + "  - {name: kvm-01, uri: \"qemu+tls://kvm-02/system\"}\n",
     "s.yaml:3:6: hosts.1.name: kvm-01 is declared twice (first as hosts.0); each host has its own"),
    (SETTINGS + "mqtt: {password: secret}\n", "s.yaml:3:1: mqtt: a password does not belong in this file; put it into a "
     "file of its own, readable by the daemon only, and name it as password_file"),
    (SETTINGS + "mqtt: {prefix: a/+}\n",
     "s.yaml:3:8: mqtt.prefix: 'a/+' cannot begin a topic: no slash at its ends, no +, #, $ or space"),
    (SETTINGS + "api: {mode: \"0666\"}\n",
     's.yaml:3:7: api.mode: 0666 opens the socket to everybody; write for example "0660"'),
    (SETTINGS + "journal: journal.db\n", "s.yaml:3:1: journal: 'journal.db' is no absolute path; write for example "
     "/var/lib/ballastd/journal.db"),
    (SETTINGS + "timing: {pace: 30}\n",
     "s.yaml:3:10: timing.pace: 30 has no unit; write a duration, for example 5m, 90s or 1h30m"),
    (SETTINGS + "timing: {inventory_max_age: 5s}\n", "s.yaml:3:1: timing: inventory_max_age must be above "
     "inventory_interval, or no host would ever be reachable"),
    (SETTINGS + "timing: {load_window: 20s}\n", "s.yaml:3:1: timing: load_window must be above twice inventory_interval, "
     "or no load would ever be known"),
    (SETTINGS + "defaults: {link_speed: 10}\n",
     "s.yaml:3:12: defaults.link_speed: 10 has no unit; write a link speed, for example 10Gbit/s"),
    (SETTINGS + "defaults: {link_interfaces: [\"\"]}\n",
     "s.yaml:3:30: defaults.link_interfaces.0: '' is no interface; write it as the host's telemetry does, for example eno1"),
    (SETTINGS + "defaults: {link_interfaces: [eno1, eno2, eno1]}\n",
     "s.yaml:3:12: defaults.link_interfaces: 'eno1' stands there twice, and what it carries would count twice; keep one"),
    *((SETTINGS + f"defaults: {{vouched_storage: [{text}]}}\n", f"s.yaml:3:30: defaults.vouched_storage.0: {problem}")
      for text, problem in NO_STORAGE),
    (SETTINGS + "polices: /x\n", "s.yaml:3:1: polices: unknown key; did you mean policies?"),
    (SETTINGS + "---\n" + SETTINGS, "s.yaml: 2 documents, exactly one is expected; see the commented config/ballastd.yaml"),
])
def test_settings_are_refused_with_place_and_cure(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert [p.replace(f"{tmp_path}/", "") for p in caught.value.problems] == [problem]


def test_hosts_take_defaults_and_keep_their_own(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("defaults: {link_speed: 1Gbit/s, link_interfaces: [eno1, eno2], labels: {site: a}, vouched_storage: "
                    "[/srv/, /dev/vg_san, 'rbd:pool/']}\n" + SETTINGS.replace(
        "system\"}", "system\", labels: {rack: r1}, memory_limit: 64GiB}"))
    host = load_settings(path).cluster.host(HostName("kvm-01"))
    assert host is not None
    assert host.labels == (("rack", "r1"), ("site", "a"))
    assert (host.memory_limit, host.vouched_storage) == (64 << 30, ("/srv", "/dev/vg_san", "rbd:pool"))
    assert round(host.link_mib_s, 1) == 119.2
    assert host.link_interfaces == ("eno1", "eno2")
