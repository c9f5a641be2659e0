"""The pieces of the demo: lab, broker, agents, and the unmodified daemon as a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.network import CONTROLLER_ADDRESS

BIN = Path(sys.executable).parent
HOOK = Path(__file__).parents[2] / "daemon/ballastd/agent/qemu_hook.sh"
MEMORY_LIMIT_MIB = 512
ASK_SECONDS = 20.0


def agent_command(host: LabHost, interval: float = 2.0, sample_interval: float = 0.2) -> Sequence[str]:
    """Return what runs inside each host: the agent, on the host's own fake hardware and its real processes."""
    return (str(BIN / "ballastd"), "agent", "--host", host.name, "--broker", CONTROLLER_ADDRESS, "--root",
            str(host.sysfs), "--processes", "/proc", "--cordon-file", "/run/libvirt/cordon", "--interval", str(interval),
            "--sample-interval", str(sample_interval))


def settings(lab: Lab, home: Path, *, link_mbit: int = 240,
             power: Callable[[Lab, str], dict[str, Any]] | None = None, **sections: Any) -> str:
    """Return settings for a lab as YAML (JSON is YAML). ``sections``: any section, on top of what every lab needs;
    ``power``: the power section of a host, by its name."""
    mqtt = {"host": CONTROLLER_ADDRESS, "port": 1883} | sections.pop("mqtt", {})
    defaults = {"link_speed": f"{link_mbit}Mbit/s", "memory_limit": f"{MEMORY_LIMIT_MIB}MiB",
                "processors": lab.plan.cpu_quota or 1.0} | sections.pop("defaults", {})
    hosts = [{"name": h.name, "uri": h.uri, "migration_uri": h.migration_uri, "labels": {"rack": f"r{i % 2}"}}
             | ({"power": power(lab, h.name), "idle_watts": 120} if power else {})
             for i, h in enumerate(lab.hosts.values())]
    return json.dumps({
        "cluster": "lab", "defaults": defaults, "hosts": hosts, "mqtt": mqtt, "journal": f"{home}/journal.db",
        "api": {"socket": f"{home}/api.sock"}, "policies": f"{home}/policies", "logging": {"format": "json"}} | sections,
        indent=1)


def power_switch(lab: Lab, host: str) -> dict[str, Any]:
    """Return the power section of one host: the lab's own switch, as commands."""
    return {"driver": "command", "on": lab.power_command(host, "on"), "off": lab.power_command(host, "shutdown"),
            "status": lab.power_command(host, "identify"), "deadline": "30s"}


class _LocalConnection(http.client.HTTPConnection):
    """HTTP over a unix socket. httpx would leave the socket open when nobody listens, which tests do not forgive."""

    def __init__(self, path: Path) -> None:
        super().__init__("ballastd", timeout=ASK_SECONDS)
        self._path = path

    def connect(self) -> None:
        """See the base class."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class DaemonProcess:
    """`ballastd run` in the lab's network, started and killed by hand."""

    def __init__(self, home: Path, settings: str, policies: str, environment: Mapping[str, str] | None = None) -> None:
        """``environment``: more of it than ours."""
        self.home = home
        self._environment = dict(environment or {})
        self.socket = home / "api.sock"
        self.log = home / "ballastd.log"
        self._process: subprocess.Popen[bytes] | None = None
        (home / "policies").mkdir(parents=True, exist_ok=True)
        (home / "ballastd.yaml").write_text(settings)
        self.govern(policies)

    def govern(self, policies: str) -> None:
        """Write the policies that govern from the next start or reload on."""
        (self.home / "policies" / "all.yaml").write_text(policies)

    def start(self, program: Sequence[str] = (str(BIN / "ballastd"),)) -> DaemonProcess:
        """Start it and return at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*program, "run", "--config", str(self.home / "ballastd.yaml")], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=os.environ | self._environment)
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Return whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10.0)

    def stop(self) -> int:
        """Stop it in order; return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(15.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(5.0)

    def ask(self, path: str) -> Any:
        """Return what the local API answers, or None while it does not."""
        with closing(_LocalConnection(self.socket)) as connection:
            try:
                connection.request("GET", f"/v1/{path}", headers={"Host": "ballastd"})
                answer = connection.getresponse()
                return json.loads(answer.read()) if answer.status == 200 else None
            except (OSError, http.client.HTTPException):
                return None

    def say(self, path: str, connected: Callable[[], None]) -> str:
        """Post a command to the local API; return what that answers, a refusal as well. ``connected``: called once there is
        somebody who has to answer.

        Raises:
            OSError: nobody is there, or hangs up; TimeoutError where it does not answer for as long as anybody would wait.
            HTTPException: it hangs up in the middle of its answer.
        """
        with closing(_LocalConnection(self.socket)) as connection:
            connection.connect()
            connected()
            connection.request("POST", f"/v1/{path}", headers={"Host": "ballastd"})
            return connection.getresponse().read().decode(errors="replace")

    def migrations(self) -> list[dict[str, Any]]:
        """Return open and lately settled migrations, as the daemon shows them; empty while it does not answer."""
        return list((self.ask("migrations") or {}).get("migrations", ()))

    def open_migrations(self) -> list[dict[str, Any]]:
        """Return those that are not settled."""
        return [m for m in self.migrations() if not m["ending"]]

    def health(self) -> dict[str, str]:
        """Return each host's health, as the daemon sees it."""
        return {h["name"]: h["health"] for h in (self.ask("hosts") or {}).get("hosts", ())}

    def heard(self) -> dict[str, int]:
        """Return how many reports of each host the daemon heard in a row."""
        return {h["name"]: h["reports_heard"] for h in (self.ask("hosts") or {}).get("hosts", ())}

    def knows_everybody(self) -> bool:
        """Return whether it acts and heard every host more than once: then each counter has a starting point."""
        heard = self.heard()
        return self.posture() == "acting" and bool(heard) and min(heard.values()) > 1

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``ballastctl`` as an operator would."""
        return subprocess.run([str(BIN / "ballastctl"), "--socket", str(self.socket), *words], capture_output=True,
                              text=True, timeout=60.0, check=False)

    def journal(self) -> list[dict[str, Any]]:
        """Return what is durable now, oldest first, read from the file itself."""
        connection = sqlite3.connect(f"file:{self.home / 'journal.db'}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT content FROM records ORDER BY sequence").fetchall()
        finally:
            connection.close()
        return [json.loads(row[0]) for row in rows]

    def posture(self) -> str:
        """Return the daemon's posture, or an empty string while it does not answer."""
        status = self.ask("status")
        return str(status.get("posture", "")) if status else ""

    def records(self, event: str) -> list[dict[str, Any]]:
        """Return the daemon's log lines of one event, with their ``timestamp``."""
        found = []
        for line in self.log.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record.get("event") == event:
                found.append(record)
        return found


class Listener:
    """An independent ear on the broker: when each message arrived, by mosquitto_sub's own clock."""

    def __init__(self, home: Path) -> None:
        self._path = home / "heard.log"
        with self._path.open("wb") as out:
            self._process = subprocess.Popen(
                ["mosquitto_sub", "-h", CONTROLLER_ADDRESS, "-t", "ballastd/v1/+/events", "-F", "%U %t %p"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """Stop listening."""
        self._process.terminate()
        self._process.wait(5.0)

    def first_error_after(self, wall: float, host: str) -> float | None:
        """Return when the first event of ``host`` after ``wall`` arrived that counts an uncorrected error."""
        for line in self._path.read_text().splitlines():
            at, topic, payload = line.split(" ", 2)
            if float(at) >= wall and f"/{host}/" in topic and '"ecc.uncorrected"' in payload:
                return float(at)
        return None


def wait_listening(seconds: float = 1.0) -> None:
    """Give a subscription the time it takes; there is nothing to ask."""
    time.sleep(seconds)
