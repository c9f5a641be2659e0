"""Samples, reports, and the readings they yield: what a host's agent says, and how far it may be believed.

Age counts on our monotonic clock from receipt. A reading that is missing or stale is None, which means
unknown: it never fires, never clears, and its host is never a target. The sender's own time only orders
its samples; retained, replayed and future reports are refused.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from dataclasses import dataclass, field

from ballastd.core.columns import NEVER, Columns
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.series import Series

STALE_FLOOR_SECONDS = 90.0
STALE_INTERVALS = 3
LEVELS_KEPT_SECONDS = 900.0
"""How far back levels are remembered unless a longer mean is asked for; counters, which mostly stand still, go back
further."""
CLOCK_SKEW_SECONDS = 30.0
KEEPALIVE_SECONDS_MIN = 25
"""libvirt's default between hosts, 5 s x 5: less, and a hiccup may leave two running copies of an unlocked guest."""
SUBJECTS_PER_HOST_MAX = 2048
TOO_MANY = "too-many-series"
RETIRED_BOOTS_MAX = 16


class MetricKind(enum.Enum):
    """How values of a metric relate over time."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the fixed vocabulary: name, unit, kind, and the range outside which a value is refused."""

    name: str
    unit: str
    kind: MetricKind
    low: float
    high: float


_GAUGE, _COUNTER = MetricKind.GAUGE, MetricKind.COUNTER
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("cpu.utilization", "ratio", _GAUGE, 0.0, 1.0),
        Metric("cpu.load1", "per core", _GAUGE, 0.0, 10_000.0),
        Metric("cpu.pressure.some", "ratio", _GAUGE, 0.0, 1.0),
        Metric("cpu.pressure.full", "ratio", _GAUGE, 0.0, 1.0),
        Metric("memory.pressure.some", "ratio", _GAUGE, 0.0, 1.0),
        Metric("memory.pressure.full", "ratio", _GAUGE, 0.0, 1.0),
        Metric("io.pressure.some", "ratio", _GAUGE, 0.0, 1.0),
        Metric("io.pressure.full", "ratio", _GAUGE, 0.0, 1.0),
        Metric("memory.utilization", "ratio", _GAUGE, 0.0, 1.0),
        Metric("memory.available", "bytes", _GAUGE, 0.0, float(1 << 56)),
        Metric("network.rx", "bytes/s", _GAUGE, 0.0, 1e12),
        Metric("network.tx", "bytes/s", _GAUGE, 0.0, 1e12),
        Metric("ecc.corrected", "count", _COUNTER, 0.0, float(1 << 53)),
        Metric("ecc.uncorrected", "count", _COUNTER, 0.0, float(1 << 53)),
        Metric("temperature", "celsius", _GAUGE, -60.0, 127.0),
        Metric("fan.speed", "rpm", _GAUGE, 0.0, 60_000.0),
        Metric("fan.alarm", "bool", _GAUGE, 0.0, 1.0),
        Metric("psu.alarm", "bool", _GAUGE, 0.0, 1.0),
        Metric("disk.alarm", "bool", _GAUGE, 0.0, 1.0),
    )
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one subject (a DIMM, a sensor, a fan; empty for the host itself) at one instant.

    ``high``, ``critical``: the sensor's own limits in the metric's unit, None where it has none.
    """

    metric: str
    value: float
    subject: str = ""
    high: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One telemetry message. ``boot_id`` and ``sequence`` are the sender's run and count within it;
    ``sent_at`` its wall clock, seconds; ``interval`` how often it promises to report, seconds."""

    host: HostName
    boot_id: str
    sequence: int
    sent_at: float
    interval: float
    samples: tuple[Sample, ...]
    received: Instant
    retained: bool = False
    refused_samples: int = 0


@dataclass(frozen=True, slots=True)
class AgentState:
    """What an agent (or its last will) says about itself. Offline means its session died, not its host.

    ``hook``: whether the libvirt hook that enforces a cordon is installed; ``cordon_until``: wall seconds
    until which the flag stands, or None; ``keepalive``: host-to-host interval and count, or None if unread;
    ``emulators``: how many emulator processes run there, or None if uncounted.
    """

    host: HostName
    online: bool
    received: Instant
    boot_id: str = ""
    hook: bool = False
    cordon_until: float | None = None
    keepalive: tuple[int, int] | None = None
    retained: bool = False
    emulators: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a series yields now: the value and how old it is; the limits its sensor declared."""

    value: float
    age: Seconds
    high: float | None = None
    critical: float | None = None


@dataclass(slots=True)
class _Source:
    boot_id: str
    sequence: int
    sent_at: float
    received: float
    interval: float
    heard: int
    timely: int
    """How many of those in a row came within 30 s of when they were sent; ``samples_min`` where none ever did otherwise."""
    since: float
    """When it was first heard after its last silence, monotonic."""
    retired: deque[str] = field(default_factory=lambda: deque(maxlen=RETIRED_BOOTS_MAX))


class Telemetry:
    """All series of all hosts, and how far each host's agent may be believed. Rebuilt by listening."""

    def __init__(self, samples_min: int = 3, stale_floor: float = STALE_FLOOR_SECONDS) -> None:
        self.columns: Columns = Columns()
        self.forgotten = 0
        """How often everybody's word was declared void."""
        self.unused: Counter[str] = Counter()
        """How many reports were not used, or not wholly, by host and reason."""
        self._sources: dict[HostName, _Source] = {}
        self._series: dict[HostName, dict[tuple[str, str], Series]] = {}
        self._subjects: dict[HostName, tuple[int, dict[str, tuple[str, ...]]]] = {}
        """What ``subjects`` found, with how many series there were then: series are only ever added."""
        self.samples_min = samples_min
        self._stale_floor = stale_floor
        self._levels_kept = LEVELS_KEPT_SECONDS

    def keep_levels(self, seconds: float) -> None:
        """Remember levels for at least ``seconds``, from now on."""
        self._levels_kept = max(self._levels_kept, seconds)

    def absorb(self, report: Report) -> str | None:
        """Take a report in; return None, or the slug of the reason for which it, or the rest of it, is not used."""
        source = self._sources.get(report.host)
        refusal = self._refusal(report, source)
        if refusal:
            self.unused[f"{report.host}.{refusal}"] += 1
            return refusal
        is_same_run = source is not None and source.boot_id == report.boot_id
        self._note_source(report, source)
        row = self.columns.row(report.host)
        self.columns.reports[row] += 1
        self.columns.received[row] = report.received.monotonic
        heard = self._sources[report.host]
        self.columns.since[row], self.columns.age_max[row] = heard.since, self._stale_after(heard)
        series = self._series.setdefault(report.host, {})
        for sample in report.samples:
            key = (sample.metric, sample.subject)
            if key not in series and len(series) >= SUBJECTS_PER_HOST_MAX:
                self.unused[f"{report.host}.{TOO_MANY}"] += 1
                return TOO_MANY
            self._take(series.get(key) or self._open(report.host, key), sample, report.received.monotonic,
                       is_same_run=is_same_run)
        return None

    def _open(self, host: HostName, key: tuple[str, str]) -> Series:
        metric = METRICS.get(key[0])
        one = self._series.setdefault(host, {})[key] = Series(metric is not None and metric.kind is MetricKind.COUNTER)
        one.slot = self.columns.column(key[0]).open(self.columns.row(host), key[1], one)
        return one

    def _take(self, one: Series, sample: Sample, at: float, *, is_same_run: bool) -> None:
        column, slot = self.columns.metrics[sample.metric], one.slot
        if one.add(at, sample.value, self._levels_kept):
            column.changed[slot] = at
        column.at[slot], column.value[slot] = at, sample.value
        column.touched[slot] += 1
        if column.ring is not None:
            column.ring.note(slot, one)
        high, critical = sample.high, sample.critical
        if is_same_run:  # a limit that could not be read for once is what it was
            high, critical = one.high if high is None else high, one.critical if critical is None else critical
        if high != one.high or critical != one.critical:
            one.high, one.critical = high, critical
            column.high[slot] = float("nan") if one.high is None else one.high
            column.critical[slot] = float("nan") if one.critical is None else one.critical

    @staticmethod
    def _refusal(report: Report, source: _Source | None) -> str | None:
        if report.retained:
            return "retained"
        if report.sent_at > report.received.wall + CLOCK_SKEW_SECONDS:
            return "future"
        if source is None:
            return None
        if report.boot_id == source.boot_id:
            if report.sequence == source.sequence:
                return "duplicate"
            return "replayed" if report.sequence < source.sequence else None
        if report.boot_id in source.retired or report.sent_at <= source.sent_at:
            return "replayed"
        return None

    def _note_source(self, report: Report, source: _Source | None) -> None:
        in_time = abs(report.sent_at - report.received.wall) <= CLOCK_SKEW_SECONDS
        if source is None or source.boot_id != report.boot_id:
            fresh = _Source(report.boot_id, report.sequence, report.sent_at, report.received.monotonic,
                            report.interval, 1, self.samples_min if in_time else 0, report.received.monotonic)
            if source is not None:
                fresh.retired.extend((*source.retired, source.boot_id))
            self._sources[report.host] = fresh
            return
        gap = report.received.monotonic - source.received
        source.heard = 1 if gap > self._stale_after(source) else source.heard + 1
        if source.heard == 1:
            source.since = report.received.monotonic
        source.timely = source.timely + 1 if in_time else 0
        source.sequence, source.sent_at = report.sequence, report.sent_at
        source.received, source.interval = report.received.monotonic, report.interval

    def _stale_after(self, source: _Source) -> float:
        return max(self._stale_floor, STALE_INTERVALS * source.interval)

    def forget_freshness(self) -> None:
        """Believe nobody until heard again: after a reconnect, a suspension or a lag of our own."""
        for source in self._sources.values():
            source.heard = 0
        self.columns.age_max[:] = NEVER
        self.forgotten += 1

    def seed_counter(self, host: HostName, metric: str, subject: str, value: float) -> None:
        """Set what a counter showed before we were started, so that a rise meanwhile is not missed."""
        one = self._series.get(host, {}).get((metric, subject)) or self._open(host, (metric, subject))
        one.baseline = value

    def age(self, host: HostName, now: Instant) -> Seconds | None:
        """Return the age of the host's last accepted report, or None if there was none."""
        source = self._sources.get(host)
        return None if source is None else Seconds(now.monotonic - source.received)

    def heard(self, host: HostName) -> int:
        """Return how many reports in a row were accepted since the host was last silent."""
        source = self._sources.get(host)
        return 0 if source is None else source.heard

    def is_fresh(self, host: HostName, now: Instant) -> bool:
        """Return whether the host speaks: enough live reports in a row, the last one not stale."""
        source = self._sources.get(host)
        if source is None or source.heard < self.samples_min:
            return False
        return now.monotonic - source.received <= self._stale_after(source)

    def has_skewed_clock(self, host: HostName) -> bool:
        """Return whether one of the host's last reports was off by more than 30 s: of many that are late one may overtake
        the others, and be in time alone."""
        source = self._sources.get(host)
        return source is not None and source.timely < self.samples_min

    def subjects(self, host: HostName, metric: str) -> tuple[str, ...]:
        """Return the subjects of ``metric`` that the host ever reported, sorted."""
        series = self._series.get(host, {})
        count, known = self._subjects.get(host, (-1, {}))
        if count != len(series):
            known = {}
            self._subjects[host] = len(series), known
        if metric not in known:
            known[metric] = tuple(sorted(s for m, s in series if m == metric))
        return known[metric]

    def last_value(self, host: HostName, metric: str, subject: str) -> float | None:
        """Return the last value ever heard in this run, however old, or None."""
        series = self._series.get(host, {}).get((metric, subject))
        return series.points[-1][1] if series and series.points else None

    def interval(self, host: HostName) -> float:
        """Return how often the host said last that it reports, seconds; 0 where it was never heard."""
        source = self._sources.get(host)
        return 0.0 if source is None else source.interval

    def reading(self, host: HostName, metric: str, subject: str, now: Instant) -> Reading | None:
        """Return the newest value, or None when the series or its host is silent or unheard since."""
        source, series = self._sources.get(host), self._series.get(host, {}).get((metric, subject))
        if source is None or series is None or not series.points or source.heard == 0:
            return None
        at, value, _ = series.points[-1]
        age = now.monotonic - at
        if age > self._stale_after(source):
            return None
        return Reading(value, Seconds(age), series.high, series.critical)

    def mean(self, host: HostName, metric: str, subject: str, window: float, now: Instant) -> float | None:
        """Return a level's mean over ``window`` seconds, weighted by time; None while stale, and until half of the
        window was heard without a silence: what was before one says nothing of now."""
        return self.level(host, metric, subject, window, now)[1]

    def level(self, host: HostName, metric: str, subject: str, window: float, now: Instant
              ) -> tuple[float | None, float | None]:
        """Return the newest value of a level and its mean, as ``reading`` and ``mean`` do."""
        reading = self.reading(host, metric, subject, now)
        if reading is None:
            return None, None
        begin = max(now.monotonic - window, self._sources[host].since)
        return reading.value, self._series[host][(metric, subject)].mean(begin, now.monotonic, window / 2)

    def lately(self, host: HostName, metric: str, subject: str, seconds: float, now: Instant
               ) -> tuple[tuple[float, float], ...]:
        """Return a level's values of the ``seconds`` until its newest, oldest first, each with when it came (monotonic);
        none from before a silence, and none where ``reading`` gives none. Of a run of equal ones the two ends, the first one
        no earlier than ``seconds`` allow: what stands still was said all the while."""
        if self.reading(host, metric, subject, now) is None:
            return ()
        points, since = self._series[host][(metric, subject)].points, self._sources[host].since
        begin = max(points[-1][0] - seconds, since)
        said = [(at, value) for at, value, _ in points if at >= begin]
        before = len(points) - len(said) - 1
        if before >= 0 and begin > since and points[before][1] == said[0][1]:
            said.insert(0, (begin, said[0][1]))
        return tuple(said)
