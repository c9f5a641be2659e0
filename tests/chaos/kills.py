"""The daemon killed at every boundary of every act on real hosts, and started again; a report of what came of it.

    python -m tests.chaos.kills [--place NAME ...] [--instant before|during|after] [--times 3] [--seed SEED] [--out FILE]
    python -m tests.chaos.kills --report FILE

Each try has a daemon of its own act as the place wants, which is killed before, during or after the call that the act
comes down to (``striking``); the daemon as it is installed is started in its place at once, and has to come to rest:
it acts, nothing is open or in doubt, every guest runs once where the journal says, and what was to be done is done. Then
every effect that arrived at a libvirtd or a power switch is held against what is durable (``effects``). The seed decides
when ``during`` is, as a share of how long that call took at least when it last returned. Outcomes are appended to FILE, a
line each: the same words again, after a run that was cut off, play what is still missing there of the daemon as it is now.
Exit status 1 if anything was violated. Root; half a minute a try.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.alarms import told_in
from tests.chaos.effects import DOWN, POWER_ENDS, Effects, reckon
from tests.chaos.kept import wrong_of_kept
from tests.chaos.oracle import violations
from tests.chaos.stories import ANSWER_SECONDS, BUSY_SECONDS, STORIES, Scene, until_acting
from tests.chaos.striking import INSTANTS, PLACES, marked
from tests.demo.cluster import BIN
from tests.integration.daemon_parts import a_lab, stood, unsettled
from tests.lab import Lab, LabError
from tests.lab.guest import LabGuest
from tests.lab.lab import SHUT_OFF, Sighting
from tests.lab.network import CONTROLLER_ADDRESS
from tests.results import add, opened, product, read

DEFAULT_OUT = Path("benchmarks/results/kills.jsonl")
LOOK_SECONDS, RESTS_SECONDS = 0.3, 1.0
REPLAYED = "journal replayed"
ASKING_SECONDS = 2.0
"""Whoever has less time left to ask a guest may not come to it."""
BY_ITSELF = 1
"""libvirt's reason of a guest that is shut off because it powered off."""
NEWEST = 5
"""From so many of the newest returns it is told how long a call takes."""


@dataclass
class Outcome:
    """What became of one try. ``at``: seconds after the call began, of ``during``; ``has_returned``: whether it had returned
    by then, and ``lasted`` how long it took, seconds; ``starting``: seconds from the kill until the daemon that followed had
    read its journal; ``seconds``: from then until it was at rest; ``again``: how often a job was told
    once more what it had been told; ``most_mib_s``: what all jobs were given together at most; ``endings``: of migrations,
    shutdowns and power orders; ``product``: which daemon it was."""

    place: str
    instant: str
    seed: int
    at: float = 0.0
    is_struck: bool = False
    has_returned: bool = False
    lasted: float = 0.0
    starting: float = 0.0
    seconds: float = 0.0
    again: int = 0
    most_mib_s: int = 0
    twice: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    product: str = ""


def play(lab: Lab, place: str, instant: str, seed: int, lasts: float | None = None) -> Outcome:
    """Have the daemon act, killed where the act's boundary is, and judge what is left. ``lasts``: how long the call takes
    at least, seconds, where that is known."""
    share = Random(f"{place} {instant} {seed}").random() if instant == "during" else 0.0
    outcome = Outcome(place, instant, seed, round(share * (lasts or PLACES[place].lasts), 6))
    with stood(lab) as stand, socket.create_server((CONTROLLER_ADDRESS, 0)) as listening:
        scene = Scene(lab, stand, Effects(lab, stand.home), listening)
        try:
            _strike(scene, outcome)
            if outcome.is_struck:
                _recover(scene, outcome)
                _judge(scene, outcome)
            else:
                outcome.violations.append("the daemon did not come to that")
        except (AssertionError, LabError) as trouble:
            outcome.violations.append(f"{type(trouble).__name__}: {trouble}")
    return outcome


def _strike(scene: Scene, outcome: Outcome) -> None:
    story, mark = STORIES[outcome.place], scene.stand.home / "struck"
    daemon = scene.stand.daemon(link_mbit=story.link_mbit, **story.stage(scene))
    daemon.start((str(BIN / "python"), "-m", "tests.chaos.striking", outcome.place, outcome.instant, str(outcome.at),
                  str(mark)))
    until_acting(scene)
    story.provoke(scene)
    scene.wait(lambda: False, 2 * BUSY_SECONDS, f"the daemon comes to its {outcome.place}")
    outcome.is_struck, lasted = marked(mark)
    outcome.has_returned, outcome.lasted = lasted is not None, round(lasted or 0.0, 6)


def _recover(scene: Scene, outcome: Outcome) -> None:
    """Start the daemon as it is, as systemd would, say again what it may not have heard, and wait until it rests."""
    story, daemon, killed, calm_since = STORIES[outcome.place], scene.daemon, time.monotonic(), None
    runs = len(daemon.records(REPLAYED))
    daemon.start()
    scene.wait(lambda: len(daemon.records(REPLAYED)) > runs, BUSY_SECONDS, "it runs again")
    begun = time.monotonic()
    outcome.starting = round(begun - killed, 1)
    while scene.unanswered and scene.wait(lambda: daemon.posture() == "acting", story.seconds, "it acts again"):
        # what was durable already is refused, and that is an answer
        daemon.ctl(*scene.unanswered.pop(0))
    while (now := time.monotonic()) < begun + story.seconds + RESTS_SECONDS:
        if not _rests(scene, outcome.place):
            calm_since = None
        elif calm_since is None:
            calm_since = now
        elif now - calm_since >= RESTS_SECONDS:
            outcome.seconds = round(calm_since - begun, 1)
            return
        time.sleep(LOOK_SECONDS)
    outcome.seconds = round(time.monotonic() - begun, 1)
    raise LabError(f"not at rest within {story.seconds:.0f} s: {_why(scene)}")


def _rests(scene: Scene, place: str) -> bool:
    daemon = scene.daemon
    return (daemon.posture() == "acting" and not daemon.open_migrations() and not unsettled(scene.stand.home)
            and STORIES[place].is_over(scene))


def _why(scene: Scene) -> str:
    status = scene.daemon.ask("status") or {}
    said = [gate["reason"] for gate in status.get("gates", ())]
    closed = [name for name, host in scene.lab.hosts.items() if host.is_closed()]
    return "; ".join([scene.daemon.posture() or "no answer", *said, f"open: {unsettled(scene.stand.home)}",
                      f"closed: {closed}", *(r["kind"] for r in scene.records()[-6:])])


def _judge(scene: Scene, outcome: Outcome) -> None:
    records = scene.records()
    down = shut_down(records)
    up = [guest for guest in scene.guests if guest.name not in down]
    outcome.violations.extend(violations(scene.lab, scene.stand.home, up, {}, told_in(scene.daemon.log.read_text())))
    outcome.violations.extend(_places(scene, up, records))
    outcome.violations.extend(unanswered(records))
    moved = {r["vm_name"] for r in _completed(records)}
    shown = [(guest, scene.lab.hosts[where].virsh("dumpxml", guest.name)) for guest in scene.guests
             if guest.name in moved and (where := scene.lab.runs_on(guest)) is not None]
    for guest in scene.guests:
        if guest.name in down:
            outcome.violations.extend(_not_off(scene.lab, guest, down[guest.name]))
            shown.append((guest, scene.lab.hosts[down[guest.name]].virsh("dumpxml", guest.name)))
    outcome.violations.extend(wrong_of_kept(scene.stand.home, shown))
    found = reckon(scene.effects.seen(), records)
    outcome.again, outcome.twice, outcome.most_mib_s = found.again, found.twice, found.most_mib_s
    outcome.violations.extend(f"done though nothing durable says so: {one}" for one in found.twice)
    outcome.violations.extend(f"durable as done, and it never arrived: {one}" for one in found.unseen)
    share = STORIES[outcome.place].share_mib_s
    if found.most_mib_s > share:
        outcome.violations.append(f"jobs of one host were given {found.most_mib_s} MiB/s together, {share} is their share")
    outcome.endings = [r.get("ending") or r["kind"] for r in records if r["kind"] in (
        "MigrationSettled", "ShutdownEnded", *POWER_ENDS)]


def shut_down(records: list[dict[str, Any]]) -> dict[str, str]:
    """Return who went down by the books, by name, and on which host."""
    ended = {r["id"] for r in records if r["kind"] == "ShutdownEnded" and r["ending"] == DOWN}
    return {r["vm_name"]: r["host"] for r in records if r["kind"] == "ShutdownOrdered" and r["id"] in ended}


def _not_off(lab: Lab, guest: LabGuest, host: str) -> list[str]:
    """Return what is wrong of a guest that went down in order: it is shut off where it was, by itself, and its heart beat
    without a break until then."""
    seen, heart = lab.where(guest), lab.heartbeat(guest)
    found = [] if seen == [Sighting(host, SHUT_OFF, BY_ITSELF, 0)] else [f"{guest.name} is not just off: {seen}"]
    return [*found, *([f"the heart of {guest.name} broke {heart.breaks} times"] if heart.breaks else [])]


def _places(scene: Scene, guests: list[LabGuest], records: list[dict[str, Any]]) -> list[str]:
    """Return which guests do not run where the journal says that they ended."""
    place = scene.begun_on | {r["vm_name"]: r["target"] for r in _completed(records)}
    return [f"{guest.name} ought to run on {place[guest.name]}, and runs on {where}" for guest in guests
            if (where := scene.lab.runs_on(guest)) != place[guest.name]]


def _completed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the orders of the migrations that completed."""
    ended = {r["id"]: r["ending"] for r in records if r["kind"] == "MigrationSettled"}
    return [r for r in records if r["kind"] == "MigrationOrdered" and ended.get(r["id"]) == "completed"]


def unanswered(records: list[dict[str, Any]]) -> list[str]:
    """Return which guests are not recorded as answering that do, though a daemon was there to ask them in time."""
    settled = {r["id"]: r["wall"] for r in records if r["kind"] == "MigrationSettled"}
    found = []
    for r in records:
        if r["kind"] == "ArrivalChecked" and r["arrival"] != "answered":
            runs_since = max(s["wall"] for s in records if s["kind"] == "DaemonStarted" and s["wall"] <= r["wall"])
            if runs_since - settled[r["id"]] <= ANSWER_SECONDS - ASKING_SECONDS:
                found.append(f"the guest of {r['id']} answers, and is recorded as {r['arrival']}: {r['detail']}")
    return found


def main() -> int:
    """Kill and report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", choices=list(PLACES), action="append", help="these alone")
    parser.add_argument("--instant", choices=INSTANTS, help="this one alone")
    parser.add_argument("--times", type=int, default=3, help="how often at each boundary, with the kills that stand in FILE")
    parser.add_argument("--seed", type=int, help="the first, one more each time, whatever stands in FILE "
                        "[default: after the last of its boundary there]")
    options = opened(parser, DEFAULT_OUT, report)
    boundaries = [(place, instant) for place in options.place or PLACES
                  for instant in ([options.instant] if options.instant else INSTANTS)]
    ours = product()
    tries = (left(of(ours, read(options.out)), boundaries, options.times, 1) if options.seed is None
             else left([], boundaries, options.times, options.seed))
    if not tries:
        return report(of(ours, read(options.out)))
    with a_lab("y") as lab:
        for number, (place, instant, seed) in enumerate(tries, 1):
            outcome = play(lab, place, instant, seed, shortest(read(options.out), place))
            outcome.product = ours
            add(options.out, asdict(outcome))
            wrong = "".join(f"; VIOLATED: {one}" for one in outcome.violations)
            print(f"{number} of {len(tries)}; {place}, {instant}, seed {seed}: read its journal after "
                  f"{outcome.starting:.1f} s, at rest after {outcome.seconds:.1f} more, "
                  f"{', '.join(outcome.endings) or '-'}{wrong}", flush=True)
    return report(of(ours, read(options.out)))


def of(ours: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was tried of one daemon: how another fared says nothing of it."""
    return [row for row in rows if row.get("product") == ours]


def left(rows: list[dict[str, Any]], boundaries: list[tuple[str, str]], times: int, first: int
         ) -> list[tuple[str, str, int]]:
    """Return what is still to be tried, place, instant and seed, so that the daemon was killed at each boundary that often;
    those where it was less often come first. ``first``: the seed where there is none yet."""
    had = {one: [row for row in rows if (row["place"], row["instant"]) == one] for one in boundaries}
    kills = {one: sum(row["is_struck"] for row in some) for one, some in had.items()}
    last = {one: max((row["seed"] for row in some), default=first - 1) for one, some in had.items()}
    return [(*one, last[one] + 1 + number - kills[one]) for number in range(times)
            for one in boundaries if number >= kills[one]]


def shortest(rows: list[dict[str, Any]], place: str) -> float | None:
    """Return how long the call of a place took at least the last few times that it returned, seconds; None where it never
    did. Not of all times: one that a quiet machine once had would be that of every kill from then on."""
    return min([row["lasted"] for row in rows if row["place"] == place and row.get("lasted")][-NEWEST:], default=None)


def report(rows: list[dict[str, Any]]) -> int:
    """Print what became of all tries, by boundary; return the exit status."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["place"], row["instant"]].append(row)
    print(f"\n{'boundary':22} {'tries':>5} {'started, s':>10} {'median, s':>9} {'worst, s':>8} {'twice':>5} {'again':>5} "
          f"{'violated':>8}")
    for place in PLACES:
        for instant in INSTANTS:
            some = found.get((place, instant), [])
            if some:
                seconds = [row["seconds"] for row in some]
                print(f"{f'{place}, {instant}':22} {len(some):5} {max(row['starting'] for row in some):10.1f} "
                      f"{statistics.median(seconds):9.1f} {max(seconds):8.1f} "
                      f"{sum(len(row['twice']) for row in some):5} {sum(row['again'] for row in some):5} "
                      f"{sum(bool(row['violations']) for row in some):8}")
    violated = [row for row in rows if row["violations"]]
    during = [row for row in rows if row["instant"] == "during" and row["is_struck"]]
    inside = sum(not row["has_returned"] for row in during)
    kills = sum(row["is_struck"] for row in rows)
    print(f"{kills} kills in {len(rows)} tries, {len(violated)} violated something; of those during a call, inside {inside} "
          f"of {len(during)}")
    for row in violated:
        print(f"  {row['place']}, {row['instant']}, seed {row['seed']}: {'; '.join(row['violations'])}")
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
