"""Whatever stands in a file, the answer is a sound set or a ConfigurationError: nothing else ever gets out."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ballastd.core.quantities import HostName
from ballastd.documents import LoadedPolicies, Settings, load_policies, load_settings
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

ROOT = Path(__file__).parents[3]
SHIPPED = [path.read_text() for path in sorted((ROOT / "policies").glob("*.yaml"))]
CONFIG = (ROOT / "config" / "ballastd.yaml").read_text()
NOW = 1_795_400_000.0
CLUSTER = a_cluster().host("kvm-01", rack="r1").build()

# what parsers, dates and paths stumble over
NASTY = ["", " ", "all", "no", "22:30", "0660", "5m", "0s", "99999999d", "9" * 400 + "d", "80%", "-5C", "4GiB", "9" *
         400 + "GiB", "10Gbit/s", "3 in 5m", "mon-fri", "Europe/Berlin", "../../etc/passwd", "/", "/a\x00b",
         "0001-01-01", "9999-12-31", "2026-12-24 18:00", "2026-12-24T18:00+01:00", "acknowledge", "auto", "failing",
         "temperature", "ecc.corrected", "fan.alarm", "\ud800", "\u0663m", "\u2028", "[", "*", "qemu+tls://a/system",
         "qemu:///system", "tcp://a", "a" * 300, "should(5)", "must", "apart", "never-on", "host", "rack", "redfish",
         "command", "none", "off", "100%", "https://bmc-01", "http://[::1", "127.0.0.1:9464", "[::1]:0", "{hostname}"]
KEYS = ["kind", "name", "description", "scope", "hosts", "labels", "when", "metric", "above", "below", "is",
        "increase", "for", "relative_to", "severity", "clear", "on", "respond", "deadline", "ignore_windows", "order",
        "avoid", "windows", "last_resort", "mode", "allow", "deny", "days", "at", "from", "timezone", "closing", "in_flight",
        "cluster", "bandwidth", "link_share", "blast_radius", "same_sensor", "share", "at_least", "freeze", "retries",
        "uri", "peer_uri", "migration_uri", "mqtt", "tls", "port", "password", "libvirt", "timing", "pace", "api",
        "journal", "defaults", "vouched_storage", "memory_limit", "hot", "cool", "cpu", "memory",
        "cpu.pressure.some", "imbalance", "cooldown", "budget", "in_flight", "window", "fill_to", "spare", "power_off",
        "power_on", "ahead_of_window_end", "vms", "tag", "tags", "names", "group", "rule", "across", "strength", "power",
        "hosts_off", "driver", "url", "argv", "off", "status", "username", "password_file", "listen", "cpu_limit"]
scalars = (st.sampled_from(NASTY) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5), max_leaves=12)
SECTIONS = st.sampled_from(["defaults", "mqtt", "libvirt", "timing", "api", "logging", "journal", "on_stop", "hosts",
                            "cluster", "metrics"])
kinds = st.sampled_from(["Health", "Evacuation", "Balance", "Consolidation", "Placement", "Window", "Limits"])
SKELETONS = {
    "Health": {"when": {"metric": "temperature", "above": "85C"}, "severity": "failing"},
    "Evacuation": {"on": {"severity": "failing"}, "respond": "drain"},
    "Balance": {"hot": {"cpu": "80%"}, "cool": {"cpu": "60%"}, "imbalance": {"above": "30%"}, "budget": {"per_hour": 6}},
    "Consolidation": {"window": {"days": ["mon"], "at": "22:00", "for": "7h", "timezone": "UTC"},
                      "fill_to": {"cpu": "60%"}, "power_on": {"above": "81%"}, "spare": {"hosts": 1}},
    "Placement": {"vms": {"tag": "web"}, "rule": "never-on", "hosts": {"labels": {"rack": "r1"}}, "strength": "should(5)"},
    "Window": {"deny": {"days": ["mon"], "at": "08:00", "for": "1h", "timezone": "UTC"}},
    "Limits": {"blast_radius": {"share": "20%"}},
}


def policies(place: Path, text: str) -> LoadedPolicies | ConfigurationError:
    (place / "p.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return load_policies(place, CLUSTER, NOW)
    except ConfigurationError as error:
        return error


def the_settings(place: Path, text: str) -> Settings | ConfigurationError:
    (place / "s.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = load_settings(place / "s.yml")
        assert found.cluster.hosts, "settings without a host are useless"
        return found
    except ConfigurationError as error:
        return error


def assert_told(found: object) -> None:
    if isinstance(found, ConfigurationError):
        assert found.problems
        for problem in found.problems:
            assert "\n" not in problem
            assert len(problem) < 1000, "a message is no place for a whole file"
            problem.encode()
    else:
        assert isinstance(found, LoadedPolicies | Settings)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A document of a known kind, sound but for one subtree, so that the deeper checks are reached as well."""
    kind = draw(kinds)
    body = {"kind": kind, "name": "n", **json.loads(json.dumps(SKELETONS[kind]))}
    level = body
    for _ in range(draw(st.integers(0, 2))):
        inner = [value for value in level.values() if isinstance(value, dict)]
        level = draw(st.sampled_from(inner)) if inner else level
    level[draw(st.sampled_from(sorted(level)) | st.sampled_from(KEYS))] = draw(values)
    return json.dumps(body, ensure_ascii=draw(st.booleans()))


@st.composite
def mutilated(draw: st.DrawFn, texts: list[str]) -> str:
    """A shipped file with a piece cut out and something else in its place."""
    text = draw(st.sampled_from(texts))
    begin = draw(st.integers(0, len(text)))
    end = min(len(text), begin + draw(st.integers(0, 20)))
    return text[:begin] + draw(st.text(alphabet=string.printable, max_size=6) | st.sampled_from(NASTY)) + text[end:]


slow_disk = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.text(max_size=120))
@example("kind: [Health]\nname: x\n")
@example("a: " + "9" * 5000)
@example('a: "\\ud800"\n')
@slow_disk
def test_any_text_is_policies_or_a_configuration_error(tmp_path: Path, text: str) -> None:
    assert_told(policies(tmp_path, text))
    assert_told(the_settings(tmp_path, text))


@given(documents())
@example(json.dumps({"kind": "Health", "name": "n", "when": {"metric": ["a"], "above": 1}, "severity": "failing"}))
@example(json.dumps({"kind": "Window", "name": "n", "deny": {
    "days": ["mon"], "at": "08:00", "for": "99999999d", "timezone": "UTC"}}))
@example(json.dumps({"kind": "Window", "name": "n", "deny": {
    "from": "0001-01-01", "for": "1d", "timezone": "Europe/Berlin"}}))
@slow_disk
def test_a_document_with_one_wrong_part_is_told_and_never_crashes(tmp_path: Path, text: str) -> None:
    assert_told(policies(tmp_path, text))


@given(mutilated(SHIPPED))
@slow_disk
def test_a_mutilated_policy_file_is_told_or_still_sound(tmp_path: Path, text: str) -> None:
    assert_told(policies(tmp_path, text))


@given(mutilated([CONFIG]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutilated_settings_are_told_or_still_sound(tmp_path: Path, text: str) -> None:
    assert_told(the_settings(tmp_path, text))


@given(SECTIONS, values)
@example("defaults", {"memory_reserve": "9" * 400 + "GiB"})
@slow_disk
def test_settings_with_one_wrong_section_are_told(tmp_path: Path, section: str, value: object) -> None:
    body = {"hosts": [{"name": HostName("kvm-01"), "uri": "qemu+tls://kvm-01/system"}], section: value}
    assert_told(the_settings(tmp_path, json.dumps(body)))


@pytest.mark.parametrize("raw", [b"\xff", b"\xfe\xff\x00a", b"a: \xc3(", b"\x00" * 100, b"\x1f\x8b\x08\x00",
                                 b"a: \xed\xa0\x80"])
def test_bytes_that_are_no_text_are_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "p.yaml").write_bytes(raw)
    with pytest.raises(ConfigurationError, match=r"not UTF-8|that no text has"):
        load_policies(tmp_path, None, NOW)
