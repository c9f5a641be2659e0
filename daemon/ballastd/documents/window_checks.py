"""Windows that never open, never close, open all the time, or are denied whenever they would be open.

What is refused here is wrong whatever the time is: a set that governs must not become a wrong one because time passed.
What has passed is only doubted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice, pairwise

from ballastd.documents.balance_models import BalanceModel
from ballastd.documents.consolidation_models import ConsolidationModel
from ballastd.documents.placement_models import PlacementModel
from ballastd.documents.policy_models import EvacuationModel
from ballastd.documents.positions import Document, Path_, dotted
from ballastd.documents.scalars import as_duration
from ballastd.documents.taken import Taken
from ballastd.documents.timed_windows import TimedWindow, TimedWindows
from ballastd.documents.windows import HORIZON_DAYS, Rule, Weekly, intervals, local, utc

YEARS = 50
STARTS_A_DAY = 24
DAYS_OF_WEEKLY, DAYS_OF_OTHERS = 21, 400
SAMPLE = 50
Intervals = tuple[tuple[float, float], ...]


def check_times(windows: TimedWindows) -> None:
    """Refuse every window that never opens, opens too often, or never closes. It is taken out of the others' way."""
    for name, window in list(windows.found.items()):
        found = _problem(window)
        if found:
            windows.problems.append(found)
            del windows.found[name]


def _problem(window: TimedWindow) -> str:
    for rule, place in zip(window.rules, window.places, strict=True):
        first = next(rule.starts(rule.first, rule.first + timedelta(days=366 * YEARS)), None)
        if first is None and window.places.count(place) == 1:
            return (f"{window.where(place)}: it never opens within {YEARS} years; no such day comes; write for example "
                    '{cron: "0 22 * * mon-fri", for: 7h, timezone: Europe/Berlin}')
        often = 0 if first is None else sum(1 for _ in islice(rule.starts(first, first + timedelta(hours=23, minutes=59)),
                                                              STARTS_A_DAY + 1))
        if often > STARTS_A_DAY:
            return (f"{window.where(place)}: it opens more than {STARTS_A_DAY} times a day; name one hour and one minute, "
                    "and say with for: how long it lasts")
        if rule.endless and rule.seconds > max(_gaps(rule), default=rule.seconds):
            return (f"{window.where(place)}: {as_duration(rule.seconds)} is longer than from one start to the next, "
                    "so it never ends; write for example for: 7h")
    if not window.allows and never_closes(window):
        return (f"{window.where()}: together these times leave no gap, so it always denies; write shorter ones, or mode: "
                "observe in the policy")
    return ""


def _gaps(rule: Rule) -> tuple[float, ...]:
    """Return the times from each of the first starts to the next. Further apart than these days nothing can overlap."""
    first = next(rule.starts(rule.first, rule.first + timedelta(days=366 * YEARS)), None)
    if first is None:
        return ()
    starts = islice(rule.starts(first, first + timedelta(days=DAYS_OF_OTHERS)), SAMPLE)
    return tuple((after - before).total_seconds() for before, after in pairwise(starts))


def never_closes(window: TimedWindow) -> bool:
    """Return whether it is open without a gap for ever."""
    endless = [rule for rule in window.rules if rule.endless]
    if not endless:
        return False
    found = _survey(endless, max(utc(rule.first, rule.zone) for rule in endless))
    # all but an hour: a night on which the clocks are put back leaves one
    return sum(end - begin for begin, end in found) > _days(endless) * 86400.0 - 7200.0


def _survey(rules: Sequence[Rule], anchor: float) -> Intervals:
    """Return when ``rules`` are open within a time that shows all that they do, from ``anchor`` on."""
    found, _ = intervals(rules, anchor, _days(rules))
    return found


def _days(rules: Sequence[Rule]) -> int:
    return DAYS_OF_WEEKLY if all(isinstance(rule, Weekly) for rule in rules) else DAYS_OF_OTHERS


def check_denied(taken: Taken, windows: TimedWindows) -> None:
    """Refuse a policy whose permissions are all denied by denials that it names as well, and a consolidation whose window
    is too short for any host to go off."""
    for document, path, name, names in _users(taken):
        named = [windows.found[each] for each in dict.fromkeys(names) if each in windows.found]
        allowing = [window for window in named if window.allows]
        denials = [rule for window in named if not window.allows for rule in window.rules if rule.endless]
        if allowing and denials and all(_covered(window, denials) for window in allowing):
            which = " and ".join(window.name for window in named if not window.allows)
            taken.problems.append(f"{document.where(path)}: {dotted(path)}: {which} denies all of "
                                  f"{' and '.join(window.name for window in allowing)}, so {name} could never move "
                                  "anything; take one out, or change its times")
    for document, packing in taken.of(ConsolidationModel):
        window = windows.found.get(packing.window_name)
        if window is not None and window.allows and _longest(window) <= packing.shortest_use:
            place = document.where(("window",))
            taken.problems.append(f"{place}: window: it is not longer than minimum_off and ahead_of_window_end of power_on "
                                  f"together ({as_duration(packing.shortest_use)}), so no host would ever go off; write a "
                                  "longer window, or shorter times")


def _users(taken: Taken) -> Iterator[tuple[Document, Path_, str, list[str]]]:
    """Yield every policy that names windows: where it does, its name, and theirs."""
    for kind in (EvacuationModel, BalanceModel, PlacementModel):
        for document, model in taken.of(kind):
            yield document, ("windows",), model.name, list(getattr(model, "windows", ()))
    for document, packing in taken.of(ConsolidationModel):
        yield document, ("windows",), packing.name, [packing.window_name, *packing.windows]


def _covered(window: TimedWindow, denials: Sequence[Rule]) -> bool:
    """Return whether every opening of every rule lies within denials, looked at from where all of them are in force."""
    since = max(utc(rule.first, rule.zone) for rule in denials)
    return all(_rule_covered(rule, denials, max(since, utc(rule.first, rule.zone))) for rule in window.rules)


def _rule_covered(rule: Rule, denials: Sequence[Rule], anchor: float) -> bool:
    days = _days((rule, *denials))
    open_, horizon = intervals((rule,), anchor, days)
    denied, _ = intervals(denials, anchor, days)
    return bool(open_) and all(any(begin <= opens and min(closes, horizon) <= end for begin, end in denied)
                               for opens, closes in open_)


def _longest(window: TimedWindow) -> float:
    anchor = min(utc(rule.first, rule.zone) for rule in window.rules)
    return max((end - begin for begin, end in _survey(window.rules, anchor)), default=0.0)


def doubt_times(windows: TimedWindows, warnings: list[str], now_wall: float) -> None:
    """Warn of windows that have passed or do not open soon, and of those that start again before they ended."""
    for window in windows.found.values():
        place = window.document.where(("name",) if window.path != ("window",) else window.path)
        compiled = window.compiled(now_wall)
        if not compiled.intervals and not any(_goes_on(rule, now_wall) for rule in window.rules):
            warnings.append(f"{place}: {window.name} has passed, it never {'opens' if window.allows else 'denies'} again; "
                            "take it out")
        elif window.allows and never_closes(window):
            warnings.append(f"{place}: {window.name} is always open")
        elif window.allows and not compiled.intervals:
            warnings.append(f"{place}: {window.name} does not open within the next {HORIZON_DAYS} days")
        warnings.extend(f"{window.where(where)}: it starts again before its {as_duration(rule.seconds)} are over; they "
                        "count as one" for rule, where in zip(window.rules, window.places, strict=True)
                        if rule.seconds > min(_gaps(rule), default=rule.seconds))


def _goes_on(rule: Rule, now_wall: float) -> bool:
    since = max(rule.first, local(now_wall, rule.zone))
    return next(rule.starts(since, since + timedelta(days=366 * YEARS)), None) is not None
