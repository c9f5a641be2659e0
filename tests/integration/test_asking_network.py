"""VMs asked over a real network: ports and pages on loopback, which is allowed here by name, with answers good and bad."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network

import pytest

from ballastd.adapters.asking.network import ATTEMPT_SECONDS, NetworkProbe
from ballastd.adapters.asking.routing import Probes
from ballastd.core.arrival_checks import AGENT, AllowedChecks, check_of
from ballastd.core.quantities import HostName, VmId
from ballastd.errors import CheckRefused
from ballastd.ports.hosts import ProbeAnswer

LOOPBACK = AllowedChecks(networks=(ip_network("127.0.0.0/8"), ip_network("::1")))
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """What came to it, as it came, and how it answers."""

    def __init__(self, answer: bytes | None, *, endless: bool = False) -> None:
        self.heard: list[bytes] = []
        self.connections = self.sent = 0
        self.serving: set[asyncio.Task[None]] = set()
        self._answer, self._endless = answer, endless

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if self._answer is not None:
                self.heard.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answer)
                while self._endless:
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    self.sent += 65536
                await writer.drain()
            await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(server: Server, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    listening = await asyncio.start_server(server.serve, address, 0, ssl=tls)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        if server.serving:  # whoever asks lets go of its connection by itself
            _, open_still = await asyncio.wait(server.serving, timeout=5.0)
            assert not open_still


def status(line: str, more: str = "", body: str = "") -> bytes:
    return f"HTTP/1.1 {line}\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()


async def asked(url: str, allowed: AllowedChecks = LOOPBACK) -> ProbeAnswer:
    return await NetworkProbe(allowed).ask(check_of(url))


@pytest.mark.parametrize(("address", "written"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_port_that_takes_connections_answers_and_hears_nothing(address: str, written: str) -> None:
    async def story() -> None:
        server = Server(None)
        async with serving(server, address) as port:
            answer = await asked(f"tcp://{written}:{port}")
            assert (answer.answered, answer.detail) == (True, f"port {port} takes connections")
        assert server.connections == 1
        gone = await asked(f"tcp://{written}:{port}")
        assert not gone.answered
        assert "refused" in gone.detail.lower()

    asyncio.run(story())


@pytest.mark.parametrize(("line", "answered"), [
    ("200 OK", True), ("204 No Content", True), ("302 Found", True), ("399 Odd", True), ("404 Not Found", False),
    ("500 No", False), ("503 Not yet", False)])
def test_a_page_is_there_by_its_status(line: str, answered: bool) -> None:
    async def story() -> None:
        server = Server(status(line))
        async with serving(server) as port:
            answer = await asked(f"http://127.0.0.1:{port}/health?deep=yes")
            assert (answer.answered, answer.detail) == (answered, f"HTTP status {line[:3]}")
        [request] = server.heard
        assert request.startswith(b"GET /health?deep=yes HTTP/1.1\r\n")
        assert not {b"authorization", b"cookie", b"proxy-authorization"} & {line.split(b":")[0].lower()
                                                                            for line in request.split(b"\r\n")}

    asyncio.run(story())


def test_a_redirect_is_an_answer_and_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        elsewhere = Server(status("200 OK"))
        async with serving(elsewhere) as other:
            server = Server(status("301 Moved", f"Location: http://127.0.0.1:{other}/secret\r\nSet-Cookie: a=b\r\n"))
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{other}")
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{other}")
            async with serving(server) as port:
                assert (await asked(f"http://127.0.0.1:{port}/")).answered
            assert elsewhere.connections == 0, "neither the redirect nor the proxy of whoever started us"

    asyncio.run(story())


def test_a_body_without_an_end_is_not_read() -> None:
    async def story() -> None:
        server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", endless=True)
        async with serving(server) as port:
            begun = time.monotonic()
            assert (await asked(f"http://127.0.0.1:{port}/")).answered
            assert time.monotonic() - begun < ATTEMPT_SECONDS
            await asyncio.sleep(0.1)
        assert server.sent < 64 << 20, "no more than the sockets between us hold"

    asyncio.run(story())


@pytest.mark.parametrize("answer", [
    b"", b"HTTP/1.1 200 OK", b"garbage\r\n\r\n", b"\x00" * 100_000, b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 200 OK" + b"x" * 100_000 + b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 2000 OK\r\n",
    b"HTTP/9 200 OK\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_nonsense_and_silence_are_no_answer_and_take_no_longer_than_they_may(answer: bytes) -> None:
    async def story() -> None:
        async with serving(Server(answer)) as port:
            begun = time.monotonic()
            found = await asked(f"http://127.0.0.1:{port}/")
            assert not found.answered
            assert found.detail.isprintable()
            assert len(found.detail) <= 120
            assert time.monotonic() - begun < ATTEMPT_SECONDS + 1.0

    asyncio.run(story())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of openssl's server: a certificate of nobody, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    options = ["-key", str(folder / "key"), "-cert", str(folder / "cert")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=guest",
                    "-keyout", options[1], "-out", options[3]], check=True, capture_output=True)
    return options


def test_a_certificate_of_nobody_is_as_good_as_any(certificate: list[str]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate[3], certificate[1])

    async def story() -> None:
        async with serving(Server(status("200 OK")), tls=tls) as port:
            assert (await asked(f"https://127.0.0.1:{port}/")).answered
        async with serving(Server(status("200 OK"))) as port:
            assert not (await asked(f"https://127.0.0.1:{port}/")).answered

    asyncio.run(story())


@pytest.mark.parametrize(("offer", "answered"), [
    (["-tls1_2", "-cipher", "DHE"], False), (["-tls1_3", "-groups", "ffdhe8192"], False),
    (["-tls1_2"], True), (["-tls1_3"], True)])
def test_a_guest_does_not_choose_how_long_keys_are_computed(offer: list[str], answered: bool, certificate: list[str]
                                                            ) -> None:
    with subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", *certificate, *offer],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = next(line for line in server.stdout if line.startswith("ACCEPT")).strip().rpartition(":")[2]
            assert asyncio.run(asked(f"https://127.0.0.1:{port}/")).answered is answered
        finally:
            server.kill()


@pytest.mark.parametrize("trouble", [
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM, errno.EACCES, errno.ENETUNREACH, errno.ENETDOWN,
    errno.EADDRNOTAVAIL, errno.EHOSTUNREACH])
def test_trouble_that_may_be_our_own_says_nothing_of_a_guest(trouble: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(asyncio, "open_connection", refused)
    found = asyncio.run(asked("tcp://127.0.0.1:22"))
    assert (found.answered, os.strerror(trouble) in found.detail) == (None, True)


@pytest.mark.parametrize("trouble", [errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT])
def test_a_guest_that_is_not_there_does_not_answer(trouble: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(asyncio, "open_connection", refused)
    assert asyncio.run(asked("tcp://127.0.0.1:22")).answered is False


def test_without_descriptors_nobody_is_asked_and_nothing_is_said_of_him() -> None:
    async def story() -> None:
        with contextlib.ExitStack() as held:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limits[0]), limits[1]))
            with contextlib.suppress(OSError):
                while True:
                    held.callback(os.close, os.dup(0))
            found = await asked("tcp://127.0.0.1:22")
        assert (found.answered, os.strerror(errno.EMFILE) in found.detail) == (None, True)

    asyncio.run(story())


@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8",), ("0.0.0.0/0", "::/0")])
def test_where_loopback_is_not_named_it_is_never_asked(networks: tuple[str, ...]) -> None:
    async def story() -> None:
        server = Server(status("200 OK"))
        async with serving(server) as port:
            for url in (f"tcp://127.0.0.1:{port}", f"http://127.0.0.1:{port}/"):
                with pytest.raises(CheckRefused):
                    await asked(url, AllowedChecks(networks=tuple(map(ip_network, networks))))
        assert server.connections == 0

    asyncio.run(story())


def test_an_address_of_this_machine_is_not_asked_unless_it_is_named_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback stands for an address of ours here: what is told of it is what is asked of any."""
    from ballastd.core import arrival_checks

    monkeypatch.setattr(arrival_checks, "_SPECIAL", ())
    monkeypatch.setattr(arrival_checks, "_OURS", ())

    async def story() -> None:
        server = Server(None)
        async with serving(server) as port:
            with pytest.raises(CheckRefused, match="this machine's own"):
                await asked(f"tcp://127.0.0.1:{port}")
            assert server.connections == 0
            assert (await asked(f"tcp://127.0.0.1:{port}", AllowedChecks(networks=(ip_network("127.0.0.1/32"),)))).answered

    asyncio.run(story())


def test_agents_are_asked_by_their_hypervisor_and_only_where_that_is_allowed() -> None:
    class Agents:
        why = ""

        async def ping_agent(self, host: HostName, vm: VmId) -> str:
            return self.why

    async def story() -> None:
        agents, host, vm = Agents(), HostName("h1"), VmId("a")
        probes = Probes(AllowedChecks(agent=True), agents)
        assert await probes.ask(host, vm, AGENT) == ProbeAnswer(True, "its agent answers")
        agents.why = "its agent does not answer"
        assert await probes.ask(host, vm, AGENT) == ProbeAnswer(False, "its agent does not answer")
        with pytest.raises(CheckRefused):
            await Probes(LOOPBACK, agents).ask(host, vm, AGENT)
        with pytest.raises(CheckRefused):
            await probes.ask(host, vm, check_of("tcp://127.0.0.1:22"))

    asyncio.run(story())
