"""What Prometheus is told: true to the view, growing where it counts, bounded in labels, and served on one path."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ballastd.core.views import DemotionView
from ballastd.errors import ConfigurationError
from ballastd.web.metrics import HOSTS_MAX, Meter
from ballastd.web.metrics_server import MetricsServer, Together
from tests.paper_console import PaperConsole
from tests.pictures import a_busy_view, a_full_view, a_host, a_migration, a_recommendation, a_view


def samples(meter: Meter) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text, kind = meter.exposition("")
    assert kind.startswith("text/plain")
    return {(s.name, tuple(sorted(s.labels.items()))): s.value
            for family in text_string_to_metric_families(text.decode()) for s in family.samples}


def test_a_busy_view_is_told_as_it_is() -> None:
    found = samples(Meter(PaperConsole(a_busy_view())))
    assert found["ballastd_acting", ()] == 1.0
    assert found["ballastd_host_health", (("health", "failing"), ("host", "alder"))] == 1.0
    assert found["ballastd_host_health", (("health", "healthy"), ("host", "alder"))] == 0.0
    assert found["ballastd_gate", (("kind", "starting"),)] == 1.0
    assert found["ballastd_noes", (("kind", "back-off"), ("sort", "deferral"))] == 1.0
    assert found["ballastd_intents", (("kind", "evacuate"), ("policy", "failing-hosts"), ("state", "active"))] == 1.0


def test_what_people_are_asked_and_who_lost_their_trust_is_told() -> None:
    asked = (a_recommendation(), a_recommendation(id="1" * 10), a_recommendation(id="2", state="approved"))
    view = a_view(recommendations=asked, demotions=(DemotionView("nights", 0.0, "failed"),))
    found = samples(Meter(PaperConsole(view)))
    assert found["ballastd_recommendations", (("policy", "even-load"), ("state", "offered"))] == 2.0
    assert found["ballastd_recommendations", (("policy", "even-load"), ("state", "approved"))] == 1.0
    assert found["ballastd_policy_demoted", (("policy", "nights"),)] == 1.0


def test_what_came_of_asking_vms_that_arrived_is_counted() -> None:
    console = PaperConsole(a_view())
    console.counters = lambda: {"arrivals.silent": 2.0, "arrivals.answered": 5.0}  # type: ignore[method-assign]
    found = samples(Meter(console))
    assert found["ballastd_arrivals_checked_total", (("outcome", "silent"),)] == 2.0
    assert found["ballastd_arrivals_checked_total", (("outcome", "answered"),)] == 5.0


def test_what_is_unknown_has_no_sample() -> None:
    found = samples(Meter(PaperConsole(a_busy_view())))
    assert ("ballastd_host_cpu_utilization_ratio", (("host", "alder"),)) in found
    assert ("ballastd_host_cpu_utilization_ratio", (("host", "cedar"),)) not in found


def test_what_a_network_carries_is_told_where_it_is_known() -> None:
    hosts = (a_host("a", network_limit=1000.0, network_by_vms=250.0), a_host("b", network_limit=1000.0), a_host("c"))
    found = samples(Meter(PaperConsole(a_view(hosts=hosts))))
    assert {labels: value for (name, labels), value in found.items() if name == "ballastd_host_network_by_vms_ratio"} == {
        (("host", "a"),): 0.25}


def test_before_the_first_step_there_are_counts_and_no_hosts() -> None:
    found = samples(Meter(PaperConsole(None)))
    assert ("ballastd_steps_total", ()) in found
    assert not [name for name, _ in found if name.startswith("ballastd_host")]


class Counting(PaperConsole):
    """A daemon that saw so many migrations completed since it started."""

    completed = 0.0

    def counters(self) -> dict[str, float]:
        return {"migrations.ended.completed": self.completed}


def test_what_a_run_before_completed_is_not_counted_again() -> None:
    old = a_migration(id="1-1", ending="completed", phase="settled", elapsed=28.4, predicted=14.2)
    console = Counting(a_view(migrations=(old,)))
    meter = Meter(console)
    assert samples(meter)["ballastd_migration_duration_seconds_count", ()] == 0.0
    console.completed = 1.0
    console.shown = a_view(migrations=(replace(old, id="1-2"), old))
    assert samples(meter)["ballastd_migration_duration_seconds_count", ()] == 1.0


def test_each_completed_migration_is_counted_once() -> None:
    done = a_migration(id="1-1", ending="completed", phase="settled", elapsed=28.4, predicted=14.2)
    console = Counting(a_view(migrations=(done,)))
    console.completed = 1.0
    meter = Meter(console)
    samples(meter)
    found = samples(meter)
    assert found["ballastd_migration_duration_seconds_count", ()] == 1.0
    assert found["ballastd_migration_duration_seconds_sum", ()] == pytest.approx(28.4)
    assert found["ballastd_migration_duration_ratio_bucket", (("le", "2.0"),)] == 1.0
    assert found["ballastd_migration_duration_ratio_bucket", (("le", "1.5"),)] == 0.0
    console.completed = 2.0
    console.shown = a_view(migrations=(replace(done, id="1-2"), done))
    assert samples(meter)["ballastd_migration_duration_seconds_count", ()] == 2.0


def test_labels_are_bounded_and_what_is_left_out_is_counted() -> None:
    hosts = tuple(a_host(f"h{i:05}") for i in range(HOSTS_MAX + 7))
    found = samples(Meter(PaperConsole(a_view(hosts=hosts))))
    assert found["ballastd_hosts_not_shown", ()] == 7.0
    assert len([1 for name, _ in found if name == "ballastd_host_target"]) == HOSTS_MAX


def test_hostile_names_stay_within_their_label() -> None:
    name = 'x"} 1\nballastd_acting 0\n{host="'
    found = samples(Meter(PaperConsole(a_view(hosts=(a_host(name),)))))
    assert found["ballastd_acting", ()] == 1.0
    assert ("ballastd_host_target", (("host", name),)) in found


def test_openmetrics_is_spoken_where_it_is_asked_for() -> None:
    text, kind = Meter(PaperConsole(a_full_view())).exposition("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


async def test_one_path_is_served_and_nothing_else() -> None:
    server = MetricsServer(Meter(PaperConsole(a_busy_view())), ("127.0.0.1", 0))
    server.bind()
    serving = asyncio.ensure_future(Together([server]).serve())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        found = await client.get("/metrics")
        assert (found.status_code, "ballastd_acting 1.0" in found.text) == (200, True)
        assert (await client.head("/metrics")).content == b""
        assert (await client.get("/v1/status")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
    await server.stop()
    async with asyncio.timeout(10.0):
        await serving


def test_a_taken_address_is_named() -> None:
    first = MetricsServer(Meter(PaperConsole()), ("127.0.0.1", 0))
    first.bind()
    with pytest.raises(ConfigurationError, match=r"metrics\.listen: 127\.0\.0\.1:\d+ cannot be taken"):
        MetricsServer(Meter(PaperConsole()), ("127.0.0.1", first.port)).bind()
    asyncio.run(first.stop())
