"""What may happen to a pretend cluster, as values: a script is a list of these, and so is what chance comes up with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens ``at`` seconds after the beginning. ``do``: a key of ``ACTS``; which of the other fields
    count is said there. ``value``: a number in the unit of what it changes. ``seconds``: for how long, where it ends by
    itself. ``word``: one of the words that the act knows."""

    at: float
    do: str
    host: str = ""
    vm: str = ""
    target: str = ""
    metric: str = ""
    subject: str = ""
    value: float | None = None
    critical: float | None = None
    seconds: float | None = None
    word: str = ""
    high: float | None = None

    def words(self) -> str:
        """Return it as a line of a trace says it."""
        value = "" if self.value is None else f"{self.value:g}"
        seconds = "" if self.seconds is None else f"for {self.seconds:g} s"
        arrow = f"-> {self.target}" if self.target else ""
        parts = (self.do, self.host, self.vm, arrow, self.metric, self.subject, self.word, value, seconds)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class ActKind:
    """What an act does, and which fields it has to be given (``needs``) and may be given (``takes``)."""

    does: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


ACTS: dict[str, ActKind] = {
    # telemetry
    "reading": ActKind("a sensor of the host shows another value from now on", ("host", "metric", "value"),
                       ("subject", "high", "critical")),
    "silence": ActKind("the host's agent falls silent, for ever or for a while", ("host",), ("seconds",)),
    "freeze": ActKind("the host's agent repeats its last values", ("host",), ("seconds",)),
    "lag": ActKind("the host's reports are `value` seconds late", ("host", "value"), ("seconds",)),
    "jitter": ActKind("the host's reports are up to `value` seconds late at random, and overtake each other",
                      ("host", "value"), ("seconds",)),
    "lose": ActKind("the share `value` of the host's reports is lost", ("host", "value"), ("seconds",)),
    "double": ActKind("the share `value` of the host's reports comes twice", ("host", "value"), ("seconds",)),
    "garble": ActKind("the share `value` of the host's reports cannot be read", ("host", "value"), ("seconds",)),
    "skew": ActKind("the host's clock is `value` seconds ahead of ours", ("host", "value"), ("seconds",)),
    "lie": ActKind("the host's agent gives `value` for a reading, whatever is true", ("host", "metric", "value"),
                   ("subject", "seconds")),
    "deafen": ActKind("the host's agent does not shut the hook when asked", ("host",), ("seconds",)),
    "unhook": ActKind("the host's agent has no hook", ("host",), ("seconds",)),
    "restart-agent": ActKind("the host's agent starts anew, and counts its reports from one", ("host",)),
    "replay": ActKind("somebody says again what the host's agent said before; with a `value` above 0, marked as retained",
                      ("host",), ("value", "seconds")),
    "behave": ActKind("the host's agent is as it should be again", ("host",)),
    "broker-down": ActKind("the broker stops", (), ("seconds",)),
    "broker-up": ActKind("the broker is back"),
    # hosts and their networks
    "cut": ActKind("the host's network goes away, silently", ("host",), ("seconds",)),
    "hang": ActKind("the host's libvirtd takes calls and never answers", ("host",), ("seconds",)),
    "kill-libvirtd": ActKind("the host's libvirtd dies; its guests run on", ("host",), ("seconds",)),
    "lose-power": ActKind("the host and all that runs on it are gone", ("host",), ("seconds",)),
    "use-link": ActKind("others want `value` MiB/s of the link of the host, each way, from now on", ("host", "value"),
                        ("seconds",)),
    "heal": ActKind("whatever is wrong with the host is over", ("host",)),
    # VMs and strangers' hands
    "burn": ActKind("the VM asks for `value` processors from now on", ("vm", "value")),
    "dirty": ActKind("the VM dirties its memory at `value` MiB/s from now on", ("vm", "value")),
    "ignore-shutdown": ActKind("the VM's guest does not obey when it is asked to shut down", ("vm",), ("seconds",)),
    "fate": ActKind("the VM's next migration comes to what the word says (refused, fails, never-converges, split, "
                    "leftover, nowhere, error-yet-completes)", ("vm", "word")),
    "start": ActKind("somebody starts a new VM of `value` GiB on the host, unless its hook is shut",
                     ("vm", "host", "value")),
    "stop": ActKind("somebody shuts the VM down", ("vm",)),
    "halt": ActKind("somebody stops the VM's processors where it runs, and starts them again `seconds` later; of one that "
                    "is on its way a hypervisor starts them at the end", ("vm",),
                    ("seconds",)),
    "carry": ActKind("somebody moves the VM by hand, unless the target's hook is shut: in no time, or by a migration of its "
                     "own at up to `value` MiB/s", ("vm", "target"), ("value",)),
    "mute": ActKind("the VM's guest answers nobody who asks it, for ever or for a while", ("vm",), ("seconds",)),
    "isolate": ActKind("guests on the host are reached by nobody: their network is not set up right there", ("host",),
                       ("seconds",)),
    # power controllers
    "conduct": ActKind("the host's power controller behaves as the word says (honest, says-off, says-on, pretends, "
                       "ignores, never-wakes, refuses, hangs, forgets-to-answer)", ("host", "word")),
    "swap": ActKind("somebody mixes up the controllers' cables of two hosts", ("host", "target")),
    "press": ActKind("somebody presses the host's power button", ("host",)),
    # the daemon itself
    "crash": ActKind("the daemon is killed and starts again `seconds` later, 3 where it is not said", (), ("seconds",)),
    "ambush": ActKind("the daemon is killed `value` seconds after it orders the next migration, and starts again `seconds` "
                      "later, 3 where it is not said", ("value",), ("seconds",)),
    "stop-daemon": ActKind("the daemon is stopped in order and starts again `seconds` later, 3 where it is not said", (),
                           ("seconds",)),
    "fill-disk": ActKind("the journal's disk is full", (), ("seconds",)),
    "free-disk": ActKind("there is room again"),
    "slow-disk": ActKind("every write to the journal takes `value` seconds", ("value",), ("seconds",)),
    "step-clock": ActKind("the daemon's wall clock is stepped by `value` seconds", ("value",)),
    "suspend": ActKind("the daemon's machine stands still for `seconds`", ("seconds",)),
    "rival": ActKind("another daemon, called like the word, claims the cluster", ("word",), ("seconds",)),
    "no-rival": ActKind("it no longer does"),
    # people
    "operator": ActKind("an operator says the word (a verb of ballastctl) about the host", ("word",), ("host",)),
    "approve": ActKind("an operator approves everything that the policy called like the word recommends", ("word",)),
    "reject": ActKind("an operator rejects everything that the policy called like the word recommends", ("word",)),
    "promote": ActKind("an operator lets the policy called like the word act by itself again", ("word",)),
}
