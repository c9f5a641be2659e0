"""What every power driver promises, kept by the operator's commands and by Redfish against a real emulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.power.command import CommandOptions, CommandPower
from ballastd.adapters.power.redfish import RedfishOptions, RedfishPower
from ballastd.adapters.power.routing import PowerDriver, PowerDrivers
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable

MACHINE = "27946b59-9e44-4fa7-8e91-f3527a1ef094"
OTHER = "27946b59-9e44-4fa7-8e91-f3527a1ef095"
H1 = HostName("h1")
SWITCH = """\
import pathlib, sys
state, what = pathlib.Path(sys.argv[1]), sys.argv[2]
if what == "status": print(state.read_text().strip(), sys.argv[3])
else: state.write_text(what)
"""
EMULATOR = """\
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_STATE_DIR = {folder!r}
SUSHY_EMULATOR_FAKE_SYSTEMS = {systems!r}
"""


def fake(uuid: str = MACHINE, name: str = "one", state: str = "On") -> dict[str, object]:
    return {"uuid": uuid, "name": name, "power_state": state, "external_notifier": False, "nics": []}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Emulator:
    """The sushy-tools emulator as a process of its own, on the loopback."""

    def __init__(self, folder: Path, *systems: dict[str, object]) -> None:
        self.port = free_port()
        config = folder / "emulator.conf"
        config.write_text(EMULATOR.format(port=self.port, folder=str(folder), systems=list(systems) or [fake()]))
        program = str(Path(sys.executable).parent / "sushy-emulator")
        self.process = subprocess.Popen([program, "--config", str(config), "--fake"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._until_up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _until_up(self) -> None:
        until = time.monotonic() + 30.0
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/redfish/v1/", timeout=2.0) as answer:
                json.load(answer)
                return
            time.sleep(0.1)
        self.end()
        raise AssertionError("the emulator did not come up")

    def end(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.kill()
        self.process.wait(10.0)


@dataclass
class Machine:
    """One driver and, beyond it, a machine that is on."""

    driver: PowerDriver
    turns: float
    """How long it may take to do as it was told, seconds."""


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    found = Lanes()
    yield found
    await found.close()


@pytest.fixture
def emulators(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    running: list[Emulator] = []

    def start(*systems: dict[str, object]) -> Emulator:
        running.append(Emulator(tmp_path, *systems))
        return running[-1]

    yield start
    for one in running:
        one.end()


def commands(folder: Path, *more: str, deadline: float = 10.0, **changed: tuple[str, ...]) -> CommandPower:
    """Return a driver whose machine is a file and a few lines of Python."""
    state, script = folder / "state", folder / "switch.py"
    state.write_text("on")
    script.write_text(SWITCH)
    base = (sys.executable, str(script), str(state))
    words = {"on": (*base, "on"), "off": (*base, "off"), "status": (*base, "status", *(more or (MACHINE,)))} | changed
    return CommandPower(H1, CommandOptions(**words, deadline=deadline))


@pytest.fixture(params=["command", "redfish"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, lanes: Lanes, emulators: Callable[..., Emulator]) -> Machine:
    if request.param == "command":
        return Machine(commands(tmp_path), 2.0)
    return Machine(RedfishPower(H1, RedfishOptions(emulators().url, insecure_tls=True, deadline=20.0), lanes), 20.0)


async def until(driver: PowerDriver, state: PowerState, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while (await driver.status()).state is not state:
            await asyncio.sleep(0.3)


async def test_it_says_how_the_machine_stands_and_which_it_is(machine: Machine) -> None:
    status = await machine.driver.status()
    assert (status.state, status.identity) == (PowerState.ON, MACHINE)


async def test_off_and_on_again(machine: Machine) -> None:
    await machine.driver.power_off()
    await until(machine.driver, PowerState.OFF, machine.turns)
    await machine.driver.power_on()
    await until(machine.driver, PowerState.ON, machine.turns)


async def test_what_is_so_already_is_no_error(machine: Machine) -> None:
    await machine.driver.power_on()
    assert (await machine.driver.status()).state is PowerState.ON


async def test_a_host_without_a_driver_is_refused() -> None:
    with pytest.raises(PowerRefused, match="h2 has no power driver"):
        await PowerDrivers({}).status(HostName("h2"))


# the operator's commands


async def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    driver = commands(tmp_path, off=("/bin/sh", "-c", "echo 'wrong\x1b[31m password' >&2; exit 3"))
    with pytest.raises(PowerRefused, match=r"power.off failed with status 3: 'wrong \[31m password'"):
        await driver.power_off()


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PowerRefused, match="power.on: /no/such/program cannot be run"):
        await commands(tmp_path, on=("/no/such/program",)).power_on()


@pytest.mark.parametrize("said", ["", "maybe", "on off on", "on not-a-uuid", "ON", "x" * 100_000])
async def test_words_that_are_no_status_are_no_answer(tmp_path: Path, said: str) -> None:
    driver = commands(tmp_path, status=("/bin/sh", "-c", 'printf %s "$0"', said) if len(said) < 1000 else (
        sys.executable, "-c", f"print('x' * {len(said)})"))
    with pytest.raises(PowerRefused, match="printed"):
        await driver.status()


async def test_a_command_that_does_not_end_is_ended_with_all_it_began(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    driver = commands(tmp_path, deadline=0.5, on=("/bin/sh", "-c", f"sleep 60 & echo $! > {mark}; wait"))
    with pytest.raises(Unreachable, match="was not done within 0.5 s"):
        await driver.power_on()
    child = int(mark.read_text())
    async with asyncio.timeout(5.0):
        while Path(f"/proc/{child}/stat").exists() and ") Z" not in Path(f"/proc/{child}/stat").read_text():
            await asyncio.sleep(0.05)


async def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    await commands(tmp_path, on=("/bin/sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! > {mark}")).power_on()
    await asyncio.sleep(0.2)
    stat = Path(f"/proc/{mark.read_text().strip()}/stat")
    assert not stat.exists() or ") Z" in stat.read_text()


async def test_the_hosts_name_is_put_in_its_place(tmp_path: Path) -> None:
    driver = commands(tmp_path, on=("/bin/sh", "-c", 'printf %s "$1" > "$0"', str(tmp_path / "name"), "{host}"))
    await driver.power_on()
    assert (tmp_path / "name").read_text() == "h1"


# Redfish


def redfish(lanes: Lanes, url: str, **options: object) -> RedfishPower:
    return RedfishPower(H1, RedfishOptions(url, **{"insecure_tls": True, "deadline": 6.0, **options}), lanes)


async def test_two_systems_without_a_choice_are_refused_and_listed(lanes: Lanes, emulators: Callable[..., Emulator]) -> None:
    url = emulators(fake(), fake(OTHER, "two", "Off")).url
    with pytest.raises(PowerRefused, match="it has 2 systems"):
        await redfish(lanes, url).status()
    chosen = await redfish(lanes, url, system=f"/redfish/v1/Systems/{OTHER}").status()
    assert (chosen.state, chosen.identity) == (PowerState.OFF, OTHER)


async def test_a_system_that_is_not_there_is_refused(lanes: Lanes, emulators: Callable[..., Emulator]) -> None:
    with pytest.raises(PowerRefused, match="no-such-system"):
        await redfish(lanes, emulators().url, system="/redfish/v1/Systems/no-such-system").status()


async def test_a_controller_that_is_gone_is_unreachable(lanes: Lanes) -> None:
    with pytest.raises(Unreachable):
        await redfish(lanes, f"http://127.0.0.1:{free_port()}").status()


async def test_a_controller_that_hangs_is_unreachable_within_its_deadline_and_comes_back(
        lanes: Lanes, emulators: Callable[..., Emulator]) -> None:
    emulator = emulators()
    driver = redfish(lanes, emulator.url, deadline=3.0)
    await driver.status()
    os.kill(emulator.process.pid, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        await driver.status()
    assert time.monotonic() - begun < 6.0
    os.kill(emulator.process.pid, signal.SIGCONT)
    async with asyncio.timeout(15.0):
        while True:
            with contextlib.suppress(Unreachable):
                assert (await driver.status()).state is PowerState.ON
                break


async def test_a_password_file_that_cannot_be_read_is_named(lanes: Lanes, emulators: Callable[..., Emulator],
                                                           tmp_path: Path) -> None:
    driver = redfish(lanes, emulators().url, username="ballastd", password_file=tmp_path / "nothing")
    with pytest.raises(PowerRefused, match="nothing"):
        await driver.status()


GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\nConnection: close\r\n\r\n[1, 2, 3]"


@pytest.mark.parametrize("answer", [GARBAGE, b"\x16\x03\x01garbage", b"HTTP/1.1 500 oops\r\nContent-Length: 0\r\n\r\n"])
async def test_garbage_is_one_of_two_errors_and_never_a_state(lanes: Lanes, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((PowerRefused, Unreachable)):
            await redfish(lanes, f"http://127.0.0.1:{port}").power_on()
