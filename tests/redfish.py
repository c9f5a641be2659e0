"""Redfish controllers for tests: the real sushy-emulator on a free port, and strangers that answer as they are told."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.broker import free_port

START_SECONDS = 20.0
# its machines take 1 to 11 s to obey, by the dice; here a one is thrown every time
LAUNCH = """
import random
from sushy_tools.emulator import main
random.randint = lambda low, high: low
main.app.logger.setLevel("INFO")
main.main()
"""


ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems"
SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
SESSIONS = "/redfish/v1/SessionService/Sessions"


def uuid_of(number: int) -> str:
    """Return the UUID of an emulated machine."""
    return f"6f1d0c52-9e44-4fa7-8e91-{number:012x}"


UUID = uuid_of(0)


class Emulator:
    """One sushy-emulator with ``systems`` machines, all of them on. ``settings``: more lines for its configuration."""

    def __init__(self, directory: Path, systems: int = 1, settings: dict[str, Any] | None = None) -> None:
        self.port = free_port()
        self._tls = "SUSHY_EMULATOR_SSL_CERT" in (settings or {})
        self._log = directory / "emulator.log"
        self._config = directory / "emulator.conf"
        machines = [{"uuid": uuid_of(n), "name": f"m{n}", "power_state": "On", "nics": []} for n in range(systems)]
        known = {"SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1", "SUSHY_EMULATOR_LISTEN_PORT": self.port,
                 "SUSHY_EMULATOR_FAKE_DRIVER": True, "SUSHY_EMULATOR_FAKE_SYSTEMS": machines,
                 "SUSHY_EMULATOR_STATE_DIR": str(directory), **(settings or {})}
        self._config.write_text("".join(f"{key} = {value!r}\n" for key, value in known.items()))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @staticmethod
    def system(number: int) -> str:
        """Return the path of one of its machines."""
        return f"{SYSTEMS}/{uuid_of(number)}"

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-c", LAUNCH, "--config", str(self._config)],
                                             stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"sushy-emulator did not start:\n{self.log()}")

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it; nobody answers any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it accept everything and say nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """Return what it wrote so far."""
        return self._log.read_text(errors="replace")

    def orders(self, number: int = 0) -> list[str]:
        """Return the reset types that one of its machines was given."""
        return re.findall(rf'System "{uuid_of(number)}" power state set to "(\w+)"', self.log())


Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Script = Callable[[BaseHTTPRequestHandler], Answer | None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stranger: Stranger

    def handle_error(self, *_: Any) -> None:
        """Clients that leave are no news here."""


class Stranger:
    """An HTTP server that answers as its script says: status, body (bytes as they are, all else as JSON) and headers;
    None: the script has answered itself. ``asked``: method and path of every request, with its body; ``tokens``: the
    session each came with; ``stopping``: set at the end, for scripts that wait."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[str, str, Any]] = []
        self.tokens: list[str | None] = []
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.stranger = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, method: str, path: str) -> int:
        """Return how often it was asked so."""
        return sum(1 for asked in self.asked if asked[:2] == (method, path))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stranger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                stranger.asked.append((self.command, self.path, json.loads(body) if body else None))
                stranger.tokens.append(self.headers.get("X-Auth-Token"))
                answer = stranger.script(self)
                if answer is not None:
                    self._answer(*answer)

            do_POST = do_DELETE = do_GET  # noqa: N815  the library's names

            def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def pages(state: Any = "On", uuid: Any = UUID, allowed: Any = ("On", "GracefulShutdown"),
          **more: Any) -> dict[str, Answer]:
    """Return what a small controller with one system answers, by path; ``more``: other keys of its system."""
    action = {"target": RESET} | ({} if allowed is None else {"ResetType@Redfish.AllowableValues": allowed})
    return {
        ROOT: (200, {"@odata.id": ROOT, "Id": "r", "RedfishVersion": "1.5.0", "Systems": {"@odata.id": SYSTEMS},
                     "Links": {"Sessions": {"@odata.id": SESSIONS}}}),
        SYSTEMS: (200, {"@odata.id": SYSTEMS, "Members": [{"@odata.id": SYSTEM}]}),
        SYSTEM: (200, {"@odata.id": SYSTEM, "Id": "1", "PowerState": state, "UUID": uuid,
                       "Actions": {"#ComputerSystem.Reset": action}} | more),
        RESET: (204, b""),
    }


def by_path(answers: dict[str, Answer]) -> Script:
    """Return a script that answers by path, and 404 to all else."""
    return lambda request: answers.get(request.path, (404, {"error": {"message": "nothing here"}}))


def failing(status: int, *messages: str) -> Answer:
    """Return an error as controllers put it."""
    extended = [{"MessageId": "Vendor.1.0.No", "Message": message, "Severity": "Warning"} for message in messages]
    return status, {"error": {"code": "Base.1.0.GeneralError", "message": "see the extended information",
                              "@Message.ExtendedInfo": extended}}
