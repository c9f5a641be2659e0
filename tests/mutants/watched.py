"""Seeded faults that show in what is done to the world: checkers of the simulator catch them, knowing nothing of the mind; the
last one shows in a call that is not made again, which is no rule's business."""

from __future__ import annotations

from tests.mutants.mutant import CORE, CRASHES, KERNEL, SERVICE, Mutant, only


def watched(*stories: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return a net of some stories of the whole daemon."""
    return only("simulation", *(f"tests/simulation/test_watched.py::test_no_checker_complains[{story}]" for story in stories))


WATCHED: tuple[Mutant, ...] = (
    Mutant("orders of one step leave a host together", f"{CORE}/admission.py", "        tally.out[move.source] += 1\n", "",
           watched("three-leave-two-at-a-time")),
    Mutant("a running job is given more than its share", f"{CORE}/sharing.py",
           "TuneOrder(m.id, m.vm, m.source, m.target, given.bandwidth_mib_s, revision,",
           "TuneOrder(m.id, m.vm, m.source, m.target, given.bandwidth_mib_s + 100, revision,",
           watched("who-is-left-is-given-more")),
    Mutant("a job is told another bandwidth than is written", f"{KERNEL}/kernel.py",
           "await self._hypervisor.set_bandwidth(order.source, order.vm, order.bandwidth_mib_s)",
           "await self._hypervisor.set_bandwidth(order.source, order.vm, order.bandwidth_mib_s - 1)",
           watched("who-is-left-is-given-more")),
    Mutant("hosts do not rest after a move", f"{CORE}/admission.py",
           "        if touched is not None and wall < touched + rest:", "        if False:",
           watched("a-hot-host-rests-after-each-move")),
    Mutant("what will not fit into a window begins all the same", f"{CORE}/admission.py",
           "    if move.predicted * FIT_FACTOR > left:", "    if False:", watched("who-does-not-fit-waits")),
    Mutant("whom somebody else moves is taken for moved by us", f"{CORE}/homes.py",
           "before != host and not ours:", "before != host and False:", watched("whom-somebody-moved-stays")),
    Mutant("jobs of strangers hold no place", f"{CORE}/snapshot.py",
           "            if record.job in (JobKind.OUTGOING, JobKind.UNKNOWN) and record.state not in BROKEN:\n                out[",
           "            if False:\n                out[", watched("somebodys-jobs-hold-places")),
    Mutant("who fails in an event of the site is emptied as well", f"{CORE}/gates.py",
           "passes=begun_before & failing", "passes=failing", watched("in-an-event-only-the-first-is-emptied")),
    Mutant("nobody sees an event of the site", f"{CORE}/evaluation.py", "    if len(shown) > allowed:",
           "    if len(shown) > len(hosts):", watched("in-an-event-only-the-first-is-emptied")),
    Mutant("a rival's claim holds nothing back", f"{CORE}/gates.py", "        self._rival = name", "        pass",
           watched("a-rival-holds-everything")),
    Mutant("caution holds nothing back", f"{CORE}/gates.py",
           "caution_at = max(limits.unknown_at_least, math.ceil(limits.caution_share * total))", "caution_at = total + 1",
           watched("caution-leaves-only-failing-hosts")),
    Mutant("an abort is not told again", f"{SERVICE}/executor.py",
           "        for abort in decision.aborts:", "        for abort in ():", only("crashes", f"{CRASHES}::test_a_migration_is_called_off_without_a_crash")),
)
