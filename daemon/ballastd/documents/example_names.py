"""The names in an example: every host, VM and Health policy that it speaks of has to be there."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator

from ballastd.core.saved_cluster import SavedCluster
from ballastd.documents.example_models import ExampleModel, ExpectModel
from ballastd.documents.positions import Path_
from ballastd.documents.scalars import shown

Keys = Callable[[Path_], dict[float, str]]
"""Gives the moments that are keys of a mapping in the example, each as it is written."""


def strangers(model: ExampleModel, keys: Keys, cluster: SavedCluster, policies: list[str] | None
              ) -> Iterator[tuple[Path_, str]]:
    """Yield every name that nobody here has, with what is said of it. ``policies``: the Health policies, None where not all
    of them could be read: then nothing is said of those."""
    hosts, vms = [str(host.name) for host in cluster.hosts], [vm.record.name for vm in cluster.vms]
    known = {"host": hosts, "VM": vms, "Health policy": policies or [], "VM or host": vms + hosts}
    for path, name, what in _named(model, keys):
        if name not in known[what] and not (what == "Health policy" and policies is None):
            yield path, stranger(name, what, known[what])


def stranger(name: str, what: str, known: Iterable[str]) -> str:
    """Return what is said of a name that nobody here has."""
    names = sorted(known)
    near = difflib.get_close_matches(name[:60], names, n=1)
    of = "here" if what == "Health policy" else "of this example"
    return f"{shown(name)} is no {what} {of}; " + (f"did you mean {near[0]}?" if near else f"known: "
                                                   f"{', '.join(names[:8]) or 'none'}")


def _named(model: ExampleModel, keys: Keys) -> Iterator[tuple[Path_, str, str]]:
    given = model.given
    for key, names in (("telemetry", given.telemetry), ("agents", given.agents), ("hypervisors", given.hypervisors)):
        yield from ((("given", key, name), name, "host") for name in names)
    yield from ((("given", "load", name), name, "VM") for name in given.load)
    written = keys(("given", "operator")) if given.operator else {}
    yield from ((("given", "operator", written[at]), host, "host") for at, (_, host) in given.operator.items() if host)
    for at, key in keys(("expect",)).items():
        yield from _named_in(model.expect[at], ("expect", key))


def _named_in(expect: ExpectModel, path: Path_) -> Iterator[tuple[Path_, str, str]]:
    for key in ("health", "power"):
        yield from (((*path, key, host), host, "host") for host in getattr(expect, key))
    for policy, hosts in expect.conditions.items():
        yield (*path, "conditions", policy), policy, "Health policy"
        yield from (((*path, "conditions", policy, host), host, "host") for host in hosts)
    yield from (((*path, "intents", i), text.split()[1], "host") for i, text in enumerate(expect.intents or ()))
    for key in ("targets", "cordons"):
        yield from (((*path, key, i), host, "host") for i, host in enumerate(getattr(expect, key) or ()))
    for key in ("refusals", "deferrals"):
        yield from (((*path, key, i), text.split()[1], "VM or host") for i, text in enumerate(getattr(expect, key) or ())
                    if " " in text)
    for key in ("moves", "planned"):
        for i, pattern in enumerate(getattr(expect, key) or ()):
            yield from (((*path, key, i), name, what) for name, what in (
                (pattern.vm, "VM"), (pattern.source, "host"), (pattern.target, "host")) if name)
