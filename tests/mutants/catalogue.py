"""The list: a name, a file, the text that stands there once, what replaces it, and where the nets are."""

from __future__ import annotations

from dataclasses import dataclass

CORE, KERNEL = "daemon/ballastd/core", "daemon/ballastd/kernel"
SERVICE, WIRE = "daemon/ballastd/service", "daemon/ballastd/adapters/mqtt"
JOURNAL = "daemon/ballastd/adapters/journal"
LANES = "daemon/ballastd/adapters/blocking.py"
DAMAGE, TROUBLE = "tests/unit/adapters/journal/test_damage.py", "tests/unit/adapters/journal/test_trouble.py"
BLOCKING = "tests/contracts/test_blocking.py"
LIBVIRT, SIM = "daemon/ballastd/adapters/libvirt", "daemon/ballastd/sim"
UNIT_LIBVIRT = "tests/unit/adapters/libvirt"
UNIT_CORE, UNIT_KERNEL = "tests/unit/core", "tests/unit/kernel"
NETS = {
    "unit": (UNIT_CORE, UNIT_KERNEL, "tests/unit/service"),
    "property": ("tests/properties",),
    "simulation": ("tests/simulation",),
}
"""What is tried on a mutant that names nothing of its own, cheapest first."""


@dataclass(frozen=True)
class Mutant:
    """One sabotage. ``nets``: name -> pytest paths, where the usual ones do not reach."""

    name: str
    path: str
    old: str
    new: str
    nets: tuple[tuple[str, tuple[str, ...]], ...] = ()


def _only(net: str, *paths: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ((net, paths),)


MUTANTS: tuple[Mutant, ...] = (
    Mutant("a condition fires without its hold", f"{CORE}/conditions.py",
           "    if now.monotonic - begun >= condition.hold:\n        return Verdict(Phase.FIRING, now, evidence",
           "    if True:\n        return Verdict(Phase.FIRING, now, evidence"),
    Mutant("a latched verdict clears by itself", f"{CORE}/conditions.py", "    if condition.latched:", "    if False:"),
    Mutant("firing clears at the first edge", f"{CORE}/conditions.py",
           "far = edge if condition.clear_threshold is None else base + condition.clear_threshold", "far = edge"),
    Mutant("stale telemetry is trusted", f"{CORE}/telemetry.py",
           "        if age > self._stale_after(source):\n            return None", "        if False:\n            return None"),
    Mutant("retained reports are believed", f"{CORE}/telemetry.py", "        if report.retained:", "        if False:"),
    Mutant("a replayed sequence is believed", f"{CORE}/telemetry.py",
           'return "replayed" if report.sequence < source.sequence else None', "return None"),
    Mutant("a counter that falls counts as a rise", f"{CORE}/telemetry.py",
           "total += value - previous if value >= previous else value", "total += abs(value - previous)"),
    Mutant("a rise during our absence is missed", f"{CORE}/senses.py",
           "                self.telemetry.seed_counter(host, metric, subject, value)", "                pass"),
    Mutant("memory is not looked at", f"{CORE}/constraints.py",
           "    if need <= int(trial.snapshot.hosts.room[trial.target]) - promised:", "    if True:"),
    Mutant("what a plan promised is forgotten", f"{CORE}/planning.py",
           "    draft.promised[target] = draft.promised.get(target, 0) + memory\n", ""),
    Mutant("moves in flight are not reserved", f"{CORE}/snapshot.py",
           "                held[host] += migration.memory", "                pass"),
    Mutant("a sick host is a target", f"{CORE}/standing.py", "    if health is not Health.HEALTHY:", "    if False:"),
    Mutant("a cordoned host is a target", f"{CORE}/standing.py", "    if host in ledger.cordoned:", "    if False:"),
    Mutant("a silent host is a target", f"{CORE}/standing.py",
           "    found.extend(_silence(host, telemetry, now))\n", ""),
    Mutant("pins are ignored", f"{CORE}/snapshot.py", "                for pin in record.pins)", "                for pin in ())"),
    Mutant("the failover reserve is ignored", f"{CORE}/constraints.py",
           "    if trial.reserve_waived or trial.failover_hosts == 0:", "    if True:"),
    Mutant("nothing ever freezes", f"{CORE}/gates.py", "        if len(unknown) >= freeze_at:", "        if False:"),
    Mutant("a site event is not seen", f"{CORE}/evaluation.py", "    if len(shown) > allowed:", "    if False:"),
    Mutant("no limit on moves out of a host", f"{CORE}/admission.py",
           "        if used >= limit:\n            return Deferral(kind", "        if False:\n            return Deferral(kind"),
    Mutant("a failed move is tried again at once", f"{CORE}/admission.py", "    if wall >= last.wall + pause:", "    if True:"),
    Mutant("a failed pair is tried again", f"{CORE}/constraints.py",
           "        if failure.target == trial.host and not failure.withheld:", "        if False:"),
    Mutant("an observing policy acts", f"{CORE}/admission.py",
           "    if intent.mode is not Mode.AUTO:", "    if False:"),
    Mutant("a denial does not win", f"{CORE}/admission.py",
           "        if not window.allows and (end is not None or beyond):", "        if False:"),
    Mutant("one look settles an error", f"{CORE}/reconciliation.py",
           "    return oldest - first[0] >= sight.timing.second_look", "    return True"),
    Mutant("an error is a failure", f"{CORE}/reconciliation.py",
           "    if (not clear or m.was_out_of_sight) and not _looked_twice", "    if False and not _looked_twice"),
    Mutant("no watch for a late second copy", f"{CORE}/reconciliation.py",
           "    if m.was_out_of_sight and (again is None or now.monotonic - again < sight.timing.late_copy_watch):",
           "    if False:"),
    Mutant("a running call is settled over its head", f"{CORE}/reconciliation.py",
           "    if m.called is None and not m.adopted:\n        return False", "    if False:\n        return False"),
    Mutant("two copies are not noticed", f"{CORE}/reconciliation.py", "            if record.state is VmState.RUNNING:",
           "            if False:"),
    Mutant("a duplicate freezes nobody", f"{CORE}/ledger.py",
           "    ledger.duplicates[e.vm] = e", "    pass"),
    Mutant("an order is not booked", f"{CORE}/controller.py",
           "        self._ledger = self._pending[1]\n", "        pass\n"),
    Mutant("a refused journal is no reason to stop", f"{CORE}/gates.py",
           "        if self._journal_reason is not None:", "        if False:"),
    Mutant("crashes are not counted", f"{CORE}/ledger.py", "    if ledger.running:", "    if False:"),
    Mutant("the kernel does not ask the journal", f"{KERNEL}/kernel.py",
           "        if not self._record.has_order(order.id):", "        if False:"),
    Mutant("the kernel does not look again", f"{KERNEL}/kernel.py",
           "        refusals = self._second_look(order, ends) or await self._examine(order)",
           "        refusals = await self._examine(order)"),
    Mutant("the kernel has no ceiling", f"{KERNEL}/flights.py", "            if count >= ceiling:", "            if False:"),
    Mutant("the kernel lets links fill", f"{KERNEL}/flights.py",
           "            if used + more > ceiling and (used or more > 1):", "            if False:"),
    Mutant("the kernel does not hold", f"{KERNEL}/kernel.py", "        if self._held is not None:", "        if False:"),
    Mutant("acting before the journal", f"{SERVICE}/control_loop.py",
           "            if decision.events:\n                await self._record.append(decision.revision, decision.events)",
           "            if decision.events:\n                pass"),
    Mutant("a withheld order is called a failure", f"{SERVICE}/executor.py",
           "            result, message = CallResult.WITHHELD, str(no)", "            result, message = CallResult.OK, str(no)"),
    Mutant("folding drops what only the older report said", f"{SERVICE}/inbox.py",
           "    for sample in (*older.samples, *newer.samples):", "    for sample in newer.samples:"),
    Mutant("a host may report for another", f"{WIRE}/wire.py", '    if fields.text("host") != host:', "    if False:",
           _only("unit", "tests/unit/adapters/test_wire.py")),
    Mutant("an altered record passes", f"{JOURNAL}/chain.py", "    if not is_unaltered(row):", "    if False:",
           _only("contracts", "tests/unit/adapters/journal/test_damage.py")),
    Mutant("a missing record passes", f"{JOURNAL}/chain.py", "    if row.sequence != wanted:", "    if False:",
           _only("contracts", "tests/unit/adapters/journal/test_damage.py")),
    Mutant("lost records at the end pass", f"{JOURNAL}/verification.py", "        if mark.sequence > head:",
           "        if False:", _only("contracts", "tests/unit/adapters/journal/test_damage.py")),
    Mutant("a policy may exceed a ceiling", "daemon/ballastd/documents/limits_model.py", "        if value > ceiling:",
           "        if False:", _only("unit", "tests/unit/documents/test_refusals.py")),
    Mutant("a window forgets daylight saving", "daemon/ballastd/documents/windows.py",
           "    return local.replace(tzinfo=zone, fold=0).astimezone(UTC).timestamp()",
           "    return local.replace(tzinfo=UTC).timestamp() - 3600", _only("unit", "tests/unit/documents/test_windows.py")),
    Mutant("a late refusal is believed", f"{LIBVIRT}/errors_map.py",
           "            return MigrationRefused if at_once else OutcomeUnknown", "            return MigrationRefused",
           _only("unit", UNIT_LIBVIRT)),
    Mutant("a lost connection is a failure", f"{LIBVIRT}/errors_map.py",
           "    (INTERNAL, FROM_RPC): Meaning.CONNECTION_LOST,", "    (INTERNAL, FROM_RPC): Meaning.FAILED,",
           _only("unit", UNIT_LIBVIRT)),
    Mutant("a shareable disk does not pin", f"{LIBVIRT}/pins.py",
           '    if disk.find("shareable") is not None:', "    if False:", _only("unit", UNIT_LIBVIRT)),
    Mutant("every path is vouched for", f"{LIBVIRT}/pins.py",
           "    if is_under(path, vouched):\n        return None", "    return None", _only("unit", UNIT_LIBVIRT)),
    Mutant("a vouched prefix ends inside a name", f"{LIBVIRT}/pins.py",
           'normal.startswith(top + "/")', "normal.startswith(top)", _only("unit", UNIT_LIBVIRT)),
    Mutant("a document type is read", f"{LIBVIRT}/xml_reading.py",
           "        self._parser.StartDoctypeDeclHandler = self._refuse_doctype\n", "", _only("unit", UNIT_LIBVIRT)),
    Mutant("a leftover looks like a plain pause", f"{LIBVIRT}/states.py",
           ".get(job, VmState.LEFTOVER)", ".get(job, VmState.PAUSED)", _only("unit", UNIT_LIBVIRT)),
    Mutant("a call that was left keeps its connection", f"{LIBVIRT}/connections.py",
           '                self._drop(link, "a call was left")', "                pass", _only("unit", UNIT_LIBVIRT)),
    Mutant("a hung call keeps its connection", f"{LIBVIRT}/connections.py",
           "                self._drop(link, str(error))\n", "", _only("unit", UNIT_LIBVIRT)),
    Mutant("attempts that hang are not counted", f"{LIBVIRT}/connections.py",
           "        if self._hung_attempts:", "        if False:", _only("unit", UNIT_LIBVIRT)),
    Mutant("a hung emulator is asked again", f"{LIBVIRT}/asking.py",
           "        if self._waits(uuid) or _is_occupied(domain):", "        if False:", _only("unit", UNIT_LIBVIRT)),
    Mutant("hints grow without bound", f"{LIBVIRT}/events.py",
           "            if len(self._waiting) >= self._capacity:", "            if False:", _only("unit", UNIT_LIBVIRT)),
    Mutant("a persistent guest arrives transient", f"{LIBVIRT}/migration.py", "    if persistent:", "    if False:",
           _only("lab", "tests/contracts/test_hypervisor.py::test_persistence_and_autostart_go_with_the_vm")),
    Mutant("what belongs to a job ends with its caller", f"{LIBVIRT}/hypervisor.py",
           "            await asyncio.shield(task)", "            await task",
           _only("lab", "tests/integration/test_libvirt_adapter.py::"
                 "test_a_caller_that_leaves_does_not_keep_autostart_from_coming_along")),
    Mutant("a new bandwidth counts from the start", f"{SIM}/jobs.py",
           "        self.count()\n        self._bandwidth_mib_s", "        self._bandwidth_mib_s",
           _only("unit", "tests/unit/sim")),
    Mutant("the chain does not cover what came before", f"{JOURNAL}/chain.py",
           "    if row.previous_hash != before.hash:", "    if False:", _only("unit", DAMAGE)),
    Mutant("the mark of another journal passes", f"{JOURNAL}/verification.py", "        if not self._mark_fits:",
           "        if False:", _only("unit", DAMAGE)),
    Mutant("a torn write takes both marks", f"{JOURNAL}/mark.py", "        self._next = (self._next + 1) % SLOTS\n", "",
           _only("unit", DAMAGE)),
    Mutant("a damaged journal is written to", f"{JOURNAL}/journal.py",
           "        if found.damage is None:\n            if not found.exists:",
           "        if True:\n            if not found.exists:", _only("unit", DAMAGE)),
    Mutant("an append is not one transaction", f"{JOURNAL}/sqlite.py",
           'engine = _engine(path, "rw", "BEGIN IMMEDIATE", sa.pool.StaticPool)',
           'engine = _engine(path, "rw", "SELECT 1", sa.pool.StaticPool)', _only("unit", TROUBLE)),
    Mutant("commits are not synced", f"{JOURNAL}/sqlite.py", '"synchronous=FULL"', '"synchronous=OFF"',
           _only("unit", TROUBLE)),
    Mutant("a deleted journal is written to", f"{JOURNAL}/journal.py", "            if not same:", "            if False:",
           _only("unit", TROUBLE)),
    Mutant("two daemons write one journal", f"{JOURNAL}/lock.py", "fcntl.LOCK_EX | fcntl.LOCK_NB",
           "fcntl.LOCK_SH | fcntl.LOCK_NB", _only("unit", "tests/unit/adapters/journal/test_crash.py")),
    Mutant("the cure, killed half way, forgets what came before", f"{JOURNAL}/quarantine.py",
           "    create_mark(mark, head)\n    _give_away(path.parent, mark)\n", "",
           _only("unit", "tests/unit/adapters/journal/test_cure.py")),
    Mutant("calls behind a hung one are lost", LANES, "                self._worker(lane).calls.put(waiting)",
           "                pass", _only("contracts", BLOCKING)),
    Mutant("a withdrawn call begins", LANES, "            if self._state is not _State.WAITING:\n                return True",
           "            if False:\n                return True", _only("contracts", BLOCKING)),
    Mutant("a call that was left has no deadline", LANES,
           "            if asked.withdraw():\n                asked.future.cancel()",
           "            asked.withdraw()\n            asked.future.cancel()", _only("contracts", BLOCKING)),
    Mutant("dead hosts take the journal's lane away", LANES, "(hanging and self.abandoned() >= self._abandoned_max)",
           "(self.abandoned() >= self._abandoned_max)", _only("contracts", BLOCKING)),
)
