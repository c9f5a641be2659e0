"""Stories for the judge: conditions and telemetry by chance, told to the judge and to the plain reading at once.

Times and values are few and exact in binary, so that ties are common and sums have no rounding to differ in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st

from ballastd.core import events as ev
from ballastd.core.conditions import (
    Aggregate,
    AtLeast,
    Condition,
    Holding,
    Not,
    Phase,
    Predicate,
    RelativeTo,
    Silence,
    Threshold,
    Verdict,
)
from ballastd.core.inventory import DeclaredHost
from ballastd.core.judging import Judge
from ballastd.core.latching import newly_latched
from ballastd.core.ledger import Ledger
from ballastd.core.policies import EVERYWHERE, Health, HealthPolicy, PolicySet, Scope
from ballastd.core.power import HostPower, PowerPhase
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.telemetry import Report, Sample, Telemetry
from tests.plain_judge import Plain

HOSTS = tuple(DeclaredHost(HostName(name), f"qemu+tls://{name}/system") for name in ("h1", "h2", "h3"))
SUBJECTS = {"cpu.utilization": ("",), "temperature": ("a", "b", "c"), "fan.alarm": ("f1", "f2", "f3"),
            "ecc.corrected": ("D1", "D2")}
WINDOWS = st.sampled_from([Seconds(30.0), Seconds(60.0), Seconds(100.0), Seconds(400.0)])
HOLDS = st.sampled_from([Seconds(0.0), Seconds(0.0), Seconds(10.0), Seconds(60.0), Seconds(90.0)])
LEVELS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0])


@st.composite
def thresholds(draw: st.DrawFn) -> Threshold:
    metric = draw(st.sampled_from(sorted(SUBJECTS)))
    counter = metric == "ecc.corrected"
    aggregate = draw(st.sampled_from([Aggregate.INCREASE, Aggregate.RATE] if counter
                                     else [Aggregate.LEVEL, Aggregate.LEVEL, Aggregate.MEAN]))
    relative = draw(st.sampled_from(list(RelativeTo))) if metric == "temperature" else RelativeTo.ZERO
    above, threshold = draw(st.booleans()), draw(LEVELS) - (2.0 if relative is not RelativeTo.ZERO else 0.0)
    gap = draw(st.sampled_from([None, None, 0.0, 0.5, 1.0]))
    far = None if gap is None else threshold - gap if above else threshold + gap
    window = Seconds(0.0) if aggregate is Aggregate.LEVEL else draw(WINDOWS)
    return Threshold(metric, threshold, aggregate, window, above, relative, far, draw(st.sampled_from([1, 1, 1, 2, 3])),
                     draw(st.sampled_from([Seconds(1.0), Seconds(60.0)])))


SILENCES = st.sampled_from([Silence(Seconds(30.0)), Silence(Seconds(90.0)), Silence(Seconds(300.0))])
LEAVES = thresholds() | thresholds() | thresholds() | SILENCES


def _several(parts: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    return st.lists(parts, min_size=1, max_size=3).flatmap(
        lambda found: st.builds(AtLeast, st.integers(1, len(found)), st.just(tuple(found))))


PREDICATES: st.SearchStrategy[Predicate] = st.recursive(
    LEAVES, lambda parts: _several(parts) | st.builds(Not, parts), max_leaves=5)
HOLDINGS = st.builds(Holding, HOLDS, HOLDS, st.sampled_from([False, False, False, True]),
                     st.sampled_from([None, None, None, (1, 2), (2, 3), (3, 5), (8, 8)]))
SCOPES = st.sampled_from([EVERYWHERE, EVERYWHERE, Scope(("h1", "h3")), Scope(("h2",))])


@st.composite
def policies(draw: st.DrawFn) -> tuple[HealthPolicy, ...]:
    return tuple(HealthPolicy(f"p{n}", Condition(draw(PREDICATES), draw(HOLDINGS)),
                              draw(st.sampled_from([Health.SUSPECT, Health.DEGRADED, Health.FAILING])), draw(SCOPES))
                 for n in range(draw(st.integers(1, 4))))


@dataclass(frozen=True)
class Turn:
    """What happens before one judgement: time passes, hosts report, something else comes about."""

    passes: float
    reports: tuple[tuple[int, float, tuple[Sample, ...], bool], ...]
    event: str = ""
    host: int = 0
    swapped: tuple[HealthPolicy, ...] = ()


@st.composite
def samples(draw: st.DrawFn) -> tuple[Sample, ...]:
    found = []
    for metric, subjects in SUBJECTS.items():
        limits = draw(st.sampled_from([(None, None), (2.0, 4.0), (None, 2.0), (1.0, None)]))
        for subject in subjects:
            if draw(st.sampled_from([True, True, True, False])):
                value = draw(st.sampled_from([0.0, 1.0])) if metric == "fan.alarm" else draw(LEVELS)
                high, critical = limits if metric == "temperature" else (None, None)
                value = float(int(value)) if metric == "ecc.corrected" else value
                found.append(Sample(metric, value, subject, high, critical))
    return tuple(found)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    event = draw(st.sampled_from([""] * 12 + ["void", "holds", "acknowledge", "deaf", "standby", "swap", "forgotten latch"]))
    reports = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1.0, 10.0, 10.0, 60.0]), samples(),
                                      st.sampled_from([False] * 9 + [True])), max_size=4))
    return Turn(draw(st.sampled_from([0.0, 0.5, 1.0, 10.0, 10.0, 10.0, 30.0, 59.0, 60.0, 61.0, 90.0, 90.5, 300.0])),
                tuple(reports), event, draw(st.integers(0, 2)), draw(policies()) if event == "swap" else ())


@dataclass(frozen=True)
class Story:
    """Policies, what the books know of counters at the start, and what happens."""

    policies: tuple[HealthPolicy, ...]
    remembered: tuple[tuple[int, str, float], ...]
    turns: tuple[Turn, ...]


STORIES = st.builds(
    Story, policies(),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["D1", "D2"]), st.sampled_from([0.0, 2.0])),
             max_size=2).map(tuple),
    st.lists(turns(), min_size=2, max_size=14).map(tuple))


@dataclass
class Told:
    """A story on its way: both readers, and the books they share."""

    story: Story
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(samples_min=1))
    plain: Plain = field(default_factory=lambda: Plain(HOSTS))
    ledger: Ledger = field(default_factory=Ledger)
    now: Instant = field(default_factory=lambda: Instant(1000.0, 1_795_400_000.0, "boot"))
    deaf: bool = False
    sequence: int = 0
    boots: dict[HostName, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.health = self.story.policies
        for host, subject, value in self.story.remembered:
            self.telemetry.seed_counter(HOSTS[host].name, "ecc.corrected", subject, value)
            self.plain.remember(HOSTS[host].name, "ecc.corrected", subject, value)
        self.judge = Judge(self.telemetry)

    def tell(self) -> Iterator[tuple[Judge, Plain]]:
        """Yield both readers after each turn."""
        for turn in self.story.turns:
            self.now = self.now.later(turn.passes)
            for host, interval, heard, rebooted in turn.reports:
                self._hear(HOSTS[host].name, interval, heard, rebooted=rebooted)
            self._happen(turn)
            self.judge.judge(PolicySet(self.health), HOSTS, self.ledger, self.now, deaf=self.deaf)
            self.plain.judge(self.health, self.ledger, self.now, deaf=self.deaf)
            for latched in tuple(newly_latched(self.judge.verdicts, self.ledger, self.now)):
                self.ledger.apply(latched)
            yield self.judge, self.plain

    def _hear(self, host: HostName, interval: float, heard: tuple[Sample, ...], *, rebooted: bool) -> None:
        self.sequence += 1
        self.boots[host] = self.boots.get(host, 0) + rebooted
        report = Report(host, f"b{self.boots[host]}", self.sequence, self.now.wall + self.sequence / 1024, interval, heard,
                        self.now)
        assert self.telemetry.absorb(report) is None
        self.plain.hear(report)

    def _happen(self, turn: Turn) -> None:
        host = HOSTS[turn.host].name
        match turn.event:
            case "void":
                self.telemetry.forget_freshness()
                self.plain.believe_nobody()
            case "holds":
                self.judge.restart_holds()
                self.plain.restart_holds()
            case "acknowledge":
                self.ledger.apply(ev.VerdictsAcknowledged(self.now.wall, host, "me", ""))
                self.judge.acknowledge(host, self.now)
                self.plain.acknowledge(host, self.health, self.now)
            case "deaf":
                self.deaf = not self.deaf
            case "standby":
                if self.ledger.power.pop(host, None) is None:
                    self.ledger.power[host] = HostPower(PowerPhase.OFF, "nights", "idle", self.now.wall)
            case "swap":
                self.health = turn.swapped
            case "forgotten latch":
                self.ledger.latched[self.health[0].name, host] = ev.VerdictLatched(
                    self.now.wall, self.health[0].name, host, "from before")


def differences(judge: Judge, plain: Plain) -> list[str]:
    """Return where the two readers differ, in words."""
    found, verdicts = [], judge.verdicts
    for policy in verdicts.policies:
        for host in HOSTS:
            key = (policy.name, host.name)
            mine, theirs = verdicts.get(key), plain.verdicts.get(key)
            if mine != theirs:
                found.append(f"{key}: {mine} instead of {theirs}")
    for host in HOSTS:
        worst = max((p.severity for p in verdicts.policies if _in_force(plain.verdicts.get((p.name, host.name)))),
                    default=Health.HEALTHY)
        if verdicts.health(host.name) is not worst:
            found.append(f"{host.name}: {verdicts.health(host.name)} instead of {worst}")
        fires = [(p, one) for p in verdicts.policies if (one := plain.verdicts.get((p.name, host.name))) is not None
                 and one.phase is Phase.FIRING]
        if list(verdicts.firing(host.name)) != sorted(fires, key=lambda pair: (-pair[0].severity, pair[0].name)):
            found.append(f"{host.name}: {verdicts.firing(host.name)} fire instead of {fires}")
    recent = dict(verdicts.turned_within(100.0, judge.judged_at))
    for policy in verdicts.policies:
        hosts = tuple(host.name for host in HOSTS if _shows(plain.verdicts.get((policy.name, host.name)))
                      and judge.judged_at.monotonic - plain.became.get((policy.name, host.name), float("-inf")) <= 100.0)
        if recent.get(policy.name, ()) != hosts:
            found.append(f"{policy.name} turned true on {recent.get(policy.name, ())} instead of {hosts}")
    return found


def _in_force(verdict: Verdict | None) -> bool:
    return verdict is not None and (verdict.phase is Phase.FIRING or verdict.fired_before)


def _shows(verdict: Verdict | None) -> bool:
    return verdict is not None and (verdict.phase is Phase.PENDING or _in_force(verdict))


