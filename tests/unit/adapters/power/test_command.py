"""An operator's commands: what they print, how they fail, and that nothing of them is left running."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ballastd.adapters.power.command import CommandOptions, CommandPower
from ballastd.adapters.power.pipes import KEPT_BYTES
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable

HOST = HostName("kvm-01")
UUID = "4c4c4544-0051-3210-8052-b7c04f4e4d32"
DEADLINE_SECONDS = 10.0


def a_driver(*status: str, **options: Any) -> CommandPower:
    """Return a driver that has but one command."""
    deadline = options.pop("deadline", DEADLINE_SECONDS)
    return CommandPower(HOST, CommandOptions(on=status, off=status, status=status, deadline=deadline), **options)


def shell(script: str, **options: Any) -> CommandPower:
    return a_driver("/bin/sh", "-c", script, **options)


@pytest.mark.parametrize(("line", "state", "identity"), [
    ("on", PowerState.ON, None), ("off", PowerState.OFF, None), ("unknown", PowerState.UNKNOWN, None),
    (f"on {UUID}", PowerState.ON, UUID), (f"off  {UUID.upper()}  ", PowerState.OFF, UUID),
    ("on 00000000-0000-0000-0000-000000000000", PowerState.ON, None)])
async def test_one_line_says_the_state_and_the_machine(line: str, state: PowerState, identity: str | None) -> None:
    status = await a_driver("/bin/echo", line).status()
    assert (status.state, status.identity) == (state, identity)


@pytest.mark.parametrize("said", ["", "ON", "Chassis Power is on", f"on\n{UUID}", "on\noff", f"on {UUID} twice", "on\\000",
                                  "on" + " " * KEPT_BYTES + "off", "\\0377"])
async def test_anything_else_is_no_answer(said: str) -> None:
    with pytest.raises(PowerRefused, match=r"kvm-01: power\.status printed .*; it must print one line: on, off or unknown"):
        await shell(f"printf '{said}'").status()


async def test_a_machine_that_is_no_uuid_is_refused() -> None:
    with pytest.raises(PowerRefused, match=r"power\.status: asset-7 is no UUID; print the machine's UUID as dmidecode"):
        await a_driver("/bin/echo", "on asset-7").status()


@pytest.mark.parametrize("call", ["status", "power_off", "power_on"])
async def test_a_command_that_fails_is_refused_in_its_own_words(call: str) -> None:
    driver = shell("echo on; echo 'no such\x1b[31m outlet' >&2; exit 7")
    with pytest.raises(PowerRefused, match=r"/bin/sh ended with status 7: no such \[31m outlet$"):
        await getattr(driver, call)()


async def test_a_command_that_fails_without_a_word_is_refused_all_the_same() -> None:
    with pytest.raises(PowerRefused, match="ended with status 1: it said nothing"):
        await a_driver("/bin/false").power_on()


async def test_a_command_that_is_killed_is_refused_with_the_signal() -> None:
    with pytest.raises(PowerRefused, match=f"was ended by signal {signal.SIGTERM.value}"):
        await shell("kill -TERM $$").power_off()


@pytest.mark.parametrize(("program", "reason"), [("/nowhere/ipmitool", "No such file"), ("/etc/passwd", "denied"),
                                                 ("no-such-program-on-the-path", "No such file"), ("a\x00b", "null byte")])
async def test_a_program_that_cannot_be_run_names_the_setting(program: str, reason: str) -> None:
    with pytest.raises(PowerRefused, match=rf"kvm-01: power\.status: .* cannot be run: .*{reason}.*; correct power\.status"):
        await a_driver(program).status()


async def test_host_and_uuid_are_put_in_and_no_shell_reads_the_words(tmp_path: Path) -> None:
    driver = a_driver("/bin/sh", "-c", 'printf "%s\n" "$@" >&2; exit 1', "name", "{host}", "-u={uuid}", "$(id)", "{other}",
                      uuid=lambda: UUID)
    with pytest.raises(PowerRefused) as no:
        await driver.status()
    assert str(no.value).endswith(f": kvm-01 -u={UUID} $(id) {{other}}")


async def test_a_command_that_wants_a_uuid_nobody_knows_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(PowerRefused, match=r"power\.off wants \{uuid\}, and its hypervisor has not told it yet"):
        await a_driver("/usr/bin/touch", f"{tmp_path}/{{uuid}}").power_off()
    assert list(tmp_path.iterdir()) == []


async def test_a_command_sees_little_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "in the environment")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(PowerRefused) as no:
        await shell("env >&2; pwd >&2; exit 1").status()
    assert "PATH=" in str(no.value)
    assert "SECRET" not in str(no.value)
    assert str(no.value).endswith(" /")


async def test_a_command_reads_nothing_and_waits_for_no_terminal() -> None:
    assert (await shell("cat; echo on").status()).state is PowerState.ON


def is_gone(pid: int) -> bool:
    """Return whether a process is gone, or waits only to be noticed."""
    seen = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return not seen or seen.startswith("Z")


async def soon(condition: Callable[[], bool]) -> bool:
    for _ in range(100):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def pid_in(file: Path) -> int:
    assert await soon(lambda: file.exists() and file.read_text().strip() != "")
    return int(file.read_text())


async def test_one_that_is_late_is_killed_with_its_children(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"kvm-01: power\.off was not done within 0\.5 s, and was killed"):
        await shell(f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/child; wait", deadline=0.5).power_off()
    assert time.monotonic() - begun < 3.0
    child = await pid_in(tmp_path / "child")
    assert await soon(lambda: is_gone(child))


async def test_what_a_command_leaves_running_is_killed(tmp_path: Path) -> None:
    await shell(f"sleep 600 > /dev/null 2>&1 & echo $! > {tmp_path}/child").power_on()
    child = await pid_in(tmp_path / "child")
    assert await soon(lambda: is_gone(child))


async def test_one_whose_caller_leaves_is_killed(tmp_path: Path) -> None:
    call = asyncio.create_task(shell(f"echo $$ > {tmp_path}/pid; exec sleep 600").power_on())
    pid = await pid_in(tmp_path / "pid")
    call.cancel()
    await asyncio.wait((call,))
    assert call.cancelled()
    assert await soon(lambda: is_gone(pid))


async def test_closing_kills_what_runs(tmp_path: Path) -> None:
    driver = shell(f"echo $$ > {tmp_path}/pid; exec sleep 600")
    call = asyncio.create_task(driver.power_on())
    pid = await pid_in(tmp_path / "pid")
    await driver.close()
    with pytest.raises(PowerRefused, match=f"was ended by signal {signal.SIGKILL.value}"):
        await call
    assert is_gone(pid)


async def test_a_child_in_a_session_of_its_own_that_keeps_the_pipe_holds_nobody_up(tmp_path: Path) -> None:
    begun = time.monotonic()
    stay = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' & until test -s {tmp_path}/pid; do :; done; echo on"
    status = await shell(stay).status()
    assert status.state is PowerState.ON
    assert time.monotonic() - begun < 5.0
    os.kill(await pid_in(tmp_path / "pid"), signal.SIGKILL)


async def test_the_last_words_of_a_child_are_waited_for_a_moment() -> None:
    assert (await shell("setsid sh -c 'sleep 0.3; echo on' & sleep 0.1").status()).state is PowerState.ON


async def test_one_that_talks_without_end_is_neither_kept_nor_held_up() -> None:
    with pytest.raises(PowerRefused, match=r"ended with status 9: y y y"):
        await shell("yes | head -c 20000000 >&2; exit 9").status()


async def test_no_descriptor_is_left_open() -> None:
    async def calls() -> None:
        for script in ("echo on", "exit 1", "sleep 600"):
            await asyncio.gather(shell(script, deadline=0.2).status(), return_exceptions=True)
        await asyncio.gather(a_driver("/nowhere").status(), return_exceptions=True)
        await asyncio.sleep(0.1)

    await calls()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  the descriptor that lists counts on both sides
    await calls()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
