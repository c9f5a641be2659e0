"""What a check-up finds about pairs of hosts, with or without guests: processors, and machine types that both know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ballastd.core.cures import cure_of
from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Area, Finding, Grade, HostSurvey, Site, named

KVM = "kvm"


def pairs(site: Site) -> Iterator[Finding]:
    """Of what a host lacks beside others one finding each."""
    yield from _processors(site)
    yield from _machines(site)


def _processors(site: Site) -> Iterator[Finding]:
    lacking: dict[HostName, list[HostName]] = defaultdict(list)
    unknown: dict[tuple[HostName, str], list[HostName]] = defaultdict(list)
    for one in site.likenesses:
        if one.has_all is False:
            lacking[one.target].append(one.source)
        elif one.has_all is None:
            unknown[one.target, one.trouble].append(one.source)
    for target, sources in lacking.items():
        yield Finding(Area.CPU, Grade.NOTE, (target,), f"its processor lacks something that guests of {named(sources)} may "
                      "have: one that has all of it (host-model) could not come here", cure_of(RefusalKind.CPU))
    for (target, trouble), sources in unknown.items():
        yield Finding(Area.CPU, Grade.NOTE, (target,), f"whether its processor has what guests of {named(sources)} may have "
                      f"is not known: {trouble}", "ask again: ballastctl doctor")


def _machines(site: Site) -> Iterator[Finding]:
    hosts = [survey for survey in site.answering.values() if survey.emulators]
    lacking: dict[tuple[HostName, Grade, str, str], list[HostName]] = defaultdict(list)
    for target in hosts:
        for source in hosts:
            found = None if source is target else _why_lacking(source, target)
            if found is not None:
                lacking[target.host, *found].append(source.host)
    for (target_name, grade, words, cure), sources in lacking.items():
        others = f"{named(sources)} {'does' if len(sources) == 1 else 'do'}"
        yield Finding(Area.VERSION, grade, (target_name,), f"{words}, and {others}", cure)


def _why_lacking(source: HostSurvey, target: HostSurvey) -> tuple[Grade, str, str] | None:
    if all(one.arch != source.arch for one in target.emulators):
        return Grade.WARNING, f"it does not run {source.arch} guests", "keep VMs of one architecture apart: a Placement rule"
    if KVM in _kinds(source, source.arch) - _kinds(target, source.arch):
        return (Grade.WARNING, f"it does not run {source.arch} guests by KVM",
                "switch virtualization on in its firmware, and see that the kernel's kvm module is loaded")
    missing = missing_machines(source, target)
    if missing:
        return Grade.NOTE, f"it does not offer machine type {named(missing)}", cure_of(RefusalKind.MACHINE)
    return None


def missing_machines(source: HostSurvey, target: HostSurvey) -> tuple[str, ...] | None:
    """Return the machine types of the source's own architecture that a target does not offer; None where one of the two does
    not say."""
    if not source.emulators or not target.emulators:
        return None
    here, there = ({machine for one in survey.emulators if one.arch == source.arch for machine in one.machines}
                   for survey in (source, target))
    return tuple(sorted(here - there))


def _kinds(survey: HostSurvey, arch: str) -> set[str]:
    return {kind for one in survey.emulators if one.arch == arch for kind in one.kinds}
