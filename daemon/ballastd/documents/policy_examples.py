"""Examples of policies: what is wrong with them beyond their keys, and what they compile to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ballastd.core.examples import Claim, Example, Expected, Look, Sensor, Timeline, Turn, Wish
from ballastd.core.quantities import Bytes, HostName, VmId, human_bytes
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.telemetry import METRICS, Metric, MetricKind
from ballastd.documents.cluster_models import HostKeys, HostModel, VmModel
from ballastd.documents.example_models import ExampleModel, ExpectModel, GivenModel, moment
from ballastd.documents.example_names import stranger, strangers
from ballastd.documents.health_models import HealthModel
from ballastd.documents.metric_values import metric_value, parse_metric
from ballastd.documents.positions import Document, Path_, dotted
from ballastd.documents.saved_clusters import load_cluster
from ballastd.documents.scalars import lasting, processors, shown
from ballastd.documents.taken import Taken
from ballastd.documents.validation import Clash
from ballastd.errors import ConfigurationError

HOSTS, VMS, VM_LOAD = 3, 2, 0.5
CLUSTER = "example"
ON_EACH_HOST = HostKeys(memory="64GiB", processors=16, power="simulated")
MODED = ("Evacuation", "Balance", "Consolidation", "Placement")
SOUND = {"count": 0.0, "bool": 0.0, "celsius": 40.0, "rpm": 5000.0, "bytes": float(32 << 30)}
"""What a sound host says of a metric by its unit; nought where it is not here."""
_SLOPE = re.compile(r"(?P<first>.+) to (?P<last>.+) in (?P<lasts>\S+)")
_MISSING = "missing"


@dataclass(slots=True)
class _Reading:
    """One example on its way from its model, with the problems found in it."""

    document: Document
    path: Path_
    model: ExampleModel
    problems: list[str]

    def complain(self, path: Path_, what: str) -> None:
        whole = (*self.path, *path)
        self.problems.append(f"{self.document.where(whole)}: {dotted(whole)}: {what}")

    def place(self, path: Path_) -> str:
        return self.document.where((*self.path, *path))

    def keys(self, path: Path_) -> dict[float, str]:
        """Return the moments that are keys of the mapping at ``path``, each as it is written."""
        value: Any = self.document.value
        for part in (*self.path, *path):
            value = value[part]
        return {moment(key): key for key in value} if isinstance(value, dict) else {}


def check_examples(taken: Taken) -> None:
    """Refuse examples that speak of hosts, VMs and policies that are not there, or give readings that no metric has.

    Those on a saved cluster are looked at when they are run: the daemon does not read such files.
    """
    # where a document could not be read, what it is called is not known either
    policies = None if taken.problems else _health_policies(taken)
    for reading in _readings(taken):
        if reading.model.given.cluster is None:
            _compiled(reading, policies, None)
        taken.problems.extend(reading.problems)


def examples_of(taken: Taken) -> tuple[Example, ...]:
    """Return every example.

    Raises:
        ConfigurationError: one is wrong that stands on a saved cluster, or the cluster is.
    """
    found, problems = [], []
    for reading in _readings(taken):
        example = _compiled(reading, _health_policies(taken), _saved(reading))
        problems += reading.problems
        if example is not None:
            found.append(example)
    if problems:
        raise ConfigurationError(tuple(problems))
    return tuple(found)


def _health_policies(taken: Taken) -> list[str]:
    return [model.name for _, model in taken.of(HealthModel)]


def _readings(taken: Taken) -> Iterator[_Reading]:
    for document, model in taken.models:
        names: set[str] = set()
        for i, example in enumerate(model.examples):
            reading = _Reading(document, ("examples", i), example, [])
            if example.name in names:
                reading.complain(("name",), f"another example of {model.name} is called {shown(example.name)}; give each "
                                            "its own name")
            names.add(example.name)
            yield reading


def _saved(reading: _Reading) -> SavedCluster | None:
    """Return the saved cluster of an example. Its path counts from the file that the example stands in."""
    name = reading.model.given.cluster
    if name is None:
        return None
    return load_cluster(Path(reading.document.file).parent / name)


def _compiled(reading: _Reading, policies: list[str] | None, saved: SavedCluster | None) -> Example | None:
    given = reading.model.given
    cluster = saved if saved is not None else _cluster(reading)
    if cluster is None:
        return None
    for path, what in strangers(reading.model, reading.keys, cluster, policies):
        reading.complain(path, what)
    kind, policy = str(reading.document.value["kind"]), str(reading.document.value["name"])
    if given.mode is not None and kind not in MODED:
        reading.complain(("given", "mode"), f"{kind} has no mode; take it out")
    sensors, load = tuple(_sensors(reading, cluster)), tuple(_load(reading, cluster))
    looks = tuple(Look(at, tuple(_expected(reading, key, reading.model.expect[at])))
                  for at, key in sorted(reading.keys(("expect",)).items()))
    if reading.problems:
        return None
    return Example(
        reading.model.name, kind, policy, reading.place(("name",)), cluster, given.begins, sensors, load,
        tuple(_speaking(reading, given.agents, "agents")), tuple(_speaking(reading, given.hypervisors, "hypervisors")),
        tuple(Wish(at, *wish) for at, wish in sorted(given.operator.items())), given.mode, looks)


# the cluster

def _cluster(reading: _Reading) -> SavedCluster | None:
    given, hosts, vms = reading.model.given, [], []
    for declared in _host_models(given).values():
        try:
            hosts.append(declared.saved(CLUSTER, _with_defaults(given.each)))
        except Clash as clash:
            reading.complain(("given", "hosts", declared.name, *clash.path), str(clash))
    for vm in _vm_models(given).values():
        if vm.host not in {host.name for host in hosts}:
            reading.complain(("given", "vms", vm.name, "host"), stranger(vm.host, "host", [host.name for host in hosts]))
        vms.append(vm.saved(CLUSTER))
    for host in hosts:
        held = sum(vm.record.memory_max for vm in vms if vm.host == host.name and vm.record.state.holds_memory)
        if held > host.memory_total:
            reading.complain(("given", "vms"), f"the VMs on {host.name} have {human_bytes(Bytes(held))}, the host "
                             f"{human_bytes(host.memory_total)}; give it more, for example each: {{memory: 256GiB}}")
    if reading.problems:
        return None
    return SavedCluster(tuple(sorted(hosts, key=lambda host: host.name)), tuple(sorted(vms, key=lambda vm: vm.record.vm)),
                        CLUSTER)


def _with_defaults(each: HostKeys) -> HostKeys:
    return ON_EACH_HOST.model_copy(update={key: getattr(each, key) for key in each.model_fields_set})


def _host_models(given: GivenModel) -> dict[str, HostModel]:
    return given.hosts if given.hosts is not None else {f"h{n}": HostModel(name=f"h{n}") for n in range(1, HOSTS + 1)}


def _vm_models(given: GivenModel) -> dict[str, VmModel]:
    if isinstance(given.vms, dict):
        return given.vms
    number = VMS if given.vms is None else given.vms
    names = {f"{host}-vm{n}": host for host in _host_models(given) for n in range(1, number + 1)}
    return {name: VmModel(name=name, host=host, memory="4GiB", vcpus=4, demand=VM_LOAD)
            for name, host in names.items()}


# what is heard

def _sensors(reading: _Reading, cluster: SavedCluster) -> Iterator[Sensor]:
    """Yield every reading that is given, and for the hosts of which it is not said that of a sound host."""
    limits, said = reading.model.given.limits, set()
    for host, readings in reading.model.given.telemetry.items():
        for key, value in readings.items():
            path = ("given", "telemetry", host, key)
            name, _, subject = key.partition("/")
            try:
                metric = METRICS[parse_metric(name)]
            except ValueError as error:
                reading.complain(path, str(error))
                continue
            timeline = _timeline(reading, path, value, metric)
            said.add((metric.name, subject))
            yield _sensor(HostName(host), metric, subject, timeline, limits.high, limits.critical)
    for saved in cluster.hosts:
        own = {key.partition("/")[::2] for key in reading.model.given.telemetry.get(saved.name, ())}
        for name, subject in sorted(said - own):
            rest = Timeline((), SOUND.get(METRICS[name].unit, 0.0))
            yield _sensor(saved.name, METRICS[name], subject, rest, limits.high, limits.critical)


def _sensor(host: HostName, metric: Metric, subject: str, timeline: Timeline, high: float | None,
            critical: float | None) -> Sensor:
    own = metric.name == "temperature"
    return Sensor(host, metric.name, subject, timeline, high if own else None, critical if own else None)


def _timeline(reading: _Reading, path: Path_, value: Any, metric: Metric) -> Timeline:
    def parse(text: Any) -> float:
        if metric.unit != "bool":
            return metric_value(metric, text, relative=False)
        if not isinstance(text, bool):
            raise ValueError(f"{shown(text)}: {metric.name} is a yes or no; write true or false")
        return float(text)

    turns = tuple(_turns(reading, path, value, parse))
    always = turns and not isinstance(value, dict)
    found = Timeline(turns, turns[0].value if always else SOUND.get(metric.unit, 0.0))
    for before, after in pairwise(turns):
        if metric.kind is MetricKind.GAUGE or before.value is None or after.value is None:
            continue
        if 0 < after.value < before.value:
            reading.complain(path, f"{metric.name} falls from {before.value:g} to {after.value:g}, which no counter does; "
                                   "one that starts anew shows 0 first")
    return found


def _load(reading: _Reading, cluster: SavedCluster) -> Iterator[tuple[VmId, Timeline]]:
    vms = {vm.record.name: vm for vm in cluster.vms}

    def parse(value: Any) -> float:
        return 0.0 if value == 0 and not isinstance(value, bool) else processors(value)

    for name, value in reading.model.given.load.items():
        if name not in vms:
            continue
        vm, turns = vms[name], tuple(_turns(reading, ("given", "load", name), value, parse))
        for turn in turns:
            if turn.value is None:
                reading.complain(("given", "load", name), "a VM always uses something or nothing; write a number, or 0")
            elif max(turn.value, turn.before) > vm.record.vcpus:
                reading.complain(("given", "load", name), f"{max(turn.value, turn.before):g} is above its vcpus, "
                                 f"{vm.record.vcpus}, and a VM cannot use more processors than it has")
        rest = turns[0].value if turns and not isinstance(value, dict) else vm.demand.high
        yield vm.record.vm, Timeline(turns, rest)


def _speaking(reading: _Reading, hosts: dict[str, Any], key: str) -> Iterator[tuple[HostName, Timeline]]:
    for host, value in hosts.items():
        turns = tuple(_turns(reading, ("given", key, host), value, lambda word: float(word == "speaks")))
        yield HostName(host), Timeline(turns, 1.0 if isinstance(value, dict) else turns[0].value)


def _turns(reading: _Reading, path: Path_, value: Any, parse: Any) -> Iterator[Turn]:
    """Yield the turns of a value over time; one value alone holds all the time."""
    written = value if isinstance(value, dict) else {"0s": value}
    for key in sorted(written, key=_sortable):
        where = (*path, key) if isinstance(value, dict) else path
        try:
            yield _turn(moment(key), written[key], parse)
        except ValueError as error:
            reading.complain(where, str(error))


def _sortable(key: str) -> float:
    try:
        return moment(key)
    except ValueError:
        return 0.0


def _turn(at: float, value: Any, parse: Any) -> Turn:
    if value == _MISSING:
        return Turn(at, None)
    slope = _SLOPE.fullmatch(value) if isinstance(value, str) else None
    if slope is None:
        return Turn(at, parse(value))
    return Turn(at, parse(_plain(slope["last"])), parse(_plain(slope["first"])), lasting(slope["lasts"]))


def _plain(text: str) -> Any:
    """Return a number as a number: within a slope it stands in a word."""
    try:
        return float(text)
    except ValueError:
        return text


# what is expected

def _expected(reading: _Reading, key: str, expect: ExpectModel) -> Iterator[Expected]:
    def place(*path: str) -> str:
        return reading.place(("expect", key, *path))

    for host, health in expect.health.items():
        yield Expected(Claim.HEALTH, place("health", host), (health,), host)
    for policy, hosts in expect.conditions.items():
        for host, phase in hosts.items():
            yield Expected(Claim.CONDITION, place("conditions", policy, host), (phase,), host, policy)
    for host, power in expect.power.items():
        yield Expected(Claim.POWER, place("power", host), (power,), host)
    if expect.posture is not None:
        yield Expected(Claim.POSTURE, place("posture"), (expect.posture,))
    for claim, words in ((Claim.INTENTS, expect.intents), (Claim.REFUSALS, expect.refusals),
                         (Claim.DEFERRALS, expect.deferrals), (Claim.CORDONS, expect.cordons),
                         (Claim.TARGETS, expect.targets)):
        if words is not None:
            yield Expected(claim, place(claim.value), tuple(words))
    for claim, patterns in ((Claim.MOVES, expect.moves), (Claim.PLANNED, expect.planned)):
        if patterns is not None:
            yield Expected(claim, place(claim.value), patterns=patterns)
