"""``ballastctl policy``: check policies before they govern. Works without the daemon."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import click

from ballastd.cli.diagnostics import show_problems
from ballastd.cli.output import emit_document
from ballastd.cli.policies.differing import diff_command
from ballastd.cli.policies.pages import reference_command, schema_command
from ballastd.cli.policies.places import EXIT_PROBLEMS, placed, policies_argument, settings_option
from ballastd.cli.policies.showing import explain_command, show_command
from ballastd.cli.policies.testing import test_command
from ballastd.errors import ConfigurationError

_AS_DATA = click.option("-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table",
                        show_default=True, help="json and yaml: problems and warnings as lists.")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found. ``found``: what was sound, in words."""

    found: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@click.group("policy")
def policy_group() -> None:
    """Check and test policies, show what they come to, compare two sets, explain one."""


for command in (test_command, show_command, diff_command, explain_command, schema_command, reference_command):
    policy_group.add_command(command)


@policy_group.command("check")
@policies_argument
@settings_option
@_AS_DATA
@click.pass_context
def check_policies(ctx: click.Context, directory: Path | None, settings: Path | None, output: str) -> None:
    """Check the policies in DIRECTORY the way the daemon would load them.

    Exit code 0 when they would govern, 4 when they would be refused. Warnings alone do not fail.

    \b
    Examples:
      ballastctl policy check policies
      ballastctl policy check policies --settings config/ballastd.yaml
      ballastctl policy check && ballastctl reload
    """
    findings = examine(directory, settings)
    if output == "table":
        show_problems(findings.problems, "error", "red")
        show_problems(findings.warnings, "warning", "yellow")
        click.echo(_summary(findings), err=bool(findings.problems))
    else:
        emit_document({"ok": not findings.problems, "found": findings.found, "problems": list(findings.problems),
                       "warnings": list(findings.warnings)}, output)
    if findings.problems:
        ctx.exit(EXIT_PROBLEMS)


def examine(directory: Path | None, settings: Path | None) -> Findings:
    """Return what the daemon would say to the policies in ``directory`` (default: where the settings say).

    Raises:
        click.UsageError: neither says where the policies are.
    """
    from ballastd.documents import load_policies

    try:
        directory, cluster = placed(directory, settings)
        loaded = load_policies(directory, cluster, time.time())
    except ConfigurationError as error:
        return Findings("", problems=error.problems)
    policies = loaded.policies
    found = (f"{directory}: {len(policies.health)} health, {len(policies.evacuation)} evacuation, {len(policies.balance)} "
             f"balance, {len(policies.consolidation)} consolidation and {len(policies.placement)} placement policies, "
             f"{len(policies.windows)} windows, digest {policies.digest[:12]}")
    return Findings(found, warnings=tuple(loaded.warnings))


def _summary(findings: Findings) -> str:
    def count(number: int, word: str) -> str:
        return f"{number} {word}{'' if number == 1 else 's'}"

    if findings.problems:
        return f"refused: {count(len(findings.problems), 'problem')}; the daemon would keep what governs now"
    warned = f", {count(len(findings.warnings), 'warning')}" if findings.warnings else ""
    return f"sound: {findings.found}{warned}"
