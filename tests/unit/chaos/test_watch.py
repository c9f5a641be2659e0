"""What is asked and allowed while nothing can become durable."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from ballastd.kernel.record import APPEND_SECONDS
from tests.chaos import asking
from tests.chaos.asking import Asking
from tests.chaos.faults import FAULTS
from tests.chaos.watch import settled, standing
from tests.demo import cluster
from tests.demo.cluster import DaemonProcess
from tests.lab.commands import wait_until

BEFORE = [{"kind": "MigrationOrdered", "id": "1-1", "vm_name": "web", "target": "h2"},
          {"kind": "MigrationSettled", "id": "1-1"},
          {"kind": "MigrationOrdered", "id": "2-1", "vm_name": "db", "target": "h2"}]
MEANWHILE = [*BEFORE, {"kind": "MigrationOrdered", "id": "3-1", "vm_name": "log", "target": "h3"},
             {"kind": "MigrationSettled", "id": "2-1"}]


def test_an_order_that_was_over_when_the_fault_began_allows_nothing_any_more() -> None:
    assert standing(MEANWHILE, settled(BEFORE)) == {("db", "h2"), ("log", "h3")}


def test_the_same_way_ordered_again_is_allowed() -> None:
    again = {"kind": "MigrationOrdered", "id": "4-1", "vm_name": "web", "target": "h2"}
    assert ("web", "h2") in standing([*MEANWHILE, again], settled(BEFORE))


class Api(ThreadingMixIn, UnixStreamServer):
    """A local API that answers as it is told, once it is ``open``."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Answer)
        self.answer, self.asked, self.open = (200, "{}"), list[str](), threading.Event()


class Answer(BaseHTTPRequestHandler):
    """Answers one caller."""

    def do_POST(self) -> None:
        """See the base class."""
        assert isinstance(self.server, Api)
        self.server.asked.append(self.path)
        self.server.open.wait(30.0)
        status, text = self.server.answer
        with suppress(OSError):  # who asked may not wait any more
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def daemon(tmp_path: Path) -> DaemonProcess:
    """Return one that does not run."""
    return DaemonProcess(tmp_path, "", "")


@pytest.fixture
def api(daemon: DaemonProcess) -> Iterator[Api]:
    """Yield what listens in its place."""
    with Api(daemon.socket) as one:
        serving = threading.Thread(target=one.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield one
        finally:
            one.open.set()
            one.shutdown()
            serving.join()


@contextmanager
def asked(daemon: DaemonProcess) -> Iterator[Asking]:
    """Yield who asks, until it is over."""
    one = Asking(lambda connected: daemon.say("hosts/h1/confirm-wakeable", connected))
    one.begin()
    try:
        yield one
    finally:
        one.end()


@pytest.mark.parametrize(("status", "text", "is_barred"), [
    (409, '{"detail": "not recorded, so not done: disk full"}', True), (503, '{"detail": "not yet"}', False),
    (200, '{"message": "it counts as proved"}', False)])
def test_what_was_not_recorded_bars(daemon: DaemonProcess, api: Api, status: int, text: str, is_barred: bool) -> None:
    api.answer = status, text
    api.open.set()
    with asked(daemon) as one:
        wait_until(lambda: len(api.asked) >= 3, 20.0, "it is asked again")
        assert one.is_barred is is_barred
    assert set(api.asked) == {"/v1/hosts/h1/confirm-wakeable"}


def test_what_is_not_answered_bars_until_it_is(daemon: DaemonProcess, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "UNANSWERED_SECONDS", 1.0)
    with asked(daemon) as one:
        wait_until(lambda: bool(api.asked), 20.0, "it is asked")
        assert not one.is_barred, "it may take that long"
        wait_until(lambda: one.is_barred, 20.0, "nothing is answered")
        api.open.set()
        wait_until(lambda: not one.is_barred, 20.0, "it is answered")
        time.sleep(2 * asking.UNANSWERED_SECONDS)
        assert not one.is_barred, "whoever is asked next answers as well"


def test_who_is_asked_once_more_has_been_silent_since_he_was_first(
        daemon: DaemonProcess, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "UNANSWERED_SECONDS", 1.0)
    monkeypatch.setattr(cluster, "ASK_SECONDS", 0.4)
    with asked(daemon) as one:
        wait_until(lambda: len(api.asked) >= 4, 20.0, "it is asked again and again")
        assert one.is_barred, "three of them got no answer for 0.4 s each"


def test_who_is_not_there_owes_no_answer(daemon: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "UNANSWERED_SECONDS", 0.0)
    with asked(daemon) as one:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert not one.is_barred, "it takes time to find that out, and nobody was asked"
            time.sleep(0.01)


def test_nothing_is_asked_once_it_is_over(daemon: DaemonProcess, api: Api) -> None:
    api.open.set()
    with asked(daemon):
        wait_until(lambda: bool(api.asked), 20.0, "it is asked")
    time.sleep(1.0)
    count = len(api.asked)
    time.sleep(1.0)
    assert len(api.asked) == count


def test_a_journal_that_hangs_for_a_while_is_thawed_before_its_write_is_given_up() -> None:
    hangs = next(fault for fault in FAULTS if fault.name == "journal disk hangs")
    assert hangs.seconds[1] + hangs.patience < APPEND_SECONDS
    assert hangs.seconds[0] > asking.UNANSWERED_SECONDS, "what it does not answer is missed while it hangs"
    assert all(fault.says for fault in FAULTS if fault.bars_journal)
