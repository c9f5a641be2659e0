"""``ballastctl policy diff``: what is written otherwise in two sets of policies, and what would come of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import duration, printable
from ballastd.cli.output import emit_document, heading
from ballastd.cli.policies.places import EXIT_PROBLEMS
from ballastd.cli.policies.showing import cluster_for
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.examples import Example
    from ballastd.core.policies import PolicySet
    from ballastd.documents.loading import ReadPolicies
    from ballastd.documents.shown_policies import ShownPolicy
    from ballastd.rehearsal.trial import Seen

PLACE = click.Path(exists=True, path_type=Path)
LOOKS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """What one policy says otherwise. ``lines``: key, old value and new one, an empty one where there is none."""

    sign: str
    policy: str
    place: str
    lines: tuple[tuple[str, str, str], ...] = ()


@click.command("diff")
@click.argument("old", type=PLACE)
@click.argument("new", type=PLACE)
@click.option("--cluster", "cluster_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A saved cluster on which to try both; otherwise the daemon's, where it answers.")
@click.option("--socket", "socket_path", type=click.Path(), help="The daemon whose cluster to try both on.")
@click.option("--for", "lasts", type=duration, default="1h", show_default=True, metavar="DURATION",
              help="How long each is tried, in virtual time.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.pass_context
def diff_command(ctx: click.Context, old: Path, new: Path, cluster_file: Path | None, socket_path: str | None, lasts: float,
                 output: str) -> None:
    """Compare two sets of policies: what they say, and what they would do.

    Key by key, defaults as well. Then every example of both is played with both, and so is the cluster as it is now: VMs
    where they are, using what they use. What is seen otherwise is told. Exit code 0, also when they differ.

    \b
    Examples:
      ballastctl policy diff /etc/ballastd/policies new/
      ballastctl policy diff policies/profiles/cautious.yaml policies/profiles/standard.yaml --cluster site.yaml
    """
    from ballastd.documents.loading import read_policies
    from ballastd.documents.policy_examples import examples_of
    from ballastd.documents.shown_policies import shown

    try:
        before, after = read_policies(old, None), read_policies(new, None)
        trials = list(_once(examples_of(before.taken), examples_of(after.taken)))
        cluster = cluster_for(ctx, cluster_file, socket_path, None)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    said = tuple(changes(shown(before), shown(after)))
    if cluster is not None:
        trials.append(_as_it_is(cluster, lasts))
    done = [(trial, lines) for trial in trials if (lines := tuple(otherwise(trial, before, after)))]
    if output == "json":
        emit_document(_document(said, done, len(trials)), "json")
    else:
        _tell(said, done, len(trials), has_cluster=cluster is not None)


def changes(before: tuple[ShownPolicy, ...], after: tuple[ShownPolicy, ...]) -> Iterator[Change]:
    """Yield what the second set says otherwise than the first, policy by policy."""
    old, new = ({(one.kind, one.name): one for one in those} for those in (before, after))
    for key in sorted({*old, *new}):
        name = " ".join(key)
        if key not in new:
            yield Change("-", name, old[key].place)
        elif key not in old:
            yield Change("+", name, new[key].place)
        else:
            names = list(dict.fromkeys(one.key for policy in (old[key], new[key]) for one in policy.keys))
            lines = tuple((one, old[key].value(one), new[key].value(one)) for one in names
                          if old[key].value(one) != new[key].value(one))
            if lines:
                yield Change("~", name, new[key].place, lines)


def _once(first: tuple[Example, ...], second: tuple[Example, ...]) -> Iterator[Example]:
    """Yield the examples of both; one that stands in both, as the second has it."""
    named = {(one.kind, one.policy, one.name): one for one in (*first, *second)}
    yield from (named[key] for key in sorted(named))


def _as_it_is(cluster: Any, lasts: float) -> Example:
    """Return the cluster as an example without news: what would come of it as it is."""
    from ballastd.core.examples import Example, Look

    begins = time.time() if cluster.saved_wall is None else float(cluster.saved_wall)
    looks = tuple(Look(lasts * part / LOOKS, ()) for part in range(1, LOOKS + 1))
    return Example("as it is", "", "", cluster.name, cluster, begins, looks=looks)


def otherwise(trial: Example, before: ReadPolicies, after: ReadPolicies) -> Iterator[str]:
    """Yield what is seen otherwise with the second set than with the first, a line for each look and matter."""
    from ballastd.core.quantities import human_seconds
    from ballastd.rehearsal.judging import in_mode
    from ballastd.rehearsal.trial import begins_of, play

    def played(read: ReadPolicies) -> tuple[Seen, ...]:
        policies: PolicySet = read.compiled(begins_of(trial))
        return play(trial, in_mode(policies, trial) if trial.mode is not None else policies)

    told = ""
    for old, new in zip(played(before), played(after), strict=True):
        for (what, was), (_, becomes) in zip(_picture(old), _picture(new), strict=True):
            line = f"{what}: {was or 'none'} -> {becomes or 'none'}"
            if was != becomes and line != told:
                yield f"at {human_seconds(new.look.at)}: {line}"
                told = line


def _picture(seen: Seen) -> tuple[tuple[str, str], ...]:
    view = seen.view
    return (
        ("posture", view.posture),
        ("health", ", ".join(f"{host.name} {host.health}" for host in view.hosts if host.health != "healthy")),
        ("intents", ", ".join(f"{one.kind} {one.host} ({one.policy})" for one in view.intents)),
        ("moves", ", ".join(f"{order.move.vm_name} to {order.move.target}" for order in seen.moves)),
        ("planned", ", ".join(f"{one.vm_name} to {one.target}" for one in view.moves if one.state == "waiting")),
        ("closed", ", ".join(seen.cordons)),
        ("power", ", ".join(f"{host.name} {host.power}" for host in view.hosts if host.power not in ("on", "unmanaged"))),
    )


def _tell(said: tuple[Change, ...], done: list[tuple[Example, tuple[str, ...]]], tried: int, *, has_cluster: bool) -> None:
    click.echo(heading("What they say"))
    for change in said:
        colour = {"-": "red", "+": "green", "~": "yellow"}[change.sign]
        click.echo(f"  {click.style(change.sign, fg=colour)} {printable(change.policy)}  {printable(change.place)}")
        for key, was, becomes in change.lines:
            click.echo(f"      {printable(key)}: {printable(was) or 'none'} -> {printable(becomes) or 'none'}")
    if not said:
        click.echo("  the same")
    click.echo(heading("What they do"))
    for trial, lines in done:
        click.echo(f"  {printable(trial.policy or 'the cluster')}: {printable(trial.name)}")
        for line in lines:
            click.echo(f"      {printable(line)}")
    without = "" if has_cluster else "; no cluster was at hand: --cluster FILE, or a daemon that answers"
    click.echo(f"  {len(done)} of {tried} trials come out otherwise{without}")


def _document(said: tuple[Change, ...], done: list[tuple[Example, tuple[str, ...]]], tried: int) -> dict[str, Any]:
    return {"says": [{"sign": one.sign, "policy": one.policy, "place": one.place, "keys": [
        {"key": key, "old": was, "new": becomes} for key, was, becomes in one.lines]} for one in said],
        "does": [{"policy": trial.policy, "example": trial.name, "place": trial.place, "otherwise": list(lines)}
                 for trial, lines in done], "tried": tried}
