"""``ballastctl policy test``: the examples in policies, played by the mind that governs, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import printable
from ballastd.cli.output import emit_document
from ballastd.cli.policies.places import EXIT_FAILED, EXIT_PROBLEMS, placed, policies_argument, settings_option
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.examples import Example
    from ballastd.documents.loading import ReadPolicies
    from ballastd.rehearsal.judging import Judged, Miss


@click.command("test")
@policies_argument
@settings_option
@click.option("-k", "wanted", metavar="WORDS", default="",
              help="Only examples in whose policy or name these words stand, all of them.")
@click.option("-x", "--exitfirst", is_flag=True, help="Stop at the first that fails.")
@click.option("-q", "--quiet", is_flag=True, help="Only what fails, and the summary.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.pass_context
def test_command(ctx: click.Context, directory: Path | None, settings: Path | None, wanted: str, exitfirst: bool,
                 quiet: bool, output: str) -> None:
    """Play the examples: that stand in the policies of DIRECTORY, and say which do not come out as they say.

    The policies are loaded as the daemon loads them, all of them together, and the daemon's own mind decides, on virtual
    time and on a small pretend cluster. Neither a daemon nor a cluster is touched. Exit code 0 when all pass, 1 when one
    fails, 4 when the policies would be refused.

    \b
    Examples:
      ballastctl policy test policies
      ballastctl policy test policies -k memory
      ballastctl policy test policies/profiles/standard.yaml -q
    """
    try:
        read, examples = found_in(directory, settings)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    chosen = [one for one in examples if all(word.lower() in _words(one) for word in wanted.split())]
    began = time.perf_counter()
    told = _quietly if output == "json" else _Teller(quiet=quiet).tell
    judged = list(run(chosen, read, told, stop=exitfirst))
    took = time.perf_counter() - began
    failed = sum(not one.passed for one in judged)
    if output == "json":
        emit_document(as_document(judged, took), "json")
    else:
        click.echo(_summary(judged, failed, len(examples), took))
    if failed or not judged:
        ctx.exit(EXIT_FAILED)


def found_in(directory: Path | None, settings: Path | None) -> tuple[ReadPolicies, tuple[Example, ...]]:
    """Return the policies of a place, and the examples in them.

    Raises:
        ConfigurationError: a policy or an example is wrong.
    """
    from ballastd.documents.loading import read_policies
    from ballastd.documents.policy_examples import examples_of

    where, _ = placed(directory, settings)
    # an example has hosts of its own: the policies are not checked against those that are declared
    read = read_policies(where, None)
    return read, examples_of(read.taken)


def run(examples: Iterable[Example], read: ReadPolicies, tell: Callable[[Judged], None], *, stop: bool = False
        ) -> Iterable[Judged]:
    """Yield each example judged, once it is told. ``stop``: at the first that fails."""
    from ballastd.rehearsal.judging import judge

    compiled = lru_cache(maxsize=16)(read.compiled)
    for example in examples:
        judged = judge(example, compiled)
        tell(judged)
        yield judged
        if stop and not judged.passed:
            return


def _words(example: Example) -> str:
    return f"{example.place} {example.kind} {example.policy} {example.name}".lower()


def _quietly(_judged: Judged) -> None:
    """Tell nothing: all is told at the end."""


class _Teller:
    """Tells of each example as it comes out, under the file and the policy that it stands in."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._under = ("", "")

    def tell(self, judged: Judged) -> None:
        """Write a line for one example, and what it missed."""
        if self._quiet and judged.passed:
            return
        example = judged.example
        under = (example.place.rsplit(":", 2)[0], f"{example.kind} {example.policy}")
        if under[0] != self._under[0]:
            click.secho(printable(under[0]), bold=True)
        if under != self._under:
            click.echo(f"  {printable(under[1])}")
        self._under = under
        word = click.style("ok  ", fg="green") if judged.passed else click.style("FAIL", fg="red", bold=True)
        click.echo(f"    {word}  {printable(example.name)}  {click.style(f'{judged.seconds * 1000:.0f} ms', dim=True)}")
        for miss in judged.misses:
            _tell_miss(miss)


def _tell_miss(miss: Miss) -> None:
    click.echo(f"          {printable(miss.place)}: {printable(miss.what)}")
    click.echo(f"            expected  {click.style(printable(miss.expected), fg='green')}")
    click.echo(f"            got       {click.style(printable(miss.got), fg='red')}")
    for i, line in enumerate(miss.because):
        click.echo(f"            {'because' if i == 0 else '       '}   {printable(line)}")


def _summary(judged: list[Judged], failed: int, all_of_them: int, took: float) -> str:
    if not judged:
        return click.style("no example" + (" of that name" if all_of_them else " in these policies"), fg="red")
    left = f", {all_of_them - len(judged)} not run" if all_of_them > len(judged) else ""
    looked = sum(one.looked_at for one in judged)
    words = (f"{len(judged)} example{'' if len(judged) == 1 else 's'}, {looked} expectations: "
             f"{len(judged) - failed} passed, {failed} failed{left}; {took:.1f} s")
    return click.style(words, fg="red" if failed else "green", bold=True)


def as_document(judged: list[Judged], took: float) -> dict[str, Any]:
    """Return what came out, for other programs."""
    return {"passed": sum(one.passed for one in judged), "failed": sum(not one.passed for one in judged),
            "seconds": round(took, 3), "examples": [{
                "name": one.example.name, "kind": one.example.kind, "policy": one.example.policy, "place": one.example.place,
                "passed": one.passed, "expectations": one.looked_at, "seconds": round(one.seconds, 4),
                "misses": [{"place": miss.place, "what": miss.what, "expected": miss.expected, "got": miss.got,
                            "because": list(miss.because)} for miss in one.misses]} for one in judged]}
