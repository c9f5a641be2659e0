"""A host's power through its operator's own commands: no shell, bounded in time and words, never left running.

``status`` prints one line: ``on``, ``off`` or ``unknown``, and after a space the machine's SMBIOS UUID where the command
knows it. Whatever else it prints, or an exit status that is not zero, is no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from ballastd.adapters.power.answers import machine, shown
from ballastd.adapters.power.pipes import Words, listening
from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable

ENDING_SECONDS = 1.0
"""How long a killed command, or the last words of one that is done, are waited for."""
ANSWER = re.compile(r"(on|off|unknown)(?:[ \t]+(\S+))?", re.ASCII)
PLACEHOLDER = re.compile(r"\{(host|uuid)\}")
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Argument vectors, in which ``{host}`` and ``{uuid}`` are replaced; ``deadline``: seconds for each."""

    on: tuple[str, ...]
    off: tuple[str, ...]
    status: tuple[str, ...]
    deadline: float = 60.0


def nobody_knows() -> str:
    """Return no UUID."""
    return ""


class CommandPower:
    """One host's commands. ``uuid``: returns what ``{uuid}`` becomes, empty while nobody knows the machine's UUID."""

    def __init__(self, host: HostName, options: CommandOptions, uuid: Callable[[], str] = nobody_knows) -> None:
        self._host = host
        self._options = options
        self._uuid = uuid
        self._running: set[int] = set()

    async def status(self) -> PowerStatus:
        """See ``ports.Power``."""
        said = await self._run("status", self._options.status)
        answer = None if said.is_cut else ANSWER.fullmatch(said.text)
        if answer is None:
            raise PowerRefused(f"{self._host}: power.status printed {shown(said.text) or 'nothing'}; it must print one "
                               "line: on, off or unknown, and after it the machine's UUID where it knows it")
        state, uuid = answer.groups()
        try:
            return PowerStatus(PowerState(state), machine(uuid) if uuid else None, shown(said.text))
        except ValueError as error:
            raise PowerRefused(f"{self._host}: power.status: {error}; print the machine's UUID as dmidecode does, or "
                               "none at all") from error

    async def power_off(self) -> None:
        """See ``ports.Power``."""
        await self._run("off", self._options.off)

    async def power_on(self) -> None:
        """See ``ports.Power``."""
        await self._run("on", self._options.on)

    async def close(self) -> None:
        """Kill what still runs."""
        for group in tuple(self._running):
            _kill(group)

    async def _run(self, key: str, words: tuple[str, ...]) -> Words:
        """Return what a command prints.

        Raises:
            PowerRefused: it cannot be run, or it failed.
            Unreachable: it was not done in time, and was killed.
        """
        argv = self._filled(key, words)
        try:
            async with listening() as out, listening() as err:
                process = await _start(argv, out.writing, err.writing)
                out.hang_up()
                err.hang_up()
                status = await self._finish(key, process)
                await _until_said(out, err)
        except (OSError, ValueError) as error:
            raise PowerRefused(f"{self._host}: power.{key}: {shown(argv[0])} cannot be run: {error}; correct "
                               f"power.{key}, or install it where the daemon finds it") from error
        if status != 0:
            how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
            said = shown(err.text or out.text) or "it said nothing"
            raise PowerRefused(f"{self._host}: power.{key}: {shown(argv[0])} {how}: {said}")
        return out

    def _filled(self, key: str, words: tuple[str, ...]) -> list[str]:
        known = {"host": str(self._host), "uuid": self._uuid()}
        if not known["uuid"] and any("{uuid}" in word for word in words):
            raise PowerRefused(f"{self._host}: power.{key} wants {{uuid}}, and its hypervisor has not told it yet; "
                               "{host} is always known")
        return [PLACEHOLDER.sub(lambda found: known[found[1]], word) for word in words]

    async def _finish(self, key: str, process: asyncio.subprocess.Process) -> int:
        """Return the command's exit status; nothing of its process group outlives this."""
        self._running.add(process.pid)
        try:
            async with asyncio.timeout(self._options.deadline):
                return await process.wait()
        except TimeoutError:
            raise Unreachable(f"{self._host}: power.{key} was not done within {self._options.deadline:g} s, and was "
                              "killed; what it did is unknown") from None
        finally:
            _kill(process.pid)
            # one that hangs in the kernel cannot be killed: it is left to the loop, which reaps it when it ends
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDING_SECONDS):
                    await process.wait()
            self._running.discard(process.pid)


async def _start(argv: list[str], out: int, err: int) -> asyncio.subprocess.Process:
    environment = {"PATH": PATH} | {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err,
                                                env=environment, cwd="/", start_new_session=True)


async def _until_said(*pipes: Words) -> None:
    """Wait for the last words; not long, for a child in a session of its own may hold the pipe open for ever."""
    await asyncio.wait([pipe.ended for pipe in pipes], timeout=ENDING_SECONDS)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
