"""What docs/power.md shows is taken: its settings by the settings, its scripts by the driver."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from ballastd.adapters.power.command import CommandOptions, CommandPower
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.documents import load_settings
from ballastd.errors import PowerRefused

PAGE = (Path(__file__).parents[4] / "docs" / "power.md").read_text(encoding="utf-8")
SETTINGS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
IPMI, SSH = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
UUID = "4c4c4544-0051-3210-8052-b7c04f4e4d32"


@pytest.mark.parametrize(("power", "driver"), list(zip(SETTINGS, ("redfish", "command", "command"), strict=True)))
def test_settings_that_are_shown_are_taken(power: str, driver: str, tmp_path: Path) -> None:
    file = tmp_path / "ballastd.yaml"
    file.write_text("hosts:\n  - name: kvm-02\n    uri: qemu+tls://kvm-02/system\n" + textwrap.indent(power, "    "))
    (host,) = load_settings(file).cluster.hosts
    assert host.power == driver


def a_driver(directory: Path, script: str, programs: dict[str, str]) -> CommandPower:
    """Return a driver that asks a script for the status, with other programs in the place of the real ones."""
    for path, stand_in in programs.items():
        assert path in script
        place = directory / Path(path).name
        place.write_text(f"#!/bin/sh\n{stand_in}\n")
        place.chmod(0o755)
        script = script.replace(path, str(place))
    (directory / "status").write_text(script)
    argv = ("/bin/sh", str(directory / "status"), "{host}")
    return CommandPower(HostName("kvm-02"), CommandOptions(argv, argv, argv, 10.0))


@pytest.mark.parametrize(("said", "state"), [("on", PowerState.ON), ("off", PowerState.OFF), ("?", PowerState.UNKNOWN)])
async def test_what_ipmitool_says_is_translated(tmp_path: Path, said: str, state: PowerState) -> None:
    stand_in = (f'case "$*" in *"-H kvm-02 "*status) echo "Chassis Power is {said}" ;; '
                f'*guid) echo "System GUID  : {UUID}" ;; esac')
    status = await a_driver(tmp_path, IPMI, {"/usr/bin/ipmitool": stand_in}).status()
    assert (status.state, status.identity) == (state, UUID)


async def test_what_ipmitool_complains_of_is_shown(tmp_path: Path) -> None:
    with pytest.raises(PowerRefused, match="Unable to establish"):
        await a_driver(tmp_path, IPMI, {"/usr/bin/ipmitool": "echo Unable to establish session >&2; exit 1"}).status()


@pytest.mark.parametrize(("ping", "state"), [(0, PowerState.UNKNOWN), (1, PowerState.OFF)])
async def test_one_that_does_not_let_us_in_is_off_only_when_nothing_answers(tmp_path: Path, ping: int,
                                                                          state: PowerState) -> None:
    programs = {"/usr/bin/ssh": "exit 255", "/bin/ping": f"exit {ping}"}
    assert (await a_driver(tmp_path, SSH, programs).status()).state is state


async def test_one_that_lets_us_in_is_on_and_says_which_machine_it_is(tmp_path: Path) -> None:
    status = await a_driver(tmp_path, SSH, {"/usr/bin/ssh": f"echo {UUID}", "/bin/ping": "exit 1"}).status()
    assert (status.state, status.identity) == (PowerState.ON, UUID)


async def test_a_ping_that_does_not_work_says_nothing_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(PowerRefused, match="ended with status 1"):
        await a_driver(tmp_path, SSH, {"/usr/bin/ssh": "exit 255", "/bin/ping": "exit 2"}).status()
