"""Links are shared as fairly as can be: whoever gets less than it may is held back by a link that is full."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballastd.core.quantities import HostName
from ballastd.sim.links import Flow, fair

HOSTS = [HostName(f"h{n}") for n in range(5)]
LINKS = st.fixed_dictionaries(dict.fromkeys(HOSTS, st.floats(1.0, 1000.0)))
FLOWS = st.lists(st.builds(Flow, st.sampled_from(HOSTS), st.sampled_from(HOSTS), st.floats(0.5, 500.0)), max_size=12)


@given(FLOWS, LINKS)
def test_nobody_gets_too_much_and_nobody_less_than_is_fair(flows: list[Flow], links: dict[HostName, float]) -> None:
    rates = fair(flows, links)
    used: Counter[tuple[str, HostName]] = Counter()
    for flow, rate in zip(flows, rates, strict=True):
        assert 0.0 <= rate <= flow.cap + 1e-6
        used["out", flow.source] += rate
        used["in", flow.target] += rate
    for (_, host), sum_of_rates in used.items():
        assert sum_of_rates <= links[host] + 1e-6
    for flow, rate in zip(flows, rates, strict=True):
        if rate < flow.cap - 1e-6:
            full = [(way, host) for way, host in (("out", flow.source), ("in", flow.target))
                    if used[way, host] >= links[host] - 1e-6]
            assert any(rate >= max(r for f, r in zip(flows, rates, strict=True)
                                   if (f.source if way == "out" else f.target) == host) - 1e-6 for way, host in full)


def test_what_one_may_not_use_the_others_have() -> None:
    a, b, c = HOSTS[:3]
    assert fair([Flow(a, b, 10.0), Flow(a, c, 500.0), Flow(b, c, 500.0)], dict.fromkeys(HOSTS, 100.0)) == pytest.approx(
        [10.0, 50.0, 50.0])
