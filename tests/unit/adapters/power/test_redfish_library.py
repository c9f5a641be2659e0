"""Without sushy there is a sentence that says what to install, and who needs no Redfish does not load it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.power.redfish import RedfishOptions, RedfishPower
from ballastd.core.quantities import HostName
from ballastd.errors import ConfigurationError


def test_what_is_missing_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("redfish_controller", "redfish_http"):
        monkeypatch.delitem(sys.modules, f"ballastd.adapters.power.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "sushy", None)
    with pytest.raises(ConfigurationError, match=r"sushy is not installed.*pip install 'ballastd\[redfish\]'"):
        RedfishPower(HostName("kvm-01"), RedfishOptions("https://bmc-01"), Lanes())


def test_importing_the_driver_does_not_load_the_library() -> None:
    code = "import sys, ballastd.adapters.power.redfish; sys.exit('sushy' in sys.modules or 'requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
