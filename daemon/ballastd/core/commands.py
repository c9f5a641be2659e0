"""Operators' words to events: what is accepted, what is refused and how it can be put right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.autonomy import Offer
from ballastd.core.books import OPERATOR, LedgerBroken
from ballastd.core.inputs import Answer, OperatorCommand, Verb
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Timing
from ballastd.core.power import WAKE_TEST, PowerPhase
from ballastd.core.quantities import HostName, human_seconds
from ballastd.core.shutdown_events import ShutdownOver

DEFAULT_TIMING = Timing()
Outcome = tuple[tuple[ev.Event, ...], str]


class _Refused(ValueError):
    """The command cannot be obeyed; the message says why and what would help."""


def carry_out(command: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], reachable: frozenset[HostName],
              wall: float, powered: Mapping[HostName, str], timing: Timing = DEFAULT_TIMING,
              recommended: Container[str] = (), parted: Container[str] = ()) -> tuple[tuple[ev.Event, ...], Answer]:
    """Return the events that ``command`` amounts to, and the answer to it. A refusal has no events.

    ``powered``: why the host that is spoken of cannot be switched off now, where that is asked and it cannot.
    ``recommended``: the ids of what the last plan would do. ``parted``: the migrations (ids) that an end shows in post-copy.
    """
    if command.verb in APPROVAL_VERBS:
        try:
            said, message = APPROVAL_VERBS[command.verb](command, ledger, Asked(timing, recommended), wall)
        except _Refused as no:
            return (), Answer(command.token, accepted=False, message=str(no))
        return said, Answer(command.token, accepted=True, message=message)
    if command.verb in POWER_VERBS:
        try:
            host = _host(command, hosts)
            why_not = powered.get(host)
            if command.verb is Verb.POWER_ON:
                why_not = f"{host} is on: its hypervisor answers" if host in reachable else None
            event, message = POWER_VERBS[command.verb](command, host, ledger, why_not, wall)
        except _Refused as no:
            return (), Answer(command.token, accepted=False, message=str(no))
        return event, Answer(command.token, accepted=True, message=message)
    try:
        events, message = (_abort(command, ledger, parted, wall) if command.verb is Verb.ABORT
                           else _VERBS[command.verb](command, ledger, hosts, reachable, wall))
    except _Refused as no:
        return (), Answer(command.token, accepted=False, message=str(no))
    return events, Answer(command.token, accepted=True, message=message)


def _host(command: OperatorCommand, hosts: frozenset[HostName]) -> HostName:
    name = HostName(command.subject)
    if name in hosts:
        return name
    near = difflib.get_close_matches(command.subject, sorted(hosts), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise _Refused(f"there is no host {command.subject!r} in the settings{hint}")


def _cordon(c: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], _r: frozenset[HostName],
            wall: float) -> Outcome:
    host = _host(c, hosts)
    if host in ledger.cordoned:
        return (), f"{host} was cordoned already, by {ledger.cordoned[host].by}"
    return (ev.HostCordoned(wall, host, c.by, c.reason),), f"{host} is cordoned: nothing new lands there"


def _uncordon(c: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], _r: frozenset[HostName],
              wall: float) -> Outcome:
    host = _host(c, hosts)
    if host not in ledger.cordoned:
        return (), f"{host} was not cordoned"
    return (ev.HostUncordoned(wall, host, c.by, c.reason),), f"the cordon of {host} is lifted"


def _drain(c: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], reachable: frozenset[HostName],
           wall: float) -> Outcome:
    host = _host(c, hosts)
    if host in ledger.drains:
        return (), f"{host} is being drained already, for {ledger.drains[host].by}"
    if host not in reachable:
        raise _Refused(f"{host} cannot be drained: its hypervisor does not answer; see: ballastctl explain {host}")
    return (ev.DrainRequested(wall, host, c.by, c.deadline_wall, c.reason),), f"{host} is being drained"


def _undrain(c: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], _r: frozenset[HostName],
             wall: float) -> Outcome:
    host = _host(c, hosts)
    if host not in ledger.drains:
        return (), f"{host} was not being drained"
    event = ev.DrainCancelled(wall, host, c.by, c.reason)
    return (event,), f"the drain of {host} is cancelled; what moved stays where it is"


def _acknowledge(c: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], _r: frozenset[HostName],
                 wall: float) -> Outcome:
    missed = ledger.shutdowns.missed()
    host = _host(c, hosts | {one.host for one in missed})
    latched = sorted(policy for policy, on in ledger.latched if on == host)
    power = ledger.power.get(host)
    failed = power is not None and power.phase is PowerPhase.FAILED
    # whoever acknowledges what is latched has not said that its guests may stay down
    left = [] if latched or failed else [one for one in missed if one.host == host]
    if not latched and not failed and not left:
        raise _Refused(f"nothing is latched on {host}; conditions that clear by themselves need no acknowledgement")
    events: list[ev.Event] = [ev.VerdictsAcknowledged(wall, host, c.by, c.reason)] if latched else []
    said = f"acknowledged by {c.by}" + (f": {c.reason}" if c.reason else "")
    if failed:
        events.append(pw.HostKept(wall, host, f"its failed power was {said}"))
    events += [ShutdownOver(wall, one.id, one.vm_name, host, said) for one in left]
    what = (*latched, *(["power"] if failed else []), *(f"{one.vm_name} is down" for one in left))
    return tuple(events), f"acknowledged on {host}: {', '.join(what)}"


def _confirm_dead(c: OperatorCommand, ledger: Ledger, hosts: frozenset[HostName], reachable: frozenset[HostName],
                  wall: float) -> Outcome:
    host = _host(c, hosts)
    if host in reachable:
        raise _Refused(f"{host} is alive: its hypervisor answers")
    if host in ledger.confirmed_dead:
        return (), f"{host} was confirmed dead already, by {ledger.confirmed_dead[host].by}"
    return (ev.HostConfirmedDead(wall, host, c.by, c.reason),), f"{host} is taken for dead: what was held for it is released"


def _abort(c: OperatorCommand, ledger: Ledger, parted: Container[str], wall: float) -> Outcome:
    migration = ledger.migrations.get(c.subject)
    if migration is None:
        running = ", ".join(sorted(ledger.migrations)) or "none"
        raise _Refused(f"there is no open migration {c.subject!r}; open: {running}")
    if migration.abort_reason:
        return (), f"{migration.id} is being aborted already: {migration.abort_reason}"
    if migration.id in parted:
        return (), f"{migration.id} ({migration.vm_name}) goes before its memory, from which there is no way back"
    reason = f"aborted by {c.by}" + (f": {c.reason}" if c.reason else "")
    # one that is about to go before its memory, and did not yet, does not go any more
    back = (ev.PostCopyWithdrawn(wall, migration.id, reason),) if migration.post_copy_because else ()
    return ((*back, ev.AbortOrdered(wall, migration.id, reason)),
            f"{migration.id} ({migration.vm_name}) is being aborted")


def _pause(c: OperatorCommand, ledger: Ledger, _h: frozenset[HostName], _r: frozenset[HostName],
           wall: float) -> Outcome:
    if ledger.paused is not None:
        return (), f"paused already, by {ledger.paused.by}"
    going = len(ledger.migrations)
    return (ev.Paused(wall, c.by, c.reason),), f"paused: nothing new starts; {going} open migration(s) go on"


def _resume(c: OperatorCommand, ledger: Ledger, _h: frozenset[HostName], _r: frozenset[HostName],
            wall: float) -> Outcome:
    if ledger.paused is None:
        return (), "was not paused"
    return (ev.Resumed(wall, c.by, c.reason),), "resumed"


def _checkpoint(_c: OperatorCommand, ledger: Ledger, _h: frozenset[HostName], _r: frozenset[HostName],
                wall: float) -> Outcome:
    if ledger.broken is not None:
        raise _Refused(f"the ledger is in doubt: {ledger.broken.detail}")
    try:
        return (ledger.checkpoint(wall),), "the ledger as it stands is in the journal"
    except LedgerBroken as error:
        raise _Refused(str(error)) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """What people are asked about now, and how long answers last."""

    timing: Timing
    recommended: Container[str]


ApprovalVerb = Callable[[OperatorCommand, Ledger, Asked, float], Outcome]


def _offer(c: OperatorCommand, ledger: Ledger, asked: Asked, wall: float) -> Offer:
    offer = ledger.autonomy.open_offer(c.subject, wall)
    if offer is not None and (offer.approved_by or offer.id in asked.recommended):
        return offer
    if offer is not None:
        raise _Refused(f"{offer.words()} is not in the plan at the moment; see: ballastctl plan")
    if c.subject in ledger.autonomy.offers:
        raise _Refused(f"{c.subject} has expired; if it is still wanted it is offered anew: ballastctl plan")
    raise _Refused(f"nothing is recommended under {c.subject!r} (any more); see: ballastctl plan")


def _offers_of(c: OperatorCommand, ledger: Ledger, asked: Asked, wall: float) -> tuple[Offer, ...]:
    found = tuple(offer for offer in ledger.autonomy.offers.values() if offer.policy == c.subject and not offer.approved_by
                  and offer.id in asked.recommended and wall < offer.until_wall)
    if not found:
        raise _Refused(f"{c.subject} recommends nothing now that is not approved already; see: ballastctl plan")
    return found


def _approved(c: OperatorCommand, ledger: Ledger, wall: float, offers: tuple[Offer, ...]) -> Outcome:
    events = tuple(au.RecommendationApproved(wall, offer.id, c.by, c.reason) for offer in offers)
    what = offers[0].words() if len(offers) == 1 else f"{len(offers)} recommendations"
    held = "; nothing starts while paused" if ledger.paused is not None else ""
    return events, (f"approved: {what}; to be begun within {human_seconds(max(offer.seconds for offer in offers))} if the "
                    f"plan still wants it and the limits let it{held}")


def _approve(c: OperatorCommand, ledger: Ledger, asked: Asked, wall: float) -> Outcome:
    offer = _offer(c, ledger, asked, wall)
    if offer.approved_by:
        return (), f"{offer.words()} was approved already, by {offer.approved_by}"
    return _approved(c, ledger, wall, (offer,))


def _approve_all_of(c: OperatorCommand, ledger: Ledger, asked: Asked, wall: float) -> Outcome:
    return _approved(c, ledger, wall, _offers_of(c, ledger, asked, wall))


def _rejected(c: OperatorCommand, timing: Timing, wall: float, offers: tuple[Offer, ...]) -> Outcome:
    events = tuple(au.RecommendationRejected(wall, offer.id, c.by, wall + timing.rejection, offer.policy, offer.words(),
                                             c.reason) for offer in offers)
    what = offers[0].words() if len(offers) == 1 else f"{len(offers)} recommendations"
    return events, f"rejected: {what}; not recommended again for {human_seconds(timing.rejection)} unless the reason changes"


def _reject(c: OperatorCommand, ledger: Ledger, asked: Asked, wall: float) -> Outcome:
    return _rejected(c, asked.timing, wall, (_offer(c, ledger, asked, wall),))


def _reject_all_of(c: OperatorCommand, ledger: Ledger, asked: Asked, wall: float) -> Outcome:
    return _rejected(c, asked.timing, wall, _offers_of(c, ledger, asked, wall))


def _promote(c: OperatorCommand, ledger: Ledger, _asked: Asked, wall: float) -> Outcome:
    if c.subject not in ledger.autonomy.demoted:
        demoted = ", ".join(sorted(ledger.autonomy.demoted)) or "none"
        raise _Refused(f"{c.subject!r} is not demoted; demoted: {demoted}")
    return (au.PolicyPromoted(wall, c.subject, c.by, c.reason),), f"{c.subject} acts by itself again"


APPROVAL_VERBS: dict[Verb, ApprovalVerb] = {
    Verb.APPROVE: _approve, Verb.REJECT: _reject, Verb.APPROVE_ALL_OF: _approve_all_of,
    Verb.REJECT_ALL_OF: _reject_all_of, Verb.PROMOTE: _promote}

PowerVerb = Callable[[OperatorCommand, HostName, Ledger, str | None, float], Outcome]


def _power_off(c: OperatorCommand, host: HostName, ledger: Ledger, why_not: str | None, wall: float) -> Outcome:
    power = ledger.power.get(host)
    if power is not None and power.phase is not PowerPhase.FAILED:
        return (), f"{host} is {power.phase.value} already: {power.because}"
    if why_not is not None:
        raise _Refused(f"{host} cannot be switched off: {why_not}")
    because = f"asked by {c.by}" + (f": {c.reason}" if c.reason else "")
    event = pw.HostEmptying(wall, host, OPERATOR, because)
    return (event,), f"{host} is emptied and then told to shut down; it is never forced. Look: ballastctl explain {host}"


def _power_on(c: OperatorCommand, host: HostName, ledger: Ledger, why_not: str | None, wall: float) -> Outcome:
    power = ledger.power.get(host)
    if power is None and why_not is not None:
        raise _Refused(why_not)
    if power is not None and power.phase in (PowerPhase.EMPTYING, PowerPhase.CLOSING):
        return (pw.HostKept(wall, host, f"{c.by} wants it on"),), f"{host} was about to be switched off, and stays on"
    if power is not None and power.phase is PowerPhase.WAKING:
        return (), f"{host} is being woken already"
    if power is not None and power.phase is PowerPhase.GOING_OFF:
        raise _Refused(f"{host} is going off; it can be woken once it is off")
    return (pw.WakeAsked(wall, host, c.by, c.reason),), f"{host} is to be switched on"


def _confirm_wakeable(c: OperatorCommand, host: HostName, _ledger: Ledger, _why_not: str | None, wall: float) -> Outcome:
    return (pw.WakeabilityConfirmed(wall, host, c.by, c.reason),), f"{host} counts as proved to be wakeable"


def _wake_test(c: OperatorCommand, host: HostName, ledger: Ledger, why_not: str | None, wall: float) -> Outcome:
    if ledger.power:
        raise _Refused(f"{', '.join(sorted(ledger.power))} is on its way off or back, or off; one host at a time")
    if why_not is not None:
        raise _Refused(f"{host} cannot be tested: {why_not}")
    because = f"wake test asked by {c.by}" + (f": {c.reason}" if c.reason else "")
    return (pw.HostEmptying(wall, host, WAKE_TEST, because),), f"{host} is emptied, shut down, and woken again"


POWER_VERBS: dict[Verb, PowerVerb] = {
    Verb.POWER_OFF: _power_off, Verb.POWER_ON: _power_on, Verb.WAKE_TEST: _wake_test,
    Verb.CONFIRM_WAKEABLE: _confirm_wakeable}
OFF_VERBS = (Verb.POWER_OFF, Verb.WAKE_TEST)

_VERBS: dict[Verb, Callable[[OperatorCommand, Ledger, frozenset[HostName], frozenset[HostName], float], Outcome]] = {
    Verb.CORDON: _cordon,
    Verb.UNCORDON: _uncordon,
    Verb.DRAIN: _drain,
    Verb.UNDRAIN: _undrain,
    Verb.ACKNOWLEDGE: _acknowledge,
    Verb.CONFIRM_DEAD: _confirm_dead,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.CHECKPOINT: _checkpoint,
}
