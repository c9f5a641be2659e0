"""A real mosquitto on a free port of the loopback, for tests that need one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 10.0


def free_port() -> int:
    """Return a TCP port of the loopback that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One mosquitto with a port of its own, which it keeps over restarts.

    ``lines``: more lines for its configuration; ``anonymous``: whether clients without a name may in.
    """

    def __init__(self, directory: Path, lines: tuple[str, ...] = (), *, anonymous: bool = True) -> None:
        self.port = free_port()
        self.host = "127.0.0.1"
        self._directory = directory
        self._config = directory / "mosquitto.conf"
        self._log = directory / "mosquitto.log"
        user = ("user root",) if os.geteuid() == 0 else ()
        self._config.write_text("\n".join((
            f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(anonymous).lower()}", "persistence false",
            "log_type all", "connection_messages true", *user, *lines, "")))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        """Start it and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([_mosquitto(), "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return self
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"mosquitto did not start:\n{self.log()}")

    def stop(self) -> None:
        """Stop it in order; what it retained is forgotten."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._process = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """Return what it wrote so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _mosquitto() -> str:
    # Debian puts it where only root looks
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or "mosquitto"


def has_mosquitto() -> bool:
    """Return whether there is a mosquitto to start."""
    return shutil.which(_mosquitto()) is not None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker that lets everybody in."""
    if not has_mosquitto():
        pytest.skip("no mosquitto on this machine")
    directory = tmp_path / "broker"
    directory.mkdir()
    one = Broker(directory)
    one.start()
    yield one
    one.stop()
