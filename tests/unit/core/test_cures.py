"""Each "no" has a cure, or it is said why it needs none; the same in plans, explanations and withheld orders."""

from __future__ import annotations

from ballastd.core.accounts import Against
from ballastd.core.cures import CURES, NO_CURE, cure_of, cures_of, told
from ballastd.core.plans import Refusal, RefusalKind


def test_each_kind_has_a_cure_or_a_reason_to_have_none() -> None:
    assert set(CURES) | set(NO_CURE) == set(RefusalKind)
    assert not set(CURES) & set(NO_CURE)
    assert all(CURES.values())
    assert all(NO_CURE.values())


def test_no_two_kinds_are_told_apart_by_nothing_but_their_name() -> None:
    twins = {RefusalKind.HOST_FROZEN, RefusalKind.VM_AMBIGUOUS}  # two sides of one trouble
    cures = [cure for kind, cure in CURES.items() if kind not in twins]
    assert len(set(cures)) == len(cures)


def test_a_refusal_that_sums_up_many_has_the_cure_of_each_kind_once() -> None:
    against = tuple(Against(kind, "the reason") for kind in ("cpu", "memory", "cpu", "cooldown"))
    assert cures_of(Refusal(RefusalKind.NO_TARGET, "nowhere", against=against)) == (
        f"cpu: {cure_of(RefusalKind.CPU)}; memory: {cure_of(RefusalKind.MEMORY)}")
    assert cures_of(Refusal(RefusalKind.NO_TARGET, "nowhere")) == ""


def test_what_is_withheld_is_told_with_its_cure() -> None:
    assert told((Refusal(RefusalKind.VM_GONE, "is not there"), Refusal(RefusalKind.NETWORK, "br9 is missing"))) == (
        "vm-gone: is not there; network: br9 is missing; cure: set the network up there under the same name")
