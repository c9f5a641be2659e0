"""Seven chapters, each told as it happens and checked against the libvirtd hosts themselves."""

from __future__ import annotations

import time
from datetime import datetime

from ballastd.cli.demo.telling import under_way_at, wait_for
from ballastd.demo.policies import by_day, by_night
from tests.demo.cast import Cast

BUSY = "work8"
HARD = "work6"
"""Three of them make a host hot; one by itself makes no cluster uneven, however slow the machine is."""


def overload(cast: Cast) -> None:
    """A host is overloaded by guests that burn processors: it is relieved, the load evened out, then rest."""
    cast.stage.chapter("Chapter 1", "Three guests on h1 begin to burn processors: h1 is hot")
    cast.witness.mark()
    burning = cast.witness.on("h1")[:3]
    cast.work(burning, HARD)
    hot = cast.await_or_tell(lambda: cast.load().get("h1", 0.0) > 0.8, 30.0)
    cast.stage.say(f"Load: {cast.loads_in_words()}")
    relieved = hot and cast.await_or_tell(lambda: cast.witness.moves() and cast.load().get("h1", 1.0) < 0.8, 60.0)
    wait_for(lambda: not cast.daemon.open_migrations(), 30.0)
    moved = cast.witness.moves()
    cast.claim("an overloaded host is relieved", relieved and any(name in moved for name in burning),
               ", ".join(f"{n} to {h[-1]}" for n, h in sorted(moved.items())) or "nothing moved")
    evened = cast.await_or_tell(lambda: _spread(cast) < 0.4 and cast.at_rest(), 60.0)
    cast.claim("the load is evened out, then all rests", evened, f"{cast.loads_in_words()}; nothing moved since")
    twice = [n for n, hosts in cast.witness.moves().items() if len(hosts) > 1]
    cast.claim("no guest is moved twice for it", not twice, f"{len(cast.witness.moves())} moves, twice: {twice or 'none'}")
    cast.work(burning, "idle")


def _spread(cast: Cast) -> float:
    shares = list(cast.load().values())
    return max(shares) - min(shares) if shares else 1.0


def uncorrectable(cast: Cast) -> None:
    """An uncorrectable memory error: the host is evacuated."""
    sick = cast.fullest()
    cast.stage.chapter("Chapter 2", f"An uncorrectable memory error appears in the EDAC files of {sick}")
    cast.witness.mark()
    before, wall = cast.witness.on(sick), time.time()
    cast.lab.hosts[sick].sensors.uncorrected()
    emptied = cast.await_or_tell(lambda: set(before) <= set(cast.witness.moves()) and not cast.witness.on(sick), 60.0)
    took, moved = time.time() - wall, cast.witness.moves()
    places = ", ".join(f"{n} to {h[-1]}" for n, h in sorted(moved.items()))
    cast.claim("every VM leaves the host that warned", emptied,
               f"{len(before)} guests left {sick} in {took:.1f} s: {places}")
    cast.claim("they arrive alive, and nothing lands on it",
               cast.all_beat() and not any(sick in hosts for hosts in moved.values()), "every heart beats on")
    _reaction(cast, wall, sick)
    cast.stage.quote(f"ballastctl explain {sick}", cast.daemon.ctl("explain", sick).stdout)
    wait_for(lambda: not cast.daemon.open_migrations(), 30.0)
    cast.stage.say(cast.daemon.ctl("host", "acknowledge", sick).stdout.strip())
    cast.stage.say(f"{sick} is repaired; its users start two new guests there")
    for number in (1, 2):
        name = f"{sick}-new{number}"
        cast.guests[name] = cast.lab.start_guest(sick, name, memory_mib=32, mode="1")


def _reaction(cast: Cast, wall: float, sick: str) -> None:
    heard = cast.listener.first_error_after(wall, sick)
    calls = [datetime.fromisoformat(r["timestamp"]).timestamp() for r in cast.daemon.records("migration begins")]
    first = min((at for at in calls if at >= wall), default=None)
    late = float("inf") if heard is None or first is None else first - heard
    cast.claim("the first migration begins within a second of the message", late < 1.0,
               f"{late * 1000:.0f} ms from the MQTT message to the first migration call")


def night(cast: Cast) -> str:
    """A consolidation window opens: guests are packed, a host is closed, seen to be empty, and switched off."""
    cast.stage.chapter("Chapter 3", "Night falls: the consolidation window opens")
    for host in cast.lab.hosts:
        cast.daemon.ctl("host", "confirm-wakeable", host, "--reason", "tried by hand")
    cast.witness.mark()
    cast.daemon.govern(by_night(time.time() - 60))
    cast.stage.say(cast.reload())
    shut: dict[str, bool] = {}

    def is_off() -> bool:
        for name, host in cast.lab.hosts.items():
            if name not in shut and host.is_on() and cast.power(name) == "closing" and host.is_closed():
                shut[name] = cast.lab.refuses_guests(name)
        return any(not host.is_on() for host in cast.lab.hosts.values())

    off = cast.await_or_tell(is_off, 120.0)
    dark = next((name for name, host in cast.lab.hosts.items() if not host.is_on()), "")
    seen = wait_for(lambda: cast.power(dark) == "off", 30.0)
    packed = ", ".join(f"{n} to {h[-1]}" for n, h in sorted(cast.witness.moves().items())) or "nobody had to move"
    cast.claim("guests are packed and a host is switched off", off and seen,
               f"{dark or 'no host'} is off; {packed}; load: {cast.loads_in_words()}")
    cast.claim("before that it was closed at its own libvirt hook", shut.get(dark, False),
               f"{dark}: a guest that was started there by hand was refused")
    journal = [r["kind"] for r in cast.daemon.journal() if dark and r.get("host") == dark]
    order = [kind for kind in journal if kind in ("HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff")]
    cast.claim("every step was in the journal before it was done",
               order == ["HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff"], " > ".join(order))
    cast.claim("no guest is lost", len(cast.witness.everyone()) == len(cast.guests) and cast.all_beat(),
               f"{len(cast.witness.everyone())} of {len(cast.guests)} run on {len(cast.lab.hosts) - 1} hosts")
    return dark


def morning(cast: Cast, dark: str) -> None:
    """Load rises: the host is woken and used again."""
    cast.stage.chapter("Chapter 4", f"Load rises while {dark} sleeps")
    cast.witness.mark()
    busy = sorted(cast.guests)[:9]
    begun = time.time()
    cast.work(busy, BUSY)
    on = cast.await_or_tell(lambda: dark and cast.lab.hosts[dark].is_on(), 90.0)
    cast.stage.say(f"Load: {cast.loads_in_words()}")
    awake = on and cast.await_or_tell(lambda: cast.power(dark) == "on", 60.0)
    cast.claim("rising load wakes the host", awake, f"{dark} was on again {time.time() - begun:.0f} s after the load came")
    used = cast.await_or_tell(lambda: cast.witness.on(dark), 90.0)
    cast.claim("and it is used again", used, f"{dark} runs {', '.join(cast.witness.on(dark)) or 'nothing'}")
    cast.work(busy, "idle")
    cast.daemon.govern(by_day())
    cast.stage.say(cast.reload())
    wait_for(lambda: not cast.daemon.open_migrations(), 30.0)


def killed(cast: Cast) -> None:
    """The daemon is killed with -9 in the middle of a migration: the job is adopted."""
    host = cast.fullest()
    cast.stage.chapter("Chapter 5", f"{host} warns, and ballastd is killed with -9 in the middle of a migration")
    cast.witness.mark()
    before = cast.witness.on(host)
    cast.lab.hosts[host].sensors.uncorrected()
    in_flight = wait_for(cast.witness.in_flight, 30.0, 0.02)
    flying = cast.witness.in_flight()
    cast.daemon.kill()
    cast.stage.say(f"Killed while {', '.join(flying) or 'nothing'} was in flight; starting it again")
    cast.daemon.start()
    emptied = cast.await_or_tell(lambda: set(before) <= set(cast.witness.moves()) and not cast.witness.on(host), 90.0)
    wait_for(lambda: cast.daemon.knows_everybody() and not cast.daemon.open_migrations(), 60.0)
    moved = cast.witness.moves()
    adopted = [m for m in cast.daemon.migrations() if m["adopted"]]
    cast.claim("killed with -9 while a migration ran, it adopts the running job",
               in_flight and adopted and all(m["ending"] == "completed" for m in adopted),
               f"in flight at the kill: {', '.join(flying)}; adopted: "
               + ", ".join(f"{m['vm_name']} ({m['ending']})" for m in adopted))
    cast.claim("nothing moves twice and nothing is lost",
               emptied and all(len(moved[name]) == 1 for name in before if name in moved),
               ", ".join(f"{n}: > {' > '.join(h)}" for n, h in sorted(moved.items())))
    cast.stage.say(cast.daemon.ctl("host", "acknowledge", host).stdout.strip())


def by_hand(cast: Cast) -> None:
    """An operator moves a VM by hand: it is noticed, and respected."""
    source = cast.fullest()
    others = [name for name in cast.lab.hosts if name != source]
    target = max(others, key=lambda name: (len(cast.witness.on(name)), name))
    name = cast.witness.on(source)[0]
    cast.stage.chapter("Chapter 6", f"An operator moves {name} from {source} to {target} with virsh; it works hard there")
    wait_for(lambda: not cast.daemon.open_migrations(), 30.0)
    cast.lab.migrate(cast.guests[name], target)
    wait_for(lambda: name in cast.witness.on(target) and name not in cast.witness.on(source), 10.0)
    cast.witness.mark()
    noticed = wait_for(lambda: name in [r["vm_name"] for r in cast.daemon.journal() if r["kind"] == "ForeignMoveSeen"], 20.0)
    neighbours = [other for other in cast.witness.on(target) if other != name][:2]
    cast.work([name, *neighbours], BUSY)
    hot = wait_for(lambda: cast.load().get(target, 0.0) > 0.8, 20.0)
    wait_for(cast.witness.moves, 25.0)
    stays = cast.lab.runs_on(cast.guests[name]) == target
    cast.claim("a move by hand is noticed and never undone", noticed and stays,
               f"{name} is on {target} still, though that became {'hot' if hot else 'busy'} "
               f"({cast.load().get(target, 0.0):.0%}); moved instead: {', '.join(sorted(cast.witness.moves())) or 'nobody'}")
    cast.stage.quote(f"ballastctl explain {name}", cast.daemon.ctl("explain", name).stdout)
    cast.work([name, *neighbours], "idle")
    wait_for(lambda: not cast.daemon.open_migrations(), 30.0)


def site_event(cast: Cast) -> None:
    """Many hosts warn at once: a site event, and nothing moves."""
    cast.stage.chapter("Chapter 7", "Three hosts turn hot within seconds: is it three faults, or the room?")
    cast.await_or_tell(lambda: cast.at_rest(6.0), 60.0)
    for name in ("h1", "h3", "h4"):
        cast.lab.hosts[name].sensors.hot(98.0)
    seen = wait_for(lambda: cast.daemon.posture() == "site-event", 30.0)
    cast.witness.mark()
    # the load that the chapter before left behind may be evened out until then: who is on its way arrives, once
    finishing = under_way_at("SiteEventBegun", cast.daemon.journal())
    time.sleep(15.0)
    moved = {name for name, hosts in cast.witness.moves().items() if len(hosts) > (name in finishing)}
    status = cast.daemon.ask("status") or {}
    reason = next((g["reason"] for g in status.get("gates", ()) if g["kind"] == "site-event"), "")
    cast.claim("a warning on many hosts at once is a site event: nothing moves", seen and not moved,
               f"{len(moved)} guests moved in the 15 s after it was declared, {len(finishing)} were on their way")
    cast.claim("and it says why", "hosts" in reason, reason)
