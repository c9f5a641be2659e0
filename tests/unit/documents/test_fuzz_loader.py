"""The fuzz target of the loader works: a few seconds of it here, ten minutes with ``python -m tests.fuzz loader``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.errors import ConfigurationError
from tests.fuzz import loader


def test_a_few_seconds_break_nothing() -> None:
    assert loader.run(5.0, seed=1)


@pytest.mark.parametrize("broken", [ValueError("oops"), ConfigurationError(("no place",)), ConfigurationError(()),
                                    ConfigurationError(("a:1:1: b\nc",))])
def test_what_is_no_clean_refusal_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Exception) -> None:
    def breaks(*_: object) -> None:
        raise broken

    monkeypatch.setattr(loader, "load_policies", breaks)
    report = loader.Report()
    loader._try(tmp_path, b"kind: Health\n", None, report)
    assert len(report.broken) == 1
