"""Fourteen example hosts as trees of /sys and /proc, healthy and sick, after the kernel's ABI documents
(sysfs-devices-edac, hwmon/sysfs-interface): temperatures in thousandths of a degree, fans in rpm, flags 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

Dimm = tuple[str, int, int]
"""Label, corrected errors, uncorrected errors."""

GOOD: tuple[tuple[Dimm, ...], ...] = (
    (("CPU0_DIMM_A1", 0, 0), ("CPU0_DIMM_B1", 0, 0)),
    (("CPU1_DIMM_A1", 3, 0), ("CPU1_DIMM_B1", 0, 0)),
)
CRITICAL = 100_000


@dataclass(frozen=True)
class Host:
    """What a tree shows. ``package``: both processors; ``alarm``, ``fault``: numbers of fans."""

    memory: tuple[tuple[Dimm, ...], ...] = GOOD
    package: tuple[int, int] = (48_000, 51_000)
    fans: tuple[int, ...] = (4200, 4180, 4210, 4195)
    alarm: tuple[int, ...] = ()
    fault: tuple[int, ...] = ()
    inlet: int = 24_000
    busy: int = 4_000_000
    idle: int = 60_000_000
    load: float = 0.8
    available_kib: int = 88_000_000
    pressure: bool = True
    some: float = 1.5
    spoil: Callable[[Path], None] = field(default=lambda root: None)


def write(root: Path, path: str, value: object) -> None:
    """Write one file below ``root`` as the kernel would; None: an empty one."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("" if value is None else f"{value}\n")


def build(root: Path, host: Host) -> Path:
    """Write the tree of ``host`` below ``root``, and return ``root``."""
    _coretemp(root, 0, 0, host.package[0], (host.package[0] - 2000, host.package[0] - 4000))
    _coretemp(root, 1, 1, host.package[1], (host.package[1] - 1000, host.package[1] - 3000))
    _board(root, 2, host)
    _chip(root, 3, "jc42", temp1_input=38_250, temp1_max=85_000, temp1_crit=95_000, temp1_crit_alarm=0)
    _edac(root, host.memory)
    _proc(root, host)
    host.spoil(root)
    return root


def _chip(root: Path, number: int, name: str, **files: object) -> None:
    for file, value in {"name": name, **files}.items():
        write(root, f"sys/class/hwmon/hwmon{number}/{file}", value)


def _coretemp(root: Path, number: int, socket: int, package: int, cores: Iterable[int]) -> None:
    files: dict[str, object] = {}
    sensors = ((f"Package id {socket}", package), *((f"Core {n}", value) for n, value in enumerate(cores)))
    for n, (label, value) in enumerate(sensors, 1):
        files |= {f"temp{n}_label": label, f"temp{n}_input": value, f"temp{n}_max": 82_000, f"temp{n}_crit": CRITICAL,
                  f"temp{n}_crit_alarm": int(value >= CRITICAL)}
    _chip(root, number, "coretemp", **files)


def _board(root: Path, number: int, host: Host) -> None:
    files: dict[str, object] = {"temp1_label": "SYSTIN", "temp1_input": host.inlet, "temp1_max": 45_000,
                                "temp1_max_alarm": int(host.inlet > 45_000)}
    for n, rpm in enumerate(host.fans, 1):
        files |= {f"fan{n}_label": f"FAN{n}", f"fan{n}_input": rpm, f"fan{n}_min": 700,
                  f"fan{n}_alarm": int(n in host.alarm), f"fan{n}_fault": int(n in host.fault)}
    _chip(root, number, "nct6775", **files)


def _edac(root: Path, memory: tuple[tuple[Dimm, ...], ...]) -> None:
    for controller, dimms in enumerate(memory):
        base = f"sys/devices/system/edac/mc/mc{controller}"
        for file, value in {"mc_name": f"Skylake Socket#{controller} IMC#0", "size_mb": 32_768 * len(dimms),
                            "seconds_since_reset": 864_000, "ce_count": sum(dimm[1] for dimm in dimms),
                            "ue_count": sum(dimm[2] for dimm in dimms), "ce_noinfo_count": 0,
                            "ue_noinfo_count": 0}.items():
            write(root, f"{base}/{file}", value)
        for n, (label, corrected, uncorrected) in enumerate(dimms):
            for file, value in {"dimm_label": label, "dimm_location": f"channel {n} slot 0 ",
                                "dimm_mem_type": "Registered-DDR4", "dimm_edac_mode": "SECDED", "size": 32_768,
                                "dimm_ce_count": corrected, "dimm_ue_count": uncorrected}.items():
                write(root, f"{base}/dimm{n}/{file}", value)


def _proc(root: Path, host: Host) -> None:
    def times(share: int) -> str:
        busy = host.busy // share
        return f"{busy} 0 {busy // 4} {host.idle // share} {busy // 20} 0 {busy // 50} 0 0 0"

    write(root, "proc/stat", f"cpu  {times(1)}\ncpu0 {times(2)}\ncpu1 {times(2)}\nbtime 1795400000")
    write(root, "proc/loadavg", f"{host.load:.2f} {host.load * 0.9:.2f} {host.load * 0.8:.2f} 3/812 40213")
    write(root, "proc/uptime", "864000.11 1650000.42")
    write(root, "proc/meminfo", "\n".join((
        "MemTotal:       131886012 kB", "MemFree:         2145812 kB", f"MemAvailable:   {host.available_kib} kB",
        "Buffers:          402188 kB", "Cached:         21874420 kB", "SwapTotal:       8388604 kB",
        "SwapFree:        8388604 kB", "HugePages_Total:       0", "Hugepagesize:       2048 kB")))
    if host.pressure:
        for resource, value in {"cpu": host.some, "memory": host.some / 10, "io": host.some / 3}.items():
            write(root, f"proc/pressure/{resource}",
                  f"some avg10={value:.2f} avg60={value * 0.8:.2f} avg300={value * 0.6:.2f} total={int(value * 1e8)}\n"
                  f"full avg10=0.00 avg60=0.00 avg300=0.00 total={int(value * 1e6)}")


def _bogus(root: Path) -> None:
    board = "sys/class/hwmon/hwmon2"
    for file, value in {"temp7_input": -128_000, "temp8_input": 127_500, "temp9_input": "garbage", "temp10_input": None,
                        "temp11_input": 4_294_967_295, "fan7_input": -1, "fan8_input": "N/A", "fan9_input": 0}.items():
        write(root, f"{board}/{file}", value)
    write(root, "sys/class/hwmon/hwmon9/temp1_input", 45_000)
    write(root, "sys/devices/system/edac/mc/mc0/dimm0/dimm_ce_count", "18446744073709551615")
    write(root, "sys/devices/system/edac/mc/mc1/dimm1/dimm_label", "x" * 300)


def _renumber(root: Path) -> None:
    first, third = root / "sys/class/hwmon/hwmon0", root / "sys/class/hwmon/hwmon2"
    first.rename(root / "aside")
    third.rename(first)
    (root / "aside").rename(third)


TREES: dict[str, Host] = {
    "healthy": Host(),
    "uncorrected": Host(((*GOOD[0][:1], ("CPU0_DIMM_B1", 12, 1)), GOOD[1])),
    "corrected-before": Host((GOOD[0], (*GOOD[1][:1], ("CPU1_DIMM_B1", 40, 0)))),
    "corrected-after": Host((GOOD[0], (*GOOD[1][:1], ("CPU1_DIMM_B1", 161, 0)))),
    "counters-reset": Host((GOOD[0], (("CPU1_DIMM_A1", 0, 0), ("CPU1_DIMM_B1", 0, 0)))),
    "hot": Host(package=(71_000, 96_000), busy=40_000_000, idle=24_000_000, load=31.0, some=38.0),
    "over-critical": Host(package=(88_000, 101_000)),
    "fan-failed": Host(fans=(4900, 4890, 0, 4910), alarm=(3,)),
    "fan-fault-flag": Host(fault=(2,)),
    "hot-room": Host(inlet=47_000),
    "no-edac": Host(memory=()),
    "old-kernel": Host(pressure=False),
    "bogus": Host(spoil=_bogus),
    "renumbered": Host(spoil=_renumber),
}
