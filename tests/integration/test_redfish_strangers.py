"""Controllers that answer nonsense, lie about where things are, or drip: two errors and no others, and nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.power.redfish import RedfishOptions, RedfishPower
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable
from tests.redfish import (
    RESET,
    ROOT,
    SESSIONS,
    SYSTEM,
    SYSTEMS,
    UUID,
    Answer,
    Script,
    Stranger,
    by_path,
    failing,
    pages,
)

HOST = HostName("kvm-01")
DEADLINE_SECONDS = 5.0
HOP_LIMIT_SECONDS = 0.5


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    one = Lanes()
    yield one
    await one.close()


@pytest.fixture
async def a_driver(lanes: Lanes) -> Callable[..., RedfishPower]:
    def make(stranger: Stranger, **options: Any) -> RedfishPower:
        return RedfishPower(HOST, RedfishOptions(stranger.url, **{"deadline": DEADLINE_SECONDS, **options}), lanes)

    return make


Make = Callable[..., RedfishPower]


@pytest.mark.parametrize(("said", "state"), [
    ("On", PowerState.ON), ("Off", PowerState.OFF), ("PoweringOn", PowerState.UNKNOWN),
    ("PoweringOff", PowerState.UNKNOWN), ("Paused", PowerState.UNKNOWN), ("Levitating", PowerState.UNKNOWN),
    (None, PowerState.UNKNOWN)])
async def test_only_on_and_off_are_taken_for_what_they_say(a_driver: Make, said: Any, state: PowerState) -> None:
    with Stranger(by_path(pages(said))) as stranger:
        assert (await a_driver(stranger).status()).state is state


@pytest.mark.parametrize(("said", "identity"), [
    (UUID.upper(), UUID), (None, None), ("", None), ("Not Specified", None), (42, None),
    ("00000000-0000-0000-0000-000000000000", None), ("ffffffff-FFFF-ffff-ffff-ffffffffffff", None),
    ("03000200-0400-0500-0006-000700080009", None)])
async def test_a_machine_is_named_by_a_uuid_of_its_own_or_not_at_all(a_driver: Make, said: Any,
                                                                     identity: str | None) -> None:
    with Stranger(by_path(pages(uuid=said))) as stranger:
        assert (await a_driver(stranger).status()).identity == identity


@pytest.mark.parametrize(("state", "order"), [("Off", "power_off"), ("PoweringOff", "power_off"), ("On", "power_on"),
                                              ("PoweringOn", "power_on")])
async def test_one_that_is_there_already_or_on_its_way_is_not_told(a_driver: Make, state: str, order: str) -> None:
    with Stranger(by_path(pages(state))) as stranger:
        await getattr(a_driver(stranger), order)()
    assert stranger.count("POST", RESET) == 0


@pytest.mark.parametrize(("allowed", "shown"), [
    (["On", "ForceOff", "PushPowerButton"], "ForceOff, On, PushPowerButton"), (["Explode"], "nothing we know")])
async def test_one_that_knows_no_orderly_shutdown_is_never_forced(a_driver: Make, allowed: list[str], shown: str) -> None:
    with Stranger(by_path(pages(allowed=allowed))) as stranger:
        with pytest.raises(PowerRefused, match=f"GracefulShutdown, only for {shown}; "):
            await a_driver(stranger).power_off()
        assert stranger.count("POST", RESET) == 0


async def test_one_that_does_not_say_what_it_allows_is_asked(a_driver: Make) -> None:
    with Stranger(by_path(pages(allowed=None))) as stranger:
        await a_driver(stranger).power_off()
    assert stranger.asked[-1] == ("POST", RESET, {"ResetType": "GracefulShutdown"})


async def test_what_is_allowed_may_stand_on_a_page_of_its_own(a_driver: Make) -> None:
    answers = pages()
    answers[SYSTEM][1]["Actions"] = {"#ComputerSystem.Reset": {"target": RESET, "@Redfish.ActionInfo": "/redfish/v1/info"}}
    answers["/redfish/v1/info"] = (200, {"@odata.id": "/redfish/v1/info", "Id": "info", "Parameters": [
        {"Name": "ResetType", "AllowableValues": ["On", "ForceOff"]}]})
    with Stranger(by_path(answers)) as stranger, pytest.raises(PowerRefused, match="only for ForceOff, On"):
        await a_driver(stranger).power_off()


@pytest.mark.parametrize("status", [400, 405, 409, 501, 503])
async def test_a_refused_order_is_told_in_the_controllers_own_words(a_driver: Make, status: int) -> None:
    answers = pages() | {RESET: failing(status, "The lid is open.", "Call\x1b[31m Bob.")}
    with Stranger(by_path(answers)) as stranger:
        with pytest.raises(PowerRefused, match=rf"kvm-01: .*answered {status}: The lid is open\.; Call \[31m Bob\."):
            await a_driver(stranger).power_off()
        assert stranger.count("POST", RESET) == 1


async def test_a_user_without_the_right_is_told_so(a_driver: Make) -> None:
    with Stranger(by_path(pages() | {RESET: failing(403, "No privilege.")})) as stranger, \
            pytest.raises(PowerRefused, match=r"may not do this: No privilege\."):
        await a_driver(stranger).power_off()


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_an_order_that_broke_inside_may_have_been_taken_and_is_not_repeated(a_driver: Make, status: int) -> None:
    with Stranger(by_path(pages() | {RESET: failing(status, "Oops.")})) as stranger:
        with pytest.raises(Unreachable, match=rf"answered {status}, and may have taken the order all the same: Oops\."):
            await a_driver(stranger).power_off()
        assert stranger.count("POST", RESET) == 1


async def test_an_order_that_is_answered_with_nonsense_may_have_been_taken(a_driver: Make) -> None:
    with Stranger(by_path(pages() | {RESET: (400, ["no", "Redfish"])})) as stranger, pytest.raises(Unreachable):
        await a_driver(stranger).power_off()


async def test_an_order_whose_answer_never_came_is_not_repeated(a_driver: Make) -> None:
    def hang_up(request: BaseHTTPRequestHandler) -> Answer | None:
        if request.path != RESET:
            return by_path(pages())(request)
        request.close_connection = True
        return None

    with Stranger(hang_up) as stranger:
        with pytest.raises(Unreachable):
            await a_driver(stranger).power_off()
        assert stranger.count("POST", RESET) == 1


async def test_a_question_that_broke_inside_is_asked_again(a_driver: Make) -> None:
    broken = itertools.chain([True], itertools.repeat(False))

    def stumble(request: BaseHTTPRequestHandler) -> Answer | None:
        return failing(503, "Starting.") if request.path == SYSTEM and next(broken) else by_path(pages())(request)

    with Stranger(stumble) as stranger:
        assert (await a_driver(stranger).status()).state is PowerState.ON


async def test_a_controller_that_breaks_every_time_is_refused_with_its_words(a_driver: Make) -> None:
    with Stranger(by_path(pages() | {SYSTEM: failing(500, "Out of memory.")})) as stranger, \
            pytest.raises(PowerRefused, match=r"answered 500: Out of memory\."):
        await a_driver(stranger).status()


NONSENSE: dict[str, Any] = {
    "nothing": b"", "no json": b"<html>Login</html>", "a list": [], "a number": 7, "null": None, "a text": "on",
    "not utf-8": b"\xff\xfe{", "deep": b"[" * 100_000, "an empty object": {}, "cut short": b'{"Id": "1", "Power',
    "an error as a list": ["error"], "keys of other kinds": {
        "Id": 1, "PowerState": {"a": 1}, "UUID": [1], "Actions": "none", "Boot": 3, "Systems": [], "Links": 9,
        "Members": {"@odata.id": 5}},
    "members of other kinds": {"Members": [1, None, {"@odata.id": 7}, {}], "Id": "x"},
    "another place": {"Id": "x", "Systems": {"@odata.id": "ftp://[::1/x"}, "Members": [{"@odata.id": "http://[x"}],
                      "Actions": {"#ComputerSystem.Reset": {"target": "gopher://x:99999/"}}, "PowerState": "Paused"},
}


async def trouble(call: Coroutine[Any, Any, Any]) -> str | None:
    """Return the words of whichever of the two errors came of a call, None where it went well."""
    try:
        await call
    except (PowerRefused, Unreachable) as error:
        return str(error)
    return None


# broken answers to questions are asked for again, which takes its time: one of them will do
BROKEN = [(place, 500, "an error as a list") for place in (ROOT, SYSTEMS, SYSTEM)]


@pytest.mark.parametrize(("place", "status", "body"), [
    *itertools.product((ROOT, SYSTEMS, SYSTEM, RESET), (200, 400), NONSENSE), *((RESET, 500, body) for body in NONSENSE),
    *BROKEN])
async def test_nonsense_is_one_of_the_two_errors(lanes: Lanes, place: str, status: int, body: str) -> None:
    with Stranger(by_path(pages("Paused") | {place: (status, NONSENSE[body])})) as stranger:
        for call in ("status", "power_off", "power_on"):
            driver = RedfishPower(HOST, RedfishOptions(stranger.url, deadline=2.0), lanes)
            said = await trouble(getattr(driver, call)())
            assert said is None or (said.startswith("kvm-01: ") and said.isprintable() and len(said) < 1000)
            assert said is not None or status == 200 or place == RESET
        with contextlib.suppress(PowerRefused, Unreachable):
            driver = RedfishPower(HOST, RedfishOptions(stranger.url, deadline=2.0), lanes)
            assert (await driver.status()).state is PowerState.UNKNOWN


async def test_a_stranger_that_speaks_no_http_is_unreachable(a_driver: Make) -> None:
    def mumble(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"\x00\x01SSH-2.0-Dropbear\r\n\r\n")
        request.close_connection = True

    with Stranger(mumble) as stranger, pytest.raises(Unreachable):
        await a_driver(stranger).status()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
async def test_an_endless_answer_is_not_taken(a_driver: Make, packed: bool) -> None:
    huge = json.dumps(pages()[SYSTEM][1] | {"Oem": "x" * (64 << 20 if packed else 2 << 20)}).encode()
    answer = (200, gzip.compress(huge), {"Content-Encoding": "gzip"}) if packed else (200, huge)
    with Stranger(by_path(pages() | {SYSTEM: answer})) as stranger, pytest.raises(PowerRefused):
        await a_driver(stranger).status()


def dripping(place: str, *, in_headers: bool) -> Script:
    """Return a script that gives one byte now and then, for ever."""
    stranger_pages = by_path(pages())

    def drip(request: BaseHTTPRequestHandler) -> Answer | None:
        if request.path != place:
            return stranger_pages(request)
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X-Drip: " if in_headers else b"Content-Length: 9999\r\n\r\n"))
        try:
            while not request.server.stranger.stopping.wait(0.1):  # type: ignore[attr-defined]
                request.wfile.write(b"a")
        except OSError:
            request.close_connection = True
        return None

    return drip


@pytest.mark.parametrize("in_headers", [False, True], ids=["body", "headers"])
async def test_one_that_drips_is_given_up_in_time_and_holds_up_nobody(lanes: Lanes, in_headers: bool) -> None:
    longest, stop = 0.0, asyncio.Event()

    async def pulse() -> None:
        nonlocal longest
        while not stop.is_set():
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - begun)

    with Stranger(dripping(SYSTEM, in_headers=in_headers)) as stranger:
        driver = RedfishPower(HOST, RedfishOptions(stranger.url, deadline=1.0), lanes)
        heart, begun = asyncio.create_task(pulse()), time.monotonic()
        with pytest.raises(Unreachable):
            await driver.status()
        assert time.monotonic() - begun < 2.0
        stop.set()
        await heart
        assert longest < HOP_LIMIT_SECONDS
        stranger.script = by_path(pages())
        assert (await driver.status()).state is PowerState.ON
        assert stranger.count("GET", ROOT) == 2, "the connection of a thread that was given up is used by another"
    assert lanes.abandoned() <= 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_nobody_is_followed_to_another_machine(a_driver: Make, status: int) -> None:
    with Stranger(by_path(pages())) as other:
        away = (status, b"", {"Location": f"{other.url}{SYSTEM}"})
        with Stranger(by_path(pages() | {SYSTEM: away})) as stranger, pytest.raises(PowerRefused, match="another machine"):
            await a_driver(stranger).status()
        assert other.asked == []


async def test_a_question_may_be_sent_on_to_another_page_of_the_same_machine(a_driver: Make) -> None:
    answers = pages() | {SYSTEM: (308, b"", {"Location": f"{SYSTEM}/"}), f"{SYSTEM}/": pages()[SYSTEM]}
    with Stranger(by_path(answers)) as stranger:
        assert (await a_driver(stranger).status()).identity == UUID


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_order_is_not_sent_on(a_driver: Make, status: int) -> None:
    with Stranger(by_path(pages() | {RESET: (status, b"", {"Location": ROOT})})) as stranger, \
            pytest.raises(PowerRefused, match="is sent on to /redfish/v1/"):
        await a_driver(stranger).power_off()


async def test_no_proxy_of_the_environment_is_asked(a_driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stranger(by_path({})) as proxy, Stranger(by_path(pages())) as stranger:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        await a_driver(stranger).status()
        assert proxy.asked == []


class Desk:
    """A controller with sessions: it lets one user in, and forgets tokens when told to."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.token = 0
        self.is_open = False

    def __call__(self, request: BaseHTTPRequestHandler) -> Answer | None:
        if request.path == SESSIONS and request.command == "POST":
            return self._log_in(request)
        if request.command == "DELETE":
            self.is_open = False
            return 204, b""
        if request.path != ROOT and not (self.is_open and request.headers.get("X-Auth-Token") == f"t{self.token}"):
            return failing(401, "Who are you?")
        return by_path(pages())(request)

    def _log_in(self, request: BaseHTTPRequestHandler) -> Answer:
        *_, (_, _, said) = request.server.stranger.asked  # type: ignore[attr-defined]
        if said != {"UserName": "ballastd", "Password": self.password}:
            return failing(401, "Wrong.")
        self.token, self.is_open = self.token + 1, True
        return 201, {}, {"X-Auth-Token": f"t{self.token}", "Location": f"{SESSIONS}/{self.token}"}


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("secret\n")
    return file


async def test_one_session_serves_many_calls_and_is_ended(a_driver: Make, password_file: Path) -> None:
    with Stranger(Desk("secret")) as stranger:
        driver = a_driver(stranger, username="ballastd", password_file=password_file)
        for _ in range(3):
            await driver.status()
        await driver.power_off()
        assert stranger.count("POST", SESSIONS) == 1
        await driver.close()
        assert stranger.asked[-1][:2] == ("DELETE", f"{SESSIONS}/1")


async def test_a_session_that_was_forgotten_is_opened_anew(a_driver: Make, password_file: Path) -> None:
    desk = Desk("secret")
    with Stranger(desk) as stranger:
        driver = a_driver(stranger, username="ballastd", password_file=password_file)
        await driver.status()
        desk.is_open = False
        await driver.power_off()
        assert stranger.count("POST", SESSIONS) == 2
        assert desk.is_open


async def test_a_password_that_is_changed_on_both_sides_is_taken_up(a_driver: Make, password_file: Path) -> None:
    desk = Desk("secret")
    with Stranger(desk) as stranger:
        driver = a_driver(stranger, username="ballastd", password_file=password_file)
        await driver.status()
        desk.is_open, desk.password = False, "renewed"
        password_file.write_text("renewed")
        assert (await driver.status()).state is PowerState.ON


async def test_a_password_is_never_sent_to_another_machine(a_driver: Make, password_file: Path) -> None:
    with Stranger(Desk("secret")) as other:
        answers = pages()
        answers[ROOT][1]["Links"]["Sessions"]["@odata.id"] = f"{other.url}{SESSIONS}"
        with Stranger(by_path(answers)) as stranger, pytest.raises(PowerRefused, match="another machine"):
            await a_driver(stranger, username="ballastd", password_file=password_file).status()
        assert other.asked == []


async def test_a_driver_that_is_dropped_asks_nobody(a_driver: Make, password_file: Path) -> None:
    with Stranger(Desk("secret")) as stranger:
        driver = a_driver(stranger, username="ballastd", password_file=password_file)
        await driver.status()
        asked = len(stranger.asked)
        del driver
        gc.collect()
        assert len(stranger.asked) == asked
