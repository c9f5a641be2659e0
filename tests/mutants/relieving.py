"""Seeded faults in relief of all hot hosts at once, in the order of its moves, and in advice about new VMs."""

from __future__ import annotations

from tests.mutants.mutant import CORE, Mutant, core, only

RELIEF = only("property", "tests/properties/test_relief.py")
RELIEVING: tuple[Mutant, ...] = (
    Mutant("a cover is dearer than it need be", f"{CORE}/covering.py",
           "    return min(enough, key=lambda one: (float(costs[list(one)].sum()), one))", "    return next(iter(enough))", RELIEF),
    Mutant("who is not needed leaves too", f"{CORE}/covering.py",
           "        if processors[rest].sum() >= excess[0] and memory[rest].sum() >= excess[1]:", "        if False:",
           only("unit", "tests/unit/core/test_covering.py")),
    Mutant("who has no room receives", f"{CORE}/relieving.py",
           "        fits = (self._room_cpu >= cpu) & (self._room_memory >= memory)", "        fits = self._room_cpu >= -1.0", RELIEF),
    Mutant("relief goes where nothing may land", f"{CORE}/relieving.py", "        takes = heat.opens & ~is_hot",
           "        takes = ~is_hot", RELIEF),
    Mutant("relief moves who may not leave", f"{CORE}/relieving.py",
           " if heat.vm_movable[vm]]", "]", RELIEF),
    Mutant("nothing is exchanged", f"{CORE}/relieving.py", "    return _exchanged(heat, doors, best)", "    return best",
           only("unit", "tests/unit/core/test_covering.py")),
    Mutant("an exchange goes where nothing may land", f"{CORE}/exchanging.py",
           "        targets = self._hosts[heat.opens & (self._hosts != host)]", "        targets = self._hosts[self._hosts != host]",
           RELIEF),
    Mutant("doors are not asked", f"{CORE}/exchanging.py", "        return target not in self._doors.shut(vm)",
           "        return True", RELIEF),
    Mutant("nobody is sent home", f"{CORE}/exchanging.py", "    search.cheapen()\n", "",
           only("unit", "tests/unit/core/test_covering.py")),
    Mutant("a move does not wait for the room that it needs", f"{CORE}/sequencing.py",
           "        self._used.setdefault(target, []).extend(credited)", "        self._used.setdefault(target, [])", RELIEF),
    Mutant("a second leg does not wait for the first", f"{CORE}/sequencing.py",
           "*([self._last[vm]] if vm in self._last else [])", "*[]", RELIEF),
    Mutant("advice forgets what is reserved", f"{CORE}/advice.py",
           "        held = self.seen.memory_used + self.seen.memory_reserved", "        held = self.seen.memory_used // 2",
           core("test_advice.py")),
    Mutant("advice takes memory that the machine has not", f"{CORE}/advice.py",
           "        return self.seen.memory_room - self.added * shape.memory",
           "        return self.seen.memory_limit - self.seen.memory_used - self.added * shape.memory", core("test_advice.py")),
    Mutant("advice offers hosts that would be hot", f"{CORE}/advice.py",
           "    if cpu is not None and cpu > edge:", "    if False:", core("test_advice.py")),
    Mutant("advice offers hosts that may not receive", f"{CORE}/advice.py", "    if not seen.target:", "    if False:",
           core("test_advice.py")),
    Mutant("advice breaks rules", f"{CORE}/advice.py",
           "        if rule.must and (why := _against(rule, room, rooms, shape)):", "        if False:", core("test_advice.py")),
    Mutant("advice takes the room of a host's failure", f"{CORE}/advice.py", "    if lost <= before:", "    if True:",
           core("test_advice.py")),
    Mutant("capacity takes the room of a host's failure", f"{CORE}/advice.py",
           "if _stranded(tried, shape) <= before else", "if True else", core("test_advice.py")),
)
