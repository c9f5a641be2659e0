"""What a host's kernel shows of its hardware, as files: memory errors, temperatures, fans, power supplies.

The files are where a kernel has them and say what a kernel says; a fault is written as a kernel would.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import LabError

DIMMS = ("A1", "B1")
SOCKETS = (0, 1)
FANS = (4200, 4180, 4210, 4195)
PACKAGE_CELSIUS = (48.0, 51.0)
WARM_CELSIUS, HOT_CELSIUS, CRITICAL_CELSIUS = 82.0, 96.0, 100.0
FAILED_FAN = 3
SICK_SOCKET = 1
SICK_DIMM = "sys/devices/system/edac/mc/mc1/dimm0"
BOARD, SUPPLY = len(SOCKETS), len(SOCKETS) + 1
FAULTS = ("uncorrected", "corrected", "hot", "fan", "supply")

Files = dict[str, object]


@dataclass(frozen=True, slots=True)
class Sensors:
    """The tree of one host; `root` holds sys/ and proc/."""

    root: Path

    def boot(self) -> None:
        """Write what a kernel shows after its start: memory errors count from zero, other faults stay."""
        self.write(_memory())
        if not (self.root / "sys/class/hwmon").exists():
            self.write(_chips())
            for chip, device in enumerate(("coretemp.0", "coretemp.1", "nct6775.656", "3-0058")):
                _link_device(self.root, f"hwmon{chip}", device)
            (self.root / "sys/class/net/eth0/device").mkdir(parents=True, exist_ok=True)

    def healthy(self) -> None:
        """Write what a host shows whose parts were replaced and whose drivers were loaded anew."""
        self.write(_memory() | _chips())

    def fault(self, kind: str, amount: float | None) -> None:
        """Write one of FAULTS; `amount` is a number of errors or degrees Celsius."""
        match kind:
            case "uncorrected":
                self.uncorrected()
            case "corrected":
                self.corrected(int(amount or 1))
            case "hot":
                self.hot(HOT_CELSIUS if amount is None else amount)
            case "fan":
                self.fan()
            case "supply":
                self.supply()
            case _:
                raise LabError(f"a fault is one of {', '.join(FAULTS)}, not {kind!r}")

    def uncorrected(self) -> None:
        """One memory error that could not be corrected."""
        self._count("ue", 1)

    def corrected(self, count: int) -> None:
        """Memory errors that were corrected."""
        self._count("ce", count)

    def hot(self, celsius: float) -> None:
        """One processor package at that temperature, with the alarm a kernel raises at the critical limit."""
        self.write(_package(SICK_SOCKET, celsius))

    def fan(self) -> None:
        """One fan stands still, the others turn faster."""
        self.write(_fans([0 if n == FAILED_FAN else speed + 700 for n, speed in enumerate(FANS, 1)]))

    def supply(self) -> None:
        """The power supply lost its input."""
        self.write(_supply(volts=0.0, watts=0.0, alarm=1))

    def memory_age(self) -> Files:
        """Return how long the memory controllers have counted since they were last set to zero."""
        controllers = [f"sys/devices/system/edac/mc/mc{socket}" for socket in SOCKETS]
        ages = {one: time.time() - (self.root / one / "mc_name").stat().st_mtime for one in controllers}
        return {f"{one}/seconds_since_reset": int(age) for one, age in ages.items()}

    def write(self, files: Files) -> None:
        """Write files as a kernel shows them: always whole, and no stray name beside them."""
        drafts = self.root.parent / "drafts"
        drafts.mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = drafts / f"{os.getpid()}_{name.replace('/', '_')}"
            draft.write_text(f"{value}\n")
            draft.replace(target)

    def _count(self, kind: str, count: int) -> None:
        controller = str(Path(SICK_DIMM).parent)
        names = (f"{SICK_DIMM}/dimm_{kind}_count", f"{controller}/{kind}_count")
        self.write({name: int((self.root / name).read_text()) + count for name in names})


def _memory() -> Files:
    files: Files = {}
    for socket in SOCKETS:
        controller = f"sys/devices/system/edac/mc/mc{socket}"
        names = ("ce_count", "ue_count", "ce_noinfo_count", "ue_noinfo_count", "seconds_since_reset")
        sums = dict.fromkeys(names, 0)
        sums |= {"size_mb": 32768 * len(DIMMS)}
        files |= {f"{controller}/{name}": value for name, value in sums.items()}
        files[f"{controller}/mc_name"] = f"Skylake Socket#{socket} IMC#0"
        for number, slot in enumerate(DIMMS):
            files |= {f"{controller}/dimm{number}/{k}": v for k, v in _dimm(socket, number, slot).items()}
    return files


def _dimm(socket: int, number: int, slot: str) -> Files:
    return {
        "dimm_label": f"CPU{socket}_DIMM_{slot}", "dimm_location": f"channel {number} slot 0 ",
        "dimm_mem_type": "Registered-DDR4", "dimm_edac_mode": "SECDED", "size": 32768,
        "dimm_ce_count": 0, "dimm_ue_count": 0,
    }


def _chips() -> Files:
    files: Files = {}
    for socket, celsius in enumerate(PACKAGE_CELSIUS):
        files |= _package(socket, celsius)
    files |= _chip(BOARD, "nct6775", {
        "temp1_label": "SYSTIN", "temp1_input": 24000, "temp1_max": 45000, "temp1_max_alarm": 0})
    return files | _fans(list(FANS)) | _supply(volts=230.0, watts=184.0, alarm=0)


def _package(socket: int, celsius: float) -> Files:
    files: Files = {}
    places = ((f"Package id {socket}", celsius), ("Core 0", celsius - 2), ("Core 1", celsius - 4))
    for number, (label, degrees) in enumerate(places, 1):
        files |= {
            f"temp{number}_label": label, f"temp{number}_input": _milli(degrees),
            f"temp{number}_max": _milli(WARM_CELSIUS), f"temp{number}_crit": _milli(CRITICAL_CELSIUS),
            f"temp{number}_crit_alarm": int(degrees >= CRITICAL_CELSIUS),
        }
    return _chip(socket, "coretemp", files)


def _fans(speeds: list[int]) -> Files:
    files: Files = {}
    for number, speed in enumerate(speeds, 1):
        files |= {
            f"fan{number}_label": f"FAN{number}", f"fan{number}_input": speed, f"fan{number}_min": 700,
            f"fan{number}_alarm": int(speed == 0), f"fan{number}_fault": 0,
        }
    return _chip(BOARD, "nct6775", files)


def _supply(volts: float, watts: float, alarm: int) -> Files:
    return _chip(SUPPLY, "pmbus", {
        "in1_label": "vin", "in1_input": _milli(volts), "in1_lcrit": 90000, "in1_lcrit_alarm": alarm,
        "power1_label": "pin", "power1_input": int(watts * 1e6), "power1_alarm": 0,
        "temp1_input": 31000, "temp1_max": 70000, "temp1_crit": 85000, "temp1_crit_alarm": 0,
        "fan1_label": "psu", "fan1_input": 6100, "fan1_alarm": 0, "fan1_fault": 0,
    })


def _chip(number: int, name: str, files: Files) -> Files:
    place = f"sys/class/hwmon/hwmon{number}"
    return {f"{place}/name": name} | {f"{place}/{key}": value for key, value in files.items()}


def _link_device(root: Path, chip: str, device: str) -> None:
    # the numbers of hwmon chips change from boot to boot; the device behind them is what stays
    (root / "sys/devices" / device).mkdir(parents=True, exist_ok=True)
    (root / "sys/class/hwmon" / chip / "device").symlink_to(f"../../../devices/{device}")


def _milli(value: float) -> int:
    return int(value * 1000)
