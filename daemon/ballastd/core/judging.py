"""Readings to verdicts, for the whole cluster at once, and no more of it than can have changed.

A host is judged anew when a report of it came in, when something of it grew stale, left a window or was silent for long
enough, when a hold ran out, and after an acknowledgement. In a step in which none of that happened nothing is computed.
The result is what judging everything anew would give; ``tests/properties/test_judging.py`` holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.columns import NEVER
from ballastd.core.conditions import Aggregate, Silence, Threshold, leaves
from ballastd.core.following import CLEAR, FIRING, NONE, PENDING, Standings, debounce, follow, holdings
from ballastd.core.inventory import DeclaredHost
from ballastd.core.ledger import Ledger
from ballastd.core.policies import HealthPolicy, PolicySet
from ballastd.core.predicates import FALSE, TRUE, Judged, Mask, Sight, judge, shown
from ballastd.core.quantities import HostName, Instant
from ballastd.core.sliding import Sliding
from ballastd.core.telemetry import Telemetry
from ballastd.core.verdicts import NAMED_MAX, Grounds, Verdicts

SLACK_SECONDS = 1e-3
"""Deadlines are sums, and sums are rounded: so long before one the exact look begins."""


class Judge:
    """Remembers verdicts, and since when each host has been silent. One telemetry, one caller."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._health: tuple[HealthPolicy, ...] = ()
        self._hosts: tuple[DeclaredHost, ...] = ()
        self._verdicts = Verdicts((), (), telemetry.columns)
        self._holdings = holdings(())
        self._sliding = Sliding()
        self._metrics: tuple[str, ...] = ()
        self._silences: tuple[float, ...] = ()
        self._rows: Ints = np.zeros(0, np.int64)
        self._seen: Ints = np.zeros(0, np.int64)
        self._unsettled: Mask = np.zeros(0, np.bool_)
        self._acknowledgements: dict[HostName, float] = {}
        self._acknowledged: Floats = np.zeros(0)
        self._anew: Mask = np.zeros(0, np.bool_)
        self._silent_since: Floats = np.zeros(0)
        self._excused: Floats = np.zeros(0)
        self._forgotten = -1
        self.reported: tuple[HostName, ...] = ()
        """The hosts of which a report came in since the judgement before the last one."""
        self._calm_until = float("inf")
        self.judged_at = Instant(0.0, 0.0)
        """When it judged last."""

    @property
    def verdicts(self) -> Verdicts:
        """The verdicts as of the last judgement."""
        return self._verdicts

    def judge(self, policies: PolicySet, hosts: tuple[DeclaredHost, ...], ledger: Ledger, now: Instant, *,
              deaf: bool = False) -> Verdicts:
        """Return the verdict of each health policy on each host in its scope. ``deaf``: nobody can be heard now."""
        if policies.health is not self._health or hosts is not self._hosts:
            self._begin_with(policies.health, hosts, now)
        self._verdicts.boot_id = now.boot_id
        self._listen(ledger, now, deaf=deaf)
        reports = self._telemetry.columns.reports[self._rows]
        reported = reports != self._seen
        anew = reported | self._unsettled | self._anew
        latched = self._latched(ledger)
        anew |= (latched & (self._verdicts.standings.phase != FIRING)).any(axis=0) if latched is not None else False
        looked = now.monotonic >= self._calm_until - SLACK_SECONDS or now.monotonic < self.judged_at.monotonic
        if looked:
            anew |= self._due(now.monotonic)
        chosen = np.flatnonzero(anew)
        if len(chosen):
            self._judge(chosen, reported[chosen], latched, now)
        if looked or len(chosen):
            self._calm_until = self._next_turn(now.monotonic)
        self._seen, self.judged_at = reports, now
        self.reported = tuple(hosts[row].name for row in np.flatnonzero(reported).tolist())
        return self._verdicts

    def acknowledge(self, host: HostName, now: Instant) -> None:
        """Forget what is latched on a host; increases before ``now`` do not count again."""
        self._acknowledgements[host] = now.monotonic
        row = self._verdicts.host_rows.get(host)
        if row is None:
            return
        self._acknowledged[row], self._anew[row] = now.monotonic, True
        which = np.zeros_like(self._verdicts.in_scope)
        which[:, row] = self._holdings.latched
        self._verdicts.forget(which)
        self._verdicts.summarize(np.array([row]))
        self._verdicts.stamps[row] += 1

    def step_clock(self, by: float) -> None:
        """The wall clock was set ``by`` so many seconds: what stands is as old as it was."""
        self._verdicts.standings.wall += by
        self._verdicts.stamps += 1

    def restart_holds(self) -> None:
        """Forget what is pending: it proves nothing now."""
        pending = self._verdicts.standings.phase == PENDING
        self._verdicts.forget(pending)
        hosts = np.flatnonzero(pending.any(axis=0))
        self._unsettled[hosts] = True
        self._verdicts.summarize(hosts)
        self._verdicts.stamps[hosts] += 1

    def wakes(self, now: float) -> Iterator[float]:
        """Yield the monotonic instant after ``now`` at which the next hold runs out, if there is any."""
        at = self._holds_end()
        if len(at := at[at > now]):
            yield float(at.min())

    def _begin_with(self, health: tuple[HealthPolicy, ...], hosts: tuple[DeclaredHost, ...], now: Instant) -> None:
        old, old_excused, old_seen = self._verdicts, self._excused, self._seen
        self._health, self._hosts = health, hosts
        self._verdicts = Verdicts(health, hosts, self._telemetry.columns)
        self._holdings = holdings(tuple(policy.condition.holding for policy in health))
        self._sliding = Sliding()
        parts = [leaf for policy in health for leaf in leaves(policy.condition.predicate)]
        self._metrics = tuple(sorted({leaf.metric for leaf in parts if isinstance(leaf, Threshold)}))
        self._telemetry.keep_levels(max((leaf.window for leaf in parts if isinstance(leaf, Threshold)
                                         and leaf.aggregate is Aggregate.MEAN), default=0.0))
        self._silences = tuple(sorted({leaf.longer_than for leaf in parts if isinstance(leaf, Silence)}))
        self._rows = self._telemetry.columns.rows(host.name for host in hosts)
        self._seen = np.zeros(len(hosts), np.int64)
        self._unsettled, self._anew = np.ones(len(hosts), np.bool_), np.zeros(len(hosts), np.bool_)
        self._acknowledged = np.array([self._acknowledgements.get(host.name, NEVER) for host in hosts], np.float64)
        self._excused = np.full(len(hosts), now.monotonic)
        self._silent_since = np.full(len(hosts), np.nan)
        known = [(row, old.host_rows[host.name]) for row, host in enumerate(hosts) if host.name in old.host_rows]
        if not known:
            return
        new_rows, old_rows = np.array(known, np.int64).T
        self._excused[new_rows], self._seen[new_rows] = old_excused[old_rows], old_seen[old_rows]
        _carry_over(old, self._verdicts, new_rows, old_rows)
        self._verdicts.summarize(np.arange(len(hosts)))

    def _listen(self, ledger: Ledger, now: Instant, *, deaf: bool) -> None:
        """Follow since when each host has been silent: whose silence is expected, or ours, is not counted against it."""
        if self._telemetry.forgotten != self._forgotten:
            self._forgotten = self._telemetry.forgotten
            self._excused[:] = now.monotonic
            self._unsettled[:] = True
        # followed even where no condition is of silence: one that is loaded later must not count what was excused
        excused = np.full(len(self._hosts), deaf)
        excused[[self._verdicts.host_rows[host] for host in sorted(ledger.standing_by())
                 if host in self._verdicts.host_rows]] = True
        self._excused[excused] = now.monotonic
        if not self._silences:
            return
        since = np.maximum(self._telemetry.columns.received[self._rows], self._excused)
        since[excused] = np.nan
        self._unsettled |= np.isnan(since) != np.isnan(self._silent_since)
        self._silent_since = since

    def _latched(self, ledger: Ledger) -> Mask | None:
        """Return which verdicts are latched in the books, by policy and host; None when none is."""
        rows, hosts = self._verdicts.policy_rows, self._verdicts.host_rows
        known = [(rows[policy], hosts[host]) for policy, host in ledger.latched if policy in rows and host in hosts]
        if not known:
            return None
        found = np.zeros_like(self._verdicts.in_scope)
        found[tuple(np.array(known, np.int64).T)] = True
        return found & self._verdicts.in_scope

    def _due(self, now: float) -> Mask:
        """Return the hosts of which something turned by the mere passing of time since the last step."""
        columns = self._telemetry.columns
        turned = np.zeros(len(columns.reports), np.bool_)
        for metric in self._metrics:
            column = columns.column(metric)
            at, row = column.at[:column.size], column.row[:column.size]
            limit = columns.age_max[row]
            turned[row[(now - at <= limit) != (self.judged_at.monotonic - at <= limit)]] = True
        turned[self._sliding.leaving(columns, now)[0]] = True
        due = turned[self._rows]
        for longer_than in self._silences:
            due |= (now - self._silent_since > longer_than) != (self.judged_at.monotonic - self._silent_since > longer_than)
        s = self._verdicts.standings
        policy, host = np.nonzero(~np.isnan(s.held))
        held = self._holdings.of(policy)
        ripe = now - s.held[policy, host] >= np.where(s.phase[policy, host] == PENDING, held.hold, held.clear_hold)
        due[host[ripe]] = True
        return due

    def _next_turn(self, now: float) -> float:
        """Return the earliest instant, rounded, at which ``_due`` may find something."""
        columns, soonest = self._telemetry.columns, self._sliding.leaving(self._telemetry.columns, now)[1]
        for metric in self._metrics:
            column = columns.column(metric)
            at = column.at[:column.size]
            limit = columns.age_max[column.row[:column.size]]
            soonest = min(soonest, float((at + limit)[now - at <= limit].min(initial=np.inf)))
        for longer_than in self._silences:
            ends = self._silent_since + longer_than
            soonest = min(soonest, float(ends[ends >= now - SLACK_SECONDS].min(initial=np.inf)))
        return min(soonest, float(self._holds_end().min(initial=np.inf)))

    def _holds_end(self) -> Floats:
        s = self._verdicts.standings
        policy, host = np.nonzero(~np.isnan(s.held))
        held = self._holdings.of(policy)
        ends: Floats = s.held[policy, host] + np.where(s.phase[policy, host] == PENDING, held.hold, held.clear_hold)
        return ends

    def _judge(self, hosts: Ints, reported: Mask, latched: Mask | None, now: Instant) -> None:
        sight = Sight(self._telemetry.columns, self._sliding, self._rows[hosts], self._acknowledged[hosts],
                      self._anew[hosts], self._silent_since[hosts], now.monotonic)
        made = [judge(policy.condition.predicate, sight) for policy in self._health]
        shape = (len(made), len(hosts))
        fires = np.array([one.fires for one in made], np.int8).reshape(shape)
        clears = np.array([one.clears for one in made], np.int8).reshape(shape)
        evident = self._note_grounds(made, hosts, sight)
        board = self._verdicts.standings
        debounce(board.recent, hosts, fires, clears, reported, self._holdings)
        # what is clear and false goes on as it is
        todo = self._verdicts.in_scope[:, hosts] & ((board.phase[:, hosts] != CLEAR) | (fires != FALSE))
        if latched is not None:
            todo |= latched[:, hosts]
        policies, places = np.nonzero(todo)
        theirs = hosts[places]
        standings = board.of(policies, theirs)
        changed = follow(standings, fires[todo], clears[todo], self._holdings.of(policies), now)
        kept = self._verdicts.evident[policies, theirs] | evident[todo]
        if latched is not None:
            forced = latched[policies, theirs] & (standings.phase != FIRING)
            self._force(standings, forced, board.of(policies, theirs), now)
            kept[forced], changed[forced] = evident[todo][forced], True
        shows = (standings.phase == PENDING) | (standings.phase == FIRING) | standings.fired_before
        board.put(policies, theirs, standings)
        self._verdicts.evident[policies, theirs] = kept & shows
        self._unsettled[:], self._anew[:] = False, False
        self._unsettled[theirs[changed]] = True
        self._verdicts.summarize(np.flatnonzero(self._unsettled))
        self._verdicts.stamps[np.unique(theirs[changed | (evident[todo] & shows)])] += 1

    @staticmethod
    def _force(standings: Standings, forced: Mask, before: Standings, now: Instant) -> None:
        """What is latched in the books fires, whatever can be read."""
        shown = (before.phase == PENDING) | (before.phase == FIRING)
        standings.became[forced] = np.where(shown, before.became, now.monotonic)[forced]
        standings.phase[forced], standings.fired_before[forced], standings.held[forced] = FIRING, False, np.nan
        standings.since[forced], standings.wall[forced] = now.monotonic, now.wall

    def _note_grounds(self, made: list[Judged], hosts: Ints, sight: Sight) -> Mask:
        """Note what the conditions that are true rest on; return for which there is anything to show."""
        evident = np.zeros((len(made), len(hosts)), np.bool_)
        for policy, root in enumerate(made):
            true = (root.fires == TRUE) & self._verdicts.in_scope[policy, hosts]
            if not true.any():
                continue
            parts = tuple(shown(root, true, sight))
            evident[policy] = np.logical_or.reduce([part.share for part in parts])
            found, where = hosts[evident[policy]], evident[policy]
            for grounds, part in zip(self._verdicts.grounds[policy], parts, strict=True):
                grounds.holds, grounds.share[found] = part.holds, part.share[where]
                grounds.slot[found], grounds.value[found] = part.slot[where], part.value[where]
                grounds.edge[found] = part.edge[where]
                if isinstance(part.leaf, Threshold) and part.leaf.at_least > 1 and part.holds:
                    assert part.compared is not None
                    self._name(grounds, part.compared.readings.slot, part.compared.readings.host, part.compared.met, hosts,
                               np.flatnonzero(part.share))
        return evident

    def _name(self, grounds: Grounds, slot: Ints, host: Ints, met: Mask, hosts: Ints, shared: Ints) -> None:
        """Note by name which subjects were counted, on each host that shares in it."""
        assert isinstance(grounds.leaf, Threshold)
        subjects = self._telemetry.columns.column(grounds.leaf.metric).subjects
        for at in shared.tolist():
            names = sorted(subjects[one] for one in slot[met & (host == at)].tolist())
            total = int(np.count_nonzero(host == at))
            grounds.subjects[int(hosts[at])] = (tuple(names[:NAMED_MAX]), len(names), total)


def _carry_over(old: Verdicts, new: Verdicts, new_rows: Ints, old_rows: Ints) -> None:
    """Give verdicts to the policies of the same names; what they rest on only where the condition is the same."""
    for row, policy in enumerate(new.policies):
        before = old.policy_rows.get(policy.name)
        if before is None:
            continue
        for name in Standings.__slots__:
            getattr(new.standings, name)[row, new_rows] = getattr(old.standings, name)[before, old_rows]
        outside = ~new.in_scope[row]
        new.standings.phase[row, outside] = NONE
        new.standings.held[row, outside], new.standings.became[row, outside] = np.nan, np.nan
        new.standings.fired_before[row, outside] = False
        new.standings.recent[row, new.standings.phase[row] == NONE] = 0
        if policy.condition != old.policies[before].condition:
            new.standings.recent[row] = 0
            continue
        new.evident[row, new_rows] = old.evident[before, old_rows] & new.in_scope[row, new_rows]
        for mine, theirs in zip(new.grounds[row], old.grounds[before], strict=True):
            mine.holds = theirs.holds
            for name in ("share", "slot", "value", "edge"):
                getattr(mine, name)[new_rows] = getattr(theirs, name)[old_rows]
            mine.subjects.update((int(one), theirs.subjects[int(was)]) for one, was in zip(new_rows, old_rows, strict=True)
                                 if int(was) in theirs.subjects)
