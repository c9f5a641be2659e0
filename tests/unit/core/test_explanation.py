"""Explanations: every question about a host or a VM gets an answer, with its numbers, from the view alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.accounts import Account, Figure, Weighed
from ballastd.core.explanation import explain, subjects
from ballastd.core.quantities import GIB
from ballastd.core.statements import Explanation, SubjectKind
from ballastd.core.views import ClusterView, GateView
from tests.pictures import (
    DB,
    NOW,
    WEB_1,
    WEB_2,
    a_busy_view,
    a_host,
    a_migration,
    a_move,
    a_no,
    a_verdict,
    a_view,
    a_vm,
    an_intent,
)


def told(view: ClusterView, subject: str, kind: SubjectKind | None = None) -> Explanation:
    explanation = explain(view, subject, kind)
    assert explanation is not None
    return explanation


def section(explanation: Explanation, key: str) -> list[str]:
    found = next(part for part in explanation.sections if part.key == key)
    return [said.text for said in found.statements]


def test_a_healthy_host_is_explained_without_a_gap():
    explanation = told(a_view(), "alder")
    assert explanation.headline == "host alder: healthy, 2 VMs running"
    assert section(explanation, "target") == ["yes: nothing speaks against it, and it has room for 40.0 GiB"]
    assert section(explanation, "intents") == ["nothing: no policy and no operator asks for it"]
    assert section(explanation, "moves") == ["none planned, none running"]
    assert section(explanation, "gates") == ["nothing: the daemon is acting"]
    assert all(part.statements for part in explanation.sections)


def test_the_room_of_a_target_is_what_may_still_be_promised_there():
    full = a_host(memory_room=6 * GIB)
    assert section(told(replace(a_view(), hosts=(full,)), "alder"), "target") == [
        "yes: nothing speaks against it, and it has room for 6.0 GiB"], "something else holds memory on the machine"


@pytest.mark.parametrize(("kind", "wants"), [("relieve", "relieved"), ("even", "evened out with others"),
                                             ("repair", "put right")])
def test_a_vm_that_stays_where_some_have_to_leave_is_not_said_to_be_in_the_way(kind: str, wants: str) -> None:
    view = replace(a_view(), intents=(an_intent(kind=kind, policy="even-load"),))
    assert section(told(view, "db"), "moves") == [
        f"none, though even-load wants alder {wants} (active): it is not among those that are chosen to leave"]


def test_a_failing_host_names_each_verdict_with_evidence_and_since_when():
    said = section(told(a_busy_view(), "alder"), "health")
    assert said[0] == "failing (draining)"
    assert said[1] == ("uncorrected-memory-errors (failing) firing for 1 min 30 s, latched until somebody "
                       "acknowledges it: ecc.uncorrected of dimm0 rose by 2 in 1 h, above 0")


def test_every_reason_against_a_target_is_told():
    assert section(told(a_busy_view(), "alder"), "target") == [
        "no: host-not-healthy: failing", "no: host-draining: asked for by alice"]


def test_a_host_that_is_no_target_and_gave_no_reason_says_so():
    view = a_view(hosts=(a_host(target=False),))
    assert section(told(view, "alder"), "target") == ["no: no reason was given"]


def test_what_cannot_be_is_told_with_its_cure():
    no = a_no(sort="refusal", kind="cpu", detail="the target lacks avx", cure="give it a model that all hosts offer")
    said = section(told(a_view(noes=(no,)), "db"), "noes")
    assert said == ["cannot: db: the target lacks avx (cpu); cure: give it a model that all hosts offer"]


def test_silence_is_told_as_silence():
    said = section(told(a_busy_view(), "cedar"), "state")
    assert "its hypervisor does not answer: connection refused" in said
    assert "telemetry was last heard 2 min 5 s ago (120 reports)" in said
    assert "CPU utilization is unknown" in said
    assert "its agent is offline, its cordon hook is not confirmed" in said
    assert "labels: none" in said


@pytest.mark.parametrize(("utilization", "by_vms", "said"), [
    (0.25, 6.4, "its VMs use 6.4 of the 32 processors that they may use (20%)"),
    (0.80, 6.4, "its VMs use 6.4 of the 32 processors that they may use (20%): something else works there, too"),
    (0.10, 16.0, "its VMs use 16.0 of the 32 processors that they may use (50%): more than telemetry sees, so one of the "
                 "two is late or wrong"),
    (None, 6.4, "its VMs use 6.4 of the 32 processors that they may use (20%)"),
    (0.25, None, "how much of it its VMs use is unknown")])
def test_a_host_s_load_by_telemetry_stands_against_the_sum_of_its_vms(utilization, by_vms, said):
    view = a_view(hosts=(a_host(cpu_utilization=utilization, cpu_by_vms=by_vms),))
    assert said in section(told(view, "alder"), "state")


def test_a_host_whose_limit_is_not_known_is_not_divided_by_it():
    view = a_view(hosts=(a_host(cpu_limit=0.0, cpu_by_vms=1.0),))
    assert "its VMs use 1.0 of the 0 processors that they may use" in section(told(view, "alder"), "state")


@pytest.mark.parametrize(("limit", "carried", "said"), [
    (1000.0, 250.0, ["its VMs carry 250.0 of the 1000 MiB/s of their network (25%)"]),
    (1000.0, None, ["what all of its VMs carry over their network is unknown"]), (None, None, [])])
def test_what_its_vms_carry_is_told_of_a_host_whose_network_is_declared(limit, carried, said):
    view = a_view(hosts=(a_host(network_limit=limit, network_by_vms=carried),))
    assert [line for line in section(told(view, "alder"), "state") if "network" in line] == said


@pytest.mark.parametrize(("power", "detail", "said"), [
    ("unmanaged", "", "its power is not managed: it is never switched off"),
    ("on", "can be woken: proved 2 h ago", "its power is on: can be woken: proved 2 h ago"),
    ("off", "for 1 h 5 min: pack-at-night", "it is switched off: for 1 h 5 min: pack-at-night"),
    ("waking", "", "its power is waking")])
def test_a_host_s_power_is_told_with_its_reason(power, detail, said):
    assert said in section(told(a_view(hosts=(a_host(power=power, power_detail=detail),)), "alder"), "state")


def test_a_vm_s_load_group_and_tags_are_told():
    view = a_view(vms=(a_vm(tags=("gold", "eu"), group="shop"), a_vm("new", WEB_1, cpu=None, memory_used=None)))
    assert section(told(view, "db"), "state")[2:] == [
        "it uses 1.3 of 4 vCPUs, 3.0 GiB of 8.0 GiB of memory", "group shop, tags: gold, eu"]
    assert section(told(view, "new"), "state")[2:] == [
        "how much CPU it uses is unknown, how much memory is unknown", "group none, tags: none"]


def test_an_open_migration_says_why_this_vm_and_how_far_it_is():
    explanation = told(a_busy_view(), "41-1")
    assert (explanation.kind, explanation.id, explanation.next_change_wall) == (SubjectKind.MIGRATION, "41-1", NOW + 288)
    assert explanation.headline == "migration 41-1: web from alder to beech, running"
    assert section(explanation, "state") == ["running for 11.5 s, due in 4 min 48 s"]
    assert section(explanation, "why")[:2] == [
        "failing-hosts: alder is failing", "web has 4 vCPUs, 8.0 GiB of memory and priority 0"]
    assert section(explanation, "why")[3].startswith("evacuate (active, mode auto)")
    assert section(explanation, "outcome") == [
        "predicted: 14.2 s, with at most 357 MiB/s", "so far: 11.5 s, 62% of memory need no more copying"]
    assert section(explanation, "others") == ["cedar: host-silent: no report for 2 min 5 s"]
    assert section(explanation, "next") == ["when it ends (due in 4 min 48 s), and both hosts have shown so"]
    assert all(part.statements for part in explanation.sections)


def test_a_migration_that_is_slower_than_predicted_says_by_how_much():
    view = a_view(migrations=(a_migration(elapsed=42.6, rate_mib_s=80.4, progress=None),))
    assert section(told(view, "41-1"), "outcome")[1] == (
        "so far: 42.6 s (3.0 times the prediction), how much is copied is unknown, memory travels at 80 MiB/s")


@pytest.mark.parametrize(("elapsed", "said"), [
    (15.0, "completed after 15.0 s (as predicted)"), (35.5, "completed after 35.5 s (2.5 times the prediction)"),
    (7.1, "completed after 7.1 s (0.5 times the prediction)")])
def test_a_settled_migration_compares_what_came_out_with_what_was_predicted(elapsed, said):
    view = a_view(migrations=(a_migration(phase="settled", ending="completed", settled_wall=NOW - 60, elapsed=elapsed),))
    explanation = told(view, "41-1")
    assert explanation.headline == "migration 41-1: web from alder to beech, completed"
    assert section(explanation, "outcome")[1] == said
    assert section(explanation, "next") == ["not any more: its books are closed"]
    assert explanation.next_change_wall is None


def test_the_choice_of_a_target_is_told_with_who_came_next_and_what_spoke_against_the_others():
    known = a_view(migrations=(a_migration(runners_up=("elm (220)",), why_not=("cedar: memory: 1 GiB short",)),))
    assert section(told(known, "41-1"), "choice") == [
        "its target was beech; next best: elm (220)", "not cedar: memory: 1 GiB short"]
    alone = section(told(a_view(migrations=(a_migration(),)), "41-1"), "choice")
    assert alone == ["its target was beech; no other could take it"]


def test_an_adopted_migration_claims_no_choice_and_no_prediction():
    explanation = told(a_view(migrations=(a_migration(adopted=True),)), "41-1")
    assert "it was found under way and taken into the books" in section(explanation, "state")
    assert section(explanation, "choice") == ["beech was not chosen by this daemon's plan"]
    assert section(explanation, "outcome")[0] == "how long it would take was not predicted"


def test_hosts_that_are_no_targets_are_listed_up_to_a_limit():
    hosts = tuple(a_host(f"h{n:02}", target=False, why_not=("host-cordoned: by alice",)) for n in range(30))
    said = section(told(a_view(hosts=hosts, migrations=(a_migration(),)), "41-1"), "others")
    assert len(said) == 11
    assert said[0] == "h00: host-cordoned: by alice"
    assert said[-1] == "and 20 more hosts are no targets"


def test_a_vm_that_is_called_like_a_migration_is_told_apart_by_kind():
    view = a_view(vms=(a_vm("41-1"),), migrations=(a_migration(),))
    assert explain(view, "41-1") is None
    assert told(view, "41-1", SubjectKind.MIGRATION).id == "41-1"
    assert told(view, "41-1", SubjectKind.VM).id == DB


def test_a_host_never_heard_of_says_so():
    view = a_view(hosts=(a_host(telemetry_age=None, inventory_age=None, agent=""),))
    said = section(told(view, "alder"), "state")
    assert "its hypervisor has not been asked yet" in said
    assert "no telemetry has been heard since the start or the last reconnect" in said


def test_what_ought_to_change_has_its_policy_its_deadline_and_what_is_left():
    assert section(told(a_busy_view(), "alder"), "intents") == [
        "evacuate (active, mode auto) for 1 min 20 s, due in 30 min 0 s: failing-hosts: alder is failing; 2 VMs left"]


def test_moves_from_and_to_a_host_are_told_at_both_ends_and_settled_ones_are_not():
    for name in ("alder", "beech"):
        said = section(told(a_busy_view(), name), "moves")
        assert len(said) == 2
        assert said[0].startswith("migration 41-1: web from alder to beech, running for 11.5 s, 62% copied")
        assert said[1].startswith("planned: db from alder to beech (8.0 GiB, about 14.2 s), admitted")
    assert section(told(a_busy_view(), "cedar"), "moves") == ["none planned, none running"]


def test_a_vm_learns_why_this_target_and_who_came_next():
    said = section(told(a_busy_view(), "db"), "moves")
    assert said[1] == "its target is beech; next best: cedar (410), elm (220)"
    alone = a_view(moves=(a_move(runners_up=()),))
    assert section(told(alone, "db"), "moves")[1].endswith("no other host could take it")


def test_a_planned_move_says_its_gains_its_costs_and_what_decided():
    account = Account(
        (Figure("load taken off", 0.22, "of the host"), Figure("together", 4752.0, "host seconds")),
        (Figure("memory to copy", 8 * GIB, "B"), Figure("time on the link", 14.2, "s")),
        Weighed("beech", 900, (("memory left", 700), ("processor left", 200), ("quiet link", 0))),
        Weighed("cedar", 410, (("memory left", 410),)), "it has 490 points more")
    assert section(told(a_view(moves=(a_move(account=account),)), "db"), "moves")[1:] == [
        "gains: load taken off 22% of the host, together 1 h 19 min of a whole host's processors",
        "costs: memory to copy 8.0 GiB, time on the link 14.2 s",
        "its target is beech with 900 points (memory left 700, processor left 200); next best: cedar with 410 points "
        "(memory left 410); it has 490 points more"]


def test_a_vm_with_pins_shows_each_with_its_cure():
    view = a_view(vms=(a_vm(pins=("disk-local vda /srv/a.raw: put it on shared storage",)),))
    assert section(told(view, "db"), "pins") == ["no: disk-local vda /srv/a.raw: put it on shared storage"]
    assert section(told(a_view(), "db"), "pins") == ["yes: nothing pins it"]


def test_a_vm_nobody_wants_to_move_says_that_nobody_asks():
    assert section(told(a_view(), "db"), "moves") == [
        "none: no policy and no operator asks for alder to be emptied"]


def test_a_vm_left_behind_on_a_host_to_be_emptied_says_what_is_in_the_way():
    view = a_view(intents=(an_intent(state="held"),),
                  noes=(a_no(sort="refusal", kind="no-target", detail="2 memory (beech: 1 GiB short)"),))
    assert section(told(view, "db"), "moves") == [
        "none, though failing-hosts wants alder emptied (held): 2 memory (beech: 1 GiB short)"]
    assert section(told(view, "db"), "noes") == ["cannot: db: 2 memory (beech: 1 GiB short) (no-target)"]


def test_past_migrations_of_a_vm_are_told_newest_first_and_bounded():
    past = tuple(a_migration(id=f"{n}-1", vm=DB, phase="settled", ending="failed", settled_wall=NOW - n)
                 for n in range(9, 0, -1))
    said = section(told(a_view(migrations=past), "db"), "past")
    assert len(said) == 5
    assert said[0].startswith("1-1: alder to beech, failed 1.0 s ago")


def test_the_next_change_is_the_first_clock_to_run_out():
    explanation = told(a_busy_view(), "db")
    assert explanation.next_change_wall == NOW + 45
    assert 'in 45.0 s, when the first "not yet" above runs out' in section(explanation, "next")


def test_a_clock_that_has_run_out_announces_nothing():
    view = a_view(noes=(a_no(until_wall=NOW - 1),))
    assert told(view, "db").next_change_wall is None


def test_a_gate_without_a_clock_is_waited_for_by_its_cause():
    view = a_view(posture="paused", gates=(GateView("paused", "by alice"),))
    explanation = told(view, "alder")
    assert section(explanation, "gates") == ["paused: by alice, until its cause is gone"]
    assert section(explanation, "next") == ["when the cause of the gate paused is gone"]
    assert explanation.next_change_wall is None


def test_a_quiet_subject_may_change_at_any_step():
    assert section(told(a_view(), "db"), "next") == ["at any step, should a policy or an operator ask for a change"]


def test_an_unknown_name_has_no_explanation():
    assert explain(a_view(), "oak") is None
    assert subjects(a_view(), "oak") == ()


def test_a_name_of_two_vms_has_no_explanation_until_one_is_meant():
    assert explain(a_view(), "web") is None
    assert [one.id for one in subjects(a_view(), "web")] == [WEB_1, WEB_2]  # type: ignore[union-attr]
    assert told(a_view(), WEB_2.upper()).headline == f"VM web ({WEB_2}): running on beech"


def test_a_host_and_a_vm_of_one_name_are_told_apart_by_kind():
    view = a_view(vms=(a_vm("alder"),))
    assert explain(view, "alder") is None
    assert told(view, "alder", SubjectKind.HOST).kind is SubjectKind.HOST
    assert told(view, "alder", SubjectKind.VM).id == DB


def test_an_id_wins_over_a_vm_that_is_named_like_it():
    view = a_view(vms=(a_vm(), a_vm(DB, WEB_1)))
    assert told(view, DB).id == DB


def test_lines_are_the_headline_and_every_statement():
    explanation = told(a_busy_view(), "alder")
    lines = explanation.lines()
    assert lines[0] == explanation.headline
    said = [said.text for part in explanation.sections for said in part.statements]
    assert [line.strip() for line in lines if line.startswith("  ")] == said


def test_statements_carry_policy_and_times_for_programs():
    explanation = told(a_view(hosts=(a_host(verdicts=(a_verdict(phase="pending", latched=False),)),)), "alder")
    verdict = next(part for part in explanation.sections if part.key == "health").statements[1]
    assert (verdict.kind, verdict.policy, verdict.host, verdict.since_wall) == (
        "verdict-pending", "uncorrected-memory-errors", "alder", NOW - 90)
