"""Scripts of rehearsals: what happens to a pretend cluster, and when."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ballastd.core.acts import ACTS, Act
from ballastd.core.inputs import Verb
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.scripts import Script
from ballastd.core.telemetry import METRICS
from ballastd.documents.positions import Document, parse, read
from ballastd.documents.scalars import Duration, Lasting, Whole, YesNo, shown
from ballastd.documents.settings import ArrivalCheckSettings, TimingSettings
from ballastd.documents.validation import Strict, validate
from ballastd.errors import ConfigurationError

FORMAT = "ballastd-script/1"
ACTS_MAX = 10_000
DO = "do"
_FIELDS = ("host", "vm", "target", "metric", "subject", "value", "high", "critical", "seconds", "word")
_WRITTEN = {"seconds": "for", "word": "as"}
"""Fields whose key in the text is another word."""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{shown(value)} is no number; write for example 1 or 0.5")
    return float(value)


Number = Annotated[float, BeforeValidator(_number)]


class ActModel(Strict):
    """One thing that happens."""

    at: Duration
    do: str
    host: str = ""
    vm: str = ""
    target: str = ""
    metric: str = ""
    subject: str = ""
    value: Number | None = None
    high: Number | None = None
    critical: Number | None = None
    seconds: Lasting | None = Field(default=None, alias="for")
    word: str = Field(default="", alias="as")


class ScriptModel(Strict):
    """The whole file."""

    format: Literal["ballastd-script/1"]
    begins: str = "2026-01-05T12:00:00Z"
    lasts: Lasting
    seed: Whole = 0
    wakeable: YesNo = True
    quiet: YesNo = False
    timing: TimingSettings = TimingSettings()
    arrival_checks: ArrivalCheckSettings = ArrivalCheckSettings()
    acts: list[ActModel] = Field(default_factory=list, max_length=ACTS_MAX)


def load_script(path: Path, cluster: SavedCluster | None) -> Script:
    """Return the script in a file, checked against the cluster that it happens to.

    Raises:
        ConfigurationError: with every problem of the file.
    """
    documents = parse(str(path), read(path))
    if len(documents) != 1:
        raise ConfigurationError((f"{path}:1:1: expected one document, found {len(documents)}; write: format: {FORMAT}",))
    problems: list[str] = []
    model = validate(ScriptModel, documents[0], problems)
    if model is not None:
        begins = _begins(model, documents[0], problems)
        for i, act in enumerate(model.acts):
            problems.extend(_wrong(act, documents[0], i, cluster, model))
    if problems or model is None or begins is None:
        raise ConfigurationError(tuple(problems))
    acts = sorted((_compiled(act) for act in model.acts), key=lambda act: act.at)
    return Script(begins, model.lasts, tuple(acts), model.seed, model.timing.compiled(), model.wakeable,
                  model.quiet, model.arrival_checks.compiled())


def _begins(model: ScriptModel, document: Document, problems: list[str]) -> float | None:
    try:
        found = datetime.fromisoformat(model.begins)
    except ValueError:
        problems.append(f"{document.where(('begins',))}: begins: {shown(model.begins)} is no date and time; write for "
                        'example "2026-01-05T22:00:00Z"')
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _wrong(act: ActModel, document: Document, i: int, cluster: SavedCluster | None, model: ScriptModel) -> list[str]:
    def at(key: str, what: str) -> str:
        return f"{document.where(('acts', i, key))}: acts.{i}.{key}: {what}"

    kind = ACTS.get(act.do)
    if kind is None:
        return [at(DO, f"{shown(act.do)}: {_near(act.do, sorted(ACTS))}")]
    found = []
    for name in _FIELDS:
        is_given = getattr(act, name) not in ("", None)
        key = _WRITTEN.get(name, name)
        if is_given and name not in (*kind.needs, *kind.takes):
            takes = ", ".join(_WRITTEN.get(n, n) for n in (*kind.needs, *kind.takes)) or "nothing"
            found.append(at(key, f"{act.do} does not take it; it takes {takes}"))
        elif not is_given and name in kind.needs:
            found.append(at(DO, f"{act.do} needs {key}: {kind.does}"))
    if act.at > model.lasts:
        found.append(at("at", "it would happen after the end; lasts is shorter"))
    found.extend(at(key, what) for key, what in _strangers(act, cluster, model))
    return found


def _strangers(act: ActModel, cluster: SavedCluster | None, model: ScriptModel) -> list[tuple[str, str]]:
    found = []
    if act.metric and act.metric not in METRICS:
        found.append(("metric", f"{shown(act.metric)}: {_near(act.metric, sorted(METRICS))}"))
    if act.do == "operator" and act.word not in [verb.value for verb in Verb]:
        found.append(("as", f"{shown(act.word)}: {_near(act.word, [verb.value for verb in Verb])}"))
    if cluster is None:
        return found
    hosts = [str(host.name) for host in cluster.hosts]
    vms = [vm.record.name for vm in cluster.vms] + [other.vm for other in model.acts if other.do == "start"]
    for key in ("host", "target"):
        name = getattr(act, key)
        if name and name not in hosts:
            found.append((key, f"{shown(name)} is no host of the cluster: {_near(name, hosts)}"))
    if act.vm and act.vm not in vms:
        found.append(("vm", f"{shown(act.vm)} is no VM of the cluster: {_near(act.vm, vms)}"))
    return found


def _near(given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given[:60], known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known[:40])}"


def _compiled(act: ActModel) -> Act:
    return Act(act.at, act.do, act.host, act.vm, act.target, act.metric, act.subject, act.value, act.critical, act.seconds,
               act.word, act.high)
