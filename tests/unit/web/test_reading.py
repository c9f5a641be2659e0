"""The routes that show: what the view holds comes out as JSON, and what it does not hold as a problem."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ballastd.ports.keeping import JournalRecord
from ballastd.web.models import Pictures, picture_json, picture_of, to_json
from tests.paper_console import PaperConsole, asking
from tests.pictures import DB, WEB_1, WEB_2, a_busy_view, a_full_view, a_host, a_view, a_vm

READS = ("/v1/status", "/v1/view", "/v1/hosts", "/v1/hosts/alder", "/v1/vms", f"/v1/vms/{DB}", "/v1/vms/db", "/v1/plan",
         "/v1/migrations", "/v1/migrations/41-1", "/v1/explain/alder", "/v1/explain/db", "/v1/journal",
         "/v1/counters", "/openapi.json")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


async def test_every_route_answers_with_json(path):
    async with asking(PaperConsole(a_busy_view()), path) as client:
        answers = {route: await client.get(route) for route in READS}
    assert {route: answer.status_code for route, answer in answers.items()} == dict.fromkeys(READS, 200)
    assert {answer.headers["content-type"] for answer in answers.values()} == {"application/json"}
    assert all(answer.json() for answer in answers.values())


async def test_before_the_first_step_views_say_when_to_ask_again_and_journal_and_counters_still_answer(path):
    async with asking(PaperConsole(None), path) as client:
        answer = await client.get("/v1/hosts")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:ballastd:problem:starting"
        assert "first look" in answer.json()["detail"]
        assert (await client.get("/v1/journal")).status_code == 200
        assert (await client.get("/v1/counters")).status_code == 200


async def test_a_host_comes_out_as_its_view(path):
    async with asking(PaperConsole(a_view()), path) as client:
        body = (await client.get("/v1/hosts/alder")).json()
    assert body["name"] == "alder"
    assert body["labels"] == [["rack", "r1"]]
    assert body["memory_limit"] == 60 << 30
    assert body["cpu_utilization"] == 0.25


async def test_the_whole_view_comes_out_as_it_is_and_can_be_read_back(path):
    view = a_full_view()
    async with asking(PaperConsole(view), path) as client:
        document = (await client.get("/v1/view")).content
    assert picture_of(document) == view
    assert json.loads(document) == to_json(view)


async def test_a_new_view_is_shown_as_soon_as_there_is_one(path):
    console = PaperConsole(a_view(revision=1))
    async with asking(console, path) as client:
        first = [(await client.get("/v1/view")).json()["revision"] for _ in range(2)]
        console.shown = a_view(revision=2)
        assert [*first, (await client.get("/v1/view")).json()["revision"]] == [1, 1, 2]


def test_a_view_is_written_once_however_many_ask():
    pictures, view = Pictures(), a_full_view()
    assert pictures.of(view) is pictures.of(view)


async def test_a_view_with_a_number_that_json_cannot_say_is_written_like_the_others(path):
    view = a_view(hosts=(a_host(cpu_utilization=float("nan"), telemetry_age=float("inf")),))
    assert json.loads(picture_json(view)) == to_json(view)


@pytest.mark.parametrize(("document", "said"), [
    (b"", "document: Invalid JSON"), (b"[]", "document: Input should be"), (b"{}", "revision: Field required"),
    (b'{"revision": "soon"}', "revision: Input should be a valid integer")])
def test_what_is_no_view_is_told_by_the_first_thing_that_is_wrong(document, said):
    with pytest.raises(ValueError, match=said):
        picture_of(document)


def test_a_view_of_a_later_release_is_read_without_what_is_not_known():
    document = {**to_json(a_view()), "weather": "fine"}
    assert picture_of(json.dumps(document).encode()) == a_view()


async def test_status_counts_hosts_by_health_and_vms_by_state(path):
    async with asking(PaperConsole(a_busy_view()), path) as client:
        body = (await client.get("/v1/status")).json()
    assert body["hosts"] == {"failing": 1, "healthy": 1, "unknown": 1}
    assert body["vms"] == {"running": 3}
    assert (body["migrations_open"], body["moves_planned"], body["posture"]) == (1, 1, "acting")


class Flooded(PaperConsole):
    """Messages under two hosts' names gave way to later ones."""

    def counters(self) -> dict[str, float]:
        return {"telemetry.dropped.alder": 412.0, "telemetry.dropped.birch": 7.0}


async def test_status_says_of_a_silent_host_that_its_messages_gave_way_to_a_flood(path):
    silent = a_host("alder", health="unknown", target=False, why_not=("host-silent: last heard 130 s ago; cure: ...",))
    view = replace(a_view(), hosts=(silent, a_host("birch")), notes=("one",))
    async with asking(Flooded(view), path) as client:
        notes = (await client.get("/v1/status")).json()["notes"]
    assert [note.split(",")[0] for note in notes] == ["one", "alder is silent"], "birch is heard, and was only flooded once"
    assert "412 messages under its name gave way to later ones" in notes[1]


async def test_an_unknown_host_is_a_404_that_names_the_one_that_was_meant(path):
    async with asking(PaperConsole(a_view()), path) as client:
        answer = await client.get("/v1/hosts/adler")
    assert answer.status_code == 404
    assert answer.json() == {
        "type": "urn:ballastd:problem:no-such-host", "title": "No such host", "status": 404,
        "detail": "there is no host 'adler'", "cure": "did you mean alder?"}


async def test_what_is_not_there_is_a_404_problem(path):
    async with asking(PaperConsole(a_view()), path) as client:
        for route in ("/v1/vms/none", "/v1/migrations/9-9", "/v1/explain/none", "/v1/nothing", "/"):
            answer = await client.get(route)
            assert (route, answer.status_code, answer.json()["status"]) == (route, 404, 404)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_a_name_that_two_vms_share_is_a_409_naming_both_ids(path):
    async with asking(PaperConsole(a_view()), path) as client:
        for route in ("/v1/vms/web", "/v1/explain/web"):
            answer = await client.get(route)
            assert answer.status_code == 409
            assert answer.json()["candidates"] == [WEB_1, WEB_2]
            assert WEB_1 in answer.json()["detail"]
            assert "by id" in answer.json()["cure"]


async def test_a_host_and_a_vm_of_one_name_are_told_apart_by_kind(path):
    async with asking(PaperConsole(a_view(vms=(a_vm("alder"),))), path) as client:
        assert (await client.get("/v1/explain/alder")).status_code == 409
        assert (await client.get("/v1/explain/alder?kind=host")).json()["kind"] == "host"
        assert (await client.get("/v1/explain/alder?kind=vm")).json()["id"] == DB
        assert (await client.get("/v1/explain/alder?kind=rack")).status_code == 422


async def test_an_explanation_has_lines_for_people_and_statements_for_programs(path):
    async with asking(PaperConsole(a_busy_view()), path) as client:
        body = (await client.get("/v1/explain/alder")).json()
    assert body["lines"][0] == "host alder: failing, draining, 2 VMs running"
    kinds = [said["kind"] for section in body["sections"] for said in section["statements"]]
    assert "verdict-firing" in kinds
    assert "not-target" in kinds


async def test_the_journal_is_read_in_bounded_pieces(path):
    console = PaperConsole(a_view())
    console.records = [JournalRecord(n, 7, {"v": 1, "kind": "Paused", "n": n}) for n in range(3)]
    async with asking(console, path) as client:
        counts = ("1", "1000", "0", "1001", "many", "-1", "1e3")
        statuses = [(await client.get(f"/v1/journal?count={count}")).status_code for count in counts]
        one = (await client.get("/v1/journal?count=1")).json()
    assert statuses == [200, 200, 422, 422, 422, 422, 422]
    assert one == {"records": [{"sequence": 2, "revision": 7, "content": {"v": 1, "kind": "Paused", "n": 2}}]}


async def test_numbers_that_json_cannot_say_come_out_as_null(path):
    view = a_view(hosts=(a_host(cpu_utilization=float("nan"), telemetry_age=float("inf")),))
    async with asking(PaperConsole(view), path) as client:
        host = (await client.get("/v1/hosts/alder")).json()
        counters = (await client.get("/v1/counters")).json()
    assert (host["cpu_utilization"], host["telemetry_age"]) == (None, None)
    assert counters == {"abandoned": 0.0, "malformed.alder": 3.0, "odd": None}


async def test_tricks_with_the_path_end_in_a_problem_without_echoing_control_characters(path):
    routes = ("/v1/hosts/..%2f..%2fetc%2fpasswd", "/v1/hosts/%00", "/v1/hosts/" + "a" * 5000, "/v1/hosts/%1b%5b31m",
              "/v1/vms/%ff%fe", "/v1/explain/..%2fstatus")
    async with asking(PaperConsole(a_view()), path) as client:
        for route in routes:
            answer = await client.get(route)
            assert answer.status_code in (404, 422), route
            assert answer.json()["detail"].isprintable()
            assert len(answer.text) < 2000


async def test_the_schema_names_every_route_and_serves_no_page_that_loads_from_elsewhere(path):
    async with asking(PaperConsole(a_view()), path) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/redoc")).status_code == 404
    assert {"/v1/status", "/v1/hosts/{name}", "/v1/hosts/{name}/drain", "/v1/hosts/{name}/confirm-dead",
            "/v1/migrations/{key}/abort", "/v1/policies/reload", "/v1/pause", "/v1/resume"} <= set(paths)
    assert len(paths) == 34


async def test_a_fault_of_our_own_is_a_500_problem_that_gives_nothing_away(path):
    class Broken(PaperConsole):
        def counters(self):
            raise ZeroDivisionError("secret")

    async with asking(Broken(a_view()), path) as client:
        answer = await client.get("/v1/counters")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:ballastd:problem:mistake"
    assert "secret" not in answer.text
