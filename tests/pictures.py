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
    RecentView,
    RecommendationView,
    VerdictView,
    VmView,
    WindowView,
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
        migrations_in=0, migrations_out=0, verdicts=(), labels=(("rack", "r1"),), cpu_limit=32.0, processors=32.0,
        cpu_by_vms=6.5, memory_room=40 * GIB)
    return replace(host, **changes)


def a_vm(name: str = "db", vm: str = DB, host: str = "alder", **changes: Any) -> VmView:
    return replace(VmView(id=vm, name=name, host=host, state="running", memory=8 * GIB, vcpus=4, priority=0,
                          pins=(), cpu=1.3, memory_used=3 * GIB), **changes)


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


def a_recommendation(**changes: Any) -> RecommendationView:
    """burn-1 should go from alder to beech, and nobody has answered yet."""
    return replace(RecommendationView(
        "3f1c09aa72", "even-load", "relieve, healthy", DB, "burn-1", "alder", "beech", 4 * GIB, "alder is hot", "offered",
        NOW - 60, NOW + 1740, "", "burn-1 from alder to beech"), **changes)


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


def a_full_view() -> ClusterView:
    """A night's work: h1 fails and is emptied, h2 ran hot and is relieved, h4 was packed empty and is off."""
    return a_view(
        revision=1402,
        hosts=(
            a_host("h1", health="failing", marks=("evacuating",), target=False, why_not=("host-not-healthy: failing",),
                   cpu_utilization=0.41, cpu_by_vms=11.8, memory_used=30 * GIB, vms_running=4, migrations_out=2,
                   telemetry_age=2.0, inventory_age=1.0, power="on",
                   verdicts=(a_verdict(evidence="ecc.uncorrected of CPU1_DIMM_A1 rose by 1 in 1 h, above 0"),)),
            a_host("h2", health="suspect", cpu_utilization=0.93, cpu_by_vms=27.9, memory_used=44 * GIB, vms_running=6,
                   migrations_out=1, telemetry_age=4.0, inventory_age=2.0, power="on",
                   verdicts=(a_verdict(policy="hot-inlet", severity="suspect", phase="pending", since_wall=NOW - 40,
                                       latched=False, evidence="temperature of inlet is 38.5, above 38 for 2 min"),)),
            a_host("h3", cpu_utilization=0.34, cpu_by_vms=10.2, memory_used=22 * GIB, memory_reserved=20 * GIB,
                   vms_running=5, migrations_in=3, telemetry_age=1.0, inventory_age=2.0, power="on"),
            a_host("h4", health="unknown", target=False, why_not=("host-standby: off",), reachable=False,
                   cpu_utilization=None, cpu_by_vms=None, memory_used=0, vms_running=0, telemetry_age=5400.0,
                   inventory_age=5400.0, agent="offline", power="off",
                   power_detail="for 1 h 30 min: pack-at-night: h3 holds all", unreachable_reason="connection refused")),
        vms=(
            a_vm("build-3", _id(3), "h2", vcpus=8, memory=16 * GIB, cpu=7.6, memory_used=15 * GIB, migration="1400-1"),
            a_vm("db", _id(1), "h1", vcpus=8, memory=12 * GIB, cpu=5.2, memory_used=12 * GIB, priority=10,
                 group="shop", migration="1399-1"),
            a_vm("build-1", _id(2), "h2", vcpus=8, memory=16 * GIB, cpu=6.9, memory_used=14 * GIB),
            a_vm("web-1", _id(4), "h1", cpu=2.9, memory_used=4 * GIB, group="shop", migration="1399-2"),
            a_vm("web-2", _id(5), "h3", cpu=2.7, memory_used=4 * GIB, group="shop"),
            a_vm("mail", _id(6), "h1", vcpus=2, cpu=0.4, memory_used=2 * GIB),
            a_vm("gpu-lab", _id(7), "h1", cpu=3.3, pins=("passthrough hostdev0: take the device away",)),
            a_vm("archive", _id(8), "h3", vcpus=2, memory=2 * GIB, cpu=0.1, memory_used=GIB)),
        migrations=(
            a_migration(id="1399-1", vm=_id(1), vm_name="db", source="h1", target="h3", elapsed=21.0, predicted=36.0,
                        progress=0.58, rate_mib_s=344.0),
            a_migration(id="1399-2", vm=_id(4), vm_name="web-1", source="h1", target="h3", elapsed=21.0, predicted=24.0,
                        progress=0.91, rate_mib_s=338.0),
            a_migration(id="1400-1", vm=_id(3), vm_name="build-3", source="h2", target="h3", policy="even-cpu",
                        because="h2 works at 93%, h3 at 34%", elapsed=6.0, predicted=48.0, progress=0.11,
                        rate_mib_s=351.0, ordered_wall=NOW - 6),
            a_migration(id="1371-1", vm=_id(8), vm_name="archive", source="h4", target="h3", phase="settled",
                        ending="completed", policy="pack-at-night", ordered_wall=NOW - 5720, settled_wall=NOW - 5700,
                        elapsed=9.0, predicted=11.0, progress=1.0)),
        intents=(
            an_intent(host="h1", because="h1 is failing", vms_left=4,
                      forecast="3 VM(s) in about 1 min 2 s once they may start, 3 of them by the deadline; 1 cannot leave"),
            an_intent(kind="relieve", host="h2", policy="even-cpu", because="h2 works at 93%", severity="healthy",
                      deadline_wall=None, vms_left=6)),
        moves=(a_move(vm=_id(6), vm_name="mail", source="h1", target="h3", memory=2 * GIB, state="waiting",
                      because="h1 is failing", runners_up=("h2 (120)",)),),
        noes=(
            a_no(vm=_id(6), vm_name="mail", host="h1", detail="2 of 2 in flight out of h1"),
            a_no(sort="refusal", kind="vm-pinned", vm=_id(7), vm_name="gpu-lab", host="h1",
                 detail="passthrough hostdev0; cure: take the device away"),
            a_no(kind="window", vm=_id(2), vm_name="build-1", host="h2", detail="nightly is closed",
                 until_wall=NOW + 7200),
            a_no(kind="window", vm=_id(5), vm_name="web-2", host="h3", detail="nightly is closed",
                 until_wall=NOW + 7200)),
        budgets=(BudgetView("migrations in flight", 3, 4), BudgetView("hosts being evacuated", 1, 2),
                 BudgetView("even-cpu: moves within the hour", 3, 6), BudgetView("hosts off or on their way", 1, 1)),
        windows=(WindowView("nightly", True, False, NOW + 7200), WindowView("month-end", False, False, NOW + 700000)),
        recent=(
            RecentView(NOW - 6, "info", "1400-1: build-3 from h2 to h3 (16.0 GiB): even-cpu: h2 works at 93%", "h2", _id(3)),
            RecentView(NOW - 21, "info", "1399-1: db from h1 to h3 (12.0 GiB): failing-hosts: h1 is failing", "h1", _id(1)),
            RecentView(NOW - 80, "warning", "h1 is being emptied by failing-hosts", "h1"),
            RecentView(NOW - 90, "alarm", "h1: uncorrected-memory-errors: ecc.uncorrected of CPU1_DIMM_A1 rose by 1", "h1"),
            RecentView(NOW - 5400, "info", "h4 is off: silent, and its controller says off", "h4")))


def _id(number: int) -> str:
    return f"0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c{number:02x}"
