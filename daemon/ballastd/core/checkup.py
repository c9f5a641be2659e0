"""A check-up: what was found out about a cluster, judged, the worst first, each finding with its cure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ballastd.core import checkup_vms
from ballastd.core.checkup_certificates import certificates
from ballastd.core.checkup_links import Speed, is_everybodys_own, links, speeds
from ballastd.core.checkup_pairs import missing_machines, pairs
from ballastd.core.inventory import DeclaredHost
from ballastd.core.power import PowerState, same_machine
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Area, Finding, Fit, Grade, HostSurvey, Pair, PowerAnswer, Readiness, Site, named
from ballastd.core.telemetry import CLOCK_SKEW_SECONDS, KEEPALIVE_SECONDS_MIN, AgentState

LIBVIRT_MIN = (5, 6, 0)
"""The first that knows all that is asked of it: checkpoints came last."""
SKEW_NOTED_SECONDS = 5.0
KEEPALIVE_SECONDS_ADVISED = 120
"""Between hosts: outages of up to 25 s in the middle of a migration were then outlived, 6 of 6 (docs/libvirt.md)."""


def judge(site: Site) -> Readiness:
    """Return what there is to say of a cluster."""
    known = speeds(site)
    found = [*_reach(site), *_transports(site), *certificates(site), *_versions(site), *pairs(site),
             *checkup_vms.fits(site), *checkup_vms.unseen(site), *checkup_vms.vouching(site), *checkup_vms.pins(site),
             *checkup_vms.unasked(site), *_telemetry(site), *links(site, known), *_power(site)]
    found = sorted(_together(found), key=lambda one: -one.grade)
    return Readiness(tuple(found), _grid(site, found), _pairs(site, known))


def _together(found: Iterable[Finding]) -> list[Finding]:
    """Say once what is said of several hosts."""
    alike: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for one in found:
        alike[one.area, one.grade, one.words, one.cure, bool(one.hosts)].append(one)
    return [replace(some[0], hosts=tuple(dict.fromkeys(host for one in some for host in one.hosts)))
            for some in alike.values()]


def _grid(site: Site, found: Iterable[Finding]) -> dict[HostName, dict[Area, Grade]]:
    """What was not looked at is not in it."""
    grid: dict[HostName, dict[Area, Grade]] = {}
    examined = {fit.target for fit in site.fits if not fit.trouble}
    for host in site.declared.hosts:
        survey = site.surveys.get(host.name)
        looked = {Area.REACH, Area.TRANSPORT}
        if survey is not None and not survey.trouble:
            looked |= {Area.VERSION, Area.CPU, Area.LOCKS, Area.DEVICES}
            # what no VM of another host asks for is not looked for
            looked |= {Area.NETWORK, Area.STORAGE} if host.name in examined else set()
        if any(host.name in one.hosts or not one.hosts for one in site.shown):
            looked |= {Area.CERTIFICATE}
        if site.heard is not None:
            looked |= {Area.TELEMETRY}
            looked |= {Area.CLOCK} if host.name in site.heard.reports else set()
        if host.power and host.name in site.power:
            looked |= {Area.POWER}
        grid[host.name] = {area: Grade.GOOD for area in Area if area in looked}
    for finding in found:
        for host_name in finding.hosts or tuple(grid):
            row = grid.get(host_name)
            if row is not None:
                row[finding.area] = max(row.get(finding.area, Grade.GOOD), finding.grade)
    return grid


def _pairs(site: Site, known: Mapping[HostName, Speed]) -> tuple[Pair, ...]:
    by_pair: dict[tuple[HostName, HostName], list[Fit]] = defaultdict(list)
    for fit in site.fits:
        by_pair[fit.source, fit.target].append(fit)
    answering, found = site.answering, []
    likened = {(one.source, one.target): one.has_all for one in site.likenesses}
    for source, survey in answering.items():
        for target in site.surveys:
            if source == target:
                continue
            fits = by_pair[source, target]
            against = [f"{fit.vm_name}: {fit.trouble or fit.refusals[0].detail}" for fit in fits
                       if fit.trouble or fit.refusals]
            if target not in answering or answering[target].steering:
                # without it nobody can be asked whether a processor is like another, nor could anything be moved
                against = [f"{target} {'may not be steered' if target in answering else 'does not answer'}"]
                fits = []
            could = sum(not fit.trouble and not fit.refusals for fit in fits)
            one, other = known.get(source), known.get(target)
            machines = missing_machines(survey, answering[target]) if target in answering else None
            found.append(Pair(source, target, could, len(survey.movable), against[0] if against else "",
                              (one.one if one else None, other.one if other else None), likened.get((source, target)),
                              machines))
    return tuple(found)


def _reach(site: Site) -> Iterator[Finding]:
    for host in site.declared.hosts:
        survey = site.surveys.get(host.name)
        if survey is None:
            continue
        if survey.trouble:
            yield Finding(Area.REACH, Grade.FAULT, (host.name,), f"libvirt does not answer at {host.uri}: {survey.trouble}",
                          f"see that its libvirtd listens and lets this machine in: virsh -c {host.uri} list")
        elif survey.steering:
            yield Finding(Area.REACH, Grade.FAULT, (host.name,),
                          f"it may be looked at and not steered: {survey.steering}",
                          "let this machine open it for writing too, as its libvirtd.conf says: polkit, sasl, certificates")
        elif not survey.is_complete:
            yield Finding(Area.REACH, Grade.WARNING, (host.name,), "some of its VMs cannot be read",
                          "find out which: virsh list --all, virsh dumpxml; the daemon settles nothing there meanwhile")


def _transports(site: Site) -> Iterator[Finding]:
    hosts, several = site.declared.hosts, len(site.declared.hosts) > 1
    bare = tuple(host.name for host in hosts if "+tcp:" in host.uri)
    if bare:
        yield Finding(Area.TRANSPORT, Grade.WARNING, bare, "we reach libvirtd over TCP, unencrypted: whoever is on that "
                      "network can read and steer it", "use qemu+tls:// or qemu+ssh://, or keep this network to yourself")
    peers = tuple(host.name for host in hosts if several and "+tcp:" in host.peer_uri and "+tcp:" not in host.uri)
    if peers:
        yield Finding(Area.TRANSPORT, Grade.WARNING, peers, "its peers reach it over TCP, unencrypted (peer_uri)",
                      "use qemu+tls:// there, or keep this network to yourself")
    own = tuple(host.name for host in hosts if several and is_everybodys_own(host.peer_uri))
    if own:
        yield Finding(Area.TRANSPORT, Grade.WARNING, own, "its peers are told to reach it at an address that is each one's "
                      "own machine: a move to it would begin at its source, and be refused there",
                      "write as peer_uri how its peers reach it, for example qemu+tls://kvm-01/system")
    if several:
        yield Finding(Area.TRANSPORT, Grade.NOTE, (), "whether hosts reach one another cannot be asked from here: they "
                      "connect by themselves when a VM moves, to peer_uri and migration_uri",
                      "move one VM there and back: ballastctl doctor --rehearse VM")


def _versions(site: Site) -> Iterator[Finding]:
    answering = site.answering
    old = tuple(name for name, survey in answering.items() if survey.libvirt < LIBVIRT_MIN)
    if old:
        yield Finding(Area.VERSION, Grade.FAULT, old, f"its libvirt is older than {_dotted(LIBVIRT_MIN)}",
                      "upgrade it: it does not know all that the daemon asks")
    newest = max((survey.emulator for survey in answering.values()), default=(0, 0, 0))
    behind = {name: survey.emulator for name, survey in answering.items() if (0, 0, 0) < survey.emulator < newest}
    if behind:
        yield Finding(Area.VERSION, Grade.WARNING, tuple(behind),
                      f"QEMU {', '.join(sorted({_dotted(one) for one in behind.values()}))}, elsewhere {_dotted(newest)}: "
                      "moves to an older QEMU are not promised to work",
                      "bring all hosts to one version; until then keep VMs from going back: a Placement rule, or a cordon")
    models = defaultdict(list)
    for name, survey in answering.items():
        models[" ".join(survey.cpu[:2]) or "unknown"].append(name)
    if len(models) > 1:
        said = "; ".join(f"{model}: {named(names)}" for model, names in sorted(models.items()))
        yield Finding(Area.CPU, Grade.NOTE, (), f"not all processors are alike: {said}",
                      "guests with a named processor model move wherever it is offered; host-passthrough needs equal ones")


def _telemetry(site: Site) -> Iterator[Finding]:
    heard = site.heard
    if heard is None:
        return
    if heard.trouble:
        yield Finding(Area.TELEMETRY, Grade.FAULT, (), f"the broker is not reached: {heard.trouble}",
                      "check mqtt in the settings, and that the broker runs: without it every host is unknown")
        return
    silent = tuple(host.name for host in site.declared.hosts if host.name not in {*heard.reports, *heard.unread})
    if silent:
        yield Finding(Area.TELEMETRY, Grade.FAULT, silent, f"no report from it in {heard.seconds:.0f} s",
                      "run ballastd agent there with this broker, and with the very name that the settings give the host")
    for name, why in heard.unread.items():
        if name not in heard.reports:
            yield Finding(Area.TELEMETRY, Grade.FAULT, (name,),
                          f"no report from it in {heard.seconds:.0f} s that can be used, the last was refused: {why}",
                          "let its agent be of a release that this one understands: ballastd version on both")
    if heard.strangers:
        yield Finding(Area.TELEMETRY, Grade.NOTE, (), f"{heard.strangers} messages came under names that are not declared, "
                      "or were no telemetry", "compare the hosts' names in the settings with those that their agents use")
    for name, agent in heard.agents.items():
        yield from _agent(name, agent)
    unsaid = tuple(name for name in heard.reports if (state := heard.agents.get(name)) is None or not state.online)
    if unsaid:
        yield Finding(Area.TELEMETRY, Grade.NOTE, unsaid, "it reports, and its agent does not say that it is there: whether "
                      "its libvirt hook enforces a cordon is not known, and it is never switched off meanwhile",
                      "run ballastd agent there, and let it publish its state: see docs/telemetry.md")
    for name, report in heard.reports.items():
        skew = report.sent_at - report.received.wall
        if abs(skew) > SKEW_NOTED_SECONDS:
            is_refused = abs(skew) > CLOCK_SKEW_SECONDS
            yield Finding(Area.CLOCK, Grade.FAULT if is_refused else Grade.WARNING, (name,),
                          f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours",
                          "let both keep time: chronyc tracking" + ("; until then it is no target" if is_refused else ""))


def _agent(name: HostName, agent: AgentState) -> Iterator[Finding]:
    if not agent.online:
        return  # what that means is told of those that report all the same; of the others that they are silent
    if not agent.hook:
        yield Finding(Area.TELEMETRY, Grade.WARNING, (name,), "its libvirt hook is not installed: a cordon is not enforced, "
                      "and it is never switched off", "ballastd agent --install-hook there, then restart libvirtd")
    if agent.keepalive is not None and (seconds := agent.keepalive[0] * agent.keepalive[1]) < KEEPALIVE_SECONDS_ADVISED:
        yield Finding(Area.LINK, Grade.WARNING if seconds < KEEPALIVE_SECONDS_MIN else Grade.NOTE, (name,),
                      f"its libvirt gives a peer up after {agent.keepalive[0]} s x {agent.keepalive[1]}: a longer outage in "
                      "the middle of a migration may leave two running copies of a guest without a disk lock",
                      "keepalive_interval = 5 and keepalive_count = 24 in its qemu.conf and libvirtd.conf, then restart "
                      "libvirtd")


def _power(site: Site) -> Iterator[Finding]:
    without = tuple(host.name for host in site.declared.hosts if not host.power)
    if without:
        yield Finding(Area.POWER, Grade.NOTE, without, "there is no power control, so it is never switched off nor on",
                      "power in the settings, if it should be: see docs/power.md")
    for host in site.declared.hosts:
        answer = site.power.get(host.name)
        if host.power and answer is not None:
            yield from _controller(host, answer, site.surveys.get(host.name))


def _controller(host: DeclaredHost, answer: PowerAnswer, survey: HostSurvey | None) -> Iterator[Finding]:
    def finding(grade: Grade, words: str, cure: str) -> Finding:
        return Finding(Area.POWER, grade, (host.name,), words, cure)

    if answer.trouble:
        yield finding(Grade.WARNING, f"its power controller: {answer.trouble}",
                      "it is neither switched off nor on until that works")
        return
    answers = survey is not None and not survey.trouble
    if answers and answer.state is PowerState.OFF:
        yield finding(Grade.FAULT, "its power controller says off, and yet libvirt answers",
                      "it is likely another machine's controller: compare the addresses under power")
    elif answer.state is PowerState.UNKNOWN:
        yield finding(Grade.WARNING, "its power controller does not say whether it is on or off",
                      "ask again: ballastctl doctor; while it does not say, a host that went off is not known to be off")
    if answer.identity is None and host.power_identity:
        yield finding(Grade.WARNING, "its power controller does not say which machine it controls, so it is never used",
                      "power.trust_identity, if you know that it is the right one")
    elif (machine := survey.machine if survey else "") and answer.identity and not same_machine(answer.identity, machine):
        yield finding(Grade.FAULT, f"its power controller belongs to another machine ({answer.identity}, not {machine})",
                      "correct the address under power: the wrong host would be switched off")


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
