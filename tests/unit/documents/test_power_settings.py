"""Power in the settings: two drivers, the defaults and each host's own, and no machine that two hosts are switched by."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.quantities import HostName
from ballastd.documents import PowerCommandSettings, PowerRedfishSettings, Settings, load_settings
from ballastd.errors import ConfigurationError

ONE, TWO = HostName("kvm-01"), HostName("kvm-02")
COMMANDS = "driver: command, on: [wake, '{host}'], off: [halt, '{host}'], status: [show, '{uuid}']"


def hosts(*powers: str) -> str:
    lines = [f'  - {{name: kvm-{i:02}, uri: "qemu+tls://kvm-{i:02}/system"{f", power: {power}" if power else ""}}}'
             for i, power in enumerate(powers, 1)]
    return "hosts:\n" + "\n".join(lines) + "\n"


def loaded(folder: Path, text: str) -> Settings:
    (folder / "s.yml").write_text(text)
    return load_settings(folder / "s.yml")


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_without_power_no_host_can_be_switched(tmp_path: Path) -> None:
    settings = loaded(tmp_path, hosts("", ""))
    assert settings.power == {}
    assert [(host.power, host.power_identity) for host in settings.cluster.hosts] == [("", True), ("", True)]


def test_each_driver_is_what_its_adapter_takes(tmp_path: Path) -> None:
    text = hosts(f"{{{COMMANDS}, deadline: 5s, trust_identity: true}}",
                 '{driver: redfish, url: "https://bmc-02:8443/", username: u, password_file: /p, ca_file: /c, deadline: 9s, '
                 "system: /redfish/v1/Systems/1/}")
    settings = loaded(tmp_path, text)
    command, redfish = settings.power[ONE], settings.power[TWO]
    assert isinstance(command, PowerCommandSettings)
    assert (command.on, command.off, command.status) == (("wake", "{host}"), ("halt", "{host}"), ("show", "{uuid}"))
    assert (command.deadline, command.trust_identity) == (5.0, True)
    assert isinstance(redfish, PowerRedfishSettings)
    assert (redfish.url, redfish.username, redfish.password_file) == ("https://bmc-02:8443", "u", Path("/p"))
    assert (redfish.system, redfish.ca_file, redfish.insecure_tls) == ("/redfish/v1/Systems/1", Path("/c"), False)
    assert redfish.deadline == 9.0
    assert [(host.power, host.power_identity) for host in settings.cluster.hosts] == [("command", False), ("redfish", True)]


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    settings = loaded(tmp_path, hosts(f"{{{COMMANDS}}}", '{driver: redfish, url: "https://bmc"}'))
    assert settings.power == {
        ONE: PowerCommandSettings(driver="command", on=["wake", "{host}"], off=["halt", "{host}"],  # type: ignore[arg-type]
                                  status=["show", "{uuid}"]),  # type: ignore[arg-type]
        TWO: PowerRedfishSettings(driver="redfish", url="https://bmc")}
    assert [power.deadline for power in settings.power.values()] == [60.0, 60.0]


def test_a_host_replaces_the_defaults_whole_or_takes_them_away(tmp_path: Path) -> None:
    defaults = f"defaults: {{power: {{{COMMANDS}, deadline: 5s, trust_identity: true}}}}\n"
    own = "{driver: command, on: [a], off: [b], status: [c]}"
    settings = loaded(tmp_path, defaults + hosts("", own, "none"))
    assert sorted(settings.power) == [ONE, TWO]
    assert settings.power[ONE].deadline == 5.0
    mine = settings.power[TWO]
    assert isinstance(mine, PowerCommandSettings)
    assert (mine.on, mine.deadline, mine.trust_identity) == (("a",), 60.0, False)
    assert [host.power for host in settings.cluster.hosts] == ["command", "command", ""]


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    power = loaded(tmp_path, hosts(f"{{{COMMANDS}}}")).power[ONE]
    with pytest.raises(ValueError, match="frozen"):
        power.deadline = 1.0  # type: ignore[misc]


def test_commands_that_are_alike_for_two_hosts_would_switch_one_machine(tmp_path: Path) -> None:
    defaults = "defaults: {power: {driver: command, on: [a], off: [b, '--host={host}'], status: [c]}}\n"
    cure = "say which with {host} or {uuid} in it"
    assert problems(tmp_path, defaults + hosts("", "")) == [
        f"s.yml:1:37: defaults.power.on: kvm-01 and kvm-02 would be switched by the same one; {cure}",
        f"s.yml:1:73: defaults.power.status: kvm-01 and kvm-02 would be switched by the same one; {cure}"]
    own = "{driver: command, on: [a, x], off: [b, x], status: [c, x]}"
    assert f"hosts.1.power.off: kvm-01 and kvm-02 would be switched by the same one; {cure}" in problems(
        tmp_path, hosts(own, own))[1]
    assert loaded(tmp_path, hosts(own, own.replace("x", "y"))).power
    assert loaded(tmp_path, defaults + hosts("", "none")).power, "one host alone may have them"


CONTROLLER = '{driver: redfish, url: "https://bmc"SYSTEM}'


@pytest.mark.parametrize(("first", "second"), [
    ("", ""), (", system: /redfish/v1/Systems/1", ""), ("", ", system: /redfish/v1/Systems/1"),
    (", system: /redfish/v1/Systems/1", ", system: /redfish/v1/Systems/1/"),
])
def test_two_hosts_behind_one_controller_name_their_systems(tmp_path: Path, first: str, second: str) -> None:
    (problem,) = problems(tmp_path, hosts(CONTROLLER.replace("SYSTEM", first), CONTROLLER.replace("SYSTEM", second)))
    assert problem.startswith("s.yml:3:")
    assert problem.endswith("hosts.1.power.url: kvm-01 and kvm-02 would be switched by the same one; each host has its own, "
                            "or a system of its own behind it")


def test_a_controller_of_many_systems_serves_many_hosts(tmp_path: Path) -> None:
    settings = loaded(tmp_path, hosts(*(CONTROLLER.replace("SYSTEM", f", system: /redfish/v1/Systems/{i}") for i in (1, 2))))
    assert len(settings.power) == 2


@pytest.mark.parametrize("written", ["https://BMC", "https://bmc:443", "https://bmc/"])
def test_one_controller_is_known_again_however_it_is_written(tmp_path: Path, written: str) -> None:
    assert problems(tmp_path, hosts(CONTROLLER.replace("SYSTEM", ""), f'{{driver: redfish, url: "{written}"}}'))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"])
def test_plain_http_is_for_this_machine_alone(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, hosts(f'{{driver: redfish, url: "{url}"}}')).power
    assert loaded(tmp_path, hosts('{driver: redfish, url: "http://bmc", insecure_tls: true}')).power


A_LIST = ('write its words as a list, no shell reads them: [/usr/local/sbin/power, --host, "{host}", "on"]')


@pytest.mark.parametrize(("power", "problem"), [
    ("{}", "2:53: hosts.0.power.driver: is missing; write one of command, redfish"),
    ("yes", "2:53: hosts.0.power: expected keys and values, found 'yes'; write for example {driver: redfish, url: "
            "https://bmc-01, ...}"),
    ("{driver: ipmi}", "2:61: hosts.0.power.driver: 'ipmi' is not one of command, redfish"),
    ("{driver: redfsh}", "2:61: hosts.0.power.driver: 'redfsh' is not one of command, redfish; did you mean redfish?"),
    ("{driver: command, off: [b], status: [c]}", "2:53: hosts.0.power.on: is missing"),
    ("{driver: command, on: wake up, off: [b], status: [c]}",
     f"2:78: hosts.0.power.on: a text is no command; {A_LIST}"),
    ("{driver: command, on: [], off: [b], status: [c]}", f"2:78: hosts.0.power.on: [] is no command; {A_LIST}"),
    ("{driver: command, on: [a, 5], off: [b], status: [c]}",
     "2:78: hosts.0.power.on: 5 is no word of a command; put it in quotes"),
    ("{driver: command, on: [' ', x], off: [b], status: [c]}",
     "2:78: hosts.0.power.on: the first word names the program, and is empty; write for example /usr/local/sbin/power"),
    ("{driver: command, on: [a, 'x={hostname}'], off: [b], status: [c]}",
     "2:78: hosts.0.power.on: {hostname} stands for nothing; did you mean {host}?"),
    ("{driver: command, on: [a, '{UUID}'], off: [b], status: [c]}",
     "2:78: hosts.0.power.on: {UUID} stands for nothing; did you mean {uuid}?"),
    ("{driver: command, on: [a], off: [a], status: [c]}",
     "2:53: hosts.0.power: on, off and status are three commands, and two of them are the same"),
    ("{driver: command, on: [a], off: [b], status: [c], trust_identty: true}",
     "2:110: hosts.0.power.trust_identty: unknown key; did you mean trust_identity?"),
    ("{driver: command, on: [a], off: [b], status: [c], url: x}",
     "2:110: hosts.0.power.url: unknown key; known here: deadline, driver, on, off, status, trust_identity"),
    ("{driver: command, on: [a], off: [b], status: [c], deadline: 0s}",
     "2:110: hosts.0.power.deadline: must be above zero; write for example 5m"),
    ("{driver: redfish, ul: x}", "2:78: hosts.0.power.ul: unknown key; did you mean url?"),
    ('{driver: redfish, url: "https://b", usrname: x}',
     "2:96: hosts.0.power.usrname: unknown key; did you mean username?"),
    ("{driver: redfish, url: bmc-01}", "2:78: hosts.0.power.url: 'bmc-01' is no controller's address; write for example "
                                       "https://bmc-01, and a path as system"),
    ('{driver: redfish, url: "https://b/redfish/v1"}', "2:78: hosts.0.power.url: 'https://b/redfish/v1' is no controller's "
     "address; write for example https://bmc-01, and a path as system"),
    ('{driver: redfish, url: "https://b:0"}', "2:78: hosts.0.power.url: 'https://b:0' is no controller's address; write for "
                                              "example https://bmc-01, and a path as system"),
    ('{driver: redfish, url: "http://bmc"}', "2:78: hosts.0.power.url: http carries the password for all to read; write "
                                             "https, or for a laboratory insecure_tls: true"),
    ('{driver: redfish, url: "https://b", username: x}',
     "2:53: hosts.0.power: username and password_file belong together; write both, or neither"),
    ('{driver: redfish, url: "https://b", password_file: /x}',
     "2:53: hosts.0.power: username and password_file belong together; write both, or neither"),
    ('{driver: redfish, url: "https://b", insecure_tls: true, ca_file: /x}',
     "2:116: hosts.0.power.ca_file: insecure_tls trusts anybody, so it would do nothing; keep one"),
    ('{driver: redfish, url: "https://b", system: Systems/1}', "2:96: hosts.0.power.system: 'Systems/1' is no system of a "
     "controller; write for example /redfish/v1/Systems/1"),
    ('{driver: redfish, url: "https://b", system: /redfish/../x}', "2:96: hosts.0.power.system: '/redfish/../x' is no "
     "system of a controller; write for example /redfish/v1/Systems/1"),
])
def test_each_mistake_is_told_once_where_it_stands(tmp_path: Path, power: str, problem: str) -> None:
    assert problems(tmp_path, hosts(power)) == [f"s.yml:{problem}"]


@pytest.mark.parametrize("power", [
    '{driver: redfish, url: "https://b", password: hunter2}',
    "{driver: command, on: [a], off: [b], status: [c], password: hunter2}",
    '{driver: redfish, url: "https://root:hunter2@b"}',
])
@pytest.mark.parametrize("place", ["host", "defaults"])
def test_a_password_is_refused_and_never_repeated(tmp_path: Path, power: str, place: str) -> None:
    text = hosts(power) if place == "host" else f"defaults: {{power: {power}}}\n{hosts('')}"
    (problem,) = problems(tmp_path, text)
    assert "password_file" in problem
    assert "hunter2" not in problem


def test_an_emptied_power_is_no_power_by_accident(tmp_path: Path) -> None:
    assert problems(tmp_path, "defaults:\n  power:\n" + hosts("")) == [
        "s.yml:2:3: defaults.power: nothing stands here; write a value, or take the key out"]
