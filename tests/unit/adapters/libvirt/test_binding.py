"""Without the binding there is a sentence that says what to install, and nothing else breaks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.errors import ConfigurationError


def test_what_is_missing_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(ConfigurationError) as said:
        load_libvirt.__wrapped__()
    assert all(cure in str(said.value) for cure in ("libvirt-dev", "ballastd[libvirt]", "python3-libvirt"))


def test_importing_the_adapter_does_not_load_the_binding() -> None:
    code = "import sys, ballastd.adapters.libvirt.hypervisor; sys.exit('libvirt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
