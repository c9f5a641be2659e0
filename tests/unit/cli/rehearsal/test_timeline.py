"""Samples in the columns of a picture: no peak is hidden, whatever the number of samples."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.cli.rehearsal.timeline import COLUMNS_MAX, ROWS_MAX, hosts_a_row, span_hours, timeline
from ballastd.core.quantities import HostName
from tests.rehearsals import a_day, a_rehearsal, a_sample


@settings(max_examples=40)
@given(st.integers(1, 3000), st.data())
def test_a_peak_of_one_sample_is_in_the_picture_at_its_time(count: int, data: st.DataObject):
    peak = data.draw(st.integers(0, count - 1))
    samples = tuple(a_sample(place * 10.0, (1.75 if place == peak else 0.5, 0.25), in_flight=5 * (place == peak))
                    for place in range(count))
    line = timeline(a_rehearsal(seconds=count * 10.0, samples=samples))
    assert line is not None
    assert line.demand.shape == (2, min(count, COLUMNS_MAX))
    column = int(np.nanargmax(line.hottest))
    assert line.hottest[column] == line.demand[0, column] == 1.75
    assert line.in_flight[column] == 5
    assert line.edges[column] * 3600 <= peak * 10.0 + 1e-6 <= line.edges[column + 1] * 3600 + 1e-6


def test_samples_are_held_until_the_next_and_may_come_in_any_order():
    samples = (a_sample(2700.0, (0.9, 0.9)), a_sample(0.0, (0.1, 0.1)), a_sample(10.0, (0.3, 0.3)))
    line = timeline(a_rehearsal(samples=samples))
    assert line is not None
    assert line.hottest.tolist() == [0.3, 0.3, 0.9]


def test_a_host_that_is_off_is_neither_cool_nor_hot():
    line = timeline(a_rehearsal(samples=(a_sample(0.0, (0.5, 9.0), (True, False)),)))
    assert line is not None
    assert line.hottest.tolist() == line.mean.tolist() == line.coolest.tolist() == [0.5]
    assert np.isnan(line.demand[1]).all()
    assert line.fewest_on.tolist() == [1.0]


def test_no_host_on_at_all_is_no_load_at_all():
    line = timeline(a_rehearsal(samples=(a_sample(0.0, (0.5, 0.5), (False, False)),)))
    assert line is not None
    assert np.isnan([line.hottest, line.mean, line.coolest]).all()


def test_more_hosts_than_rows_share_them_and_the_hottest_shows():
    count = ROWS_MAX * 2 + 1
    hosts = tuple(HostName(f"h{number}") for number in range(count))
    demand = tuple(1.5 if number == 401 else 0.2 for number in range(count))
    samples = (a_sample(0.0, demand, (True,) * count),)
    line = timeline(a_rehearsal(hosts=hosts, overload_seconds=(0.0,) * count, samples=samples))
    assert line is not None
    assert hosts_a_row(count) == 3
    assert line.demand.shape == (161, 1)
    assert np.flatnonzero(line.demand[:, 0] > 1.0).tolist() == [401 // 3]


def test_nothing_sampled_or_no_hosts_is_no_timeline():
    assert timeline(a_rehearsal()) is None
    assert timeline(a_rehearsal(hosts=(), overload_seconds=(), samples=(a_sample(0.0, (), ()),))) is None
    assert span_hours(a_rehearsal(seconds=0.0)) > 0
    assert timeline(a_day(3, 10)) is not None
