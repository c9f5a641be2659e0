"""What is steady near its mark is decided once: over it, or not, for as long as it stays as it is."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ballastd.core.conditions import Holding, Judgement, Phase, Truth, Verdict
from ballastd.core.conditions import follow as follow_verdict
from ballastd.core.inputs import PoliciesReplaced
from ballastd.core.policies import BalancePolicy, Edge, Mode
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.steadiness import Sense, Spans
from tests.builders import POLICIES, Table, a_cluster, table

LOOK, WINDOW, HOLD = 30.0, Seconds(300.0), Seconds(300.0)
STEADY = 1800.0 + WINDOW + LOOK
"""After how long what is steady is known to be: a window for the means to be of now, and six more."""
SUBJECT = ("hot", "p", HostName("h1"), "cpu", 0.8)


class Watch:
    """Levels that are looked at one after the other, as trends look at them."""

    def __init__(self, hold: Seconds = HOLD, mark: float = 0.8) -> None:
        self.spans, self.at, self.hold = Spans(WINDOW), 1000.0, hold
        self.subject = (*SUBJECT[:4], mark)

    @property
    def now(self) -> Instant:
        return Instant(self.at, self.at)

    def see(self, level: float, seconds: float = LOOK) -> Sense:
        self.at += seconds
        self.spans.look_again()
        return self.spans.sense(self.subject, level, self.hold, self.now)

    def wander(self, levels: tuple[float, ...], seconds: float) -> list[Sense]:
        return [self.see(levels[i % len(levels)]) for i in range(int(seconds / LOOK))]


def settled(levels: tuple[float, ...] = (-0.006, 0.002)) -> Watch:
    watch = Watch()
    watch.wander(levels, STEADY + 2 * LOOK)
    assert watch.see(levels[-1]) is Sense.NOISE
    return watch


def test_before_it_was_long_within_a_span_its_hold_alone_decides() -> None:
    assert set(Watch().wander((-0.006, 0.002), STEADY - LOOK)) == {Sense.PLAIN}


def test_what_was_steady_and_not_over_its_mark_in_the_mean_is_noise_above_it() -> None:
    assert set(settled().wander((-0.006, 0.002), 86400.0)) == {Sense.NOISE}


def test_what_was_steady_and_over_its_mark_in_the_mean_is_over_it() -> None:
    seen = Watch().wander((-0.002, 0.006), STEADY + 2 * LOOK)
    assert seen.index(Sense.LASTING) * LOOK == STEADY, "at a look over its mark: words must be true"


def test_while_a_hold_runs_nothing_is_settled() -> None:
    watch = Watch()
    watch.wander((-0.02,), STEADY - 4 * LOOK)
    assert set(watch.wander((0.001,), 8 * LOOK)) == {Sense.PLAIN}


def test_the_mean_is_one_of_time_and_not_of_looks() -> None:
    watch = Watch()
    seen = [watch.see(level, seconds) for _ in range(36) for level, seconds in ((-0.004, 60.0), (0.005, 10.0))]
    assert Sense.LASTING not in seen, "it was below for six times as long"
    assert seen[-1] is Sense.NOISE


def test_a_rise_by_more_than_it_wanders_is_none_of_the_noise() -> None:
    watch = settled((-0.016, -0.004))
    assert watch.see(0.007) is Sense.NOISE
    assert watch.see(0.009) is Sense.PLAIN


def test_three_points_over_the_mark_always_count() -> None:
    watch = settled((-0.045, 0.002))
    assert watch.see(0.029) is Sense.NOISE
    assert watch.see(0.031) is Sense.PLAIN


def test_a_small_mark_has_little_room() -> None:
    watch = Watch(mark=0.01)
    watch.wander((-0.0012, 0.0008), 2 * STEADY)
    assert watch.see(0.0024) is Sense.NOISE
    assert watch.see(0.0026) is Sense.PLAIN


def test_what_wanders_far_is_not_steady() -> None:
    assert set(Watch().wander((-0.053, 0.002), 4 * STEADY)) == {Sense.PLAIN}


def test_what_was_elsewhere_for_its_hold_is_judged_anew() -> None:
    watch = settled()
    watch.wander((-0.03,), HOLD - LOOK)
    assert watch.see(0.002) is Sense.NOISE, "a moment elsewhere is noise as well"
    watch.wander((-0.03,), HOLD + LOOK)
    assert watch.see(0.002) is Sense.PLAIN


def test_what_the_means_have_of_a_time_before_is_no_part_of_the_span() -> None:
    watch = Watch()
    for number in range(10):
        watch.see(-0.03 + 0.003 * number)
    watch.wander((-0.006, 0.002), STEADY)
    assert watch.see(0.011) is Sense.NOISE
    assert watch.see(0.013) is Sense.PLAIN, "three points of that were the way up"


def test_what_fell_far_below_its_mark_is_forgotten() -> None:
    watch = settled()
    watch.see(-0.2)
    assert watch.see(0.002) is Sense.PLAIN


def test_what_stays_over_its_mark_is_another_level_after_all() -> None:
    watch = settled()
    watch.see(-0.006)
    seen = watch.wander((0.002,), 3600.0 + 2 * LOOK)
    assert [*map(seen.index, (Sense.NOISE, Sense.PLAIN))] == [0, int(3600.0 / LOOK)]


def test_what_is_not_known_settles_nothing_and_unsettles_nothing() -> None:
    watch = Watch()
    watch.wander((-0.006, 0.002), STEADY - 4 * LOOK)
    watch.spans.look_again()
    watch.spans.miss((watch.subject,))
    assert set(watch.wander((-0.006, 0.002), STEADY - LOOK)) == {Sense.PLAIN}, "it was not seen all the while"
    watch.wander((-0.006, 0.002), 4 * LOOK)
    watch.spans.look_again()
    watch.spans.miss((watch.subject,))
    assert watch.see(0.002) is Sense.NOISE


def test_after_a_freeze_every_hold_starts_again_and_what_is_settled_stays_so() -> None:
    watch = settled()
    watch.see(-0.006)
    watch.wander((0.002,), 3600.0 - 4 * LOOK)
    watch.spans.restart_holds()
    assert set(watch.wander((0.002,), 8 * LOOK)) == {Sense.NOISE}
    learning = Watch()
    learning.wander((-0.006, 0.002), STEADY - 2 * LOOK)
    learning.spans.restart_holds()
    assert set(learning.wander((-0.006, 0.002), 8 * LOOK)) == {Sense.PLAIN}


def test_a_longer_hold_takes_longer_to_settle() -> None:
    watch = Watch(Seconds(900.0))
    assert set(watch.wander((-0.006, 0.002), 2700.0 + WINDOW)) == {Sense.PLAIN}
    assert set(watch.wander((-0.006, 0.002), 900.0)[2:]) == {Sense.NOISE}


def test_what_is_lasting_needs_no_hold() -> None:
    now = Instant(100.0, 100.0)
    clear, true = Verdict(Phase.CLEAR, now), Judgement(Truth.TRUE, Truth.FALSE)
    assert follow_verdict(Holding(HOLD), clear, true, now).phase is Phase.PENDING
    assert follow_verdict(Holding(HOLD), clear, replace(true, is_lasting=True), now).phase is Phase.FIRING


RELIEF = BalancePolicy("even-load", mode=Mode.AUTO, imbalance_above=1.0)
EVENNESS = BalancePolicy("even-load", mode=Mode.AUTO)


def cluster(policy: BalancePolicy) -> Table:
    """h1 has four VMs, h2 to h4 one each."""
    builder = a_cluster()
    for host, vms in (("h1", "abcd"), ("h2", "e"), ("h3", "f"), ("h4", "g")):
        builder = builder.host(host)
        for vm in vms:
            builder = builder.running(vm)
    return table(builder, replace(POLICIES, balance=(policy,))).warm_up()


def noisy(t: Table, share: float, hours: float, luck: Random) -> list[float]:
    """Have h1 use so much of its processors but for noise of two points from one look to the next; return after how many
    hours of that something was ordered."""
    begun, times = t.now.monotonic, []
    while t.now.monotonic < begun + hours * 3600.0:
        t.burn(**dict.fromkeys("abcd", 4.0 * (share - 0.01 + luck.uniform(-0.02, 0.02))))
        for decision in t.quiet_for(LOOK, LOOK):
            times.extend((t.now.monotonic - begun) / 3600.0 for _ in decision.orders)
    return times


def test_a_host_that_noise_carries_over_its_mark_stays_as_it_is_and_is_relieved_once_it_gets_hot() -> None:
    t, luck = cluster(RELIEF), Random("steady load")
    assert not noisy(t, 0.7958, 3.0, luck), "its hold alone would run through by luck after 106 minutes"
    times = noisy(t, 0.84, 0.5, luck)
    assert times, "four points more are no noise"
    assert times[0] <= (HOLD + WINDOW) / 3600.0


def test_a_host_that_is_over_its_mark_by_less_than_the_noise_is_relieved_within_the_hour() -> None:
    times = noisy(cluster(RELIEF), 0.802, 1.0, Random("over"))
    assert times
    assert times[0] <= 0.75


def test_a_cluster_that_noise_carries_over_its_mark_is_left_as_it_is_and_evened_out_once_it_is_uneven() -> None:
    t, luck = cluster(EVENNESS), Random("uneven days")
    assert not noisy(t, 0.3105, 3.0, luck), "its hold alone would run through by luck after 75 minutes"
    times = noisy(t, 0.36, 0.5, luck)
    assert times
    assert times[0] <= (EVENNESS.imbalance_hold + WINDOW) / 3600.0


def test_whoever_moves_a_mark_is_answered_anew() -> None:
    t, luck = cluster(RELIEF), Random("moved")
    noisy(t, 0.793, 1.0, luck)
    t.step(PoliciesReplaced(replace(POLICIES, balance=(replace(RELIEF, hot=(Edge("cpu", 0.785),)),), digest="lower")))
    assert noisy(t, 0.793, 0.5, luck)
