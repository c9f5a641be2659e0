"""sd_notify against a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ballastd.adapters import systemd


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield one


def test_ready_comes_with_a_status_of_one_line(listener: socket.socket) -> None:
    assert systemd.ready("all\nis well")
    assert listener.recv(4096) == b"READY=1\nSTATUS=all is well"


def test_a_reload_carries_a_monotonic_stamp(listener: socket.socket) -> None:
    assert systemd.reloading()
    first, second = listener.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_stop_status_and_watchdog_are_sent_as_they_are(listener: socket.socket) -> None:
    assert systemd.stopping()
    assert systemd.status("x")
    assert systemd.watchdog()
    assert [listener.recv(4096) for _ in range(3)] == [b"STOPPING=1", b"STATUS=x", b"WATCHDOG=1"]


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind("\0ballastd-test-notify")
        one.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", "@ballastd-test-notify")
        assert systemd.ready()
        assert one.recv(64) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@ballastd-nobody"])
def test_nobody_listening_is_no_trouble(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.ready("hello")


def test_the_watchdog_is_fed_twice_per_period_and_only_if_it_watches_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    assert systemd.watchdog_interval_seconds() == 30.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_interval_seconds() is None
    monkeypatch.delenv("WATCHDOG_USEC")
    assert systemd.watchdog_interval_seconds() is None
