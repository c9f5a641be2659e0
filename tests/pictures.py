"""Views with boring defaults, for whatever shows them: say only what the test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ballastd.core.views import (
    BudgetView,
    ClusterView,
    GateView,
    HostView,
    IntentView,
    MigrationView,
    MoveView,
    NoView,
    VerdictView,
    VmView,
)

GIB = 1 << 30
NOW = 1_795_000_000.0
DB = "0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c01"
WEB_1 = "0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c02"
WEB_2 = "0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c03"


def a_host(name: str = "alder", **changes: Any) -> HostView:
    host = HostView(
        name=name, health="healthy", marks=(), target=True, why_not=(), reachable=True, inventory_age=3.0,
        telemetry_age=7.0, reports_heard=120, agent="online", hook=True, cpu_utilization=0.25,
        memory_total=64 * GIB, memory_limit=60 * GIB, memory_used=20 * GIB, memory_reserved=0, vms_running=2,
        migrations_in=0, migrations_out=0, verdicts=(), labels=(("rack", "r1"),))
    return replace(host, **changes)


def a_vm(name: str = "db", vm: str = DB, host: str = "alder", **changes: Any) -> VmView:
    return replace(VmView(id=vm, name=name, host=host, state="running", memory=8 * GIB, vcpus=4, priority=0,
                          pins=()), **changes)


def a_verdict(**changes: Any) -> VerdictView:
    return replace(VerdictView(
        policy="uncorrected-memory-errors", severity="failing", phase="firing", since_wall=NOW - 90, latched=True,
        evidence="ecc.uncorrected of dimm0 rose by 2 in 1 h, above 0"), **changes)


def an_intent(**changes: Any) -> IntentView:
    return replace(IntentView(
        kind="evacuate", host="alder", policy="failing-hosts", because="alder is failing", severity="failing",
        mode="auto", since_wall=NOW - 80, deadline_wall=NOW + 1800, state="active", vms_left=2), **changes)


def a_move(**changes: Any) -> MoveView:
    return replace(MoveView(
        vm=DB, vm_name="db", source="alder", target="beech", memory=8 * GIB, predicted=14.2,
        policy="failing-hosts", because="alder is failing", state="admitted",
        runners_up=("cedar (410)", "elm (220)")), **changes)


def a_migration(**changes: Any) -> MigrationView:
    return replace(MigrationView(
        id="41-1", vm=WEB_1, vm_name="web", source="alder", target="beech", phase="running", ending="",
        policy="failing-hosts", because="alder is failing", ordered_wall=NOW - 12, settled_wall=None,
        deadline_wall=NOW + 288, bandwidth_mib_s=357, predicted=14.2, elapsed=11.5, progress=0.62,
        adopted=False, detail=""), **changes)


def a_no(**changes: Any) -> NoView:
    return replace(NoView(
        sort="deferral", kind="in-flight-out-of-host", detail="2 of 2 migrations leave alder already", vm=DB,
        vm_name="db", host="alder", until_wall=None), **changes)


def a_view(**changes: Any) -> ClusterView:
    """A quiet cluster of two hosts and three VMs, of which two share a name."""
    view = ClusterView(
        revision=42, wall=NOW, posture="acting", gates=(), hosts=(a_host(), a_host("beech", vms_running=1)),
        vms=(a_vm(), a_vm("web", WEB_1), a_vm("web", WEB_2, "beech")), migrations=(), intents=(), moves=(),
        noes=(), budgets=(BudgetView("in-flight-cluster", 0.0, 4.0),), policies_digest="1a2b3c4d5e6f")
    return replace(view, **changes)


def a_busy_view() -> ClusterView:
    """alder fails: one VM is under way, one waits for it, and beech's telemetry is silent."""
    return a_view(
        gates=(GateView("starting", "telemetry is warming up", NOW + 60),),
        hosts=(
            a_host(health="failing", marks=("draining",), target=False,
                   why_not=("host-not-healthy: failing", "host-draining: asked for by alice"),
                   verdicts=(a_verdict(),), migrations_out=1),
            a_host("beech", migrations_in=1, memory_reserved=8 * GIB),
            a_host("cedar", health="unknown", target=False, why_not=("host-silent: no report for 2 min 5 s",),
                   telemetry_age=125.0, reachable=False, unreachable_reason="connection refused",
                   inventory_age=130.0, cpu_utilization=None, agent="offline", hook=False, labels=())),
        migrations=(a_migration(), a_migration(
            id="40-1", vm=DB, vm_name="db", phase="settled", ending="failed", ordered_wall=NOW - 400,
            settled_wall=NOW - 300, detail="target ran out of memory")),
        intents=(an_intent(),), moves=(a_move(),), noes=(a_no(), a_no(until_wall=NOW + 45, kind="back-off",
                                                                        detail="tried 5 min ago")))
