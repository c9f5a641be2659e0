"""Six chapters on the pretend site, each told as it happens and checked against the truth of the simulator."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ballastd.cli.client import Daemon
from ballastd.cli.demo.telling import Narrator, under_way_at, wait_for
from ballastd.core.acts import Act
from ballastd.demo.policies import by_day, by_night
from ballastd.demo.site import Site, Truth

REST_SECONDS = 8.0
"""How long nothing may move for the cluster to be at rest."""
COOL_CELSIUS, HOT_CELSIUS, CRITICAL_CELSIUS = 45.0, 98.0, 100.0
WARM = ("alder", "cedar", "elm")
"""Those that turn hot together in the last chapter."""


@dataclass
class Cast:
    """The site, the daemon behind its socket, and who tells of them."""

    teller: Narrator
    site: Site
    daemon: Daemon
    _marks: dict[str, int] = field(default_factory=dict)

    def truth(self) -> Truth:
        """Return the cluster as it is; nobody asks the daemon."""
        return self.site.truth()

    def mark(self) -> None:
        """Begin a chapter: moves are counted from here."""
        self._marks = {name: len(trail) for name, trail in self.truth().trails.items()}

    def moves(self) -> dict[str, tuple[str, ...]]:
        """Return, per VM that moved since the mark, the hosts it came to run on."""
        found = {name: trail[self._marks.get(name, 1):] for name, trail in self.truth().trails.items()}
        return {name: hosts for name, hosts in found.items() if hosts}

    def places(self) -> str:
        """Return those moves, for people."""
        return ", ".join(f"{name} to {hosts[-1]}" for name, hosts in sorted(self.moves().items())) or "nothing moved"

    def happen(self, what: str, **of: Any) -> None:
        """Have something happen to the cluster now."""
        self.site.do(Act(0.0, what, **of))

    def burn(self, vms: tuple[str, ...], processors: float) -> None:
        """Have VMs ask for processors."""
        for vm in vms:
            self.happen("burn", vm=vm, value=processors)

    def count_errors(self, host: str, errors: int) -> None:
        """Have a host count so many memory errors since it was switched on."""
        self.happen("reading", host=host, metric="ecc.uncorrected", subject="DIMM_A1", value=float(errors))

    def warm(self, celsius: float) -> None:
        """Bring the hosts that share a room to a temperature."""
        for host in WARM:
            self.happen("reading", host=host, metric="temperature", subject="cpu0", value=celsius, critical=CRITICAL_CELSIUS)

    def host(self, name: str) -> dict[str, Any]:
        """Return a host as the daemon shows it."""
        return next(dict(host) for host in self.daemon.get("hosts")["hosts"] if host["name"] == name)

    def load(self) -> dict[str, float]:
        """Return each host's processor use as the daemon hears it."""
        return {host["name"]: host["cpu_utilization"] or 0.0 for host in self.daemon.get("hosts")["hosts"]}

    def loads(self) -> str:
        """Return each host's processor use, for people."""
        return ", ".join(f"{name} {share:.0%}" for name, share in sorted(self.load().items()))

    def journal(self) -> list[dict[str, Any]]:
        """Return the newest records of the journal, the oldest first."""
        return [record["content"] for record in self.daemon.get("journal", count=300)["records"]]

    def is_still(self) -> bool:
        """Return whether no migration is open."""
        return all(migration["ending"] for migration in self.daemon.get("migrations")["migrations"])

    def at_rest(self, seconds: float = REST_SECONDS) -> bool:
        """Watch for a while whether anything moves; return whether nothing did."""
        before = self.truth().trails
        time.sleep(seconds)
        return before == self.truth().trails

    def await_or_tell(self, what: Callable[[], object], seconds: float) -> bool:
        """Wait for something; where it does not come, show what the daemon says it waits for."""
        if wait_for(what, seconds):
            return True
        self.quote("plan")
        return False

    def quote(self, *words: str) -> None:
        """Show what ``ballastctl`` says."""
        self.teller.quote(f"ballastctl {' '.join(words)}", self.ctl(*words))

    def ctl(self, *words: str) -> str:
        """Return what ``ballastctl`` prints."""
        command = [sys.executable, "-c", "from ballastd.cli.ctl import main; main()", "--socket", str(self.site.socket)]
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=60.0)
        return (done.stdout + done.stderr).strip()

    def govern(self, policies: str) -> None:
        """Write other policies, and have the daemon load them."""
        self.site.policies.write_text(policies, encoding="utf-8")
        self.teller.say(self.ctl("reload").splitlines()[0])


def overload(cast: Cast) -> None:
    """A host is overloaded: it is relieved, the load evened out, then rest."""
    busy = ("build-1", "build-2", "shop-1")
    cast.teller.chapter("Chapter 1", f"{', '.join(busy)} begin to burn processors: alder is hot")
    cast.mark()
    cast.burn(busy, 5.6)
    hot = cast.await_or_tell(lambda: cast.load()["alder"] > 0.8, 30.0)
    cast.teller.say(f"Load: {cast.loads()}")
    relieved = hot and cast.await_or_tell(lambda: cast.moves() and cast.load()["alder"] < 0.8, 60.0)
    wait_for(cast.is_still, 30.0)
    moved = cast.moves()
    cast.teller.claim("an overloaded host is relieved", relieved and any(vm in moved for vm in busy), cast.places())
    evened = cast.await_or_tell(lambda: _spread(cast) < 0.45 and cast.at_rest(), 60.0)
    cast.teller.claim("the load is evened out, then all rests", evened, f"{cast.loads()}; nothing moved since")
    twice = [vm for vm, hosts in cast.moves().items() if len(hosts) > 1]
    cast.teller.claim("no VM is moved twice for it", not twice, f"{len(cast.moves())} moves, twice: {twice or 'none'}")
    cast.burn(busy, 0.4)


def _spread(cast: Cast) -> float:
    shares = cast.load().values()
    return max(shares) - min(shares)


def uncorrectable(cast: Cast) -> None:
    """An uncorrectable memory error: the host is evacuated."""
    hosts = cast.truth().hosts
    sick = max(hosts, key=lambda name: (len(hosts[name]), name))
    cast.teller.chapter("Chapter 2", f"The memory controller of {sick} reports an uncorrectable error")
    wait_for(cast.is_still, 30.0)
    cast.mark()
    before, begun = cast.truth().hosts[sick], time.monotonic()
    cast.count_errors(sick, 1)
    began = wait_for(lambda: not cast.is_still(), 5.0, 0.02)
    late = time.monotonic() - begun
    cast.teller.claim("the first migration is under way within a second", began and late < 1.0, f"{late * 1000:.0f} ms")
    emptied = cast.await_or_tell(lambda: not cast.truth().hosts[sick] and set(before) <= set(cast.moves()), 90.0)
    cast.teller.claim("every VM leaves the host that warned", emptied,
                      f"{len(before)} VMs left {sick} in {time.monotonic() - begun:.1f} s: {cast.places()}")
    cast.teller.claim("and nothing lands on it", not any(sick in trail for trail in cast.moves().values()),
                      f"{sick} runs {', '.join(cast.truth().hosts[sick]) or 'nothing'}")
    cast.quote("explain", sick)
    wait_for(cast.is_still, 30.0)
    cast.teller.say(cast.ctl("host", "acknowledge", sick))
    cast.teller.say(f"{sick} is repaired; its users start two new VMs there")
    for number in (1, 2):
        cast.happen("start", vm=f"new-{number}", host=sick, value=4.0)


def night(cast: Cast) -> str:
    """A consolidation window opens: VMs are packed, a host is closed, seen to be empty, and switched off."""
    cast.teller.chapter("Chapter 3", "Night falls: the consolidation window opens")
    for host in sorted(cast.truth().hosts):
        cast.ctl("host", "confirm-wakeable", host, "--reason", "tried by hand")
    cast.mark()
    cast.govern(by_day() + by_night(time.time() - 60).removeprefix(by_day()))
    off = cast.await_or_tell(lambda: cast.truth().off, 150.0)
    dark = next(iter(sorted(cast.truth().off)), "")
    seen = wait_for(lambda: dark and cast.host(dark)["power"] == "off", 30.0)
    cast.teller.claim("VMs are packed and a host is switched off", off and seen,
                      f"{dark or 'no host'} is off; {cast.places()}; load: {cast.loads()}")
    steps = [record["kind"] for record in cast.journal() if record.get("host") == dark]
    order = [kind for kind in steps if kind in ("HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff")]
    cast.teller.claim("every step was in the journal before it was done",
                      order == ["HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff"], " > ".join(order))
    cast.teller.claim("no VM is lost", _running(cast) == _known(cast), f"{_running(cast)} of {_known(cast)} run")
    return dark


def _running(cast: Cast) -> int:
    return sum(len(vms) for vms in cast.truth().hosts.values())


def _known(cast: Cast) -> int:
    return len(cast.truth().trails)


def morning(cast: Cast, dark: str) -> None:
    """Load rises: the host is woken and used again."""
    cast.teller.chapter("Chapter 4", f"Everybody comes to work while {dark} sleeps")
    cast.mark()
    everybody, begun = tuple(cast.truth().trails), time.monotonic()
    cast.burn(everybody, 4.4)
    on = cast.await_or_tell(lambda: dark and dark not in cast.truth().off, 90.0)
    cast.teller.say(f"Load: {cast.loads()}")
    awake = on and cast.await_or_tell(lambda: cast.host(dark)["power"] == "on", 60.0)
    cast.teller.claim("rising load wakes the host", awake,
                      f"{dark} was on again {time.monotonic() - begun:.0f} s after the load came")
    used = cast.await_or_tell(lambda: dark and cast.truth().hosts[dark], 90.0)
    cast.teller.claim("and it is used again", used, f"{dark} runs {', '.join(cast.truth().hosts.get(dark, ()))}")
    cast.burn(everybody, 0.4)
    cast.govern(by_day())
    wait_for(cast.is_still, 30.0)


def by_hand(cast: Cast) -> None:
    """An operator moves a VM by hand: it is noticed, and respected."""
    hosts = cast.truth().hosts
    source = max(hosts, key=lambda name: (len(hosts[name]), name))
    target = max(set(hosts) - {source}, key=lambda name: (len(hosts[name]), name))
    vm = hosts[source][0]
    cast.teller.chapter("Chapter 5", f"An operator moves {vm} from {source} to {target} by hand; it works hard there")
    cast.happen("carry", vm=vm, target=target)
    arrived = wait_for(lambda: vm in cast.truth().hosts[target], 20.0)
    noticed = wait_for(lambda: vm in [r["vm_name"] for r in cast.journal() if r["kind"] == "ForeignMoveSeen"], 20.0)
    cast.mark()
    neighbours = tuple(other for other in cast.truth().hosts[target] if other != vm)
    cast.burn((vm, *neighbours), 16.0 / (len(neighbours) + 1))
    hot = wait_for(lambda: cast.load()[target] > 0.8, 20.0)
    wait_for(cast.moves, 25.0)
    stays = vm in cast.truth().hosts[target]
    cast.teller.claim("a move by hand is noticed and never undone", arrived and noticed and stays,
                      f"{vm} is on {target} still, though that became {'hot' if hot else 'busy'}; instead: {cast.places()}")
    cast.quote("explain", vm)
    cast.burn((vm, *neighbours), 0.4)
    wait_for(cast.is_still, 30.0)


def site_event(cast: Cast) -> None:
    """Many hosts warn at once: a site event, and nothing moves."""
    cast.teller.chapter("Chapter 6", f"{', '.join(WARM)} turn hot within seconds: is it three faults, or the room?")
    cast.await_or_tell(lambda: cast.at_rest(6.0), 60.0)
    cast.warm(HOT_CELSIUS)
    seen = wait_for(lambda: cast.daemon.get("status")["posture"] == "site-event", 30.0)
    cast.mark()
    # the load that the chapter before left behind may be evened out until then: who is on its way arrives, once
    finishing = under_way_at("SiteEventBegun", cast.journal())
    time.sleep(12.0)
    gates = cast.daemon.get("status")["gates"]
    reason = next((gate["reason"] for gate in gates if gate["kind"] == "site-event"), "")
    moved = {name for name, hosts in cast.moves().items() if len(hosts) > (name in finishing)}
    cast.teller.claim("a warning on many hosts at once is a site event: nothing moves", seen and not moved,
                      f"{len(moved)} VMs moved in the 12 s after it was declared, {len(finishing)} were on their way")
    cast.teller.claim("and it says why", "hosts" in reason, reason)


def the_end(cast: Cast) -> None:
    """What has to hold of the whole story."""
    cast.teller.chapter("The end", "Every VM, one last time, asked of the pretend hosts")
    truth = cast.truth()
    cast.teller.claim("all VMs run, each exactly once, at the end and at every look in between",
                      _running(cast) == _known(cast) and truth.copies_max == 1,
                      f"{_running(cast)} of {_known(cast)} running, at most {truth.copies_max} copy at {truth.looks} looks")
    cast.teller.claim("no rule was broken: independent checkers watched every act", not truth.violations,
                      "; ".join(f"{one.rule}: {one.detail}" for one in truth.violations) or "nothing to complain of")


def hand_over(cast: Cast) -> None:
    """The site is its spectator's: nothing holds the daemon back any more."""
    cast.teller.chapter("Yours", "The site goes on until Ctrl-C. In another terminal, for example:")
    cast.warm(COOL_CELSIUS)
    cast.teller.say(f"export BALLASTD_SOCKET={cast.site.socket}")
    for words in ("top", "host drain fir --reason trial", "explain fir", "vm list", "cluster save site.yaml"):
        cast.teller.say(f"ballastctl {words}")


def play(cast: Cast) -> None:
    """Play them all."""
    for host in cast.truth().hosts:
        cast.count_errors(host, 0)
    overload(cast)
    uncorrectable(cast)
    dark = night(cast)
    morning(cast, dark)
    by_hand(cast)
    site_event(cast)
    the_end(cast)
