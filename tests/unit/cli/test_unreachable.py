"""Without a daemon every verb ends with exit code 3 and a sentence that helps."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from ballastd.cli.client import Daemon, DaemonUnreachable, Refused
from ballastd.cli.ctl import main

VERBS = ("status", "top --once", "host list", "host show a", "host cordon a", "host uncordon a", "host drain a",
         "host undrain a", "host acknowledge a", "host confirm-dead a --yes", "host power on a", "host power off a",
         "host confirm-wakeable a", "vm list", "vm show a", "plan", "explain a", "migration list", "migration show 1",
         "migration abort 1", "journal", "journal show", "pause", "resume", "reload")


@pytest.mark.parametrize("verb", VERBS)
def test_no_socket(tmp_path, verb):
    path = tmp_path / "api.sock"
    result = CliRunner().invoke(main, ["--socket", str(path), *verb.split()])
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"no ballastd at {path}" in result.stderr
    assert "--socket" in result.stderr


def test_the_socket_of_a_dead_daemon(tmp_path):
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    result = CliRunner().invoke(main, ["--socket", str(path), "status"])
    assert result.exit_code == 3
    assert "its daemon has ended" in result.stderr


def test_a_path_too_long_for_a_socket(tmp_path):
    result = CliRunner().invoke(main, ["--socket", str(tmp_path / ("x" * 200)), "status"])
    assert result.exit_code == 3
    assert "no answer from ballastd" in result.stderr


def _listener(path: Path, answer: bytes) -> tuple[socket.socket, threading.Thread]:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(2)

    def serve() -> None:
        asked = False
        while not asked:  # whoever connects and says nothing has only knocked
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(5)
                asked = bool(connection.recv(65536))
                if asked and answer:
                    connection.sendall(answer)
                while asked and not answer and connection.recv(65536):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    return listening, thread


def test_a_daemon_that_hangs_leaves_a_commands_outcome_open(tmp_path):
    listening, thread = _listener(tmp_path / "api.sock", b"")
    with listening, pytest.raises(DaemonUnreachable, match="may still be carried out") as caught:
        Daemon(str(tmp_path / "api.sock"), seconds_max=0.1).post("pause")
    thread.join()
    assert caught.value.exit_code == 3


def test_a_daemon_that_hangs_up_is_unreachable(tmp_path):
    listening, thread = _listener(tmp_path / "api.sock", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    with listening, pytest.raises(DaemonUnreachable):
        Daemon(str(tmp_path / "api.sock")).get("status")
    thread.join()


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe\xff", b"[" * 50000])
def test_something_else_that_listens_there_is_not_believed(tmp_path, body):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + str(len(body)).encode() + b"\r\nConnection: close\r\n\r\n"
    listening, thread = _listener(tmp_path / "api.sock", head + body)
    with listening, pytest.raises(Refused, match="is it ballastd"):
        Daemon(str(tmp_path / "api.sock")).get("status")
    thread.join()


def test_a_daemon_with_too_many_callers_says_so(tmp_path):
    listening, thread = _listener(
        tmp_path / "api.sock", b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
    with listening, pytest.raises(Refused, match="try again"):
        Daemon(str(tmp_path / "api.sock")).get("status")
    thread.join()


def test_a_bare_error_without_a_problem_document_is_told_by_its_number(tmp_path):
    listening, thread = _listener(
        tmp_path / "api.sock", b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
    with listening, pytest.raises(Refused, match="502"):
        Daemon(str(tmp_path / "api.sock")).get("status")
    thread.join()
