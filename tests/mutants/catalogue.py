"""All seeded faults: one-line sabotages of the real code, and which net catches each.

A net is not a net until something has been thrown into it.
"""

from __future__ import annotations

from tests.mutants.acting import ACTING
from tests.mutants.asking import ASKING
from tests.mutants.checkups import CHECKUPS
from tests.mutants.edges import EDGES
from tests.mutants.evening import EVENING
from tests.mutants.execution import EXECUTION
from tests.mutants.judging import JUDGING
from tests.mutants.measuring import MEASURING
from tests.mutants.mutant import Mutant
from tests.mutants.owners import OWNERS
from tests.mutants.planning import PLANNING
from tests.mutants.power import POWER
from tests.mutants.relieving import RELIEVING
from tests.mutants.remembering import REMEMBERING
from tests.mutants.shortcuts import SHORTCUTS
from tests.mutants.watched import WATCHED

ALL: tuple[Mutant, ...] = (*JUDGING, *PLANNING, *RELIEVING, *EVENING, *EXECUTION, *POWER, *ACTING, *REMEMBERING, *EDGES, *OWNERS,
                            *SHORTCUTS, *CHECKUPS, *ASKING, *MEASURING, *WATCHED)
