"""Seeded faults in benchmarks: figures that would look better than they are."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, only

EVACUATION = only("unit", "tests/unit/test_evacuation_benchmarks.py")
LAB = only("unit", "tests/unit/test_lab_benchmarks.py")
MEASURING: tuple[Mutant, ...] = (
    Mutant("a host that was not emptied is none that had to wait", "benchmarks/hung.py",
           "return self.unanswered == 0 and max(", "return max(", LAB),
    Mutant("a burst is looked for in what the share allows", "benchmarks/evacuating.py",
           "            found = max(found, ahead - least)", "            found = ahead - least", EVACUATION),
    Mutant("what was not yet copied when somebody looked last is not counted", "benchmarks/evacuating.py",
           "[*curve, (self.left[name], totals[name])] if name in self.left else curve", "curve", EVACUATION),
    Mutant("a flood goes on saying what is old", "benchmarks/repeater.py", "            older.cancel()\n", "            pass\n", EVACUATION),
    Mutant("who may have said it twice said it once", "benchmarks/repeater.py", "self.link.connections != 1", "False", EVACUATION),
    Mutant("a meter that cannot read on has read all", "benchmarks/evacuating.py", "        one.result()", "        pass", EVACUATION),
    Mutant("what fails is tried again until it goes well", "benchmarks/on_lab.py",
           "        add(out, row | {\"failed\": str(trouble)})\n", "", LAB),
    Mutant("an older product is measured with the newer", "benchmarks/on_lab.py",
           "tuple(row.get(name) for name", "tuple(\"\" for name", LAB),
    Mutant("a way that nobody measured is as soon as the others", "benchmarks/hung.py",
           "if answered else inf for", "if answered else 0.0 for", LAB),
    Mutant("memory that grows all the time is flat", "benchmarks/steady.py",
           "median(held[-quarter:]) - median(held[:quarter])", "held[0] - held[0]", LAB),
)
