"""The routes that change something: each hands one command to the mind and waits until its answer is durable."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from ballastd.core.inputs import OperatorCommand, Verb
from ballastd.web.access import Commander, Desk, DeskNeeded, ViewNeeded, on_record
from ballastd.web.models import Accepted, CommandBody, DrainBody, ProblemBody, to_json
from ballastd.web.peers import Peer
from ballastd.web.problems import Problem
from ballastd.web.reading import Name, find_host, find_migration, find_recommendation
from ballastd.web.text import one_line

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Accepted},
    403: {"model": ProblemBody, "description": "the caller may not command"},
    404: {"model": ProblemBody},
    409: {"model": ProblemBody, "description": "refused by the daemon, with the reason"},
    503: {"model": ProblemBody},
    504: {"model": ProblemBody, "description": "not answered in time; it may still be carried out"},
}
router = APIRouter(prefix="/v1", responses=_RESPONSES)

HOST_VERBS = {
    Verb.CORDON: "Let nothing land on a host",
    Verb.UNCORDON: "Lift the operator's cordon of a host",
    Verb.UNDRAIN: "Stop emptying a host; what has moved stays where it is",
    Verb.ACKNOWLEDGE: "Acknowledge the latched verdicts of a host",
    Verb.CONFIRM_DEAD: "Vouch that a host is off: what it held is released",
    Verb.POWER_OFF: "Empty a host and have it shut down in order; never by force",
    Verb.POWER_ON: "Switch a host on, or keep one on that was about to go off",
    Verb.WAKE_TEST: "Empty a host, shut it down and wake it, to prove that it can be woken",
    Verb.CONFIRM_WAKEABLE: "Vouch that a host can be woken: without proof none is switched off",
}
CLUSTER_VERBS = {
    Verb.PAUSE: "Stop every new act until resumed",
    Verb.RESUME: "Let acts start again",
}

RECOMMENDATION_VERBS = {
    Verb.APPROVE: "Have what is recommended begin, if the plan still wants it, within every limit",
    Verb.REJECT: "Say no to what is recommended: it is not offered again for a while",
}
POLICY_VERBS = {
    Verb.APPROVE_ALL_OF: ("approve", "Approve everything that a policy recommends now"),
    Verb.REJECT_ALL_OF: ("reject", "Reject everything that a policy recommends now"),
    Verb.PROMOTE: ("promote", "Let a policy that was demoted act by itself again"),
}


async def _submit(desk: Desk, peer: Peer, verb: Verb, subject: str, body: CommandBody | None) -> JSONResponse:
    said = CommandBody() if body is None else body
    by = await on_record(desk, peer, said.by)
    command = OperatorCommand(
        token=f"api-{secrets.token_hex(8)}", verb=verb, subject=subject, by=by, reason=one_line(said.reason),
        deadline_wall=said.deadline_wall if isinstance(said, DrainBody) else None)
    try:
        async with asyncio.timeout(desk.answer_seconds):
            answer = await desk.console.command(command)
    except TimeoutError:
        raise Problem(HTTPStatus.GATEWAY_TIMEOUT, "no-answer", "The daemon has not answered yet",
                      f"no answer within {desk.answer_seconds:g} s; the command may still be carried out",
                      "look at the journal before you ask again") from None
    if not answer.accepted:
        raise Problem(HTTPStatus.CONFLICT, "refused", "Refused", answer.message, verb=verb.value, subject=subject)
    return JSONResponse(to_json(Accepted(True, verb.value, subject, by, answer.message)))


def _host_route(verb: Verb) -> Callable[..., Awaitable[JSONResponse]]:
    async def act(name: Name, peer: Commander, view: ViewNeeded, desk: DeskNeeded,
                  body: CommandBody | None = None) -> JSONResponse:
        return await _submit(desk, peer, verb, find_host(view, name).name, body)

    return act


def _cluster_route(verb: Verb) -> Callable[..., Awaitable[JSONResponse]]:
    async def act(peer: Commander, _view: ViewNeeded, desk: DeskNeeded,
                  body: CommandBody | None = None) -> JSONResponse:
        return await _submit(desk, peer, verb, "", body)

    return act


for _verb, _summary in HOST_VERBS.items():
    router.add_api_route(f"/hosts/{{name}}/{_verb.value}", _host_route(_verb), methods=["POST"],
                         name=f"host_{_verb.name.lower()}", summary=_summary)
for _verb, _summary in CLUSTER_VERBS.items():
    router.add_api_route(f"/{_verb.value}", _cluster_route(_verb), methods=["POST"],
                         name=_verb.name.lower(), summary=_summary)


@router.post("/hosts/{name}/drain", summary="Empty a host")
async def drain(name: Name, peer: Commander, view: ViewNeeded, desk: DeskNeeded,
                body: DrainBody | None = None) -> JSONResponse:
    """Empty a host within its limits, whatever the windows say, by ``deadline_wall`` where one is given."""
    target = find_host(view, name).name
    if body is not None and body.deadline_wall is not None and body.deadline_wall <= view.wall:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "past-deadline", "The deadline has passed",
                      f"deadline_wall {body.deadline_wall:.0f} is not after the daemon's present, {view.wall:.0f}",
                      "give a moment to come, in seconds since the epoch")
    return await _submit(desk, peer, Verb.DRAIN, target, body)


@router.post("/migrations/{key}/abort", summary="Cancel a running migration")
async def abort(key: Name, peer: Commander, view: ViewNeeded, desk: DeskNeeded,
                body: CommandBody | None = None) -> JSONResponse:
    """Ask for the job of an open migration to be cancelled; its VM stays at the source."""
    return await _submit(desk, peer, Verb.ABORT, find_migration(view, key).id, body)


def _recommendation_route(verb: Verb) -> Callable[..., Awaitable[JSONResponse]]:
    async def act(key: Name, peer: Commander, view: ViewNeeded, desk: DeskNeeded,
                  body: CommandBody | None = None) -> JSONResponse:
        return await _submit(desk, peer, verb, find_recommendation(view, key).id, body)

    return act


def _policy_route(verb: Verb) -> Callable[..., Awaitable[JSONResponse]]:
    async def act(name: Name, peer: Commander, _view: ViewNeeded, desk: DeskNeeded,
                  body: CommandBody | None = None) -> JSONResponse:
        return await _submit(desk, peer, verb, name, body)

    return act


for _verb, _summary in RECOMMENDATION_VERBS.items():
    router.add_api_route(f"/recommendations/{{key}}/{_verb.value}", _recommendation_route(_verb), methods=["POST"],
                         name=f"recommendation_{_verb.name.lower()}", summary=_summary)
for _verb, (_path, _summary) in POLICY_VERBS.items():
    router.add_api_route(f"/policies/{{name}}/{_path}", _policy_route(_verb), methods=["POST"],
                         name=f"policy_{_verb.name.lower()}", summary=_summary)


@router.post("/policies/reload", summary="Load the policies again, whole or not at all")
async def reload(_peer: Commander, desk: DeskNeeded, _body: CommandBody | None = None) -> JSONResponse:
    """Load the policies again; those that govern stay when anything is wrong with the new ones."""
    governs, found = await desk.console.reload()
    if not governs:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "policies-refused", "The policies were refused", found,
                      "mend them and check with `ballastctl policy check`; those before still govern")
    return JSONResponse(to_json(Accepted(True, "reload", "", await on_record(desk, _peer, ""), found)))
