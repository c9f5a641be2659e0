"""Options and arguments that verbs share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ballastd.cli.client import DEFAULT_SOCKET, Daemon
from ballastd.cli.formats import duration
from ballastd.cli.output import FORMATS

Verb = TypeVar("Verb", bound=Callable[..., Any])
COMPLETION_SECONDS = 1.0


class _Pause(click.FloatRange):
    """Seconds to wait; not a number is none, and waits longer than a day are slips."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


PAUSE = _Pause(min=0.2, max=86400)


def socket_of(ctx: click.Context) -> str:
    """Return the socket that the command line (or the environment) names anywhere, or the default."""
    here: click.Context | None = ctx
    while here is not None:
        if here.params.get("socket_path"):
            return str(here.params["socket_path"])
        here = here.parent
    return DEFAULT_SOCKET


def with_daemon(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``verb`` the daemon as its first argument, and the option --socket."""

    @click.option("--socket", "socket_path", type=click.Path(), help="The daemon's socket.")
    @click.pass_context
    @functools.wraps(verb)
    def asked(ctx: click.Context, /, *args: Any, socket_path: str | None, **choices: Any) -> Any:
        return verb(Daemon(socket_path or socket_of(ctx)), *args, **choices)

    return asked


def with_output(verb: Verb) -> Verb:
    """Give ``verb`` the option -o."""
    return click.option("-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True,
                        help="json and yaml carry raw numbers (bytes, seconds).")(verb)


def with_watch(verb: Verb) -> Verb:
    """Give ``verb`` the option --watch."""
    return click.option("--watch", type=PAUSE, metavar="SECONDS",
                        help="Show again every SECONDS until interrupted.")(verb)


def with_reason(verb: Verb) -> Verb:
    """Give ``verb`` the option --reason."""
    return click.option("--reason", default="", help="Why; goes to the journal.")(verb)


def with_deadline(verb: Verb) -> Verb:
    """Give ``verb`` the option --deadline."""
    return click.option("--deadline", type=duration, metavar="DURATION",
                        help="When it should be done, from now on: 90s, 30m, 2h, 1h30m.")(verb)


def host_argument(verb: Verb) -> Verb:
    """Give ``verb`` a host's name as argument; shells complete it by asking the daemon."""
    return click.argument("host", shell_complete=_host_names)(verb)


def vm_argument(verb: Verb) -> Verb:
    """Give ``verb`` a VM's name or id as argument."""
    return click.argument("vm", shell_complete=_vm_names)(verb)


def subject_argument(verb: Verb) -> Verb:
    """Give ``verb`` a host, a VM or a migration as argument."""
    return click.argument("subject", metavar="HOST|VM|MIGRATION", shell_complete=_subject_names)(verb)


def recommendation_argument(verb: Verb) -> Verb:
    """Give ``verb`` a recommendation's id as argument that may be left out."""
    return click.argument("key", metavar="[ID]", required=False, shell_complete=_recommendation_ids)(verb)


def migration_argument(verb: Verb) -> Verb:
    """Give ``verb`` a migration's id as argument."""
    return click.argument("migration", shell_complete=_migration_ids)(verb)


def _host_names(ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    return _completions(ctx, typed, "hosts", "name", "health")


def _vm_names(ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    return _completions(ctx, typed, "vms", "name", "host")


def _subject_names(ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    return (_completions(ctx, typed, "hosts", "name", "health") + _vm_names(ctx, _param, typed)
            + _migration_ids(ctx, _param, typed))


def _migration_ids(ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    return _completions(ctx, typed, "migrations", "id", "vm_name")


def _recommendation_ids(ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
    return _completions(ctx, typed, "plan", "id", "what", "recommendations")


def _completions(ctx: click.Context, typed: str, what: str, field: str, hint: str, rows_in: str = ""
                 ) -> list[CompletionItem]:
    """Return what ``typed`` may become; nothing where the daemon does not answer at once."""
    try:
        rows = Daemon(socket_of(ctx), COMPLETION_SECONDS).get(what)[rows_in or what]
    except click.ClickException:
        return []
    return [CompletionItem(row[field], help=row[hint]) for row in rows
            if row[field].startswith(typed) and row[field].isprintable()]
