"""What governs all the same and deserves a second thought."""

from __future__ import annotations

from ballastd.core.policies import EVERYWHERE, ClusterDeclaration, During, Health, Mode, Rule
from ballastd.documents.balance_models import BalanceModel
from ballastd.documents.between import covered, named_windows
from ballastd.documents.consolidation_models import ConsolidationModel
from ballastd.documents.health_models import HealthModel
from ballastd.documents.limits_model import LimitsModel
from ballastd.documents.placement_checks import doubt_label, doubt_placement
from ballastd.documents.placement_models import PlacementModel
from ballastd.documents.policy_models import EvacuationModel
from ballastd.documents.scalars import shown
from ballastd.documents.taken import Taken
from ballastd.documents.window_models import WindowModel


def doubt(taken: Taken, cluster: ClusterDeclaration | None) -> None:
    """Add a warning for everything that is sound and hardly meant."""
    _doubt_severities(taken)
    _doubt_modes(taken)
    _doubt_packing_by_window(taken, cluster)
    if cluster is not None:
        _doubt_consolidation(taken, cluster)
        _doubt_failover(taken, cluster)
        _doubt_avoided(taken, cluster)
        _doubt_giving_way(taken, cluster)
    doubt_placement(taken, cluster)
    named = {name for _, _, name in named_windows(taken)}
    for document, model in taken.of(WindowModel):
        if model.name not in named:
            taken.warnings.append(f"{document.where(('name',))}: no policy names {model.name}, so it does nothing")


def _doubt_severities(taken: Taken) -> None:
    reached = max((model.severity.health for _, model in taken.of(HealthModel)), default=Health.HEALTHY)
    for document, model in taken.of(EvacuationModel):
        if model.on.severity.health > reached:
            taken.warnings.append(f"{document.where(('on',))}: {model.name} answers to {model.on.severity.value}, which "
                                  "no Health policy ever reaches")


def _doubt_modes(taken: Taken) -> None:
    for kind in (EvacuationModel, BalanceModel, ConsolidationModel):
        for document, model in taken.of(kind):
            mode: Mode = getattr(model, "mode", Mode.AUTO)
            if mode is not Mode.AUTO:
                does = "moves only what somebody approves" if mode is Mode.RECOMMEND else "moves nothing"
                taken.warnings.append(f"{document.where(('name',))}: {model.name} is in mode {mode.value}: it {does}")
    for document, placement in taken.of(PlacementModel):
        if placement.mode is not Mode.AUTO and placement.rule is not Rule.PINNED:
            does = "right what somebody approves" if placement.mode is Mode.RECOMMEND else "nothing right by itself"
            taken.warnings.append(f"{document.where(('name',))}: {placement.name} is in mode {placement.mode.value}: it "
                                  f"weighs on every move, and puts {does}")


def _doubt_packing_by_window(taken: Taken, cluster: ClusterDeclaration | None) -> None:
    """Warn of hosts that are packed for the hours of a window alone, and that nobody unpacks by day."""
    acting = [model for _, model in taken.of(BalanceModel) if model.mode is Mode.AUTO]
    for document, model in taken.of(ConsolidationModel):
        if model.fill_to.during is During.WINDOW and not any(
                cluster is None or not covered(model, cluster).isdisjoint(covered(other, cluster)) for other in acting):
            taken.warnings.append(f"{document.where(('fill_to', 'during'))}: {model.name} fills hosts for the hours of its "
                                  "window alone, and no Balance in mode auto spreads its VMs out again by day; write "
                                  "during: day")


def _doubt_consolidation(taken: Taken, cluster: ClusterDeclaration) -> None:
    for document, model in taken.of(ConsolidationModel):
        scope = model.scope.compiled() if model.scope else EVERYWHERE
        hosts = [host for host in cluster.hosts if scope.covers(host)]
        if not any(host.power for host in hosts):
            taken.warnings.append(f"{document.where(('name',))}: no host of {model.name} has power: in the settings, so "
                                  "none can be switched off: it does nothing")
        if len(hosts) <= model.spare.hosts + 1:
            taken.warnings.append(f"{document.where(('spare', 'hosts'))}: {model.name} keeps {model.spare.hosts} of "
                                  f"{len(hosts)} hosts free, which leaves none to switch off")


def _doubt_failover(taken: Taken, cluster: ClusterDeclaration) -> None:
    """Warn of failure domains that are none: a label that hosts lack, or that all of them share."""
    for document, model in taken.of(LimitsModel):
        label, place = model.failover.domain, document.where(("failover", "domain"))
        if label == "host":
            continue
        doubt_label(taken, place, label, cluster, "failure domain")
        values = {host.label(label) for host in cluster.hosts}
        if len(values) == 1 < len(cluster.hosts) and (only := values.pop()) is not None:
            taken.warnings.append(f"{place}: every declared host has {shown(label)}: {shown(only)}, so all die together and "
                                  "no room is kept for any of them; take it out, or label the hosts")


def _doubt_avoided(taken: Taken, cluster: ClusterDeclaration) -> None:
    """Warn of labels to avoid that avoid nothing, or everything: hosts lack them, or all share one value."""
    for document, model in taken.of(EvacuationModel):
        for number, label in enumerate(model.avoid):
            place = document.where(("avoid", number))
            doubt_label(taken, place, label, cluster, "place")
            values = {host.label(label) for host in cluster.hosts}
            if len(values) == 1 < len(cluster.hosts) and (only := values.pop()) is not None:
                taken.warnings.append(f"{place}: every declared host has {shown(label)}: {shown(only)}, so VMs of "
                                      f"{model.name} have nowhere to go; take it out, or label the hosts")


def _doubt_giving_way(taken: Taken, cluster: ClusterDeclaration) -> None:
    for document, model in taken.of(LimitsModel):
        if model.bandwidth.give_way is not None and not any(host.link_interfaces for host in cluster.hosts):
            taken.warnings.append(f"{document.where(('bandwidth', 'give_way'))}: no host says in the settings by which "
                                  "interfaces guest memory travels, so migrations give way to nobody; write there for "
                                  "example link_interfaces: [eno1]")
