"""What is shown again and again, until somebody has seen enough."""

from __future__ import annotations

import click
import pytest

from ballastd.cli.output import repeat


def test_watching_shows_again_and_outlives_trouble():
    shown = []

    def show():
        shown.append(len(shown))
        if len(shown) == 2:
            raise click.ClickException("for a moment")

    repeat(0.01, show, rounds=3)
    assert shown == [0, 1, 2]


def test_watching_ends_quietly_when_interrupted():
    shown = []

    def show():
        shown.append(len(shown))
        raise KeyboardInterrupt

    repeat(0.01, show)
    assert shown == [0]


def test_a_refusal_while_not_watching_is_not_outlived():
    def show():
        raise click.ClickException("no")

    with pytest.raises(click.ClickException):
        repeat(None, show)
