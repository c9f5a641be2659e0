"""Seeded faults in evening out."""

from __future__ import annotations

from tests.mutants.mutant import CORE, Mutant, core, only

EVENLY = only("property", "tests/properties/test_evening_out.py")
BY_HAND = core("test_evening.py")
EVENING: tuple[Mutant, ...] = (
    Mutant("evening out goes where nothing may land", f"{CORE}/evening.py",
           "        return self._foremost(self._heat.opens & self._counts, _pull(tensions, -1.0))",
           "        return self._foremost(self._counts, _pull(tensions, -1.0))", EVENLY),
    Mutant("evening out fills hosts that do not count", f"{CORE}/evening.py",
           "        return self._foremost(self._heat.opens & self._counts, _pull(tensions, -1.0))",
           "        return self._foremost(self._heat.opens, _pull(tensions, -1.0))", BY_HAND),
    Mutant("evening out moves who may not leave", f"{CORE}/evening.py",
           "        return np.flatnonzero(here[self._now.at] & self._heat.vm_movable)",
           "        return np.flatnonzero(here[self._now.at])", EVENLY),
    Mutant("evening out does not ask doors", f"{CORE}/evening.py",
           "            if not self._now.passes(one.vm, one.target) or (one.other >= 0",
           "            if (one.other >= 0", BY_HAND),
    Mutant("evening out makes hosts hot", f"{CORE}/shifting.py",
           "        fits &= (cpu <= bounds.cpu[there][None, :]) & (memory <= bounds.memory[there][None, :])\n", "", EVENLY),
    Mutant("an exchange makes its first host hot", f"{CORE}/shifting.py",
           "            fits &= -memory <= bounds.memory[source][:, None]\n", "", EVENLY),
    Mutant("evening out exchanges nobody", f"{CORE}/evening.py",
           "self._step(tensions, senders) or self._exchange(tensions, senders)", "self._step(tensions, senders)", BY_HAND),
    Mutant("evening out does not look for what is cheaper", f"{CORE}/evening.py", "    search.cheapen()\n", "", BY_HAND),
    Mutant("what helps nobody is moved", f"{CORE}/evening.py",
           "replace(goal, most=max(goal.most, one))", "replace(goal, most=goal.most)", BY_HAND),
    Mutant("one thing is evened out at the price of another", f"{CORE}/evening.py", "            self._now.return_to(begun)", "            pass",
           BY_HAND),
    Mutant("a move is made however little it brings", f"{CORE}/shifting.py",
           "        allowed &= (gain >= bounds.least) | (dearer <= 0.0)\n", "", BY_HAND),
    Mutant("what is even enough is paid for", f"{CORE}/shifting.py",
           "np.maximum(one.need + delta, 0.0))", "(one.need + delta))", BY_HAND),
    Mutant("an aim is claimed that is not reached", f"{CORE}/evening.py",
           "        return self._missed(self._values()) <= 0.0", "        return True", EVENLY),
)
