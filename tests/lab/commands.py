"""Running the tools the lab is made of, and waiting for what they bring about."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

TOOL_SECONDS = 30.0
POLL_SECONDS = 0.02


class LabError(Exception):
    """The lab could not do what it was asked; the text says what and why."""


def run(*argv: str, seconds: float = TOOL_SECONDS) -> str:
    """Return what the command printed; a failure or a silence longer than `seconds` is a LabError."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        raise LabError(f"no answer within {seconds:g} s: {' '.join(argv)}") from late
    except FileNotFoundError as absent:
        raise LabError(f"{argv[0]} is not installed") from absent
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout


def start_apart(argv: Sequence[str], log: Path) -> None:
    """Start a command that outlives us, in a session of its own and nobody's child; it writes to `log`."""
    with log.open("ab") as out:
        subprocess.run(["setsid", "--fork", *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                       check=True)


def run_all(commands: Sequence[Sequence[str]], seconds: float) -> list[str | None]:
    """Return what each command printed, all run at once; None for one that failed or was not done in time."""
    nothing = subprocess.DEVNULL
    started = [subprocess.Popen(one, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, text=True)
               for one in commands]
    deadline = time.monotonic() + seconds
    return [_collect(process, deadline) for process in started]


def _collect(process: subprocess.Popen[str], deadline: float) -> str | None:
    try:
        out, _ = process.communicate(timeout=max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return out if process.returncode == 0 else None


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return as soon as the condition holds; a LabError naming `what` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def find_tool(name: str) -> str | None:
    """Return the path of an installed tool, also from the places where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
