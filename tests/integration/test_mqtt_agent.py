"""The agent from end to end: a real process, a real broker, a tree of sensors that breaks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.wire import CordonRequest, encode_cordon
from ballastd.core.telemetry import AgentState, Report
from tests.broker import Broker
from tests.data.sysfs_trees import TREES, build, write
from tests.integration.mqtt_parts import Listener, eventually, listening, publish

pytestmark = pytest.mark.broker

CORDON = "ballastd/v1/kvm-01/cordon"
DIMM = "sys/devices/system/edac/mc/mc0/dimm0"


class AgentProcess:
    """One ``ballastd agent`` that watches a tree."""

    def __init__(self, root: Path, port: int, *options: str) -> None:
        self.root, self.flag = root, root / "run/cordon"
        self._log = root / "agent.log"
        environment = {**os.environ, "BALLASTD_AGENT_HOST": "kvm-01", "BALLASTD_AGENT_PORT": str(port)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ballastd.cli.agent", "--root", str(root), "--cordon-file", str(self.flag),
                 "--interval", "1", "--sample-interval", "0.1", "--read-deadline", "1", "--keepalive", "2", *options],
                stdout=log, stderr=log, env=environment)

    def log(self) -> str:
        return self._log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = build(tmp_path / "host", TREES["healthy"])
    write(tree, "proc/sys/kernel/random/boot_id", "0c4a1f2e-0000-4000-8000-000000000000")
    write(tree, "etc/libvirt/qemu.conf", "keepalive_interval = 5\nkeepalive_count = 24")
    return tree


@pytest.fixture
def agent(root: Path, broker: Broker) -> Iterator[AgentProcess]:
    one = AgentProcess(root, broker.port)
    yield one
    if one.process.poll() is None:
        one.end(signal.SIGKILL)


@contextlib.asynccontextmanager
async def hearing(broker: Broker) -> AsyncIterator[Listener]:
    async with listening(BrokerAddress(port=broker.port, client_id="telemetry", keepalive=5)) as listener:
        yield listener


def value_of(report: Report, metric: str, subject: str) -> float | None:
    found = {(sample.metric, sample.subject): sample.value for sample in report.samples}
    return found.get((metric, subject))


def pairs_of(report: Report) -> set[tuple[str, str]]:
    return {(sample.metric, sample.subject) for sample in report.samples}


def last_state(listener: Listener) -> AgentState | None:
    return next(reversed(listener.of(AgentState)), None)


def is_online(listener: Listener) -> bool:
    state = last_state(listener)
    return state is not None and state.online


async def test_a_host_is_reported_with_everything_it_has(broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: len(listener.of(Report)) >= 3)
        first, second, third = listener.of(Report)[:3]
        assert (second.sequence, third.sequence) == (first.sequence + 1, first.sequence + 2)
        assert first.boot_id == second.boot_id
        assert first.boot_id.startswith("0c4a1f2e-")
        assert third.refused_samples == 0
        assert value_of(third, "ecc.corrected", "CPU1_DIMM_A1") == 3.0
        assert value_of(third, "temperature", "coretemp:Package id 1") == 51.0
        state = last_state(listener)
        assert state is not None
        assert (state.online, state.hook, state.cordon_until, state.keepalive) == (True, False, None, (5, 24))
        assert state.emulators is None  # there are no processes in the tree, which is not: none that run a guest


async def test_a_memory_error_is_told_at_once_and_not_only_with_the_next_report(root: Path, broker: Broker) -> None:
    agent = AgentProcess(root, broker.port, "--interval", "600")
    try:
        async with hearing(broker) as listener:
            await listener.until(lambda: listener.of(Report))
            write(root, f"{DIMM}/dimm_ue_count", 1)
            begun = time.monotonic()
            await listener.until(lambda: len(listener.of(Report)) == 2, 5)
            event = listener.of(Report)[1]
            assert value_of(event, "ecc.uncorrected", "CPU0_DIMM_A1") == 1.0
            assert event.received.monotonic - begun < 2.0
            write(root, "sys/class/hwmon/hwmon2/fan3_alarm", 1)
            await listener.until(lambda: len(listener.of(Report)) == 3, 5)
            assert value_of(listener.of(Report)[2], "fan.alarm", "nct6775:FAN3") == 1.0
            assert value_of(listener.of(Report)[2], "ecc.uncorrected", "CPU0_DIMM_A1") == 1.0
    finally:
        agent.end()


async def test_a_storm_of_errors_makes_no_storm_of_messages(root: Path, broker: Broker) -> None:
    agent = AgentProcess(root, broker.port, "--interval", "600", "--sample-interval", "0.05")
    try:
        async with hearing(broker) as listener:
            await listener.until(lambda: listener.of(Report))
            deadline = time.monotonic() + 3
            count = 0
            while time.monotonic() < deadline:
                count += 1
                write(root, f"{DIMM}/dimm_ce_count", count)
                with contextlib.suppress(AssertionError):
                    await listener.until(lambda: False, 0.05)
            assert 5 <= len(listener.of(Report)) <= 8
    finally:
        agent.end()


async def test_an_agent_that_is_killed_is_offline_by_its_last_will(broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: is_online(listener) and listener.of(Report))
        agent.end(signal.SIGKILL)
        await listener.until(lambda: not is_online(listener))
        assert last_state(listener).boot_id == listener.of(Report)[-1].boot_id  # type: ignore[union-attr]


async def test_an_agent_that_is_stopped_says_goodbye_itself(broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: is_online(listener))
        assert agent.end() == 0
        await listener.until(lambda: not is_online(listener))
    assert "Received DISCONNECT from ballastd-agent-kvm-01" in broker.log()


async def test_a_new_run_of_the_agent_is_no_replay(root: Path, broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: listener.of(Report))
        agent.end(signal.SIGKILL)
        before = listener.of(Report)[-1]
        again = AgentProcess(root, broker.port)
        try:
            await listener.until(lambda: listener.of(Report)[-1].boot_id != before.boot_id)
            assert listener.of(Report)[-1].sent_at > before.sent_at
        finally:
            again.end()


async def test_a_cordon_request_raises_the_flag_and_is_reported_back_until_lifted(
        broker: Broker, agent: AgentProcess) -> None:
    until = int(time.time()) + 600
    async with hearing(broker) as listener:
        await listener.until(lambda: is_online(listener))
        request = encode_cordon(CordonRequest(until, "evacuation", time.time()))
        await publish(broker.port, (CORDON, request), retain=True)
        await listener.until(lambda: (state := last_state(listener)) and state.cordon_until == until)
        assert agent.flag.read_text().splitlines()[0] == str(until)
        await publish(broker.port, (CORDON, b""), retain=True)
        await listener.until(lambda: (state := last_state(listener)) and state.cordon_until is None)
        assert not agent.flag.exists()


async def test_a_cordon_is_confirmed_at_once_however_slow_the_sensors_are(root: Path, broker: Broker) -> None:
    for number in range(3, 10):  # each holds a look up for two seconds
        board = root / f"sys/class/hwmon/hwmon{number}"
        board.mkdir(exist_ok=True)
        (board / "temp1_input").unlink(missing_ok=True)
        os.mkfifo(board / "temp1_input")
    agent = AgentProcess(root, broker.port, "--interval", "10", "--sample-interval", "1", "--read-deadline", "2")
    try:
        async with hearing(broker) as listener:
            await listener.until(lambda: is_online(listener))
            until = int(time.time()) + 600
            begun = time.monotonic()
            await publish(broker.port, (CORDON, encode_cordon(CordonRequest(until, "power", time.time()))), retain=True)
            await listener.until(lambda: (state := last_state(listener)) and state.cordon_until == until)
            assert time.monotonic() - begun < 2.0
            assert not listener.of(Report)  # its first look is not done yet
    finally:
        agent.end(signal.SIGKILL)


async def test_that_the_last_emulator_has_ended_is_told_soon(root: Path, broker: Broker, tmp_path: Path) -> None:
    processes = tmp_path / "processes"
    for number, name in ((1, "init"), (100, "qemu-system-x86"), (101, "qemu-system-x86")):
        write(processes, f"{number}/stat", f"{number} ({name}) S 0 1 1 0 -1 4194560")
        write(processes, f"{number}/cmdline", name)
    agent = AgentProcess(root, broker.port, "--processes", str(processes))
    try:
        async with hearing(broker) as listener:
            await listener.until(lambda: (state := last_state(listener)) and state.emulators == 2)
            for number in (100, 101):
                shutil.rmtree(processes / f"{number}")
            await listener.until(lambda: (state := last_state(listener)) and state.emulators == 0)
            agent.end()
            await listener.until(lambda: not is_online(listener))
            assert last_state(listener).emulators is None  # type: ignore[union-attr]  # nobody counts any more
    finally:
        if agent.process.poll() is None:
            agent.end(signal.SIGKILL)


async def test_a_cordon_outlives_the_agent_and_the_broker(root: Path, broker: Broker, agent: AgentProcess) -> None:
    until = int(time.time()) + 600
    request = encode_cordon(CordonRequest(until, "evacuation", time.time()))
    await publish(broker.port, (CORDON, request), retain=True)
    await eventually(agent.flag.exists, shown=agent.log)
    agent.end(signal.SIGKILL)
    broker.stop()
    broker.start()
    again = AgentProcess(root, broker.port)
    try:
        async with hearing(broker) as listener:
            # nothing is retained any more, and that is no request to lift it
            await listener.until(lambda: (state := last_state(listener)) and state.cordon_until == until)
            assert is_online(listener)
            assert again.flag.exists()
    finally:
        again.end()


async def test_an_expired_or_unreadable_request_raises_no_flag(broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: is_online(listener))
        await publish(broker.port, (CORDON, encode_cordon(CordonRequest(time.time() - 1, "late", time.time()))),
                      (CORDON, b'{"until": 9e99}'))
        await eventually(lambda: "expired" in agent.log() and "cordon_request_unreadable" in agent.log(),
                         shown=agent.log)
        assert not agent.flag.exists()


async def test_a_sensor_that_hangs_does_not_stop_the_rest(root: Path, broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: listener.of(Report))
        stuck = root / "sys/class/hwmon/hwmon2/temp1_input"
        stuck.unlink()
        os.mkfifo(stuck)
        await listener.until(
            lambda: value_of(listener.of(Report)[-1], "temperature", "nct6775:SYSTIN") is None, 10)
        seen = len(listener.of(Report))
        await listener.until(lambda: len(listener.of(Report)) >= seen + 2, 10)
        assert value_of(listener.of(Report)[-1], "temperature", "jc42:temp1") == 38.25
    assert agent.end() == 0
    assert "still hangs" in agent.log() or "no answer" in agent.log()


async def test_the_agent_finds_a_broker_again_and_says_everything_anew(broker: Broker, agent: AgentProcess) -> None:
    async with hearing(broker) as listener:
        await listener.until(lambda: is_online(listener) and listener.of(Report))
        broker.stop()
        await listener.until(listener.down_reasons)
        seen_states, seen_reports = len(listener.of(AgentState)), len(listener.of(Report))
        broker.start()
        await listener.until_up(2)
        await listener.until(lambda: len(listener.of(AgentState)) > seen_states and is_online(listener))
        await listener.until(lambda: len(listener.of(Report)) > seen_reports)
        assert is_online(listener)
        before, after = listener.of(Report)[seen_reports - 1:seen_reports + 1]
        assert pairs_of(after) == pairs_of(before) != set()


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ballastd.cli.agent", *options], capture_output=True, text=True,
                          check=False, timeout=30)


def test_one_look_prints_a_report_with_what_was_refused(tmp_path: Path) -> None:
    tree = build(tmp_path, TREES["bogus"])
    done = run("--once", "--host", "kvm-01", "--sample-interval", "0.05", "--root", str(tree))
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["host"] == "kvm-01"
    assert {"metric": "temperature", "subject": "hwmon9:temp1", "value": 45} in report["samples"]
    assert "hwmon2/temp9_input: not a whole number: garbage" in report["refused"]


def test_the_hook_is_installed_by_command_and_a_foreign_one_is_an_error(tmp_path: Path) -> None:
    assert run("--install-hook", "--root", str(tmp_path)).returncode == 0
    (tmp_path / "etc/libvirt/hooks/qemu").write_text("#!/bin/sh\n")
    done = run("--install-hook", "--root", str(tmp_path))
    assert done.returncode == 1
    assert "was not touched" in done.stderr


@pytest.mark.parametrize("options", [
    ("--port", "0"), ("--protocol", "4"), ("--nonsense",), ("--host", "a/b", "--once"), ("--cert-file", "x"),
    ("--password-file", "x"), ("--prefix", "a/#"), ("--interval", "1e9"),
])
def test_wrong_usage_ends_with_status_2_and_says_what_is_wrong(options: tuple[str, ...]) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert "Error" in done.stderr
