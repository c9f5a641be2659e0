"""No document that is accepted exceeds a ceiling, and every number of a limit has one or a reason why not."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.ceilings import CEILINGS, Ceilings
from ballastd.core.policies import BalancePolicy, ConsolidationPolicy, Limits, MoveBudget
from ballastd.core.shutdowns import AT_ONCE
from ballastd.documents.loading import load_policies
from ballastd.errors import ConfigurationError

NOW = 1_795_000_000.0
LIMITS = {
    "in_flight_cluster": "in_flight_cluster", "in_flight_host_out": "in_flight_host_out",
    "in_flight_host_in": "in_flight_host_in", "link_share": "link_share", "evacuations_at_once": "evacuations_at_once",
    "evacuations_per_hour": "evacuations_per_hour", "blast_share": "blast_share", "blast_at_least": "at_least_hosts",
    "same_sensor_hosts": "at_least_hosts", "caution_share": "caution_share", "freeze_share": "freeze_share",
    "unknown_at_least": "at_least_hosts", "retries_per_move": "retries_per_move", "hosts_off_share": "hosts_off_share",
    "power_offs_per_10_min": "power_offs_per_10_min", "wakes_per_min": "wakes_per_min",
    "power_cycles_per_day": "power_cycles_per_day", "downtime_max_ms": "downtime_max_ms"}
BUDGET = {"in_flight": "balance_in_flight", "per_hour": "balance_per_hour", "per_day": "balance_per_day",
          "per_vm_per_day": "balance_per_vm_day"}
DURATIONS = {"same_sensor_within", "settle_after_freeze", "retry_backoff", "no_progress"}
HELD_BACK_BY_MORE = {"migration_minimum_mib_s", "failover_hosts"}
"""The larger, the less is done."""
WORDS = {"failover_domain", "auto_converge"}
LEFT_TO_OTHERS = {"give_way", "vcpus_per_processor"}
"""Takes from what is allowed without it, and adds nothing."""
OF_A_WHOLE = {"cool_cpu", "cool_memory", "cool_network", "imbalance_above", "minimum_gain", "ignore_below", "fill_cpu",
              "fill_memory", "fill_network", "spare_share", "power_off_below", "power_on_above"}
"""Shares of a host or of the cluster that cannot be above 100 %."""
SPARE = {"spare_hosts"}
OF_NO_LIMIT = {"guest_shutdowns": AT_ONCE}
"""Ceilings of the kernel over what no document says: the number that the mind keeps to by itself."""


def test_every_number_of_a_limit_has_a_ceiling_or_a_reason() -> None:
    assert {spec.name for spec in fields(Limits)} == set(LIMITS) | DURATIONS | HELD_BACK_BY_MORE | WORDS | LEFT_TO_OTHERS
    assert {spec.name for spec in fields(MoveBudget)} == set(BUDGET)
    assert {spec.name for spec in fields(Ceilings)} == {*LIMITS.values(), *BUDGET.values(), *OF_NO_LIMIT}
    assert all(ours <= getattr(CEILINGS, name) for name, ours in OF_NO_LIMIT.items())


@pytest.mark.parametrize("kind", [BalancePolicy, ConsolidationPolicy])
def test_every_number_of_a_routine_policy_is_a_share_a_duration_or_has_a_ceiling(kind: type) -> None:
    for spec in fields(kind):
        if str(spec.type) in ("float", "int"):
            assert spec.name in OF_A_WHOLE | SPARE, f"{spec.name} of {kind.__name__} is without a ceiling"


@pytest.mark.parametrize("line", [
    "blast_radius: {same_sensor: 11 in 5m}", "blast_radius: {at_least: 11}", "freeze: {at_least: 11}",
    "in_flight: {cluster: 9}", "bandwidth: {link_share: 81%}", "retries: {per_move: 6}",
    "convergence: {downtime_max: 1001ms}", "power: {hosts_off: 51%}"])
def test_just_above_a_ceiling_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "p.yaml").write_text(f"kind: Limits\nname: p\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError):
        load_policies(tmp_path, None, NOW)


WHOLE = st.one_of(st.integers(-2, 12), st.integers(0, 1000), st.sampled_from((10**9, 2**63)))
SHARE = st.one_of(st.integers(-1, 101).map(lambda n: f"{n}%"), st.sampled_from(("1000%", "0.5", "1", "99.99%", "34.5%")))
SPAN = st.sampled_from(("0s", "1s", "5m", "3650d"))
RATE = st.sampled_from(("1MiB/s", "100MiB/s", "100GiB/s"))


def mapping(**keys: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=keys)


BUDGETS = mapping(in_flight=WHOLE, per_hour=WHOLE, per_day=WHOLE, per_vm_per_day=WHOLE)
DOCUMENTS = {
    "Limits": mapping(
        in_flight=mapping(cluster=WHOLE, host_out=WHOLE, host_in=WHOLE), failover=mapping(hosts=WHOLE),
        bandwidth=mapping(link_share=SHARE, migration_minimum=RATE, give_way=SHARE),
        evacuations=mapping(at_once=WHOLE, per_hour=WHOLE),
        blast_radius=mapping(share=SHARE, at_least=WHOLE,
                             same_sensor=st.tuples(WHOLE, SPAN).map(lambda pair: f"{pair[0]} in {pair[1]}")),
        freeze=mapping(caution=SHARE, freeze=SHARE, at_least=WHOLE, settle=SPAN),
        retries=mapping(per_move=WHOLE, backoff=SPAN),
        convergence=mapping(downtime_max=st.one_of(st.integers(-1, 1100), st.just(10**9)).map(lambda n: f"{n}ms"),
                            no_progress=SPAN),
        power=mapping(hosts_off=SHARE, offs_per_10_min=WHOLE, wakes_per_min=WHOLE, cycles_per_day=WHOLE)),
    "Balance": mapping(budget=BUDGETS, cool=mapping(cpu=SHARE, memory=SHARE)),
    "Consolidation": mapping(budget=BUDGETS, fill_to=mapping(cpu=SHARE, memory=SHARE),
                             spare=mapping(hosts=WHOLE, share=SHARE)),
}
WINDOW = {"Consolidation": 'window: {days: [mon-fri], at: "22:00", for: 7h, timezone: UTC}\n'}


def flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + "}"
    return str(value)


@pytest.mark.parametrize("kind", DOCUMENTS)
@given(data=st.data())
@settings(max_examples=150)
def test_no_document_that_is_accepted_exceeds_a_ceiling(kind: str, data: st.DataObject) -> None:
    body = data.draw(DOCUMENTS[kind])
    with tempfile.TemporaryDirectory() as directory:
        text = f"kind: {kind}\nname: p\n{WINDOW.get(kind, '')}" + "".join(f"{k}: {flow(v)}\n" for k, v in body.items())
        (Path(directory) / "p.yaml").write_text(text, encoding="utf-8")
        try:
            policies = load_policies(Path(directory), None, NOW).policies
        except ConfigurationError:
            return
    for field, ceiling in LIMITS.items():
        assert 0 <= getattr(policies.limits, field) <= getattr(CEILINGS, ceiling), (field, text)
    assert policies.limits.failover_hosts in (0, 1)
    assert policies.limits.give_way is None or policies.limits.link_share <= policies.limits.give_way <= 1.0
    for policy in (*policies.balance, *policies.consolidation):
        for field, ceiling in BUDGET.items():
            assert 1 <= getattr(policy.budget, field) <= getattr(CEILINGS, ceiling), (field, text)
        for spec in fields(policy):
            if spec.name in OF_A_WHOLE:
                assert 0.0 <= getattr(policy, spec.name) <= 1.0, (spec.name, text)
