"""What cannot wait for the next report: an error counted, an alarm that flips, a critical limit crossed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ballastd.core.plausibility import is_flag
from ballastd.core.telemetry import METRICS, MetricKind, Sample

Key = tuple[str, str]


@dataclass(slots=True)
class Watch:
    """Compares each look with what was last seen of every subject. The first sight of one is no news, unless
    it is an alarm or beyond its limit already and others of the host were seen before."""

    _seen: dict[Key, Sample] = field(default_factory=dict)

    def news(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        """Return the samples that are urgent, and remember all."""
        first = not self._seen
        urgent = []
        for sample in samples:
            key = (sample.metric, sample.subject)
            before = self._seen.get(key)
            if not first and _is_urgent(before, sample):
                urgent.append(sample)
            self._seen[key] = sample
        return tuple(urgent)


def _is_urgent(before: Sample | None, sample: Sample) -> bool:
    metric = METRICS[sample.metric]
    if metric.kind is MetricKind.COUNTER:
        # a counter that fell was reset: what it shows since then is new
        return before is not None and sample.value != before.value and sample.value > 0
    if is_flag(metric):
        return sample.value != (0.0 if before is None else before.value)
    if metric is METRICS["temperature"]:
        return _is_critical(sample) != (before is not None and _is_critical(before))
    return False


def _is_critical(sample: Sample) -> bool:
    return sample.critical is not None and sample.value >= sample.critical


@dataclass(slots=True)
class Ration:
    """How many urgent reports may go out: ``burst`` at once, then one per ``refill`` seconds."""

    burst: int = 5
    refill: float = 5.0
    _tokens: float = 5.0
    _filled: float = 0.0

    def spend(self, now: float) -> bool:
        """Return whether one may go now (monotonic seconds), and count it if so."""
        self._tokens = min(float(self.burst), self._tokens + max(0.0, now - self._filled) / self.refill)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
