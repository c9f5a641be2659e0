"""The routes that show: each is one look at the view after the last step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from ballastd import __version__
from ballastd.core.explanation import Subject, explain, subjects
from ballastd.core.plain import to_plain
from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import VmId
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.core.statements import Explanation, SubjectKind
from ballastd.core.summary import Summary
from ballastd.core.views import ClusterView, HostView, MigrationView, RecommendationView, VmView
from ballastd.ports.keeping import KeptDefinition
from ballastd.web.access import DeskNeeded, ViewNeeded
from ballastd.web.models import (
    HostList,
    MigrationList,
    Pictures,
    PlanView,
    ProblemBody,
    RecordList,
    RecordView,
    StatusView,
    VmList,
    to_json,
)
from ballastd.web.problems import Problem, unknown

RECORDS_MAX = 1000
Name = Annotated[str, Path(min_length=1, max_length=255)]
router = APIRouter(prefix="/v1", responses={503: {"model": ProblemBody, "description": "not yet, or in trouble"}})
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ProblemBody}}
_NOT_ONE: dict[int | str, dict[str, Any]] = {**_NOT_FOUND, 409: {"model": ProblemBody, "description": "ambiguous"}}


def _shows(model: Any) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}}


@router.get("/status", responses=_shows(StatusView))
async def status(desk: DeskNeeded, view: ViewNeeded) -> JSONResponse:
    """Show the daemon at a glance."""
    return JSONResponse(to_json(StatusView(
        version=__version__, revision=view.revision, wall=view.wall, posture=view.posture,
        policies_digest=view.policies_digest, gates=view.gates,
        hosts=_tally(host.health for host in view.hosts), vms=_tally(vm.state for vm in view.vms),
        migrations_open=sum(1 for m in view.migrations if m.settled_wall is None),
        moves_planned=len(view.moves), intents=view.intents, budgets=view.budgets,
        notes=(*view.notes, *_floods(view, desk.console.counters())),
        recommendations=view.recommendations, demotions=view.demotions,
    )))


def _floods(view: ClusterView, counters: Mapping[str, float]) -> Iterator[str]:
    """Yield the hosts that are silent, and may be so because their own reports gave way to what came under their names."""
    for host in view.hosts:
        lost = counters.get(f"telemetry.dropped.{host.name}", 0.0)
        if lost and any(why.startswith(f"{RefusalKind.HOST_SILENT.value}: ") for why in host.why_not):
            yield (f"{host.name} is silent, and {lost:.0f} messages under its name gave way to later ones since the daemon "
                   "started: where that goes on rising (ballastctl status -o wide), somebody floods its topics")


@router.get("/view", responses=_shows(ClusterView), response_class=JSONResponse)
async def whole(request: Request, view: ViewNeeded) -> Response:
    """Show everything after one step: what `ballastctl top` draws a frame of."""
    pictures = request.app.state.pictures
    assert isinstance(pictures, Pictures)
    return Response(pictures.of(view), media_type="application/json")


def _tally(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


@router.get("/hosts", responses=_shows(HostList))
async def hosts(view: ViewNeeded) -> JSONResponse:
    """Show all declared hosts."""
    return JSONResponse(to_json(HostList(view.revision, view.wall, view.hosts)))


@router.get("/hosts/{name}", responses={**_shows(HostView), **_NOT_FOUND})
async def host(name: Name, view: ViewNeeded) -> JSONResponse:
    """Show one host."""
    return JSONResponse(to_json(find_host(view, name)))


@router.get("/vms", responses=_shows(VmList))
async def vms(view: ViewNeeded) -> JSONResponse:
    """Show all VMs that any host reports."""
    return JSONResponse(to_json(VmList(view.revision, view.wall, view.vms)))


@router.get("/vms/{subject}", responses={**_shows(VmView), **_NOT_ONE})
async def vm(subject: Name, view: ViewNeeded) -> JSONResponse:
    """Show one VM, by its id or by a name that only one VM has."""
    found = subjects(view, subject, SubjectKind.VM)
    if len(found) > 1:
        raise ambiguous(subject, found)
    if not found:
        raise unknown("vm", subject, (known.name for known in view.vms))
    return JSONResponse(to_json(found[0]))


@router.get("/vms/{subject}/definition", responses={**_shows(KeptDefinition), **_NOT_ONE})
async def definition(subject: Name, desk: DeskNeeded, view: ViewNeeded) -> JSONResponse:
    """Show what a VM was defined as when it was moved last, by its id, or by a name: of a VM that is there, or of one that a
    known migration moved."""
    named = {vm.id for vm in view.vms if vm.name == subject} | {m.vm for m in view.migrations if m.vm_name == subject}
    if len(named) > 1:
        where = {vm.id: f" on {vm.host}" for vm in view.vms}
        raise _ambiguous(subject, [f"VM {vm}{where.get(vm, ', which is gone')}" for vm in sorted(named)], "ask by id",
                         sorted(named))
    kept = await desk.console.definition(VmId(named.pop() if named else subject.lower()))
    if kept is None:
        raise unknown("definition", subject, (vm.name for vm in view.vms))
    return JSONResponse(to_json(kept))


@router.get("/plan", responses=_shows(PlanView))
async def plan(view: ViewNeeded) -> JSONResponse:
    """Show what is wanted, planned, refused and put off."""
    return JSONResponse(to_json(PlanView(
        view.revision, view.wall, view.posture, view.gates, view.intents, view.moves, view.noes, view.recommendations,
        view.rejections, view.demotions)))


@router.get("/migrations", responses=_shows(MigrationList))
async def migrations(view: ViewNeeded) -> JSONResponse:
    """Show open and lately settled migrations."""
    return JSONResponse(to_json(MigrationList(view.revision, view.wall, view.migrations, view.pairs)))


@router.get("/migrations/{key}", responses={**_shows(MigrationView), **_NOT_FOUND})
async def migration(key: Name, view: ViewNeeded) -> JSONResponse:
    """Show one migration by its id."""
    return JSONResponse(to_json(find_migration(view, key)))


@router.get("/explain/{subject}", responses={**_shows(Explanation), **_NOT_ONE})
async def explanation(subject: Name, view: ViewNeeded,
                      kind: Annotated[SubjectKind | None, Query()] = None) -> JSONResponse:
    """Explain a host, a VM or a migration: why it is as it is, and what it waits for. ``lines`` is the same for people."""
    told = explain(view, subject, kind)
    if told is None:
        found = subjects(view, subject, kind)
        if found:
            raise ambiguous(subject, found)
        names = [*(known.name for known in view.hosts), *(known.name for known in view.vms),
                 *(known.id for known in view.migrations)]
        raise unknown("subject" if kind is None else kind.value, subject, names)
    return JSONResponse({**to_json(told), "lines": list(told.lines())})


@router.get("/cluster", responses=_shows(ClusterCopy))
async def cluster(desk: DeskNeeded, view: ViewNeeded) -> JSONResponse:  # noqa: ARG001  there is none before the first look
    """Show the cluster as it was seen last, complete enough to be rehearsed on: what `ballastctl cluster save` writes."""
    return JSONResponse(to_plain(desk.console.copy()))


@router.get("/summary", responses=_shows(Summary))
async def summary(desk: DeskNeeded) -> JSONResponse:
    """Show what was done within the last day, what was not and why. ``lines`` is the same for people."""
    found = await desk.console.summary()
    return JSONResponse({**to_json(found), "lines": list(found.lines())})


@router.get("/journal", responses=_shows(RecordList))
async def journal(desk: DeskNeeded, count: Annotated[int, Query(ge=1, le=RECORDS_MAX)] = 50) -> JSONResponse:
    """Show the last journal records, oldest first."""
    records = await desk.console.journal(count)
    return JSONResponse(to_json(RecordList(tuple(RecordView(r.sequence, r.revision, r.content) for r in records))))


@router.get("/counters", responses=_shows(dict[str, float]))
async def counters(desk: DeskNeeded) -> JSONResponse:
    """Show running counts."""
    return JSONResponse(to_json(dict(sorted(desk.console.counters().items()))))


def find_host(view: ClusterView, name: str) -> HostView:
    """Return the host ``name``.

    Raises:
        Problem: it is not declared (404).
    """
    found = next((known for known in view.hosts if known.name == name), None)
    if found is None:
        raise unknown("host", name, (known.name for known in view.hosts))
    return found


def find_migration(view: ClusterView, key: str) -> MigrationView:
    """Return the migration ``key``.

    Raises:
        Problem: it is neither open nor lately settled (404).
    """
    found = next((known for known in view.migrations if known.id == key), None)
    if found is None:
        raise unknown("migration", key, (known.id for known in view.migrations))
    return found


def find_recommendation(view: ClusterView, key: str) -> RecommendationView:
    """Return the recommendation ``key``.

    Raises:
        Problem: it is not offered, nor approved (404).
    """
    found = next((known for known in view.recommendations if known.id == key), None)
    if found is None:
        raise unknown("recommendation", key, (known.id for known in view.recommendations))
    return found


def ambiguous(subject: str, found: tuple[Subject, ...]) -> Problem:
    """Return the problem of a name that stands for more than one thing, with what each is really called."""
    kinds = sorted({_kind(one) for one in found})
    cure = "ask by id" if kinds == ["vm"] else f"say {' or '.join(f'kind={kind}' for kind in kinds)}, or ask by id"
    return _ambiguous(subject, [_called(one) for one in found], cure,
                      [one.name if isinstance(one, HostView) else one.id for one in found])


def _ambiguous(subject: str, called: list[str], cure: str, candidates: list[str]) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "ambiguous", "The name is ambiguous",
                   f"{subject!r} is {len(called)} things: {', '.join(called)}", cure, candidates=candidates)


def _kind(one: Subject) -> str:
    if isinstance(one, HostView):
        return SubjectKind.HOST.value
    return SubjectKind.VM.value if isinstance(one, VmView) else SubjectKind.MIGRATION.value


def _called(one: Subject) -> str:
    if isinstance(one, HostView):
        return f"host {one.name}"
    return f"VM {one.id} on {one.host}" if isinstance(one, VmView) else f"migration {one.id} of {one.vm_name}"
