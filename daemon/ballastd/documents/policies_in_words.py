"""A policy in words: what it does, when, what it may do at most, and whom it covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import Limits, PolicySet, Scope
from ballastd.core.quantities import human_seconds
from ballastd.core.saved_cluster import SavedCluster
from ballastd.documents.scalars import as_percent
from ballastd.documents.shown_policies import ShownPolicy

SOME = 12
_RESPONSES = {
    "quarantine": "is closed to new guests at its hook; those that are there stay",
    "drain": "is emptied, while its windows allow",
    "evacuate": "is emptied at once",
}
_MODES = {
    "observe": "It only observes: what it would do is planned and shown, and nothing is done.",
    "recommend": "It recommends: what it would do is planned and shown, and nothing is done.",
    "auto": "It acts by itself.",
}


@dataclass(frozen=True, slots=True)
class InWords:
    """``does``: what and when; ``bounds``: what it may do at most; ``covers``: hosts, windows and VMs."""

    does: tuple[str, ...]
    bounds: tuple[str, ...]
    covers: tuple[str, ...]


def in_words(policy: ShownPolicy, policies: PolicySet, cluster: SavedCluster | None) -> InWords:
    """Return a policy in words. ``cluster``: whom to look for, None where there is none to look in."""
    does = [*_DOES[policy.kind](policy)]
    if policy.value("mode") and policy.value("rule") != "pinned":
        does.append(_MODES[policy.value("mode")])
    bounds = [*_bounds(policy, policies.limits)]
    return InWords(tuple(does), tuple(bounds), (*_windows(policy), *_covers(policy, policies, cluster)))


# what it does

def _health(policy: ShownPolicy) -> Iterator[str]:
    yield f"A host is {policy.value('severity')} when {condition_in_words(policy.written['when'])}."
    clear = policy.written.get("clear")
    if clear == "acknowledge":
        yield "That stays, through silence and recovery, until an operator has looked: ballastctl host acknowledge."
    elif isinstance(clear, dict):
        edge = next((f" {key} {clear[key]}" for key in ("below", "above") if key in clear), "")
        yield f"It is over once it has been{edge or ' no longer so'} for {clear.get('for', '30m')}."
    else:
        yield "It is over once it has no longer been so for 30m."
    yield "From suspect on nothing is sent to the host; what else is done about it, Evacuation policies say."


def condition_in_words(when: Any) -> str:
    """Return a condition as it is written, in words."""
    if not isinstance(when, dict):
        return str(when)
    left = dict(when)
    hold, several = left.pop("for", None), left.pop("at_least", None)
    words = _parts_in_words(left, several) or _edge_in_words(left, several)
    others = "".join(f", {key} {value}" for key, value in left.items())
    return f"{words}{others}" + (f", for {hold} without a gap" if hold else "")


def _parts_in_words(left: dict[str, Any], several: Any) -> str:
    """Return a condition that is made of others in words, its keys taken out; empty where it is none."""
    for key, word in (("all", " and "), ("any", " or "), ("of", ", ")):
        parts = left.pop(key, None)
        if isinstance(parts, list):
            joined = word.join(f"({condition_in_words(one)})" for one in parts)
            return f"{several} of {joined}" if key == "of" else joined
    if "not" in left:
        return f"it is not so that {condition_in_words(left.pop('not'))}"
    return f"nothing was heard of it for {left.pop('silent')}" if "silent" in left else ""


def _edge_in_words(left: dict[str, Any], several: Any) -> str:
    metric, relative = str(left.pop("metric", "it")), left.pop("relative_to", None)
    over = next(((key, left.pop(key)) for key in ("increase", "rate", "mean") if key in left), ("", ""))
    edge = next(((key, left.pop(key)) for key in ("above", "below", "is") if key in left), None)
    on = f" on {several} of its subjects" if several else ""
    if edge is None:
        return f"{metric}{on}"
    key, value = edge
    more = "more" if key == "above" else "less"
    if over[0] in ("increase", "rate"):
        amount = f"by {more} than {value} within" if over[0] == "increase" else f"at {more} than {value} over"
        return f"{metric} rises {amount} {over[1]}{on}"
    of = f"the mean of {metric} over {over[1]}" if over[0] else metric
    if relative is not None:
        return f"{of} is {key} its sensor's own {relative} limit (counted from it: {value}){on}"
    return f"{of} is {str(value).lower() if key == 'is' else f'{key} {value}'}{on}"


def _evacuation(policy: ShownPolicy) -> Iterator[str]:
    severity = policy.value("on.severity")
    worse = "" if severity == "failing" else " or worse"
    yield f"A host that is {severity}{worse} {_RESPONSES.get(policy.value('respond'), 'is answered')}."
    if policy.value("deadline"):
        held = "; then windows no longer hold it back" if policy.value("windows") else ""
        yield f"It should be empty within {policy.value('deadline')} of that{held}."
    if policy.value("ignore_windows") == "true":
        yield "Windows do not hold it back."
    if policy.value("respond") != "quarantine":
        labels = policy.value("avoid").strip("[]")
        also = f", and of another {' and '.join(labels.split(', '))} than the host's" if labels else ""
        yield (f"VMs leave in the order {policy.value('order')}; each to a healthy host with room, outside the failing "
               f"domain{also}.")


def _balance(policy: ShownPolicy) -> Iterator[str]:
    hot = [f"{one.key.removeprefix('hot.')} above {one.value}" for one in policy.keys
           if one.key.startswith("hot.") and one.key != "hot.for" and one.value != "off"]
    yield (f"A host is hot with {' or '.join(hot)} for {policy.value('hot.for')}; it is relieved until it is below "
           f"{policy.value('cool.cpu')} of its processors and {policy.value('cool.memory')} of its memory, which no target "
           "may be above afterwards.")
    if policy.value("imbalance.above") == "100%":
        yield "It never evens out."
    else:
        yield (f"Where none is hot, load is evened out while the fullest host uses {policy.value('imbalance.above')} more "
               f"of its processors than the emptiest for {policy.value('imbalance.for')}, and each move lessens that by "
               f"{policy.value('imbalance.minimum_gain')}.")


def _consolidation(policy: ShownPolicy) -> Iterator[str]:
    yield (f"While its window is open and the hosts that are on use less than {policy.value('power_off.below')} for "
           f"{policy.value('power_off.for')}, one host after the other is emptied and shut down in order.")
    hours = "until an hour after the window" if policy.value("fill_to.during") == "window" else "at every hour of the day"
    yield (f"Others are filled to {policy.value('fill_to.cpu')} of their processors and {policy.value('fill_to.memory')} of "
           f"their memory, {hours} as far as days are known; {policy.value('spare.hosts')} host(s) and "
           f"{policy.value('spare.share')} stay free.")
    yield (f"One is woken above {policy.value('power_on.above')} for {policy.value('power_on.for')}, and all are "
           f"{policy.value('power_on.ahead_of_window_end')} before the window closes.")


def _placement(policy: ShownPolicy) -> Iterator[str]:
    rule, across = policy.value("rule"), policy.value("across") or "host"
    hosts = next((one.value for one in policy.keys if one.key.startswith("hosts")), "")
    yield {"apart": f"No two of its VMs share one {across}.", "together": f"All of its VMs are on one {across}.",
           "on": f"Its VMs are only on {hosts}.", "never-on": f"Its VMs are never on {hosts}.",
           "pinned": "Its VMs stay where they are; only an operator moves them."}[rule]
    must = policy.value("strength") in ("", "must")
    yield ("No move of ours breaks that, an evacuation neither." if must else
           f"Breaking it costs a target so much: {policy.value('strength')}.")
    if rule != "pinned":
        yield f"Broken for {policy.value('for')}, it is put right, as far as its mode says."


def _window(policy: ShownPolicy) -> Iterator[str]:
    sort = "allow" if policy.written.get("allow") else "deny"
    times = ", ".join(f"{one.key.split('.', 1)[1]} {one.value}" for one in policy.keys if one.key.startswith(f"{sort}."))
    times = times or policy.value(sort)
    yield f"Moves of policies that name it {'may start only' if sort == 'allow' else 'do not start'} within: {times}."
    yield ("What runs when it closes is " + ("called off." if policy.value("closing") == "cancel" else "let finish."))


def _limits(policy: ShownPolicy) -> Iterator[str]:
    yield "How much may happen at once, whoever asks: " + ", ".join(
        f"{one.key} {one.value}" for one in policy.keys if one.key != "description") + "."


_DOES: dict[str, Callable[[ShownPolicy], Iterator[str]]] = {
    "Health": _health, "Evacuation": _evacuation, "Balance": _balance, "Consolidation": _consolidation,
    "Placement": _placement, "Window": _window, "Limits": _limits}


# what it may do at most

def _bounds(policy: ShownPolicy, limits: Limits) -> Iterator[str]:
    if policy.kind not in ("Evacuation", "Balance", "Consolidation", "Placement") or policy.value("respond") == "quarantine":
        return
    if policy.kind in ("Balance", "Consolidation") or (policy.kind == "Placement" and policy.value("rule") != "pinned"):
        yield (f"its own moves: {policy.value('budget.in_flight')} at once, {policy.value('budget.per_hour')} an hour, "
               f"{policy.value('budget.per_day')} a day, {policy.value('budget.per_vm_per_day')} of one VM a day (ceilings "
               f"{CEILINGS.balance_in_flight}, {CEILINGS.balance_per_hour}, {CEILINGS.balance_per_day}, "
               f"{CEILINGS.balance_per_vm_day})")
    yield (f"all migrations: {limits.in_flight_cluster} at once, {limits.in_flight_host_out} out of a host, "
           f"{limits.in_flight_host_in} into one (ceilings {CEILINGS.in_flight_cluster}, {CEILINGS.in_flight_host_out}, "
           f"{CEILINGS.in_flight_host_in}), within {as_percent(limits.link_share)} of each link (ceiling "
           f"{as_percent(CEILINGS.link_share)})")
    if policy.kind == "Evacuation":
        yield (f"hosts being emptied by policy: {limits.evacuations_at_once} at once, {limits.evacuations_per_hour} begun "
               f"an hour (ceilings {CEILINGS.evacuations_at_once}, {CEILINGS.evacuations_per_hour})")
    if policy.kind == "Consolidation":
        yield (f"hosts off by our doing: {as_percent(limits.hosts_off_share)} of all, {limits.power_offs_per_10_min} in ten "
               f"minutes, one host {limits.power_cycles_per_day} times a day (ceilings "
               f"{as_percent(CEILINGS.hosts_off_share)}, {CEILINGS.power_offs_per_10_min}, {CEILINGS.power_cycles_per_day})")
    yield (f"nothing new while more than {as_percent(limits.blast_share)} of the hosts (at least {limits.blast_at_least})"
           f" show a fault at once, or {as_percent(limits.freeze_share)} are unknown")
    if limits.settle_after_freeze:
        yield f"and for {human_seconds(limits.settle_after_freeze)} after that"


# whom it covers

def _windows(policy: ShownPolicy) -> Iterator[str]:
    own = ", ".join(f"{one.key.removeprefix('window.')} {one.value}" for one in policy.keys if one.key.startswith("window."))
    names = policy.value("windows") or own or policy.value("window")
    if names:
        yield f"windows: {names}"


def _covers(policy: ShownPolicy, policies: PolicySet, cluster: SavedCluster | None) -> Iterator[str]:
    if policy.kind in ("Window", "Limits"):
        return
    if cluster is None:
        yield "hosts: say --settings, --cluster or --socket to see which"
        return
    if policy.kind == "Placement" and not cluster.vms:
        yield "VMs: say --cluster or --socket to see which"
        return
    if policy.kind == "Placement":
        rule = next(one for one in policies.placement if one.name == policy.name)
        yield f"VMs: {_some(vm.record.name for vm in cluster.vms if rule.vms.covers(vm.record))}"
        return
    scope = _scope(policy, policies)
    yield f"hosts: {_some(host.name for host in cluster.hosts if scope.covers(host.declared))}"


def _scope(policy: ShownPolicy, policies: PolicySet) -> Scope:
    found: Iterable[Any] = getattr(policies, policy.kind.lower())
    scope: Scope = next(one.scope for one in found if one.name == policy.name)
    return scope


def _some(names: Iterable[str]) -> str:
    known = sorted(names)
    more = f" and {len(known) - SOME} more" if len(known) > SOME else ""
    return f"{len(known)}: {', '.join(known[:SOME])}{more}" if known else "none"
