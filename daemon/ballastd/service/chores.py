"""What is done once a day beside the loop: the summary, wake tests, the archiving of old records.

Decides nothing the mind does not decide.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import time

import structlog

from ballastd.core.inputs import OperatorCommand, Verb
from ballastd.core.ledger import Ledger
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.summary import Summary, summarize
from ballastd.core.views import NoView
from ballastd.errors import DefinitionNotKept, JournalError, Unreachable
from ballastd.kernel.record import Record
from ballastd.ports.keeping import Definitions
from ballastd.ports.messages import Notices
from ballastd.ports.running import Calendar, Clock, Console

log = structlog.get_logger("ballastd.chores")

DAY_SECONDS = 86400.0
NOES_MAX = 5000
LOOK_SECONDS = 60.0
SCHEDULE = "the schedule"


@dataclass(frozen=True, slots=True)
class ChoreTimes:
    """When chores are done, None: never; and for how long, seconds, records stay in the journal and in archives."""

    summary: time | None = None
    wake_test: time | None = None
    retention: time | None = None
    keep_records: float = 30 * DAY_SECONDS
    keep_archives: float = 365 * DAY_SECONDS


NO_CHORES = ChoreTimes()


class Chores:
    """Remembers what was refused, minute by minute, between two summaries."""

    def __init__(self, console: Console, record: Record, cluster: ClusterDeclaration, clock: Clock, notices: Notices,
                 ledger: Callable[[], Ledger], definitions: Definitions | None = None) -> None:
        self._console = console
        self._record = record
        self._cluster = cluster
        self._clock = clock
        self._notices = notices
        self._ledger = ledger
        self._definitions = definitions
        self._noes: Counter[str] = Counter()
        self.journal_doubted = False
        """Whether the ledger may not be what the journal once said: then nothing of it is put away."""

    def enter(self, calendar: Calendar, times: ChoreTimes) -> None:
        """Enter what is to be done into ``calendar``."""
        if times.summary is not None:
            calendar.daily("summary", times.summary, self.send_summary)
        if times.wake_test is not None:
            calendar.daily("wake-test", times.wake_test, self.test_one_wake)
        if times.retention is not None:
            calendar.daily("retention", times.retention, lambda: self.retain(times.keep_records, times.keep_archives))

    async def watch_noes(self) -> None:
        """Note once a minute what is refused or put off, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for no in self._console.noes():
                words = _words(no)
                if words in self._noes or len(self._noes) < NOES_MAX:
                    self._noes[words] += 1

    async def summary(self) -> Summary:
        """Return the summary of the last day."""
        now = self._clock.now().wall
        events = await self._record.history()
        watts = {host.name: host.idle_watts for host in self._cluster.hosts if host.idle_watts is not None}
        return summarize(events, now - DAY_SECONDS, now, watts, self._noes)

    async def send_summary(self) -> None:
        """Tell the last day to the log and to MQTT, and begin to count anew."""
        found = await self.summary()
        log.info("summary", lines=found.lines())
        self._notices.publish("daemon/summary", {**asdict(found), "lines": list(found.lines())}, retain=True)
        self._noes.clear()

    async def retain(self, keep_records: float, keep_archives: float) -> None:
        """Archive records older than ``keep_records``, from a checkpoint back; note a new checkpoint for later nights."""
        if self.journal_doubted:
            log.warning("nothing is archived: the journal is damaged", cure="ballastctl journal verify")
            return
        now = self._clock.now().wall
        try:
            archived = await self._record.retain(now - keep_records)
            answer = await self._console.command(OperatorCommand(
                f"chore-{secrets.token_hex(8)}", Verb.CHECKPOINT, "", SCHEDULE, "retention"))
            dropped = await self._record.drop_archive(now - keep_archives)
            if self._definitions is not None:
                await self._definitions.drop(now - keep_archives)
        except (JournalError, Unreachable, DefinitionNotKept) as error:
            log.error("not all that is old was put away; tomorrow it is tried again", reason=str(error))
            return
        log.info("retention", archived=archived, checkpoint=answer.accepted, dropped=dropped, message=answer.message)

    async def test_one_wake(self) -> None:
        """Have the host whose proof is oldest (or missing) switched off and on again, if it has nothing to lose."""
        host = self._most_in_need()
        if host is None:
            log.info("no wake test: every host was proved lately, or none is empty")
            return
        answer = await self._console.command(OperatorCommand(
            f"chore-{secrets.token_hex(8)}", Verb.WAKE_TEST, host, SCHEDULE, "wake test"))
        log.info("wake test", host=host, accepted=answer.accepted, message=answer.message)

    def _most_in_need(self) -> HostName | None:
        """Return an empty host whose proof is older than half its life, the oldest first."""
        view, ledger, now = self._console.view(), self._ledger(), self._clock.now().wall
        if view is None:
            return None
        empty = {host.name for host in view.hosts if host.reachable and not host.memory_used and host.power == "on"}
        empty -= {vm.host for vm in view.vms}
        proofs = sorted((ledger.wakeable.get(h.name, 0.0), h.name) for h in self._cluster.hosts
                        if h.power and h.name in empty)
        if not proofs or now - proofs[0][0] < self._cluster.timing.wake_proof / 2:
            return None
        return proofs[0][1]


def _words(no: NoView) -> str:
    about = " ".join(filter(None, (no.host, no.vm_name)))
    return f"{no.kind}{f' ({about})' if about else ''}"
