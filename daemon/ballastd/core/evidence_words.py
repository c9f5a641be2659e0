"""What a verdict rests on, in words: ``temperature of coretemp:Package id 1 is 96 > 95``."""

from __future__ import annotations

from ballastd.core.conditions import Aggregate, Condition, Evidence, Silence, Threshold
from ballastd.core.quantities import human_seconds

_PER = {1.0: "/s", 60.0: "/min", 3600.0: "/h", 86400.0: "/d"}
_VERBS = {Aggregate.LEVEL: "is", Aggregate.MEAN: "averages", Aggregate.INCREASE: "rose by", Aggregate.RATE: "rises by"}


def words(evidence: Evidence | None, condition: Condition) -> str:
    """Return evidence in words, each part that had its share in it; without evidence, what the condition speaks of."""
    if evidence is None:
        return ", ".join((*condition.metrics, *(("silence",) if condition.of_silence else ())))
    return " and ".join(_one(part) for part in (evidence, *evidence.beside))


def _one(evidence: Evidence) -> str:
    match evidence.leaf:
        case Silence():
            return f"{'silent' if evidence.holds else 'not silent'} for more than {human_seconds(evidence.threshold)}"
        case Threshold() as leaf:
            return _compared(evidence, leaf)
        case None:
            return f"{evidence.metric} is {evidence.value:g}, edge {evidence.threshold:g}"


def _compared(evidence: Evidence, leaf: Threshold) -> str:
    unit = _PER.get(leaf.per, "") if leaf.aggregate is Aggregate.RATE else ""
    sign = ("" if evidence.holds else "not ") + (">" if leaf.above else "<")
    of = f" of {evidence.subject}" if evidence.subject else ""
    text = f"{evidence.metric}{of} {_VERBS[leaf.aggregate]} {evidence.value:g}{unit} {sign} {evidence.threshold:g}{unit}"
    if leaf.at_least == 1:
        return text
    if evidence.subjects is None:
        return f"{text}, as on too many for {leaf.at_least}"
    names, number, total = evidence.subjects
    more = f" and {number - len(names)} more" if number > len(names) else ""
    return f"{text}, as on {number} of {total} ({', '.join(names)}{more}; {leaf.at_least} wanted)"
