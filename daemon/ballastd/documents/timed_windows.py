"""Every window of a set with its rules: those of Window documents, those that consolidations hold themselves, and the
events of calendars that lie beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ballastd.core.policies import Window
from ballastd.documents.calendars import BadCalendar, rules_of
from ballastd.documents.consolidation_models import ConsolidationModel
from ballastd.documents.policy_models import PolicyModel
from ballastd.documents.positions import Document, Path_, dotted, read
from ballastd.documents.taken import Taken
from ballastd.documents.window_models import Schedule, WindowModel
from ballastd.documents.windows import Rule, Weekly, intervals
from ballastd.errors import ConfigurationError

RULES_MAX = 200
"""So many rules beyond weekly ones in all files together: each takes its time to be looked at."""


@dataclass(frozen=True, slots=True)
class TimedWindow:
    """A window and its rules. ``path``: where its times stand in ``document``, ``places`` where those of each rule do."""

    name: str
    allows: bool
    cancel_at_close: bool
    rules: tuple[Rule, ...]
    document: Document
    path: Path_
    places: tuple[Path_, ...]

    def where(self, path: Path_ | None = None) -> str:
        """Return ``file:line:column: key`` of its times, or of ``path``."""
        path = self.path if path is None else path
        return f"{self.document.where(path)}: {dotted(path)}"

    def compiled(self, now_wall: float) -> Window:
        """Return the window as UTC intervals from ``now_wall`` on."""
        found, horizon = intervals(self.rules, now_wall)
        return Window(self.name, self.allows, found, horizon, self.cancel_at_close, now_wall)


@dataclass(slots=True)
class TimedWindows:
    """The windows of a set, by name and in the order of their documents. ``texts``: of the calendars that were read."""

    problems: list[str]
    found: dict[str, TimedWindow] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    _rules: int = 0

    def gather(self, taken: Taken) -> None:
        """Take every window of ``taken``; add what is wrong with a calendar to the problems."""
        for document, model in taken.of(WindowModel):
            self._take(model.name, document, model, (model.key,), model.times)
        for document, packing in taken.of(ConsolidationModel):
            if packing.own_times:
                self._take(packing.window_name, document, packing, ("window",), packing.own_times)

    def _take(self, name: str, document: Document, model: PolicyModel, path: Path_, times: tuple[Schedule, ...]) -> None:
        rules: list[Rule] = []
        places: list[Path_] = []
        for i, schedule in enumerate(times):
            place = (*path, i) if (*path, i) in document.marks else path
            found = tuple(self._rules_of(schedule, document, place))
            rules.extend(found)
            places.extend([place] * len(found))
        before = self._rules
        self._rules += sum(1 for rule in rules if not isinstance(rule, Weekly))
        if before <= RULES_MAX < self._rules:
            self.problems.append(f"{document.where(path)}: {dotted(path)}: more than {RULES_MAX} rules and events in all "
                                 "files; name fewer events, or write weekly times")
        if rules and self._rules <= RULES_MAX:
            denies = isinstance(model, WindowModel) and model.allow is None
            cancels = isinstance(model, WindowModel) and model.closing == "cancel"
            self.found.setdefault(name, TimedWindow(name, not denies, cancels, tuple(rules), document, path, tuple(places)))

    def _rules_of(self, schedule: Schedule, document: Document, place: Path_) -> Iterator[Rule]:
        if schedule.ics is None:
            yield schedule.rule()
            return
        key, file = (*place, "ics"), Path(document.file).parent / schedule.ics
        where = f"{document.where(key)}: {dotted(key)}"
        try:
            yield from rules_of(self._text(file), schedule.timezone, schedule.events or ())
        except ConfigurationError as error:
            what = error.problems[0].removeprefix(str(file)).removeprefix(":")
            beside = "; it must lie beside this file" if what.strip().startswith("cannot be read") else ""
            self.problems.append(f"{where}: {schedule.ics}:{what}{beside}")
        except BadCalendar as error:
            self.problems.append(f"{where}: {schedule.ics}:{error.line}: {error}")

    def _text(self, file: Path) -> str:
        if file not in self.texts:
            self.texts[file] = read(file)
        return self.texts[file]
