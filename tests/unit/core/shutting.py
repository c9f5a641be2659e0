"""Four hosts, the first of which fails, with VMs that cannot leave it: a table on which guests are asked to shut down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ballastd.core import shutdown_events as sh
from ballastd.core.decisions import Decision
from ballastd.core.inputs import ShutdownReturned, Verb
from ballastd.core.inventory import JobKind, Pin, PinKind, VmState
from ballastd.core.migrations import CallResult
from ballastd.core.plans import DeferralKind, RefusalKind, ShutdownOrder
from ballastd.core.policies import LastResort, PolicySet
from ballastd.core.quantities import HostName
from ballastd.core.shutdown_events import ShutdownEnding
from tests.builders import FAILING_HOSTS, POLICIES, ClusterBuilder, Table, a_cluster, table, vm_id

H1, H2 = HostName("h1"), HostName("h2")
PINNED = (Pin(PinKind.PASSTHROUGH, "hostdev0", "take it out"),)
ALLOWED = replace(FAILING_HOSTS, last_resorts=(LastResort.SHUTDOWN,))
RESORTS = replace(POLICIES, evacuation=(ALLOWED,))
DEADLINE = float(FAILING_HOSTS.deadline or 0.0)
STEP, COARSE = 10.0, 60.0
SLOW = 200.0
"""Far longer than it takes until everything was noticed."""


def pinned(*names: str) -> ClusterBuilder:
    """Return four hosts, the first with VMs that cannot leave it."""
    builder = a_cluster().host("h1")
    for name in names or ("a",):
        builder = builder.running(name, pins=PINNED)
    return builder.idlers(2, 3, 4)


def failing(policies: PolicySet = RESORTS, builder: ClusterBuilder | None = None) -> Table:
    """Return a table on which h1 has just begun to fail."""
    stand = table(builder or pinned(), policies).warm_up().show("h1", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h1", "ecc.uncorrected", 1.0)
    stand.settle()
    return stand


def overdue(policies: PolicySet = RESORTS, builder: ClusterBuilder | None = None) -> Table:
    """Return a table on which h1 has failed for so long that guests may be asked with the next step."""
    stand = failing(policies, builder)
    stand.quiet_for(DEADLINE - COARSE, COARSE)
    stand.quiet_for(COARSE - STEP)
    return stand


def asked(decisions: list[Decision]) -> list[ShutdownOrder]:
    return [order for decision in decisions for order in decision.shutdowns]


def pass_by(stand: Table, seconds: float = SLOW, result: CallResult | None = CallResult.OK, message: str = ""
            ) -> list[Decision]:
    """Let time pass. ``result``, ``message``: what each call that asks a guest returns with, None where none does."""
    decisions = list[Decision]()
    for _ in range(int(seconds / STEP)):
        stand.wait(STEP)
        decisions.append(stand.step())
        if decisions[-1].shutdowns and result is not None:
            decisions.append(stand.step(*(ShutdownReturned(order.id, order.times, result, message, stand.now)
                                          for order in decisions[-1].shutdowns)))
    return decisions


def change(stand: Table, name: str = "a", host: str = "h1", **fields: object) -> None:
    stand.world[host][vm_id(name)] = replace(stand.world[host][vm_id(name)], **fields)  # type: ignore[arg-type]


def go_down(stand: Table, name: str = "a") -> None:
    change(stand, name, state=VmState.SHUTOFF, reason="5/1")


def of(stand: Table, *kinds: type) -> list[object]:
    return [event for event in stand.events if isinstance(event, kinds)]


def ending(stand: Table) -> ShutdownEnding:
    [ended] = of(stand, sh.ShutdownEnded)
    assert isinstance(ended, sh.ShutdownEnded)
    return ended.ending


def why_not(decision: Decision, name: str = "a") -> str:
    noes = (*decision.portrait.plan.refusals, *decision.portrait.plan.deferrals)
    return "; ".join(no.detail for no in noes if no.vm == vm_id(name)
                     and no.kind in (DeferralKind.LAST_RESORT, DeferralKind.MODE, RefusalKind.LAST_RESORT))


def sees_a_twin(stand: Table) -> None:
    stand.world["h2"][vm_id("a")] = stand.world["h1"][vm_id("a")]


SPOILT: dict[str, Callable[[Table], object]] = {
    "its owner forbids it": lambda t: change(t, shutdown=False),
    "it is to be left alone": lambda t: change(t, ignored=True),
    "it does not run": lambda t: change(t, state=VmState.PAUSED),
    "a job holds it": lambda t: change(t, job=JobKind.OTHER),
    "it can move": lambda t: change(t, pins=()),
    "it runs twice": sees_a_twin,
    "paused": lambda t: t.say(Verb.PAUSE),
    "its host is not heard": lambda t: t.silent.add("h1"),
    "its host does not answer": lambda t: t.dark.add("h1"),
    "others are unknown": lambda t: t.dark.update(("h3", "h4")),
    "somebody looked": lambda t: t.say(Verb.ACKNOWLEDGE, "h1"),
}
"""What speaks against asking a guest, each by itself."""
