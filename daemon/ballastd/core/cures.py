"""What people can do about each "no": a sentence per kind, the same in plans, explanations, withheld orders, check-ups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ballastd.core.plans import Refusal, RefusalKind

_K = RefusalKind

CURES: Mapping[RefusalKind, str] = {
    _K.HOST_NOT_HEALTHY: "see what speaks for that: ballastctl explain HOST; what is latched stays until it is acknowledged",
    _K.HOST_SILENT: "see that its agent runs and reaches the broker: ballastctl doctor",
    _K.HOST_UNREACHABLE: "see that its libvirtd answers: ballastctl doctor",
    _K.HOST_CLOCK: "let it keep time: chronyc tracking",
    _K.HOST_CORDONED: "once it may take VMs again: ballastctl host uncordon HOST",
    _K.HOST_DRAINING: "once it may take VMs again: ballastctl host undrain HOST",
    _K.HOST_FROZEN: "find out which copy is right, and stop the other by hand",
    _K.SAME_FAILURE_DOMAIN: "have room in another failure domain, or correct the hosts' labels",
    _K.MEMORY: "make room there, or raise memory_limit in the settings if more of it may be used",
    _K.HUGE_PAGES: "set as many aside there as on the VM's own host: virsh allocpages, or where the kernel starts",
    _K.OVERCOMMIT: "have more processors, or raise vcpus_per_processor of the Limits policy",
    _K.NUMA: "bind the VM to nodes and processors that all hosts have: virsh numatune, virsh vcpupin",
    _K.FAILOVER_RESERVE: "have more room, or hold less of it back: failover.hosts of a Limits policy",
    _K.LINK: "declare its link as fast as it is: link_speed in the settings",
    _K.VM_AMBIGUOUS: "find out which copy is right, and stop the other by hand",
    _K.TRIED_AND_FAILED: "see why it failed: ballastctl explain VM",
    _K.NEVER_CONVERGES: "give migrations more bandwidth, or move it when it writes less",
    _K.PLACEMENT: "change the Placement policy that says so, if it is no longer meant",
    _K.LOAD: "have room elsewhere, or raise the policy's mark",
    _K.LOAD_UNKNOWN: "see that its agent reports, and what it reports: ballastctl doctor",
    _K.CONTROLLER: "compare the addresses under power in the settings: it is likely another machine's controller",
    _K.CPU: "give the VM a processor model that all hosts offer: virsh hypervisor-cpu-baseline",
    _K.MACHINE: "install the emulator that offers it, or define the VM anew with a machine type that all have",
    _K.STORAGE: "bring the same storage up there, at the same path; then virsh pool-refresh there",
    _K.NETWORK: "set the network up there under the same name",
    _K.LAST_RESORT: 'only its owner can allow it: without shutdown="never" in its metadata',
    _K.IDENTITY: "two VMs of one name or UUID cannot be told apart: find out which is right, undefine one",
}

NO_CURE: Mapping[RefusalKind, str] = {
    _K.HOST_WARMING_UP: "it passes by itself",
    _K.HOST_STANDBY: "it is what a policy wants",
    _K.VM_PINNED: "each pin has a cure of its own, in its words",
    _K.VM_NOT_RUNNING: "it is as its owner left it",
    _K.VM_BUSY: "the job ends by itself",
    _K.VM_GONE: "it is what somebody did",
    _K.COOLDOWN: "it passes by itself",
    _K.SCOPE: "it is what a policy says",
    _K.REJECTED: "it is what an operator said",
    _K.NO_GAIN: "nothing is wrong",
    _K.POWER: "each has its own reason, in its words",
    _K.NO_TARGET: "that is said of what speaks against each candidate",
    _K.NOT_JOURNALLED: "it is ordered anew once the journal can be written",
    _K.CEILING: "no setting raises one",
    _K.GATE: "it is told as what holds the whole cluster back",
    _K.WORLD_CHANGED: "it is planned anew as it is now",
}
"""Kinds of which there is nothing to do that the refusal does not say itself, and why."""


def cure_of(kind: RefusalKind) -> str:
    """Return what to do about a kind of refusal; empty where there is nothing, or where its words say it."""
    return CURES.get(kind, "")


def cures_of(refusal: Refusal) -> str:
    """Return what to do about a refusal; where it sums up many, about each kind of what speaks against its candidates."""
    own = cure_of(refusal.kind)
    if own or not refusal.against:
        return own
    kinds = dict.fromkeys(RefusalKind(one.kind) for one in refusal.against)
    return "; ".join(f"{kind.value}: {cure}" for kind in kinds if (cure := cure_of(kind)))


def told(refusals: Iterable[Refusal]) -> str:
    """Return refusals in a line, each with its cure."""
    return "; ".join(f"{no.kind.value}: {no.detail}" + (f"; cure: {cure}" if (cure := cures_of(no)) else "")
                     for no in refusals)
