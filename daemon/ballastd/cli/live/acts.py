"""What is wanted, planned, under way and decided, as sections."""

from __future__ import annotations

from ballastd.cli.formats import NOTHING, age, share, size, takes
from ballastd.cli.live import choosing
from ballastd.cli.live.grid import Cell, Column, Row
from ballastd.cli.live.section import Section, words
from ballastd.core.views import ClusterView, IntentView, MigrationView, MoveView, RecentView

LEVELS = {"alarm": "bold red", "warning": "yellow"}

MIGRATIONS = (
    Column("MIGRATION", 9),
    Column("VM", 12, least=6),
    Column("FROM", 10, least=5),
    Column("TO", 10, least=5),
    Column("PHASE", 9),
    Column("COPIED", 6, right=True, bar=16),
    Column("MIB/S", 5, rank=4, right=True),
    Column("TIME", 10, rank=5, right=True),
    Column("ENDED", 8, rank=7, right=True),
    Column("POLICY", 14, least=6, rank=6),
    Column("DETAIL", 6, least=6, rank=8),
)


def migrations(view: ClusterView, rows_max: int) -> Section:
    """Return the open migrations, then the last that ended."""
    chosen = choosing.migrations(view, rows_max)
    count_open = sum(1 for m in view.migrations if m.settled_wall is None)
    return Section("migration", MIGRATIONS, tuple(_migration(view, m) for m in chosen), len(view.migrations),
                   least=max(1, min(6, count_open)))


def _migration(view: ClusterView, m: MigrationView) -> Row:
    ended = NOTHING if m.settled_wall is None else f"{age(max(0.0, view.wall - m.settled_wall))} ago"
    copied = Cell(share(m.progress), "cyan", () if m.progress is None else (m.progress,))
    overdue = m.settled_wall is None and view.wall > m.deadline_wall
    return (
        Cell(m.id, "bold"), Cell(m.vm_name or m.vm), Cell(m.source), Cell(m.target), words(m.ending or m.phase),
        copied if m.settled_wall is None else Cell(NOTHING),
        Cell(NOTHING if m.rate_mib_s is None else f"{m.rate_mib_s:.0f}"),
        Cell(f"{age(m.elapsed)} of {takes(m.predicted, ends=m.ends)}", "red" if overdue else ""), Cell(ended),
        Cell(m.policy), Cell(m.detail or NOTHING),
    )


INTENTS = (
    Column("WANTED", 8),
    Column("HOST", 12, least=8),
    Column("STATE", 11, rank=1),
    Column("LEFT", 4, rank=2, right=True),
    Column("DUE IN", 6, rank=4, right=True),
    Column("POLICY", 14, least=8, rank=3),
    Column("BECAUSE", 20, least=8, rank=5),
)


def intents(view: ClusterView, rows_max: int) -> Section:
    """Return what policies and operators want changed."""
    return Section("wanted", INTENTS, tuple(_intent(view, intent) for intent in view.intents[:rows_max]),
                   len(view.intents), least=2)


def _intent(view: ClusterView, intent: IntentView) -> Row:
    due = NOTHING if intent.deadline_wall is None else age(intent.deadline_wall - view.wall)
    because = f"{intent.because}: {intent.forecast}" if intent.forecast else intent.because
    return (Cell(intent.kind), Cell(intent.host, "bold"), words(intent.state), Cell(str(intent.vms_left)), Cell(due),
            Cell(intent.policy), Cell(because))


MOVES = (
    Column("PLANNED", 12, least=8),
    Column("FROM", 10, least=5),
    Column("TO", 10, least=5),
    Column("STATE", 8, rank=1),
    Column("MEMORY", 9, rank=2, right=True),
    Column("ABOUT", 5, rank=3, right=True),
    Column("POLICY", 14, least=6, rank=4),
    Column("BECAUSE", 20, least=8, rank=5),
)


def moves(view: ClusterView, rows_max: int) -> Section:
    """Return the moves that are planned and have not begun."""
    return Section("planned", MOVES, tuple(_move(move) for move in view.moves[:rows_max]), len(view.moves))


def _move(move: MoveView) -> Row:
    return (Cell(move.vm_name or move.vm, "bold"), Cell(move.source), Cell(move.target), Cell(move.state),
            Cell(size(move.memory)), Cell(takes(move.predicted, ends=move.ends)), Cell(move.policy), Cell(move.because))


DECISIONS = (Column("AGO", 4, right=True), Column("LEVEL", 7, rank=1), Column("DECIDED OR NOTICED", 20, least=8))


def decisions(view: ClusterView, rows_max: int) -> Section:
    """Return what was decided or noticed lately, newest first."""
    return Section("decided", DECISIONS, tuple(_decision(view, recent) for recent in view.recent[:rows_max]),
                   len(view.recent), least=2)


def _decision(view: ClusterView, recent: RecentView) -> Row:
    tone = LEVELS.get(recent.level, "")
    return (Cell(age(max(0.0, view.wall - recent.wall))), Cell(recent.level, tone), Cell(recent.text, tone))
