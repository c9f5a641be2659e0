"""What Prometheus scrapes: the view and the running counts, as families of metrics. Hosts are labels, VMs never.

Levels are read off the last view. Counts come from the daemon's own counters, which only grow; durations from the settled
migrations in each view, each taken once; those that a run before settled are no news of this one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from ballastd import __version__
from ballastd.core.views import ClusterView, HostView
from ballastd.ports.running import Console

HEALTHS = ("healthy", "suspect", "degraded", "failing")
POWERS = ("unmanaged", "on", "emptying", "closing", "going-off", "off", "waking", "failed")
HOSTS_MAX = 2000
SECONDS_BUCKETS = (1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0)
RATIO_BUCKETS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 10.0)
SEEN_MAX = 1000


class _Tally:
    """One histogram: counts per bucket, and their sum."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        place = next((i for i, edge in enumerate(self._edges) if value <= edge), len(self._edges))
        self._counts[place] += 1
        self._sum += value

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """Return it as Prometheus wants it: cumulative."""
        buckets, total = [], 0
        for edge, count in zip((*map(str, self._edges), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((edge, float(total)))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self._sum)


class Meter:
    """Collects anew at every scrape. One of them per daemon: it remembers which migrations it has counted."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: deque[str] = deque(maxlen=SEEN_MAX)
        self._seconds = _Tally(SECONDS_BUCKETS)
        self._accuracy = _Tally(RATIO_BUCKETS)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the text for one scrape, and its content type, as the scraper's ``Accept`` asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> list[Metric]:
        """Say nothing in advance: what there is depends on the cluster."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield InfoMetricFamily("ballastd_build", "The running release.", {"version": __version__})
        counters, view = self._console.counters(), self._console.view()
        yield from _counts(counters)
        if view is None:
            return
        self._note(view, int(counters.get("migrations.ended.completed", 0.0)))
        yield from _daemon(view)
        yield from _hosts(view)
        yield from _decisions(view)
        yield self._seconds.family("ballastd_migration_duration_seconds", "How long completed migrations took.")
        yield self._accuracy.family("ballastd_migration_duration_ratio", "Measured duration by predicted duration.")

    def _note(self, view: ClusterView, ended: int) -> None:
        """Take durations from a view. ``ended``: how many migrations this run saw completed; a view has the newest first."""
        completed = [migration for migration in view.migrations if migration.ending == "completed"]
        for number, migration in enumerate(completed):
            if migration.id in self._seen or number >= ended:
                continue
            self._seen.append(migration.id)
            self._seconds.add(migration.elapsed)
            if migration.predicted > 0:
                self._accuracy.add(migration.elapsed / migration.predicted)


def _states(name: str, text: str, label: str, values: Iterable[tuple[tuple[str, ...], str]], known: tuple[str, ...],
            *labels: str) -> GaugeMetricFamily:
    """Return one gauge that is 1 for the state that holds and 0 for the others, per subject."""
    family = GaugeMetricFamily(name, text, labels=(*labels, label))
    for subject, holds in values:
        for state in known if holds in known else (*known, holds):
            family.add_metric((*subject, state), float(state == holds))
    return family


def _gauge(name: str, text: str, rows: Iterable[tuple[tuple[str, ...], float | None]], *labels: str) -> GaugeMetricFamily:
    """Return a gauge; what is unknown (None) is left out rather than zero."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for subject, value in rows:
        if value is not None:
            family.add_metric(subject, float(value))
    return family


def _counts(counters: dict[str, float]) -> Iterator[Metric]:
    plain = {
        "steps": ("ballastd_steps", "Steps of the mind."),
        "steps.rejected": ("ballastd_steps_rejected", "Steps whose events the journal refused."),
        "loop.late": ("ballastd_self_suspected", "Times we suspected ourselves: lag, suspension, clock step."),
        "migrations.begun": ("ballastd_migrations_begun", "Migration calls issued by the kernel."),
    }
    for key, (name, text) in plain.items():
        yield CounterMetricFamily(name, text, value=counters.get(key, 0.0))
    yield GaugeMetricFamily("ballastd_journal_wait_seconds", "How long a write to the journal is waited for.",
                            value=counters.get("journal.wait", 0.0))
    yield GaugeMetricFamily("ballastd_calls_abandoned", "Calls given up that have not returned.",
                            value=counters.get("calls.abandoned", 0.0))
    for prefix, name, text, label in (
        ("migrations.ended.", "ballastd_migrations_ended", "Migrations settled, by ending.", "ending"),
        ("arrivals.", "ballastd_arrivals_checked", "VMs asked after a move whether they answer, by outcome.", "outcome"),
        ("shutdowns.", "ballastd_guest_shutdowns", "Guests that were asked to shut down, by what became of them.", "ending"),
        ("malformed.", "ballastd_telemetry_malformed", "Messages refused, by host and reason.", "what"),
        ("telemetry.", "ballastd_telemetry_messages", "Messages, by what became of them.", "what"),
        ("inbox.folded.", "ballastd_inbox_folded", "Inputs folded into newer ones or refused, by kind.", "kind"),
    ):
        family = CounterMetricFamily(name, text, labels=(label,))
        for key, value in sorted(counters.items()):
            if key.startswith(prefix):
                family.add_metric((key.removeprefix(prefix),), value)
        yield family


def _daemon(view: ClusterView) -> Iterator[Metric]:
    yield GaugeMetricFamily("ballastd_last_step_timestamp_seconds", "When the last step was taken.", value=view.wall)
    yield GaugeMetricFamily("ballastd_acting", "1 while acts may start, 0 while a gate stands.",
                            value=float(view.posture == "acting"))
    yield _gauge("ballastd_gate", "1 for each gate that stands.", [((kind,), 1.0) for kind in {g.kind for g in view.gates}],
                 "kind")
    yield _gauge("ballastd_budget_used", "How much of a limit is used.", [((b.name,), b.used) for b in view.budgets],
                 "budget")
    yield _gauge("ballastd_budget_limit", "The limit.", [((b.name,), b.limit) for b in view.budgets], "budget")
    yield _gauge("ballastd_window_open", "1 while a time window is open.",
                 [((w.name,), float(w.open)) for w in view.windows], "window")


def _hosts(view: ClusterView) -> Iterator[Metric]:
    hosts = view.hosts[:HOSTS_MAX]
    yield GaugeMetricFamily("ballastd_hosts", "Declared hosts.", value=len(view.hosts))
    yield GaugeMetricFamily("ballastd_hosts_not_shown", "Hosts beyond the number that is labelled.",
                            value=len(view.hosts) - len(hosts))
    yield _states("ballastd_host_health", "1 for the health that a host has.", "health",
                  [((h.name,), h.health) for h in hosts], HEALTHS, "host")
    yield _states("ballastd_host_power", "1 for where a host is between on and off.", "power",
                  [((h.name,), h.power) for h in hosts], POWERS, "host")
    for name, text, read in _HOST_GAUGES:
        yield _gauge(name, text, [((h.name,), read(h)) for h in hosts], "host")


def _decisions(view: ClusterView) -> Iterator[Metric]:
    noes = Counter((no.sort, no.kind) for no in view.noes)
    yield _gauge("ballastd_noes", "Refusals and deferrals that stand now, by kind.",
                 [(key, float(count)) for key, count in sorted(noes.items())], "sort", "kind")
    intents = Counter((i.kind, i.policy, i.state) for i in view.intents)
    yield _gauge("ballastd_intents", "What ought to change, by policy and state.",
                 [(key, float(count)) for key, count in sorted(intents.items())], "kind", "policy", "state")
    asked = Counter((r.policy, r.state) for r in view.recommendations)
    yield _gauge("ballastd_recommendations", "What people are asked about, and what they approved, by policy and state.",
                 [(key, float(count)) for key, count in sorted(asked.items())], "policy", "state")
    yield _gauge("ballastd_policy_demoted", "1 for each policy that only recommends since its moves failed.",
                 [((one.policy,), 1.0) for one in view.demotions], "policy")
    yield GaugeMetricFamily("ballastd_moves_planned", "Moves planned now.", value=len(view.moves))
    yield GaugeMetricFamily("ballastd_migrations_open", "Migrations whose books are open.",
                            value=sum(1 for m in view.migrations if not m.ending))
    verdicts = Counter((v.policy, v.phase) for h in view.hosts for v in h.verdicts if v.phase != "clear")
    yield _gauge("ballastd_verdicts", "Conditions that are not clear, by policy and phase.",
                 [(key, float(count)) for key, count in sorted(verdicts.items())], "policy", "phase")


def _cpu_share(host: HostView) -> float | None:
    return host.cpu_by_vms / host.processors if host.cpu_by_vms is not None and host.processors > 0 else None


_HOST_GAUGES = (
    ("ballastd_host_target", "1 while VMs may be sent to a host.", lambda h: float(h.target)),
    ("ballastd_host_reachable", "1 while a host's hypervisor answers.", lambda h: float(h.reachable)),
    ("ballastd_host_cpu_utilization_ratio", "Processor use as its telemetry says.", lambda h: h.cpu_utilization),
    ("ballastd_host_cpu_by_vms_ratio", "Processor use as the sum of its VMs, of all that the host has.", _cpu_share),
    ("ballastd_host_network_by_vms_ratio", "What its VMs use of their network.", lambda h: h.network_share),
    ("ballastd_host_memory_limit_bytes", "Memory that VMs may have.", lambda h: h.memory_limit),
    ("ballastd_host_memory_used_bytes", "Memory that VMs hold.", lambda h: h.memory_used),
    ("ballastd_host_memory_reserved_bytes", "Memory held for open migrations.", lambda h: h.memory_reserved),
    ("ballastd_host_vms", "VMs that run on a host.", lambda h: h.vms_running),
    ("ballastd_host_migrations_in", "Migrations into a host.", lambda h: h.migrations_in),
    ("ballastd_host_migrations_out", "Migrations out of a host.", lambda h: h.migrations_out),
    ("ballastd_host_telemetry_age_seconds", "Age of the last report.", lambda h: h.telemetry_age),
    ("ballastd_host_inventory_age_seconds", "Age of the last inventory.", lambda h: h.inventory_age),
)
