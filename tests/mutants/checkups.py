"""Seeded faults in check-ups: what is wrong with a cluster and not said, or said of the wrong host."""

from __future__ import annotations

from tests.mutants.mutant import CORE, Mutant, core, only

PAPER = core("test_checkup.py")
DATES, LINKS = core("test_checkup_certificates.py"), core("test_checkup_links.py")
SEEN = only("unit", "tests/unit/adapters/certificates")
CHECKUPS: tuple[Mutant, ...] = (
    Mutant("a host that says nothing is well", f"{CORE}/checkup.py", "        if survey is not None and not survey.trouble:", "        if survey is not None:", PAPER),
    Mutant("hosts of which nothing is known could have every VM", f"{CORE}/checkup.py", "        for target in site.surveys:\n            if source == target:", "        for target in answering:\n            if source == target:", PAPER),
    Mutant("a VM that was refused could go all the same", f"{CORE}/checkup.py", "            could = sum(not fit.trouble and not fit.refusals for fit in fits)", "            could = len(fits)", PAPER),
    Mutant("a slow clock is no trouble", f"{CORE}/checkup.py", "        if abs(skew) > SKEW_NOTED_SECONDS:", "        if skew > SKEW_NOTED_SECONDS:", PAPER),
    Mutant("a controller of another machine is good enough", f"{CORE}/checkup.py", "not same_machine(answer.identity, machine):", "False:", PAPER),
    Mutant("what a target lacks is the source's trouble", f"{CORE}/checkup_vms.py", "        grouped[fit.target, refusal.kind, refusal.detail].append(fit)", "        grouped[fit.source, refusal.kind, refusal.detail].append(fit)", PAPER),
    Mutant("storage vouched for here and there is vouched for", f"{CORE}/checkup_vms.py", "        if without:", "        if False:", PAPER),
    Mutant("devices come along", f"{CORE}/readiness.py", "all(pin.kind is PinKind.DISK_UNLOCKED for pin in guest.record.pins)", "True", PAPER),
    Mutant("a certificate that begins tomorrow is good today", f"{CORE}/checkup_certificates.py", "    if certificate.valid_from > wall:", "    if False:", DATES),
    Mutant("who is not believed is believed once it was read", "daemon/ballastd/adapters/certificates/looking.py", "_anybody(server)), flaw, words)", "_anybody(server)))", SEEN),
    Mutant("what a virtual interface says of its speed counts", f"{CORE}/checkup_links.py", "if one.is_up and (one.is_real or one.is_bond)]", "if one.is_up]", LINKS),
)
