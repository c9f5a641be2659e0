"""What others use of a link is never more than it is, however our own jobs copied between two looks."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballastd.core.giving_way import LATE_SECONDS, Look, Trail, copied_at_most
from ballastd.core.inventory import Progress
from ballastd.core.quantities import GIB, MIB, Bytes, HostName

PACE, INTERVAL = 600.0, 10.0
STRETCHES = st.lists(st.tuples(st.floats(0.05, 4.0), st.sampled_from([0.0, 1.0, 150.0, PACE])), min_size=1, max_size=12)
"""For how long a job copies how fast, seconds and MiB/s; nothing comes after the last."""
LOOKS = st.lists(st.floats(0.05, 3.0), max_size=20)


class Job:
    """A job that began at some time, and what became of it."""

    def __init__(self, began: float, stretches: list[tuple[float, float]]) -> None:
        self.began = began
        self.times = [began, *accumulate((seconds for seconds, _ in stretches), initial=began)][1:]
        self.sums = list(accumulate((seconds * mib_s * MIB for seconds, mib_s in stretches), initial=0.0))

    @property
    def over(self) -> float:
        return self.times[-1]

    def copied(self, at: float) -> float:
        """Return how much it had copied, bytes."""
        row = bisect_right(self.times, at)
        if row in (0, len(self.times)):
            return self.sums[max(0, row - 1)]
        share = (at - self.times[row - 1]) / (self.times[row] - self.times[row - 1])
        return self.sums[row - 1] + share * (self.sums[row] - self.sums[row - 1])

    def seen(self, looks: list[float], *, ends: float) -> Trail:
        """Return what is known of it, who looked so often, and heard of its end so late."""
        trail = Trail(HostName("h1"), HostName("h2"), [Look(self.began, 0.0)], self.sums[-1], PACE)
        for at in accumulate(looks, initial=self.began):
            if self.began < at < self.over:
                copied = self.copied(at)
                left = Bytes(int(self.sums[-1] - copied))
                trail.note(at, Progress(at - self.began, Bytes(64 * GIB), Bytes(int(copied)), left, 1, 0.0, PACE * MIB, 0.0))
        trail.end(self.over + ends)
        return trail


JOB = st.builds(Job, st.floats(0.0, 20.0), STRETCHES)
JOBS = st.lists(st.tuples(JOB, LOOKS, st.floats(0.0, 1.0)), min_size=1, max_size=4)


@given(JOBS, st.floats(5.0, 60.0), st.floats(0.0, LATE_SECONDS))
def test_what_our_jobs_copied_in_the_time_of_a_report_is_all_taken_off_it(
        jobs: list[tuple[Job, list[float], float]], at: float, late: float) -> None:
    end = at - late
    truth = sum(job.copied(end) - job.copied(end - INTERVAL) for job, _, _ in jobs)
    trails = [job.seen(looks, ends=ends) for job, looks, ends in jobs]
    most = copied_at_most(trails, at, INTERVAL) * INTERVAL
    assert most >= truth - 64.0 * len(jobs), "but for bytes that sizes are rounded to"
    assert most <= len(jobs) * PACE * MIB * INTERVAL * (1.0 + 1e-9)


@given(JOB, st.floats(5.0, 40.0))
def test_who_looks_often_takes_no_more_off_than_was_copied_at_any_time_it_may_be_about(job: Job, at: float) -> None:
    trail = job.seen([0.05] * 1000, ends=0.0)
    ends = [at - LATE_SECONDS * step / 200 for step in range(201)]
    truth = max(job.copied(end) - job.copied(end - INTERVAL) for end in ends)
    assert copied_at_most([trail], at, INTERVAL) * INTERVAL <= truth + 0.15 * PACE * MIB


def test_the_model_of_a_job_is_one() -> None:
    job = Job(10.0, [(2.0, 100.0), (3.0, 0.0), (1.0, 50.0)])
    assert [job.copied(at) / MIB for at in (9.0, 10.0, 11.0, 12.0, 14.0, 15.5, 16.0, 20.0)] == pytest.approx(
        [0.0, 0.0, 100.0, 200.0, 200.0, 225.0, 250.0, 250.0])
    assert all(earlier <= later for earlier, later in pairwise(job.sums))
