"""The routes that change something: who may, who goes on record, and what comes back."""

from __future__ import annotations

import json
import os
import pwd
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from ballastd.errors import ConfigurationError, JournalError, Unreachable
from ballastd.web.access import Desk, _commander
from ballastd.web.app import create_app
from ballastd.web.peers import Names, Peer
from ballastd.web.problems import Problem
from tests.paper_console import PaperConsole, asking
from tests.pictures import NOW, a_busy_view, a_recommendation, a_view

ME = pwd.getpwuid(os.getuid()).pw_name
HOST_VERBS = ("cordon", "uncordon", "drain", "undrain", "acknowledge", "confirm-dead")
COMMANDS = (*(f"/v1/hosts/alder/{verb}" for verb in HOST_VERBS), "/v1/migrations/41-1/abort", "/v1/pause",
            "/v1/resume")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def console() -> PaperConsole:
    return PaperConsole(a_busy_view())


async def test_every_verb_reaches_the_mind_with_the_name_of_who_asked(path, console):
    async with asking(console, path) as client:
        answers = [await client.post(route) for route in COMMANDS]
    assert [(c.verb.value, c.subject) for c in console.commands] == [
        *((verb, "alder") for verb in HOST_VERBS), ("abort", "41-1"), ("pause", ""), ("resume", "")]
    assert {command.by for command in console.commands} == {ME}
    assert {(a.status_code, a.json()["by"], a.json()["accepted"]) for a in answers} == {(200, ME, True)}


async def test_answers_to_recommendations_reach_the_mind(path, console):
    console.shown = replace(console.shown, recommendations=(a_recommendation(),))
    async with asking(console, path) as client:
        answers = [await client.post(f"/v1/{route}", json={"reason": "seen"}) for route in (
            "recommendations/3f1c09aa72/approve", "recommendations/3f1c09aa72/reject", "policies/even-load/approve",
            "policies/even-load/reject", "policies/even-load/promote")]
        unknown = await client.post("/v1/recommendations/3f1c09aa73/approve")
    assert [answer.status_code for answer in answers] == [200] * 5
    assert [(c.verb.value, c.subject, c.by, c.reason) for c in console.commands] == [
        (verb, subject, ME, "seen") for verb, subject in (
            ("approve", "3f1c09aa72"), ("reject", "3f1c09aa72"), ("approve-all-of", "even-load"),
            ("reject-all-of", "even-load"), ("promote", "even-load"))]
    assert (unknown.status_code, "3f1c09aa72" in unknown.text) == (404, True)


async def test_every_command_has_a_token_of_its_own(path, console):
    async with asking(console, path) as client:
        for _ in range(3):
            await client.post("/v1/pause")
    assert len({command.token for command in console.commands}) == 3


async def test_what_the_caller_says_of_himself_stands_beside_what_the_kernel_says(path, console):
    async with asking(console, path) as client:
        await client.post("/v1/pause", json={"by": "alice", "reason": "fans are being changed"})
    assert console.commands[0].by == f"{ME} (for alice)"
    assert console.commands[0].reason == "fans are being changed"


async def test_control_characters_never_reach_the_journal(path, console):
    async with asking(console, path) as client:
        await client.post("/v1/pause", json={"by": "al\x1b[2Jice\n", "reason": "a\r\nb\x00c\u202ed\u2028e"})
    assert console.commands[0].by == f"{ME} (for al [2Jice)"
    assert console.commands[0].reason == "a b c d e"


async def test_a_drain_takes_its_deadline(path, console):
    async with asking(console, path) as client:
        await client.post("/v1/hosts/alder/drain", json={"deadline_wall": NOW + 600})
    assert console.commands[0].deadline_wall == NOW + 600


async def test_a_deadline_that_has_passed_is_refused_here(path, console):
    async with asking(console, path) as client:
        answer = await client.post("/v1/hosts/alder/drain", json={"deadline_wall": NOW - 1})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:ballastd:problem:past-deadline"
    assert console.commands == []


async def test_a_refusal_of_the_mind_is_a_409_in_its_own_words(path, console):
    console.refuse = "alder is not cordoned"
    async with asking(console, path) as client:
        answer = await client.post("/v1/hosts/alder/uncordon")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "alder is not cordoned"
    assert answer.json()["type"] == "urn:ballastd:problem:refused"


async def test_a_command_about_nothing_is_a_404_and_goes_nowhere(path, console):
    async with asking(console, path) as client:
        for route in ("hosts/oak/cordon", "hosts/oak/drain", "migrations/9-9/abort", "hosts/alder/explode"):
            assert (await client.post(f"/v1/{route}")).status_code == 404, route
    assert console.commands == []


async def test_before_the_first_step_no_command_is_taken(path):
    console = PaperConsole(None)
    async with asking(console, path) as client:
        assert {(await client.post(route)).status_code for route in COMMANDS} == {503}
    assert console.commands == []


WRONG_BODIES = (
    {"force": True}, {"reason": 5}, {"reason": ["a"]}, {"reason": "x" * 501}, {"by": "x" * 101}, {"by": None},
    {"deadline_wall": "soon"}, {"deadline_wall": -1}, {"deadline_wall": 1e300}, {"deadline_wall": True}, [], "a", 7)
NO_JSON = (b"{", b"[" * 20000, b'{"deadline_wall": NaN}', b'{"deadline_wall": Infinity}', b"\xff\xfe",
           b'{"reason": "\xff"}', b'{"deadline_wall": ' + b"9" * 6000 + b"}")


async def test_bodies_with_unknown_fields_or_wrong_types_are_refused_whole(path, console):
    async with asking(console, path) as client:
        for body in WRONG_BODIES:
            answer = await client.post("/v1/hosts/alder/drain", json=body)
            assert (body, answer.status_code) == (body, 422)
            assert answer.json()["type"] == "urn:ballastd:problem:invalid-request"
    assert console.commands == []


async def test_bodies_that_are_no_json_are_refused(path, console):
    async with asking(console, path) as client:
        for body in NO_JSON:
            answer = await client.post("/v1/hosts/alder/drain", content=body,
                                       headers={"content-type": "application/json"})
            assert answer.status_code in (400, 422), body
            assert answer.headers["content-type"] == "application/problem+json"
    assert console.commands == []


async def test_a_body_that_does_not_say_it_is_json_is_refused(path, console):
    async with asking(console, path) as client:
        answer = await client.post("/v1/pause", content=b'{"reason": "x"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 422
    assert console.commands == []


async def test_a_command_with_words_in_the_query_is_refused_not_half_understood(path, console):
    async with asking(console, path) as client:
        answer = await client.post("/v1/hosts/alder/drain?deadline=30m")
    assert answer.status_code == 422
    assert "JSON body" in answer.json()["detail"]
    assert console.commands == []


async def test_a_command_by_get_is_a_405_problem(path, console):
    async with asking(console, path) as client:
        answer = await client.get("/v1/pause")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_daemon_that_does_not_answer_in_time_leaves_the_outcome_open(path, console):
    console.mute = True
    async with asking(console, path, answer_seconds=0.05) as client:
        answer = await client.post("/v1/pause")
    assert answer.status_code == 504
    assert "may still be carried out" in answer.json()["detail"]


@pytest.mark.parametrize(("trouble", "kind"), [
    (JournalError("disk full"), "journal"), (Unreachable("lane"), "trouble")])
async def test_trouble_in_the_world_is_a_503(path, console, trouble, kind):
    console.trouble = trouble
    async with asking(console, path) as client:
        answer = await client.post("/v1/pause")
    assert answer.status_code == 503
    assert answer.json()["type"] == f"urn:ballastd:problem:{kind}"


async def test_a_reload_tells_what_was_found(path, console):
    async with asking(console, path) as client:
        assert (await client.post("/v1/policies/reload")).json()["message"] == "7 policies govern"
        console.reloaded = (False, "policies/a.yaml:3:1: kind: unknown 'Helth'")
        answer = await client.post("/v1/policies/reload")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "policies/a.yaml:3:1: kind: unknown 'Helth'"
    assert "still govern" in answer.json()["cure"]


async def test_without_a_unix_socket_nobody_vouches_and_nothing_is_done(console):
    transport = httpx.ASGITransport(create_app(console))
    async with httpx.AsyncClient(transport=transport, base_url="http://ballastd") as client:
        assert (await client.get("/v1/status")).status_code == 200
        answer = await client.post("/v1/pause", json={"by": "root"})
        reload = await client.post("/v1/policies/reload")
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:ballastd:problem:nobody"
    assert reload.status_code == 403
    assert console.commands == []


@pytest.mark.parametrize(("peer", "allowed"), [
    (Peer(1, 0, frozenset()), True), (Peer(1, os.geteuid(), frozenset()), True),
    (Peer(1, 4242, frozenset({7, 77})), True), (Peer(1, 4242, frozenset({7})), False)])
async def test_with_an_operators_group_others_may_only_look(peer, allowed):
    app = create_app(PaperConsole(a_view()))
    app.state.desk = Desk(PaperConsole(a_view()), Names(), operators=77)
    request = a_request_of(app, peer)
    if allowed:
        assert await _commander(request) == peer
    else:
        with pytest.raises(Problem) as caught:
            await _commander(request)
        assert caught.value.status is HTTPStatus.FORBIDDEN
        assert "gid 77" in caught.value.detail


def a_request_of(app, peer):
    from fastapi import Request

    return Request({"type": "http", "app": app, "state": {"peer": peer}, "path": "/v1/pause", "query_string": b"",
                    "headers": [], "server": ("ballastd", None), "scheme": "http", "method": "POST"})


def test_an_operators_group_that_does_not_exist_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="no group 'nobodys-group'"):
        create_app(PaperConsole(), operators="nobodys-group")


async def test_user_names_are_asked_for_on_a_lane_of_their_own_and_given_up_in_time():
    class Hung:
        async def run(self, lane, call, *, deadline):
            raise Unreachable(f"{lane} took {deadline} s")

    assert await Names(Hung()).of(0) == "uid 0"
    assert await Names().of(0) == "root"
    assert await Names().of(4_000_000_000) == "uid 4000000000"


async def test_the_huge_the_slow_and_the_broken_off_body_do_no_harm(path, console):
    async with asking(console, path) as client:
        huge = await client.post("/v1/pause", content=json.dumps({"reason": "x" * 70000}))
        assert huge.status_code == 413
        assert huge.json()["type"] == "urn:ballastd:problem:too-large"

        async def trickle():
            for _ in range(40):
                yield b"x" * 4096
        streamed = await client.post("/v1/pause", content=trickle())
        assert streamed.status_code == 413
        assert (await client.get("/v1/status")).status_code == 200
    assert console.commands == []
