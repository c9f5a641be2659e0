"""What acts depend on, as sections: conditions, noes, budgets, windows."""

from __future__ import annotations

from ballastd.cli.formats import NOTHING, age
from ballastd.cli.live import choosing
from ballastd.cli.live.grid import Cell, Column, Row
from ballastd.cli.live.section import Section, load, words
from ballastd.cli.output import TONES
from ballastd.core.views import BudgetView, ClusterView, HostView, VerdictView, WindowView

CONDITIONS = (
    Column("CONDITION OF", 12, least=8),
    Column("SEVERITY", 8, rank=3),
    Column("PHASE", 7),
    Column("SINCE", 5, rank=1, right=True),
    Column("POLICY", 25, least=8, rank=2),
    Column("EVIDENCE", 20, least=8),
)


def conditions(view: ClusterView, rows_max: int) -> Section:
    """Return the verdicts that fire, are latched or are pending, with their evidence."""
    found = choosing.standing(view)
    return Section("condition", CONDITIONS, tuple(_verdict(view, host, verdict) for host, verdict in found[:rows_max]),
                   len(found), least=2)


def _verdict(view: ClusterView, host: HostView, verdict: VerdictView) -> Row:
    phase = "latched" if verdict.latched else verdict.phase
    return (Cell(host.name, "bold"), words(verdict.severity), Cell(phase, TONES.get(verdict.phase, "")),
            Cell(age(view.wall - verdict.since_wall)), Cell(verdict.policy), Cell(verdict.evidence or NOTHING))


NOES = (Column("NOT", 7), Column("KIND", 21, least=8), Column("COUNT", 5, rank=1, right=True),
        Column("FOR EXAMPLE", 20, least=8))


def noes(view: ClusterView, rows_max: int) -> Section:
    """Return refusals and deferrals summed by kind, each with the one that speaks for most."""
    sums = choosing.summed(view.noes)
    return Section("not", NOES, tuple(_sum(view, one) for one in sums[:rows_max]), len(sums))


def _sum(view: ClusterView, one: choosing.Sum) -> Row:
    no = one.telling
    about = no.vm_name or no.vm or no.host
    until = "" if no.until_wall is None else f" (for {age(max(0.0, no.until_wall - view.wall))})"
    sort = "cannot" if one.sort == "refusal" else "not yet"
    return (Cell(sort, "yellow"), Cell(one.kind), Cell(str(one.count)),
            Cell(f"{about}: {no.detail}{until}" if about else f"{no.detail}{until}"))


BUDGETS = (Column("BUDGET", 32, least=10), Column("USED", 10, right=True, bar=16), Column("LEFT", 5, rank=1, right=True))


def budgets(view: ClusterView, rows_max: int) -> Section:
    """Return every budget: used, whole and left."""
    return Section("budget", BUDGETS, tuple(_budget(budget) for budget in view.budgets[:rows_max]), len(view.budgets))


def _budget(budget: BudgetView) -> Row:
    used = 1.0 if budget.limit <= 0 else budget.used / budget.limit
    return (Cell(budget.name), load(used, f"{budget.used:g} of {budget.limit:g}"),
            Cell(f"{max(0.0, budget.limit - budget.used):g}"))


WINDOWS = (Column("WINDOW", 20, least=8), Column("SORT", 6, rank=1), Column("NOW", 6), Column("CHANGES", 14))


def windows(view: ClusterView, rows_max: int) -> Section:
    """Return the time windows, the next to change first."""
    ordered = sorted(view.windows, key=lambda w: (w.changes_wall is None, w.changes_wall or 0.0, w.name))
    return Section("window", WINDOWS, tuple(_window(view, window) for window in ordered[:rows_max]), len(ordered))


def _window(view: ClusterView, window: WindowView) -> Row:
    return (Cell(window.name), Cell("allows" if window.allows else "denies"),
            Cell("open" if window.open else "closed", "green" if window.open else ""), Cell(change(view, window)))


def change(view: ClusterView, window: WindowView) -> str:
    """Return what a window does next and when: ``opens in 3h``; ``-`` where that is beyond what is known."""
    if window.changes_wall is None:
        return NOTHING
    return f"{'closes' if window.open else 'opens'} in {age(max(0.0, window.changes_wall - view.wall))}"
