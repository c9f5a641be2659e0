"""Plans without a daemon: the mind of production looks at a saved cluster for a while, and is asked what it wants."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from ballastd.cli.formats import size

if TYPE_CHECKING:
    from ballastd.core.policies import PolicySet
    from ballastd.core.saved_cluster import ClusterCopy, SavedCluster
    from ballastd.core.views import ClusterView

CHANGES = {"cordon": "cordon=HOST", "drain": "drain=HOST", "off": "off=HOST", "add-vm": "add-vm=PROCESSORS:SIZE[@HOST]"}
AFTER_HOLDS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What is to be taken for done: hosts that are closed, hosts that are to be empty, VMs that come, each with processors,
    bytes and host (empty: the best)."""

    cordoned: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    added: tuple[tuple[float, int, str], ...] = ()


def read_what_if(text: str, cluster: SavedCluster) -> WhatIf:
    """Return what ``text`` says: ``cordon=host3,off=host7,add-vm=2:8GiB``.

    Raises:
        click.BadParameter: it says nothing that is known, or names a host that is not there.
    """
    cordoned: list[str] = []
    emptied: list[str] = []
    added: list[tuple[float, int, str]] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        key, _, value = part.partition("=")
        if key not in CHANGES or not value:
            near = difflib.get_close_matches(key, CHANGES, n=1)
            meant = f"; did you mean {near[0]}?" if near and near[0] != key else ""
            raise click.BadParameter(f"{part!r} is none of {', '.join(CHANGES.values())}{meant}", param_hint="--what-if")
        if key == "add-vm":
            added.append(_added(part, value, cluster))
        else:
            (cordoned if key == "cordon" else emptied).append(_host(value, cluster))
    return WhatIf(tuple(cordoned), tuple(emptied), tuple(added))


def _host(name: str, cluster: SavedCluster) -> str:
    known = [host.name for host in cluster.hosts]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known[:8])}"
        raise click.BadParameter(f"no host is called {name}{meant}", param_hint="--what-if")
    return name


def _added(part: str, value: str, cluster: SavedCluster) -> tuple[float, int, str]:
    from ballastd.documents.scalars import size as bytes_of

    shape, _, host = value.partition("@")
    processors, _, memory = shape.partition(":")
    try:
        found = float(processors), bytes_of(memory)
    except ValueError as error:
        raise click.BadParameter(f"{part!r}: {error}; write for example add-vm=2:8GiB", param_hint="--what-if") from None
    if not 0 <= found[0] <= 100_000 or found[1] <= 0:
        raise click.BadParameter(f"{part!r}: no VM is like that; write for example add-vm=2:8GiB", param_hint="--what-if")
    if host and any(one.name == _host(host, cluster) and not one.is_on for one in cluster.hosts):
        raise click.BadParameter(f"{part!r}: {host} is off, and no VM runs there", param_hint="--what-if")
    return (*found, host)


def as_it_is(cluster: SavedCluster, compiled: Callable[[float], PolicySet]) -> tuple[ClusterView, PolicySet]:
    """Return the picture of a cluster that was looked at just now, and its policies. ``compiled``: policies with windows
    from an instant on."""
    return _look(cluster, compiled, 0.0, WhatIf(), lambda policies: policies)


def with_orders(what_if: WhatIf, copy: ClusterCopy) -> WhatIf:
    """Return the changes with what an operator has closed and is having emptied already."""
    return replace(what_if, cordoned=tuple(sorted({*copy.cordoned, *what_if.cordoned})),
                   emptied=tuple(sorted({*copy.drained, *what_if.emptied})))


def plan_for(cluster: SavedCluster, compiled: Callable[[float], PolicySet], what_if: WhatIf, after: float | None
             ) -> ClusterView:
    """Return the picture once a cluster was as it is for ``after`` seconds (None: as long as the longest hold of a policy
    that balances or packs). Until then nothing is carried out, whatever mode a policy is in.

    Raises:
        click.ClickException: no host takes a VM that is to come, or not the one that was named.
    """
    cluster = _with_vms(cluster, compiled, what_if)
    begins = _begins(cluster)
    seconds = _longest_hold(compiled(begins)) + AFTER_HOLDS_SECONDS if after is None else after
    return _look(cluster, compiled, seconds, what_if, _asking)[0]


def _asking(policies: PolicySet) -> PolicySet:
    """Return the policies with those that act recommending instead."""
    from ballastd.core.policies import HealthPolicy, Mode

    return policies.with_modes(lambda one: Mode.RECOMMEND if one.mode is Mode.AUTO and not isinstance(one, HealthPolicy)
                               else one.mode)


def _begins(cluster: SavedCluster) -> float:
    return time.time() if cluster.saved_wall is None else float(cluster.saved_wall)


def _longest_hold(policies: PolicySet) -> float:
    holds = [hold for one in policies.balance for hold in (one.hot_hold, one.imbalance_hold)]
    holds += [one.hold for one in policies.placement]
    return max([*holds, *(one.power_off_hold for one in policies.consolidation)], default=0.0)


def _with_vms(cluster: SavedCluster, compiled: Callable[[float], PolicySet], what_if: WhatIf) -> SavedCluster:
    from ballastd.core.advice import Shape, rank
    from ballastd.core.inventory import VmRecord, VmState
    from ballastd.core.plans import RefusalKind
    from ballastd.core.quantities import Bytes, HostName, VmId
    from ballastd.core.saved_cluster import Demand, SavedVm

    for number, (processors, memory, named) in enumerate(what_if.added, start=1):
        view, policies = _look(cluster, compiled, 0.0, replace(what_if, added=()), lambda policies: policies)
        offers = rank(view, policies, Shape(processors, memory))
        best = next((offer for offer in offers if (offer.host == named if named else offer.is_offered)), None)
        against = [detail for kind, detail in best.why_not if kind == RefusalKind.MEMORY.value] if best is not None else []
        if best is None or against:
            who, why = named or "no host", f": {against[0]}" if against else "; ballastctl place says why"
            raise click.ClickException(f"{who} takes {'no' if named else 'a'} VM of {processors:g} processors and "
                                       f"{size(memory)}{why}")
        host = best.host
        click.echo(f"added-{number} is taken to run on {host}", err=True)
        key = VmId(f"00000000-0000-4000-8000-{number:012}")
        record = VmRecord(key, f"added-{number}", VmState.RUNNING, Bytes(memory), vcpus=max(1, round(processors)))
        added = SavedVm(record, HostName(host), Demand(high=processors))
        cluster = replace(cluster, vms=tuple(sorted((*cluster.vms, added), key=lambda vm: vm.record.vm)))
    return cluster


def _look(cluster: SavedCluster, compiled: Callable[[float], PolicySet], seconds: float, what_if: WhatIf,
          changed: Callable[[PolicySet], PolicySet]) -> tuple[ClusterView, PolicySet]:
    from ballastd.core.examples import Example, Look, Wish
    from ballastd.core.inputs import Verb
    from ballastd.rehearsal.trial import begins_of, play

    # who is closed is so from the beginning; what is emptied is asked for in the last step, so that its whole plan is seen
    wishes = [Wish(0.0, Verb.CORDON, host) for host in what_if.cordoned]
    wishes += [Wish(seconds, Verb.DRAIN, host) for host in what_if.emptied]
    example = Example("as it is", "", "", cluster.name, cluster, _begins(cluster), wishes=tuple(wishes),
                      looks=(Look(seconds, ()),))
    policies = changed(compiled(begins_of(example)))
    return play(example, policies)[0].view, policies
