"""Seeded faults in asking VMs that were moved whether they answer: who is asked, where, and what is made of it."""

from __future__ import annotations

from tests.mutants.mutant import CORE, LIBVIRT, SERVICE, UNIT_LIBVIRT, Mutant, core, only

CHECKS, ARRIVALS = core("test_arrival_checks.py"), core("test_arrivals.py")
ASKER = only("unit", "tests/unit/service/test_asking.py")
WATCHING = only("unit", "tests/unit/service/test_watching.py")
NETWORK = only("integration", "tests/integration/test_asking_network.py")
AGENTS = only("unit", f"{UNIT_LIBVIRT}/test_agent.py")
PROBE = "daemon/ballastd/adapters/asking/network.py"

ASKING: tuple[Mutant, ...] = (
    Mutant("a check cannot be read again with its port", f"{CORE}/arrival_checks.py", "    if len(check.words()) > CHECK_MAX:",
           "    if False:", CHECKS),
    Mutant("a network around loopback means loopback", f"{CORE}/arrival_checks.py",
           "        if special is not None and not any(_is_part(network, special) for network in around):", "        if False:",
           CHECKS),
    Mutant("a special address passes in another notation", f"{CORE}/arrival_checks.py",
           "special = next((one for one in _SPECIAL if", "special = next((one for one in _OURS if", CHECKS),
    Mutant("another notation means an address of our own", f"{CORE}/arrival_checks.py",
           "any(_is_part(network, one) for one in _OURS)", "any(_is_part(network, one) for one in _SPECIAL)", CHECKS),
    Mutant("an address of nobody's is asked", f"{CORE}/arrival_checks.py", "    if found.is_multicast or found.is_unspecified or",
           "    if False and", CHECKS),
    Mutant("an address of ours is asked like any other", PROBE, "        if is_own(check) and not", "        if False and not",
           NETWORK),
    Mutant("guests choose how long keys are computed", PROBE, '        self._tls.set_ciphers("ECDHE")\n', "", NETWORK),
    Mutant("guests choose a group to compute keys in", PROBE, '        self._tls.set_ecdh_curve("prime256v1")\n', "", NETWORK),
    Mutant("trouble of our own is a guest's silence", PROBE, "False if isinstance(error, _ITS_END) else None", "False", NETWORK),
    Mutant("a connection is left open", PROBE, "        writer.transport.abort()", "        pass", NETWORK),
    Mutant("every silence counts", f"{CORE}/arrivals.py", "Arrival.SILENT if answered_before else Arrival.UNPROVEN",
           "Arrival.SILENT", ARRIVALS),
    Mutant("who is asked to shut down is silent", f"{CORE}/arrivals.py", "shutdown is not None and shutdown.ending is None",
           "False", ARRIVALS),
    Mutant("who was stopped by its owner is silent", f"{CORE}/arrivals.py", "(record is None or not record.state.runs)", "False",
           ARRIVALS),
    Mutant("who went down with its host a moment ago is silent", f"{CORE}/arrivals.py",
           "            if not looked_since(m.target, heard.at):", "            if False:", ARRIVALS),
    Mutant("the host of one that is asked is looked at as seldom as any", f"{SERVICE}/watching.py",
           "        ends.update(m.target for m in ledger.arrivals.values())\n", "", WATCHING),
    Mutant("how long one was asked begins anew with each run", f"{CORE}/arrivals.py",
           "heard.at.wall - (m.settled_wall or heard.at.wall)", "heard.at.monotonic", ARRIVALS),
    Mutant("a refused step keeps until when one has time", f"{CORE}/controller.py",
           "        self._arrivals.forget_closed(self._ledger)\n        self._gatekeeper.journal_failed",
           "        self._gatekeeper.journal_failed", ARRIVALS),
    Mutant("who came by a post-copy that broke does not run", f"{CORE}/inventory.py", " or self is _POSTCOPY_FAILED", "",
           core("test_last_resorts.py")),
    Mutant("the day does not tell who is silent", f"{CORE}/summary.py", "if event.arrival is Arrival.SILENT:", "if False:",
           core("test_summary.py")),
    Mutant("who arrived before a checkpoint has no name in the day", f"{CORE}/summary.py",
           "(*books.open_migrations(), *books.arrivals.values())", "books.open_migrations()", core("test_summary.py")),
    Mutant("who arrived has no name any more", f"{CORE}/recent.py", "                self._names[event.id] += f",
           "                self._names.pop(event.id); _ = f", core("test_recent.py")),
    Mutant("a silent arrival is a good move", f"{CORE}/calibration.py", " or m.arrival is Arrival.SILENT)", ")", ARRIVALS),
    Mutant("a run that comes too late asks for ever", f"{CORE}/arrivals.py", "        if not self._had_time[m.id]:",
           "        if False:", ARRIVALS),
    Mutant("whoever arrives is asked without a bound", f"{CORE}/arrivals.py", "too_many=place >= AWAITED_MAX", "too_many=False",
           ARRIVALS),
    Mutant("all are asked at once", f"{SERVICE}/asking.py", "await turn.enter_async_context(self._turns)", "pass",
           ASKER),
    Mutant("agents of one host wait for one another within their own time", f"{SERVICE}/asking.py",
           "                    if check.check.kind is CheckKind.AGENT:", "                    if False:", ASKER),
    Mutant("an agent that could not be asked is silent", f"{SERVICE}/asking.py",
           "None if check.check.kind is CheckKind.AGENT else False", "False", ASKER),
    Mutant("one attempt that says nothing ends the asking", f"{SERVICE}/asking.py", "            if answer.answered or self._clock",
           "            if answer.answered is not False or self._clock", ASKER),
    Mutant("an attempt that could not be made takes back one that was", f"{SERVICE}/asking.py",
           "last = _that_says_more(last, ProbeAnswer(None, str(no)))", "last = ProbeAnswer(None, str(no))", ASKER),
    Mutant("what libvirt says of itself is said of the guest", f"{LIBVIRT}/agent.py",
           "trouble.lost_connection or trouble.code not in _WHY", "trouble.lost_connection", AGENTS),
    Mutant("each step asks anew", f"{SERVICE}/asking.py", "            if key not in self._asking:", "            if True:", ASKER),
    Mutant("who answered is asked for again after a restart", f"{CORE}/booking_migrations.py",
           "    del books.arrivals[e.id]\n    if e.arrival", "    if e.arrival", ARRIVALS),
)
