"""Which policies a verb speaks of: a directory or file that is named, or the one that the settings name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ballastd.cli.daemon import DEFAULT_SETTINGS

if TYPE_CHECKING:
    from ballastd.core.policies import ClusterDeclaration

Verb = TypeVar("Verb", bound=Callable[..., Any])
EXIT_FAILED, EXIT_PROBLEMS = 1, 4

policies_argument = click.argument("directory", required=False, metavar="[DIRECTORY|FILE]",
                                   type=click.Path(exists=True, path_type=Path))


def settings_option(verb: Verb) -> Verb:
    """Give ``verb`` the option --settings."""
    return click.option("--settings", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                        help="Settings to check against: hosts and labels that scopes name, and the default DIRECTORY.  "
                             f"[default: {DEFAULT_SETTINGS}, where it exists]")(verb)


def placed(directory: Path | None, settings: Path | None) -> tuple[Path, ClusterDeclaration | None]:
    """Return where the policies are, and the declared cluster, None where no settings say.

    Raises:
        click.UsageError: neither says where the policies are.
        ConfigurationError: the settings cannot be used.
    """
    from ballastd.documents import load_settings

    # whoever may not look there has none; pathlib's own question would end in an error
    place = settings if settings is not None else DEFAULT_SETTINGS if os.path.isfile(DEFAULT_SETTINGS) else None  # noqa: PTH113
    loaded = None if place is None else load_settings(place)
    if directory is None and loaded is None:
        raise click.UsageError("say which DIRECTORY or FILE holds the policies, or give --settings")
    where = directory if directory is not None else loaded.policies if loaded is not None else Path()
    return where, None if loaded is None else loaded.cluster
