"""The socket: who may open it, what is cleared away, what is left alone, and how it ends."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from ballastd.errors import ConfigurationError
from ballastd.web.app import create_app
from ballastd.web.body import BodyLimit
from ballastd.web.peers import peer_of
from ballastd.web.server import CONNECTIONS_PER_USER_MAX, ApiServer
from tests.paper_console import PaperConsole, asking
from tests.pictures import a_view

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


def a_server(path: Path, **choices) -> ApiServer:
    return ApiServer(create_app(PaperConsole(a_view())), path, **choices)


async def test_the_socket_is_open_to_owner_and_group_only_and_gone_afterwards(path):
    async with asking(PaperConsole(a_view()), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_the_mode_holds_whatever_the_umask(path):
    before = os.umask(0)
    try:
        server = a_server(path, mode=0o600)
        server.bind()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.release()


async def test_the_socket_belongs_to_its_group(path):
    group = grp.getgrgid(os.getgid())
    server = a_server(path, group=group.gr_name)
    server.bind()
    assert path.stat().st_gid == group.gr_gid
    server.release()
    assert not path.exists()


def test_a_group_that_does_not_exist_is_named(path):
    with pytest.raises(ConfigurationError, match="no group 'nobodys-group'"):
        a_server(path, group="nobodys-group").bind()
    assert not path.exists()


async def test_the_socket_of_a_daemon_that_died_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with asking(PaperConsole(a_view()), path) as client:
        assert (await client.get("/v1/status")).status_code == 200


async def test_a_socket_that_answers_is_left_to_its_daemon(path):
    async with asking(PaperConsole(a_view()), path) as client:
        with pytest.raises(ConfigurationError, match="another daemon answers there"):
            a_server(path).bind()
        assert (await client.get("/v1/status")).status_code == 200


def test_what_is_no_socket_is_never_removed(path):
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="is not a socket"):
        a_server(path).bind()
    assert path.read_text() == "precious"


def test_a_link_to_somewhere_else_is_not_followed(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere.sock")
    with pytest.raises(ConfigurationError, match="is not a socket"):
        a_server(path).bind()


def test_a_missing_directory_and_a_long_path_are_explained(tmp_path):
    with pytest.raises(ConfigurationError, match=r"create .*/run first"):
        a_server(tmp_path / "run" / "api.sock").bind()
    with pytest.raises(ConfigurationError, match="107 bytes"):
        a_server(tmp_path / ("x" * 120)).bind()


async def test_a_socket_that_somebody_else_put_in_our_place_is_not_removed_at_the_end(path):
    server = a_server(path)
    server.bind()
    path.unlink()
    path.write_text("not ours")
    server.release()
    assert path.read_text() == "not ours"


async def test_cancelling_ends_it_as_cleanly_as_stopping(path):
    server = a_server(path)
    server.bind()
    task = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path), verify=False)) as client:
        await client.get("http://ballastd/v1/status")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not path.exists()


async def test_stopping_what_never_served_gives_the_socket_back(path):
    server = a_server(path)
    server.bind()
    await server.stop()
    assert not path.exists()


async def test_signals_stay_with_the_daemon(path):
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    async with asking(PaperConsole(a_view()), path) as client:
        await client.get("/v1/status")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_the_kernel_says_who_is_at_the_other_end():
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        peer = peer_of(here)
    assert peer is not None
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert {os.getgid(), *os.getgroups()} == peer.gids


def test_nobody_vouches_for_a_peer_that_is_not_local():
    with socket.socket(socket.AF_INET) as sock:
        assert peer_of(sock) is None


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A path that every user may reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder, "api.sock")


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


@needs_root
async def test_another_user_goes_on_record_under_his_own_name(open_path):
    console = PaperConsole(a_view())
    async with asking(console, open_path):
        open_path.chmod(0o666)
        with as_nobody(), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(open_path))
            reader, writer = await asyncio.open_unix_connection(sock=sock.dup())
        writer.write(b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()
    assert console.commands[0].by == "nobody"


@needs_root
async def test_one_user_cannot_fill_the_server_up(open_path):
    with ExitStack() as stack:
        async with asking(PaperConsole(a_view()), open_path) as client:
            open_path.chmod(0o666)
            socks = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(CONNECTIONS_PER_USER_MAX + 2)]
            with as_nobody():
                for sock in socks:
                    sock.connect(str(open_path))
            assert (await client.get("/v1/status")).status_code == 200
            closed = 0
            for sock in socks:
                sock.setblocking(False)
                with suppress(BlockingIOError):
                    closed += sock.recv(1) == b""
            assert closed == 2


async def test_a_connection_on_which_nothing_is_asked_is_closed(path, monkeypatch):
    monkeypatch.setattr("ballastd.web.server.FIRST_REQUEST_SECONDS", 0.05)
    async with asking(PaperConsole(a_view()), path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /v1/status HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_body_that_comes_too_slowly_is_given_up():
    async def app(scope, receive, send):
        raise AssertionError("an incomplete request must not get through")

    async def never():
        return await asyncio.Event().wait()

    sent = []

    async def send(message):
        sent.append(message)

    await BodyLimit(app, seconds_max=0.01)({"type": "http", "headers": [(b"content-length", b"9")]}, never, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("declared", [b"-1", b"1e9", b"99999999999999999999999", b"65537", b"\xb2"])
async def test_a_declared_length_out_of_bounds_is_refused_before_reading(declared):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError("must not be read")

    await BodyLimit(receive)({"type": "http", "headers": [(b"content-length", declared)]}, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 413


async def test_a_caller_that_hangs_up_gets_no_answer_and_does_no_harm():
    called = []

    async def application(scope, receive, send):
        called.append(scope)

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        called.append(message)

    await BodyLimit(application)({"type": "http", "headers": []}, gone, send)  # type: ignore[arg-type]
    assert called == [], "nobody asks any more, and nobody listens"
