"""ballastctl against a daemon made of paper, over a real socket: what is printed, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from ballastd.cli.ctl import main
from ballastd.core.quantities import VmId
from ballastd.core.views import DemotionView, PairView, RejectionView
from ballastd.ports.keeping import KeptDefinition
from tests.pictures import DB, NOW, WEB_1, WEB_2, a_host, a_migration, a_no, a_recommendation, a_view, a_vm

CODES = re.compile(r"\x1b\[")
LISTS = ("host list", "vm list", "migration list", "journal show", "journal")


def commands(group: click.Group = main, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [before]
    for name, command in sorted(group.commands.items()):
        here = (*before, name)
        found.extend(commands(command, here) if isinstance(command, click.Group) else [here])
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    is_verb = not isinstance(_find(command), click.Group)
    assert "Example" in result.output or not is_verb, f"{command} teaches by no example"


def _find(command):
    here = main
    for name in command:
        here = here.commands[name]
    return here


@pytest.mark.parametrize("line", [*LISTS, "status", "plan", "host show alder", "migration show 41-1",
                                  "explain alder", f"explain {DB}", "vm show db", "explain 41-1"])
def test_json_and_yaml_are_the_same_and_can_be_read_back(desk, line):
    group, *rest = line.split()
    line = "journal show" if line == "journal" else " ".join((group, *rest))
    as_json = desk.run(f"{line} -o json")
    as_yaml = desk.run(f"{line} -o yaml")
    assert (as_json.exit_code, as_yaml.exit_code) == (0, 0)
    assert json.loads(as_json.stdout) == YAML(typ="safe").load(StringIO(as_yaml.stdout))


@pytest.mark.parametrize("line", [*LISTS, "status", "plan", "explain alder", "host show alder", "host list -o wide",
                                  "status -o wide"])
def test_no_colour_codes_go_into_a_pipe(desk, line):
    result = desk.run(line)
    assert result.exit_code == 0, result.output
    assert not CODES.search(result.output)


def test_a_terminal_gets_colours_unless_it_does_not_want_them(desk, monkeypatch):
    assert CODES.search(desk.run("status", color=True).output)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not CODES.search(desk.run("status", color=True).output)


def test_columns_line_up_with_sizes_and_ages_for_people(desk):
    header, alder, _, cedar = desk.run("host list").stdout.splitlines()
    assert header.split() == ["NAME", "HEALTH", "MARKS", "TARGET", "VMS", "MEMORY", "CPU", "OUT/IN", "SEEN", "HEARD"]
    assert alder.split()[:4] == ["alder", "failing", "draining", "no"]
    assert "20.0 GiB of 60.0 GiB" in alder
    assert cedar.endswith("unreachable     2m")
    assert header.index("TARGET") == alder.index("no ")


def test_json_carries_bytes_and_seconds_as_they_are(desk):
    alder = json.loads(desk.run("host list -o json").stdout)[0]
    assert (alder["memory_limit"], alder["telemetry_age"]) == (60 << 30, 7.0)


def test_names_come_one_a_line(desk):
    assert desk.run("host list -o name").stdout == "alder\nbeech\ncedar\n"
    assert desk.run("vm list -o name").stdout.splitlines() == [DB, WEB_1, WEB_2]
    assert desk.run("migration list -o name --open").stdout == "41-1\n"
    assert desk.run("status -o name").stdout == "acting\n"


def test_loads_tags_and_power_are_shown(desk):
    host = a_host(power="emptying", power_detail="for 5 s: pack: h2 holds all")
    desk.console.shown = replace(a_view(hosts=(host,), vms=(
        a_vm(tags=("gold", "eu"), group="shop"), a_vm("new", WEB_1, cpu=None, memory_used=None))), wall=time.time())
    wide = desk.run("host list -o wide").stdout
    assert "6.5 of 32" in wide
    assert "emptying" in wide
    shown = desk.run("host show alder").stdout
    assert "CPU          25% by telemetry; its VMs use 6.5 of 32 processors" in shown
    assert "power        emptying: for 5 s: pack: h2 holds all" in shown
    db, new = desk.run("vm list -o wide").stdout.splitlines()[1:]
    assert "1.3 of 4  3.0 GiB  8.0 GiB" in db
    assert "shop   gold,eu" in db
    assert "  - of 4        -  8.0 GiB" in new
    shown = desk.run("vm show db").stdout
    assert "CPU        1.3 of 4 vCPUs, averaged" in shown
    assert "memory     3.0 GiB used of 8.0 GiB at most" in shown
    assert "tags       gold, eu" in shown


def test_what_the_vms_of_a_host_carry_is_shown(desk):
    hosts = (a_host(network_limit=1000.0, network_by_vms=430.0), a_host("beech", network_limit=1000.0), a_host("cedar"),
             a_host("elder", network_limit=1000.0, network_least=900.0))
    desk.console.shown = replace(a_view(hosts=hosts), wall=time.time())
    header, *rows = desk.run("host list -o wide").stdout.splitlines()
    column = header.index("VMS' NETWORK") + len("VMS' NETWORK")
    assert [row[:column].split()[-1] for row in rows] == ["43%", "-", "-", "-"]
    assert "network      its VMs use 430.0 of 1000 MiB/s (43%)" in desk.run("host show alder").stdout
    assert "network      what all of its VMs use of 1000 MiB/s is unknown" in desk.run("host show beech").stdout
    assert "1000 MiB/s is unknown, at least 900.0" in desk.run("host show elder").stdout
    assert "network      not declared what it carries (network_speed)" in desk.run("host show cedar").stdout


def test_what_a_vm_was_defined_as_is_printed_as_it_was_kept(desk):
    desk.console.definitions[VmId(DB)] = KeptDefinition(VmId(DB), 1000.0, "<domain>\n  <name>db</name>\n</domain>\n")
    for name in ("db", DB, DB.upper()):
        assert desk.run(f"vm definition {name}").stdout == "<domain>\n  <name>db</name>\n</domain>\n"
    never_moved = desk.run("vm definition new")
    assert never_moved.exit_code == 1
    assert "definition" in never_moved.stderr
    assert desk.run("vm definition web").exit_code == 1, "two have that name"


def test_two_vms_of_one_name_that_are_gone_are_told_apart_by_their_ids(desk):
    moved = (a_migration(id="41-1", vm=WEB_1), a_migration(id="42-1", vm=WEB_2))
    desk.console.shown = replace(a_view(vms=(a_vm("web", WEB_1),), migrations=moved), wall=time.time())
    refused = desk.run("vm definition web")
    assert refused.exit_code == 1
    assert f"'web' is 2 things: VM {WEB_1} on alder, VM {WEB_2}, which is gone" in " ".join(refused.stderr.split())
    desk.console.definitions[VmId(WEB_2)] = KeptDefinition(VmId(WEB_2), 1000.0, "<domain/>")
    assert desk.run(f"vm definition {WEB_2}").stdout == "<domain/>"


def test_a_vm_whose_name_two_have_is_asked_for_by_id(desk):
    refused = desk.run("vm show web")
    assert refused.exit_code == 1
    assert "ask by id" in refused.stderr
    assert desk.run(f"vm show {WEB_2} -o name").stdout == f"{WEB_2}\n"


def test_whether_a_vm_answers_after_its_move_is_shown(desk):
    assert "answers" not in desk.run("migration show 41-1").stdout
    asked = a_migration(phase="settled", ending="completed", settled_wall=NOW, check="tcp://10.0.0.7:22",
                        answered_before=True, arrival="silent", arrival_detail="no answer within 3 s", arrival_seconds=58.0)
    desk.console.shown = replace(a_view(migrations=(asked,), vms=(
        a_vm(check="tcp://10.0.0.7:22"), a_vm("web", WEB_1, check_flaw="no"))), wall=time.time())
    shown = " ".join(desk.run("migration show 41-1").stdout.split())
    assert "answers silent after 58 s, no answer within 3 s (before: yes; tcp://10.0.0.7:22)" in shown
    assert "silent" in desk.run("migration list -o wide").stdout
    assert "does not answer, which counts against its hosts" in desk.run("explain 41-1").stdout
    assert " check tcp://10.0.0.7:22 " in " ".join(desk.run("vm show db").stdout.split())
    assert " check not asked: no " in " ".join(desk.run("vm show web").stdout.split())


def test_a_migration_shows_how_fast_its_memory_travels(desk):
    desk.console.shown = replace(a_view(migrations=(a_migration(rate_mib_s=344.4),)), wall=time.time())
    header, row = desk.run("migration list").stdout.splitlines()
    assert row[:header.index("MIB/S") + 5].endswith("  344")
    assert "bandwidth   344 of 357 MiB/s" in desk.run("migration show 41-1").stdout


def test_a_migration_shows_to_whom_it_gives_way(desk):
    assert "gives way" not in desk.run("migration show 41-1").stdout
    giving = a_migration(gives_way="others use 600 of 1000 MiB/s out of h1", less_mib_s=300)
    desk.console.shown = replace(a_view(migrations=(giving,)), wall=time.time())
    shown = desk.run("migration show 41-1").stdout
    assert "gives way   by 300 MiB/s: others use 600 of 1000 MiB/s out of h1\n" in shown
    assert "it gives way by 300 MiB/s: others use 600 of 1000 MiB/s out of h1" in desk.run("explain 41-1").stdout


@pytest.mark.parametrize(("seen", "left"), [
    ({"left": 12.0, "rounds": 3}, "12s"), ({"rounds": 3}, "for ever"), ({"rounds": 1}, "7s"), ({"progress": None}, "3s"),
    ({"rounds": 1, "ends": False}, "for ever"), ({"settled_wall": 1.0, "left": 12.0}, "-")])
def test_a_migration_shows_how_long_it_will_still_take(desk, seen, left):
    desk.console.shown = replace(a_view(migrations=(a_migration(**seen),)), wall=time.time())
    header, row = desk.run("migration list").stdout.splitlines()
    assert row[:header.index("LEFT") + 4].endswith(f" {left}"), f"{header}\n{row}"


def test_a_migration_shows_its_rounds_and_how_long_its_vm_would_stand_still(desk):
    busy = a_migration(rounds=4, memory_remaining=300 << 20, dirty_mib_s=120.0, downtime_ms=200, downtime_needed_ms=312.4,
                       auto_converge=True)
    desk.console.shown = replace(a_view(migrations=(busy,)), wall=time.time())
    shown = desk.run("migration show 41-1").stdout
    assert "rounds      4, 300.0 MiB of this one to go, its VM dirties 120 MiB/s\n" in shown
    assert "standstill  312/200 ms, may be slowed down (foretold -)\n" in shown
    assert "312/200 ms" in desk.run("migration list -o wide").stdout


def test_a_migration_that_is_over_shows_how_long_its_vm_stood_still_and_was_foretold_to(desk):
    over = a_migration(ending="completed", settled_wall=time.time(), downtime_predicted_ms=41.0, downtime_took_ms=38.4)
    desk.console.shown = replace(a_view(migrations=(over,)), wall=time.time())
    assert "standstill  38 ms (foretold 41 ms)\n" in desk.run("migration show 41-1").stdout
    assert "foretold: 41 ms, measured: 38 ms" in desk.run("explain 41-1").stdout


def test_how_long_moves_took_is_shown_by_pairs(desk):
    shown = (PairView("", "", 7, 1.1, 1.1), PairView("alder", "birch", 4, 1.304, 1.304, 0.9, 5, 1, 1.2))
    desk.console.shown = replace(a_view(pairs=shown), wall=time.time())
    _, everywhere, pair = (line.split() for line in desk.run("migration pairs").stdout.splitlines())
    assert everywhere == ["(all)", "(all)", "7", "1.10", "x", "1.10", "x", "-", "-", "1.0", "x"]
    assert pair == ["alder", "birch", "4", "1.30", "x", "1.30", "x", "0.90", "x", "1/5", "1.2", "x"]
    desk.console.shown = replace(a_view(), wall=time.time())
    assert "no move was completed" in desk.run("migration pairs").stderr


def test_a_migration_that_is_watched_has_a_bar(desk, monkeypatch):
    desk.console.shown = replace(a_view(migrations=(a_migration(progress=0.5),)), wall=time.time())
    seen = []

    def once(_seconds, show):
        seen.append(True)
        show()

    monkeypatch.setattr("ballastd.cli.migrations.repeat", once)
    watched, listed = desk.run("migration list --watch 1").stdout, desk.run("migration list").stdout
    assert len(seen) == 2
    assert sum(watched.count(sign) for sign in "█#") == 10
    assert not any(sign in listed for sign in "█#")
    followed = ("COPIED", "ROUND", "LEFT", "MIB/S", "STANDSTILL")
    assert [title for title in followed if title not in watched] == []
    assert max(map(len, watched.splitlines())) <= 120


def test_a_migration_is_explained_by_its_id(desk):
    said = desk.run("explain 41-1").stdout
    assert said.startswith("migration 41-1: web")
    assert desk.run("explain migration/41-1 -o name").stdout == "41-1\n"


def test_vms_can_be_narrowed_to_a_host(desk):
    assert desk.run("vm list --host beech -o name").stdout.splitlines() == [WEB_2]
    assert "there is no host 'beach'\n  did you mean beech?" in desk.run("vm list --host beach").output


def test_the_plan_tells_wanted_planned_and_not(desk):
    said = desk.run("plan -o wide").stdout
    assert "gate starting: telemetry is warming up" in said
    for word in ("Wanted:", "evacuate", "Planned:", "cedar (410), elm (220)", "Not:", "in-flight-out-of-host"):
        assert word in said
    assert desk.run("plan -o name").stdout.splitlines() == [DB]


def test_what_a_plan_cannot_do_is_shown_with_each_cure_once(desk):
    noes = tuple(a_no(sort="refusal", kind="storage", detail=f"{disk} is not there", cure="bring it up") for disk in "ab")
    desk.console.shown = replace(a_view(noes=noes), wall=time.time())
    said = [line for line in desk.run("plan").stdout.splitlines() if line.startswith("cure")]
    assert said == ["cure storage: bring it up"]
    assert [no["cure"] for no in json.loads(desk.run("plan -o json").stdout)["noes"]] == ["bring it up"] * 2


def test_a_quiet_plan_says_that_it_is_quiet(desk):
    desk.console.shown = replace(a_view(), wall=time.time())
    said = desk.run("plan").output
    assert "nothing ought to change" in said
    assert "no move is planned" in said


def test_an_explanation_reads_from_top_to_bottom(desk):
    lines = desk.run("explain alder").stdout.splitlines()
    assert lines[0] == "host alder: failing, draining, 2 VMs running"
    assert "  no: host-not-healthy: failing" in lines


def test_an_explanation_can_say_which_of_two_is_meant(desk):
    desk.console.shown = replace(a_view(vms=(a_vm("alder"),)), wall=time.time())
    refused = desk.run("explain alder")
    assert refused.exit_code == 1
    assert "kind=host or kind=vm" in refused.stderr
    assert desk.run("explain vm/alder -o name").stdout.strip() == DB
    assert desk.run("explain host/alder -o name").stdout.strip() == "alder"


@pytest.mark.parametrize(("line", "verb", "subject"), [
    ("host cordon alder", "cordon", "alder"), ("host uncordon alder", "uncordon", "alder"),
    ("host drain alder", "drain", "alder"), ("host undrain alder", "undrain", "alder"),
    ("host acknowledge alder", "acknowledge", "alder"), ("host power on alder", "power-on", "alder"),
    ("host power off alder", "power-off", "alder"), ("host confirm-wakeable alder", "confirm-wakeable", "alder"),
    ("host confirm-dead alder --yes", "confirm-dead", "alder"),
    ("migration abort 41-1", "abort", "41-1"), ("pause", "pause", ""), ("resume", "resume", "")])
def test_every_verb_arrives_with_its_reason(desk, line, verb, subject):
    result = desk.run(f"{line} --reason tests")
    assert result.exit_code == 0, result.output
    command = desk.console.commands[0]
    assert (command.verb.value, command.subject, command.reason) == (verb, subject, "tests")
    assert result.stdout == f"{verb} {subject}".strip() + "\n"


@pytest.mark.parametrize(("line", "verb", "subject"), [
    ("plan approve 3f1c09aa72", "approve", "3f1c09aa72"), ("plan reject 3f1c09aa72", "reject", "3f1c09aa72"),
    ("plan approve --all-of even-load", "approve-all-of", "even-load"),
    ("plan reject --all-of even-load", "reject-all-of", "even-load"), ("policy promote even-load", "promote", "even-load")])
def test_answers_to_recommendations_arrive_with_their_reason(desk, line, verb, subject):
    desk.console.shown = replace(desk.console.shown, recommendations=(a_recommendation(),))
    result = desk.run(f"{line} --reason tests")
    assert result.exit_code == 0, result.output
    [command] = desk.console.commands
    assert (command.verb.value, command.subject, command.reason) == (verb, subject, "tests")


@pytest.mark.parametrize("line", ["plan approve", "plan approve 3f1c09aa72 --all-of even-load", "plan reject"])
def test_an_answer_is_about_one_thing_or_about_all_of_a_policy(desk, line):
    result = desk.run(line)
    assert result.exit_code == 2
    assert "--all-of POLICY" in result.output
    assert not desk.console.commands


def test_the_plan_shows_ids_states_rejections_and_lost_trust(desk):
    desk.console.shown = replace(
        desk.console.shown, recommendations=(a_recommendation(), a_recommendation(id="1" * 10, state="approved", by="ann")),
        rejections=(RejectionView("even-load", "db from alder to beech", "bob", "backup", NOW + 3600),),
        demotions=(DemotionView("nights", NOW, "2 of its moves failed one after the other"),))
    output = desk.run("plan").stdout
    for words in ("3f1c09aa72", "burn-1 from alder to beech", "offered", "approved by ann", "db from alder to beech",
                  "backup", "demoted nights: 2 of its moves failed", "ballastctl policy promote nights"):
        assert words in output
    assert "Recommended:" not in CliRunner().invoke(main, ["--socket", "/nowhere", "plan"]).output


def test_root_through_sudo_says_for_whom(desk, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    desk.run("pause")
    assert desk.console.commands[0].by.endswith("(for alice)")


def test_a_deadline_is_counted_from_now(desk):
    desk.run("host drain alder --deadline 1h30m")
    assert desk.console.commands[0].deadline_wall == pytest.approx(time.time() + 5400, abs=30)


@pytest.mark.parametrize("deadline", ["soon", "30", "0s", "1h-5m", "30m later", ""])
def test_a_deadline_that_is_no_duration_is_wrong_usage(desk, deadline):
    result = CliRunner().invoke(main, ["--socket", str(desk.path), "host", "drain", "alder", "--deadline", deadline])
    assert result.exit_code == 2
    assert "like 90s, 30m, 2h" in result.stderr
    assert desk.console.commands == []


def test_confirming_a_death_asks_back_and_takes_silence_for_no(desk):
    assert desk.run("host confirm-dead alder", input="n\n").exit_code == 1
    assert desk.run("host confirm-dead alder", input="").exit_code == 1
    assert desk.console.commands == []
    assert desk.run("host confirm-dead alder", input="y\n").exit_code == 0
    assert len(desk.console.commands) == 1


def test_a_refusal_is_exit_code_1_with_the_daemons_own_words(desk):
    desk.console.refuse = "alder is not cordoned"
    result = desk.run("host uncordon alder")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "alder is not cordoned" in result.stderr


def test_a_host_that_is_misspelt_is_answered_with_the_one_that_was_meant(desk):
    result = desk.run("host show adler")
    assert result.exit_code == 1
    assert "did you mean alder?" in result.stderr


@pytest.mark.parametrize(("line", "meant"), [
    ("hots list", "host"), ("host drian alder", "drain"), ("stauts", "status")])
def test_a_verb_that_is_misspelt_is_wrong_usage_and_answered_with_the_one_that_was_meant(desk, line, meant):
    result = desk.run(line)
    assert result.exit_code == 2
    assert f"'{meant}'" in result.stderr


def test_a_daemon_that_is_still_starting_says_so(desk):
    desk.console.shown = None
    result = desk.run("host list")
    assert result.exit_code == 1
    assert "first look at the cluster" in result.stderr


def test_an_old_picture_is_called_old(desk):
    desk.console.shown = replace(a_view(), wall=time.time() - 600)
    assert "this picture is 10m old" in desk.run("host list").stderr
    assert desk.run("host list -o json").stderr == ""


def test_reload_tells_what_governs_or_why_not(desk):
    assert desk.run("reload").stdout == "7 policies govern\n"
    desk.console.reloaded = (False, "policies/a.yaml:3:1: kind: unknown")
    result = desk.run("reload")
    assert result.exit_code == 1
    assert "policies/a.yaml:3:1: kind: unknown" in result.stderr
    assert "still govern" in result.stderr


def test_the_journal_is_shown_without_a_verb(desk):
    lines = desk.run("journal").stdout.splitlines()
    assert lines[1].split()[:4] == ["1", "3", "2026-11-18", "11:06:40Z"]
    assert lines[1].endswith('HostCordoned  host=alder by="root (for alice)"')


def test_a_vm_cannot_write_to_the_terminal_by_its_name(desk):
    hostile = "\x1b]0;owned\x07[red]\u202edb"
    desk.console.shown = replace(a_view(vms=(a_vm(hostile),)), wall=time.time())
    for line in ("vm list", "vm list -o wide", f"explain {DB}", "vm list -o json", "vm list -o yaml"):
        said = desk.run(line).stdout
        assert "\x1b" not in said, line
        assert "\u202e" not in said, line
        assert "\x07" not in said, line
    assert "\\x1b]0;owned\\x07[red]\\u202edb" in desk.run("vm list").stdout


def test_shells_complete_host_names(desk):
    def complete(words: str) -> str:
        result = CliRunner().invoke(main, env={
            "_BALLASTCTL_COMPLETE": "bash_complete", "COMP_WORDS": f"ballastctl {words}",
            "COMP_CWORD": str(len(words.split(" "))), "BALLASTD_SOCKET": str(desk.path)}, prog_name="ballastctl")
        return result.stdout

    assert complete("host drain ") == "plain,alder\nplain,beech\nplain,cedar\n"
    assert complete("host drain al") == "plain,alder\n"
    assert complete("migration abort 4") == "plain,41-1\nplain,40-1\n"


def test_completion_keeps_quiet_without_a_daemon(tmp_path):
    result = CliRunner().invoke(main, env={
        "_BALLASTCTL_COMPLETE": "bash_complete", "COMP_WORDS": "ballastctl host drain ", "COMP_CWORD": "3",
        "BALLASTD_SOCKET": str(tmp_path / "none.sock")}, prog_name="ballastctl")
    assert result.stdout.strip() == ""


def test_the_socket_may_be_named_before_or_after_the_verb_or_in_the_environment(desk, tmp_path):
    path, none = str(desk.path), str(tmp_path / "none.sock")
    run = CliRunner().invoke
    assert run(main, ["status", "--socket", path]).exit_code == 0
    assert run(main, ["--socket", none, "status", "--socket", path]).exit_code == 0
    assert run(main, ["status"], env={"BALLASTD_SOCKET": path}).exit_code == 0
    assert run(main, ["--socket", none, "status"], env={"BALLASTD_SOCKET": path}).exit_code == 3


def test_help_waits_for_nothing_heavy():
    seen = subprocess.run([sys.executable, "-c", "import sys, ballastd.cli.ctl; print(*sys.modules)"], check=True,
                          capture_output=True, text=True).stdout.split()
    assert not {"rich", "httpx", "pydantic", "fastapi", "ruamel.yaml"} & set(seen)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_socket_that_may_not_be_opened_says_what_to_do(desk):
    desk.path.chmod(0)
    try:
        result = desk.run("status")
    finally:
        desk.path.chmod(0o660)
    assert result.exit_code == 3
    assert "group that owns it" in result.stderr
