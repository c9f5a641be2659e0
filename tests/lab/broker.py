"""A real mosquitto in the controller's namespace: on its address for the agents, and on its loopback."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import LabError, find_tool, run, start_apart, wait_until
from tests.lab.namespaces import inside, path_of
from tests.lab.network import CONTROLLER_ADDRESS
from tests.lab.processes import command, in_network, send

MQTT_PORT = 1883
START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LabBroker:
    """The lab's broker; without a user everybody may in. What it retains is forgotten when it stops."""

    controller: str
    home: Path
    user: str | None = None
    password: str = ""
    lines: tuple[str, ...] = ()
    address: str = CONTROLLER_ADDRESS
    port: int = MQTT_PORT

    def start(self) -> LabBroker:
        """Start it and return when it listens."""
        if self.process() is not None:
            return self
        self.home.mkdir(exist_ok=True)
        settings = self.home / "mosquitto.conf"
        settings.write_text(self._settings())
        binary = find_tool("mosquitto") or "mosquitto"
        start_apart(inside(self.controller, binary, "-c", str(settings)), self.home / "mosquitto.log")
        wait_until(self.is_listening, START_SECONDS, f"mosquitto to listen:\n{self.log()}")
        return self

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once: no farewell to its clients."""
        self._end(signal.SIGKILL)

    def hang(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def log(self) -> str:
        """Return what it wrote so far."""
        path = self.home / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def process(self) -> int | None:
        """Return its process number, None when it does not run."""
        members = in_network(path_of(self.controller))
        return next((pid for pid in members if command(pid) == "mosquitto"), None)

    def is_listening(self) -> bool:
        """Return whether both of its addresses take connections."""
        pid = self.process()
        if pid is None:
            return False
        rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        wanted = f":{self.port:04X}"
        return sum(row.split()[1].endswith(wanted) and row.split()[3] == "0A" for row in rows) > 1

    def _settings(self) -> str:
        lines = ["user root", "persistence false", "log_type all", "connection_messages true",
                 f"allow_anonymous {'false' if self.user else 'true'}"]
        if self.user is not None:
            passwords = self.home / "passwords"
            run("mosquitto_passwd", "-b", "-c", str(passwords), self.user, self.password)
            lines.append(f"password_file {passwords}")
        lines += [f"listener {self.port} {address}" for address in (self.address, "127.0.0.1")]
        return "\n".join((*lines, *self.lines, ""))

    def _end(self, number: signal.Signals) -> None:
        if (pid := self.process()) is None:
            return
        send(pid, number)
        send(pid, signal.SIGCONT)
        wait_until(lambda: self.process() is None, START_SECONDS, "mosquitto to end")

    def _send(self, number: signal.Signals) -> None:
        if (pid := self.process()) is None:
            raise LabError("the broker does not run")
        send(pid, number)
