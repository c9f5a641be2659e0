"""Seeded faults in check-ups: what is wrong with a cluster and not said, or said of the wrong host."""

from __future__ import annotations

from tests.mutants.mutant import CORE, Mutant, core, only

PAPER = core("test_checkup.py")
DATES, LINKS = core("test_checkup_certificates.py"), core("test_checkup_links.py")
LOOKED = only("unit", "tests/unit/test_credentials.py")
SEEN = only("unit", "tests/unit/adapters/certificates")
STORAGE = only("unit", "tests/unit/documents/test_refusals.py", "tests/unit/adapters/libvirt/test_pins.py")
CHECKUPS: tuple[Mutant, ...] = (
    Mutant("a host that says nothing is well", f"{CORE}/checkup.py", "        if survey is not None and not survey.trouble:", "        if survey is not None:", PAPER),
    Mutant("hosts of which nothing is known could have every VM", f"{CORE}/checkup.py", "        for target in site.surveys:\n            if source == target:", "        for target in answering:\n            if source == target:", PAPER),
    Mutant("a VM that was refused could go all the same", f"{CORE}/checkup.py", "            could = sum(not fit.trouble and not fit.refusals for fit in fits)", "            could = len(fits)", PAPER),
    Mutant("a slow clock is no trouble", f"{CORE}/checkup.py", "        if abs(skew) > SKEW_NOTED_SECONDS:", "        if skew > SKEW_NOTED_SECONDS:", PAPER),
    Mutant("a controller of another machine is good enough", f"{CORE}/checkup.py", "not same_machine(answer.identity, machine):", "False:", PAPER),
    Mutant("what a target lacks is the source's trouble", f"{CORE}/checkup_vms.py", "        grouped[fit.target, refusal.kind, refusal.detail].append(fit)", "        grouped[fit.source, refusal.kind, refusal.detail].append(fit)", PAPER),
    Mutant("storage vouched for here and there is vouched for", f"{CORE}/checkup_vms.py", "        if without:", "        if False:", PAPER),
    Mutant("devices come along", f"{CORE}/readiness.py", "all(pin.kind is PinKind.DISK_UNLOCKED for pin in guest.pins)", "True", PAPER),
    Mutant("a certificate that begins tomorrow is good today", f"{CORE}/checkup_certificates.py", "    if certificate.valid_from > wall:", "    if False:", DATES),
    Mutant("who is not believed is believed once it was read", "daemon/ballastd/adapters/certificates/looking.py", "    return Sight(found, flaw, words)", "    return Sight(found)", SEEN),
    Mutant("a name that only peers use need not be good", f"{CORE}/checkup_certificates.py", "        case Service.LIBVIRT if one.is_to_peers:\n            return False\n", "", DATES),
    Mutant("whoever lasts in the file is the authority", "daemon/ballastd/credentials.py", "found[look.shown.service, look.at.ca_file][sight.anchor].extend(look.shown.hosts)", "pass", LOOKED),
    Mutant("libvirt is content with an authority that has not ended", "daemon/ballastd/credentials.py", "    if shown.service is Service.LIBVIRT and sight.authorities:", "    if False:", LOOKED),
    Mutant("what one host shows us is what another shows its peers", f"{CORE}/checkup_certificates.py", "if (host, one.certificate) not in told)", "if one.certificate not in {certificate for _, certificate in told})", DATES),
    Mutant("what is called alike is looked at once", "daemon/ballastd/credentials.py", "hosts[replace(look, shown=replace(look.shown, hosts=()))]", "hosts[next((one for one in hosts if one.shown.place == look.shown.place), look)]", LOOKED),
    Mutant("a common name is a name to everybody", "daemon/ballastd/adapters/certificates/contexts.py", "        context.hostname_checks_common_name = server.is_common_name_good\n", "", SEEN),
    Mutant("who hangs on a file is waited for by everybody", "daemon/ballastd/credentials.py", "    hanging = await _hanging(together, blocking)", "    hanging: dict[Path, str] = {}", LOOKED),
    Mutant("words of ours reach operators", "daemon/ballastd/credentials.py", "    return str(no).removeprefix(f\"lane {lane}: \")", "    return str(no)", LOOKED),
    Mutant("a file that cannot be read is read for every server", "daemon/ballastd/adapters/certificates/contexts.py", "            made = self._made.setdefault(alike, own)", "            made = self._made[alike] = own", SEEN),
    Mutant("a name that no file can have ends the check-up", "daemon/ballastd/adapters/certificates/files.py", "    except (OSError, ValueError) as error:  # a name", "    except OSError as error:  # a name", LOOKED),
    Mutant("whatever is in a file of ours vouches", "daemon/ballastd/adapters/certificates/looking.py", "vouchers=_leading_from(found, others))", "vouchers=tuple(others))", SEEN),
    Mutant("what our own file has is renewed at the server", "daemon/ballastd/adapters/certificates/looking.py", "held=held, anchor=", "anchor=", SEEN),
    Mutant("a name that was not looked at is good", "daemon/ballastd/adapters/certificates/looking.py", "        return Flaw.NAME if error.verify_code in _ANOTHER_NAME else Flaw.UNFIT, error.verify_message", "        return (Flaw.NAME, error.verify_message) if error.verify_code in _ANOTHER_NAME else (None, \"\")", SEEN),
    Mutant("what was seen is forgotten where its name was not", "daemon/ballastd/credentials.py", " and sight.flaw is Flaw.SILENT and sight.certificate is None:", " and sight.flaw is Flaw.SILENT:", LOOKED),
    Mutant("a place that the URI names is looked for at home", "daemon/ballastd/credentials.py", "            if trouble and not end.is_placed:", "            if trouble:", LOOKED),
    Mutant("what peers see looks like what we see", "daemon/ballastd/cli/checkup.py", "' (peers)' if row['to_peers'] else ''", "''", only("unit", "tests/unit/cli/test_checkup.py")),
    Mutant("who is believed hangs on the Python that asks", "daemon/ballastd/adapters/tls.py", "    context.verify_flags &= ~(ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags.VERIFY_X509_STRICT)\n", "", only("unit", "tests/unit/adapters/test_tls_context.py")),
    Mutant("an address among the names is no trouble to see", f"{CORE}/checkup_certificates.py", "    if _is_address(one.name) and one.name in (*names, subject):", "    if False:", DATES),
    Mutant("libvirt that believes anybody reads no authorities", "daemon/ballastd/credentials.py", " or service is Service.LIBVIRT):", "):", LOOKED),
    Mutant("a pair without a VM is not compared", f"{CORE}/checkup.py", "likened.get((source, target)),", "None,", core("test_checkup_pairs.py")),
    Mutant("who runs no KVM guests lacks nothing", f"{CORE}/checkup_pairs.py", "    if KVM in _kinds(source, source.arch) - _kinds(target, source.arch):", "    if False:", core("test_checkup_pairs.py")),
    Mutant("a no that sums up many has no cure", f"{CORE}/cures.py", "    if own or not refusal.against:", "    if True:", core("test_cures.py")),
    Mutant("what a virtual interface says of its speed counts", f"{CORE}/checkup_links.py", "if one.is_up and (one.is_real or one.is_bond)]", "if one.is_up]", LINKS),
    Mutant("a disk by the order in which it was found is vouched for", f"{CORE}/vouching.py", "    if _COUNTED.fullmatch(first) or ", "    if False and ", STORAGE),
    Mutant("all disks by the order in which they were found are vouched for", f"{CORE}/vouching.py", " or _is_any_counted(first)):", "):", STORAGE),
    Mutant("a device by two slashes is a file", f"{CORE}/vouching.py", "    return \"/\" + posixpath.normpath(path).strip(\"/\")\n\n\ndef _is_below", "    return posixpath.normpath(path)\n\n\ndef _is_below", STORAGE),
    Mutant("networks and storage are well where no VM was looked at", f"{CORE}/checkup.py", " if host.name in examined else set()", "", PAPER),
    Mutant("a controller that does not say is another machine's", f"{CORE}/checkup.py", "    if answers and answer.state is PowerState.OFF:", "    if answers and answer.state is not PowerState.ON:", PAPER),
    Mutant("an agent that says nothing of itself has its hook", f"{CORE}/checkup.py", "    if unsaid:", "    if False:", PAPER),
    Mutant("whose reports cannot be used is silent", f"{CORE}/checkup.py", "        if name not in heard.reports:", "        if False:", PAPER),
    Mutant("a pool covers what lies anywhere", f"{CORE}/checkup_vms.py", " and posixpath.dirname(file) == pool.path", "", PAPER),
    Mutant("storage below what is vouched for is not", f"{CORE}/checkup_vms.py", "            takes_in(entry, path) for", "            entry == path for", PAPER),
    Mutant("each one's own machine is a place to move to", f"{CORE}/checkup.py", "several and is_everybodys_own(host.peer_uri)", "False", PAPER),
)
