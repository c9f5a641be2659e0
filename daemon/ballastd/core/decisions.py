"""What one step of the mind comes to, and the books while it is being made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ballastd.core import events as ev
from ballastd.core.arrivals import ArrivalCheck
from ballastd.core.clearance import Clearance
from ballastd.core.inputs import Answer
from ballastd.core.ledger import Ledger
from ballastd.core.notices import Notice
from ballastd.core.plans import AbortOrder, AutostartOrder, DowntimeOrder, Order, PostCopyOrder, ShutdownOrder, TuneOrder
from ballastd.core.portrait import Portrait
from ballastd.core.power import PowerOrder
from ballastd.core.quantities import HostName, Instant
from ballastd.core.views import ClusterView


@dataclass(frozen=True, slots=True)
class Decision:
    """What one step wants: ``events`` made durable first, then tunes, aborts and orders carried out.

    ``downtimes``: running jobs whose VM may stand still for longer at the end. ``post_copies``: those whose VM goes before
    its memory. ``autostarts``: where a VM is to start with its host, or not. ``shutdowns``: guests to be asked to shut down.
    ``checks``: every VM that is to be asked now whether it answers. ``power``: hosts to switch on or to shut down in order.
    ``cordons``: every host that should be closed at its hook now. ``clearance``: what stands against acts now, for the
    kernel. ``portrait``: what the step shows of everything, drawn when somebody looks. ``wake_at``: monotonic instant at
    which something may change by itself, or None.
    """

    revision: int
    events: tuple[ev.Event, ...]
    orders: tuple[Order, ...]
    aborts: tuple[AbortOrder, ...]
    tunes: tuple[TuneOrder, ...]
    downtimes: tuple[DowntimeOrder, ...]
    post_copies: tuple[PostCopyOrder, ...]
    autostarts: tuple[AutostartOrder, ...]
    shutdowns: tuple[ShutdownOrder, ...]
    checks: tuple[ArrivalCheck, ...]
    power: tuple[PowerOrder, ...]
    cordons: frozenset[HostName]
    answers: tuple[Answer, ...]
    notices: tuple[Notice, ...]
    clearance: Clearance
    portrait: Portrait = field(compare=False)
    wake_at: float | None

    @property
    def view(self) -> ClusterView:
        """The view of this step."""
        return self.portrait.view


@dataclass(slots=True)
class Step:
    """One step in the making."""

    now: Instant
    draft: Ledger
    revision: int
    events: list[ev.Event] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def book(self, event: ev.Event) -> None:
        """Book an event on the draft and remember it for the journal."""
        self.draft.apply(event)
        self.events.append(event)

    def take(self, events: Iterable[ev.Event], notices: Iterable[Notice]) -> None:
        """Book events, and have people told."""
        for event in events:
            self.book(event)
        self.notices.extend(notices)
