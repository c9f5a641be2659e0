"""Seeded faults of what is not done again: things kept between steps too long, found out for another case, or asked too late."""

from __future__ import annotations

from tests.mutants.mutant import CORE, SERVICE, UNIT_CORE, Mutant

KEPT = (("unit", (f"{UNIT_CORE}/test_shortcuts.py",)),)
LOADS = (("property", ("tests/properties/test_loads.py", f"{UNIT_CORE}/test_shortcuts.py")),)
PACE = (("unit", ("tests/unit/service/test_pace.py",)),)
WATCHING = (("unit", ("tests/unit/service/test_watching.py", "tests/unit/service/test_executor.py")),)
COLUMNS = (("property", ("tests/properties/test_columns.py",)),)
RESERVE = (("unit", (f"{UNIT_CORE}/test_reserve.py",)), ("property", ("tests/properties/test_reserve.py",)))
TARGETS = (("unit", (f"{UNIT_CORE}/test_targets.py", f"{UNIT_CORE}/test_placement.py")),)

SHORTCUTS: tuple[Mutant, ...] = (
    # the cast, which is kept while no host shows anything else
    Mutant("the turn never counts up", f"{CORE}/senses.py", "            self.turn += 1\n", "", KEPT),
    Mutant("what a VM turned into is not looked at", f"{CORE}/inventory.py",
           "            and one.vms == other.vms)", "            and [a.vm for a in one.vms] == [b.vm for b in other.vms])", KEPT),
    Mutant("a cast is kept though a migration is open", f"{CORE}/snapshot.py",
           "(found, tuple(ledger.migrations.items()))", "(found,)", TARGETS),
    Mutant("who answers does not matter to a cast", f"{CORE}/snapshot.py",
           "(fact.declared.name, fact.turn, fact.reachable)", "(fact.declared.name, fact.turn)", KEPT),
    Mutant("the dead keep their cast", f"{CORE}/controller.py",
           "turn=None if name in draft.confirmed_dead else senses.turns.get(name),", "turn=senses.turns.get(name),", KEPT),
    # what one host's death would strand
    Mutant("the memo ignores the room", f"{CORE}/reserve.py",
           "key = hosts.room.tobytes(), hosts", 'key = b"", hosts', KEPT),
    Mutant("the memo ignores who may receive", f"{CORE}/reserve.py",
           "key = hosts.room.tobytes(), hosts.target.tobytes()", 'key = hosts.room.tobytes(), b""', KEPT),
    Mutant("who is emptied is counted on", f"{CORE}/drafting.py",
           "            draft.reserve.leave_out(self._source)\n", "            pass\n", RESERVE),
    Mutant("what was planned before anybody asked is not counted", f"{CORE}/drafting.py",
           "            for vm, row in self.moved.items():\n", "            for vm, row in ():\n", RESERVE),
    Mutant("what was planned since is not counted", f"{CORE}/drafting.py",
           "        if self._reserve is not None:\n            self._reserve.move(memory, source, target)\n", "", RESERVE),
    Mutant("a witness is believed whatever is left", f"{CORE}/reserve.py",
           "            if packing.at.get(target, 0) > max(0, left):", "            if False:", RESERVE),
    Mutant("a target's own death is not thought of", f"{CORE}/reserve.py",
           "        return None if its_own.stranded <= own else (target, own, its_own.stranded)", "        return None", RESERVE),
    Mutant("who counts on whom is forgotten", f"{CORE}/reserve.py",
           "                self._counting[row] |= {dying}\n", "                pass\n", RESERVE),
    Mutant("hosts are packed onto themselves", f"{CORE}/reserve.py", "    room[dying] = 0\n", "", RESERVE),
    Mutant("moves that are tried are made", f"{CORE}/reserve.py",
           "        return Reserve(self._room, self._sizes, self._packings, self._counting)", "        return self", RESERVE),
    Mutant("the checker believes any packing", f"{CORE}/checking.py",
           "if (why := _why_not_packed(after[row], packings[row], left, row))]", "if (why := \"\")]", RESERVE),
    Mutant("the checker takes silence for a packing", f"{CORE}/checking.py",
           "    if len(packings) != len(rows):", "    if False:", RESERVE),
    # targets
    Mutant("the shortlist takes the first without asking", f"{CORE}/drafting.py",
           "            if refusal(self._trial(row)) is None:", "            if True:", TARGETS),
    Mutant("the shortlist begins with the worst", f"{CORE}/drafting.py",
           "np.lexsort((-self._points, ", "np.lexsort((self._points, ", TARGETS),
    Mutant("a score forgets what was promised", f"{CORE}/drafting.py",
           "self.snapshot.hosts.room - self.promised\n", "self.snapshot.hosts.room\n", TARGETS),
    Mutant("the columns shut too few", f"{CORE}/constraints.py", "(need > hosts.room - promised)", "(need > hosts.room)", COLUMNS),
    Mutant("the columns shut too many", f"{CORE}/constraints.py",
           "np.maximum(0.0, shifted)", "np.abs(shifted)", COLUMNS),
    # second copies and homes
    Mutant("who comes back as it was is not compared", f"{CORE}/doubles.py",
           "        if self._single == (turn, reachable) and", "        if self._single is not None and self._single[0] == turn and",
           KEPT),
    Mutant("the first look at two copies is the last", f"{CORE}/doubles.py",
           "self._single = None if found else (turn, reachable)", "self._single = (turn, reachable)", KEPT),
    Mutant("where we moved a VM is not its home", f"{CORE}/homes.py",
           "frozenset(migration.vm for migration in ledger.migrations.values()))", "frozenset())", KEPT),
    Mutant("what the journal refused was seen all the same", f"{CORE}/homes.py",
           "if vm in seen or host not in reachable}, known\n",
           "if vm in seen or host not in reachable}, known\n        self.keep()\n", (("unit", (f"{UNIT_CORE}/test_balance.py",)),)),
    # loads and telemetry
    Mutant("a host's sum outlives a look", f"{CORE}/loads.py",
           "            self._take_in_together(list(together.values()))\n            self._summed_at = float(\"nan\")\n",
           "            self._take_in_together(list(together.values()))\n", LOADS),
    Mutant("a half-read look is a host's sum", f"{CORE}/loads.py", "known is None or known[0] is not roster:", "known is None:",
           LOADS),
    Mutant("a host's sum never ages", f"{CORE}/loads.py", "        if self._summed_at != now.monotonic:",
           "        if self._summed_at != self._summed_at:", LOADS),
    Mutant("looks of one host are taken in out of turn", f"{CORE}/loads.py",
           "            if look.host in together:", "            if False:", LOADS),
    Mutant("of two hosts that show a VM any comes first", f"{CORE}/loads.py",
           "np.bincount(slots).max() > 1:", "False:", LOADS),
    Mutant("a VM that was asked for before it was seen stays unknown", f"{CORE}/loads.py",
           "            self._asked = None\n        return known", "        return known", LOADS),
    Mutant("a slot is given out with what another VM used", f"{CORE}/consumption.py",
           "        self.mean[slot] = self.busy[slot] = self._since[slot] = np.nan\n", "", LOADS),
    Mutant("a peak is of the first day for ever", f"{CORE}/consumption.py",
           "self._profiles[slots] % PROFILE_POINTS]", "np.minimum(self._profiles[slots], PROFILE_POINTS - 1)]", LOADS),
    Mutant("points outlive their window", f"{CORE}/consumption.py", "            if not old.any():", "            if True:", LOADS),
    Mutant("a verdict is shown as it was first found", f"{CORE}/verdicts.py", "known is None or known[0] != stamp:",
           "known is None:", (("property", ("tests/properties/test_judging.py",)),)),
    Mutant("a new sensor is not noticed", f"{CORE}/telemetry.py", "        if count != len(series):", "        if count < 0:", KEPT),
    # when to look, ask and step
    Mutant("power is not asked soon after an order", f"{SERVICE}/executor.py",
           "        self._watch_power(order.host)\n", "", WATCHING),
    Mutant("a hint is no reason to look", f"{SERVICE}/watching.py", "        await wake.wait()", "        await asyncio.sleep(seconds)",
           WATCHING),
    Mutant("a turn that was cut short rings later", f"{SERVICE}/watching.py", "        timer.cancel()", "        pass", WATCHING),
    Mutant("hints drive looks without end", f"{SERVICE}/watching.py", "            if too_soon > 0:", "            if False:", WATCHING),
    Mutant("what is under way waits as long as a quiet night", f"{SERVICE}/control_loop.py",
           "if under_way or self._is_held_up()", "if self._is_held_up()", PACE),
    Mutant("what is held up waits as long as a quiet night", f"{SERVICE}/control_loop.py",
           "if under_way or self._is_held_up()", "if under_way", PACE),
)
