"""Hosts that ought to be empty and cannot be: what a person has to hear about before the host takes its VMs along."""

from __future__ import annotations

from ballastd.core.clearance import Gate
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import ENDED_OPEN
from ballastd.core.notices import Notice
from ballastd.core.plans import DeferralKind, Plan
from ballastd.core.policies import Health, Mode
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, VmId
from ballastd.core.snapshot import Snapshot

PATIENCE_SECONDS = 60.0
"""Why nothing moves may pass by itself: an inventory comes, a job ends. After this it is told."""
VMS_TOLD = 5
SAVING = frozenset({IntentKind.EVACUATE, IntentKind.DRAIN})


class Strandings:
    """Remembers since when each host is stuck, and what was told about it."""

    def __init__(self) -> None:
        self._since: dict[HostName, float] = {}
        self._told: dict[HostName, frozenset[VmId | None]] = {}
        self._telling: dict[HostName, frozenset[VmId | None]] = {}

    def keep(self) -> None:
        """The step is durable, so that what it tells is told."""
        self._told = self._telling

    def follow(self, made: Plan, intents: tuple[Intent, ...], gates: tuple[Gate, ...], ledger: Ledger,
               snapshot: Snapshot) -> tuple[Notice, ...]:
        """Return what is to be told now: once per host, and again when a VM is stuck that was not before.

        A host that something is leaving is not stuck, and none is while another wakes: it may be the help.
        """
        now = snapshot.now.monotonic
        wanted = {intent.host: intent for intent in reversed(intents)
                  if intent.kind in SAVING and intent.mode is Mode.AUTO}
        leaving = {migration.source for migration in ledger.open_migrations()
                   if migration.phase not in ENDED_OPEN and not migration.was_out_of_sight}
        if any(power.phase is PowerPhase.WAKING for power in ledger.power.values()):
            leaving |= wanted.keys()
        stuck = {host: noes for host in sorted(wanted.keys() - leaving) if (noes := _why_stuck(made, gates, host))}
        self._since = {host: self._since.get(host, now) for host in stuck}
        self._telling = {host: told for host, told in self._told.items() if host in wanted}
        notices = []
        for host, noes in stuck.items():
            vms, told = frozenset(noes), self._telling.get(host, frozenset())
            if now - self._since[host] >= PATIENCE_SECONDS and not vms <= told:
                self._telling[host] = vms | told
                notices.append(_notice(wanted[host], noes, snapshot))
        return tuple(notices)


def _why_stuck(made: Plan, gates: tuple[Gate, ...], host: HostName) -> dict[VmId | None, str]:
    """Return what keeps the host from being emptied, by VM, None for the host; nothing where a move may begin."""
    if ours := [move for move in made.moves if move.wanted_by == host]:
        first = {move.source for move in ours if not move.after}
        gate = next((one for one in gates if first and first.isdisjoint(one.passes)), None)
        return {} if gate is None or gate.kind is DeferralKind.STARTING else {None: gate.reason}
    found: dict[VmId | None, str] = {}
    for no in made.refusals:
        if no.host == host:
            found.setdefault(no.vm, no.detail)
    return found


def _notice(intent: Intent, noes: dict[VmId | None, str], snapshot: Snapshot) -> Notice:
    names = dict(zip(snapshot.vms.ids, (record.name for record in snapshot.records), strict=True))
    told = [no if vm is None else f"{names.get(vm, vm)}: {no}" for vm, no in noes.items()]
    more = f"; and {len(told) - VMS_TOLD} more" if len(told) > VMS_TOLD else ""
    level = "alarm" if intent.urgent or intent.severity is Health.FAILING else "warning"
    return Notice(level, f"stranded/{intent.host}",
                  f"{intent.host} is not being emptied ({intent.because}): {'; '.join(told[:VMS_TOLD])}{more}")
