"""A check-up of real hosts: what is well is called well, and every trouble that was made is found where it is."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ballastd.documents import load_settings
from tests.demo.cluster import BIN, settings
from tests.integration.daemon_parts import Stand, a_lab, assert_lives_once, stood, until
from tests.lab import Lab, LabError, missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three hosts with their agents, and a broker."""
    with a_lab("k") as found:
        yield found


@pytest.fixture
def stand(lab: Lab) -> Iterator[Stand]:
    """A place to live, cleared afterwards."""
    with stood(lab) as found:
        yield found


def written(stand: Stand, **sections: Any) -> Path:
    """Return a settings file of the lab."""
    defaults = {"vouched_storage": [str(stand.lab.plan.path / "disks")]} | sections.pop("defaults", {})
    file = stand.home / "doctor.yaml"
    file.write_text(settings(stand.lab, stand.home, defaults=defaults, **sections))
    return file


def doctor(*words: str) -> tuple[int, str]:
    done = subprocess.run([BIN / "ballastctl", "doctor", *words], capture_output=True, text=True, timeout=90, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def document(*words: str) -> tuple[int, dict[str, Any]]:
    code, text = doctor(*words, "-o", "json")
    return code, json.loads(text)


def said(found: dict[str, Any], grade: str) -> list[str]:
    return [f"{one['area']} {' '.join(one['hosts'])}: {one['words']}" for one in found["findings"] if one["grade"] == grade]


def graded(found: dict[str, Any], host: str, area: str) -> str:
    return next(str(row[area]) for row in found["hosts"] if row["host"] == host)


def test_a_sound_cluster_has_no_fault(stand: Stand) -> None:
    stand.lab.start_guest("h1", "web", disk="locked")
    stand.lab.start_guest("h1", "db", disk="locked")
    code, found = document("-c", str(written(stand)))
    assert said(found, "fault") == []
    assert code == 0
    pairs = {(pair["source"], pair["target"]): (pair["could"], pair["of"]) for pair in found["pairs"]}
    assert pairs["h1", "h2"] == pairs["h1", "h3"] == (2, 2)
    areas = ("reach", "cpu", "clock")
    assert {graded(found, host, area) for host in ("h1", "h2", "h3") for area in areas} == {"ok"}
    assert {graded(found, host, "network") for host in ("h2", "h3")} == {"ok"}
    assert not any("network" in row for row in found["hosts"] if row["host"] == "h1"), "no other host has a VM to look for"
    assert graded(found, "h1", "power") == "note"
    # their interfaces are virtual: libvirt says 10 Gbit/s of each, and the kernel made that up
    assert {link["mbit_s"] for link in found["links"]} == {None}
    assert any(words.startswith("link h1 h2 h3: how fast its interfaces are is unknown") for words in said(found, "note"))
    assert found["certificates"] == [], "nothing is reached over TLS"


def test_hosts_without_a_guest_are_compared_by_themselves(stand: Stand) -> None:
    file = str(written(stand))
    found = document("-c", file)[1]
    assert [(pair["of"], pair["processor"], pair["machines_missing"]) for pair in found["pairs"]] == [(0, True, [])] * 6
    assert "each host has what guests of any other may have (6 pairs)" in doctor("-c", file)[1]


def test_storage_that_a_host_has_lost_is_a_fault_of_that_host(stand: Stand) -> None:
    """What is mounted over a directory in one host's mount namespace hides it from that host alone."""
    lab, h2, disks = stand.lab, stand.lab.hosts["h2"], str(stand.lab.plan.path / "disks")
    lab.start_guest("h1", "web", disk="locked")
    for host in ("h2", "h3"):
        lab.hosts[host].virsh("pool-create-as", "disks", "dir", "--target", disks)
    h2.run(["mount", "-t", "tmpfs", "nothing", disks]).wait(5.0)
    try:
        code, found = document("-c", str(written(stand)))
    finally:
        h2.run(["umount", disks]).wait(5.0)
        for host in ("h2", "h3"):
            lab.hosts[host].virsh("pool-destroy", "disks")
    assert code == 4
    [words] = said(found, "fault")
    assert words.startswith(f"storage h2: 1 VM of h1 (web) could not come here: vdb {disks}/web.raw is not there")
    could = {(pair["source"], pair["target"]): pair["could"] for pair in found["pairs"]}
    assert (could["h1", "h2"], could["h1", "h3"]) == (0, 1)


def namesake(stand: Stand, name: str) -> Path:
    """Return a definition of another guest of that name."""
    file = stand.home / f"{name}.xml"
    file.write_text(f"""<domain type='qemu'><name>{name}</name><memory unit='MiB'>8</memory>
<os><type arch='x86_64'>hvm</type></os></domain>""")
    return file


def test_every_trouble_is_found_where_it_is(stand: Stand) -> None:
    """A guest on a bridge that another host lacks, one with a disk that nothing locks, one whose name another has there
    already; a libvirtd that hangs; an agent that is silent."""
    lab, h1, h2, h3 = stand.lab, *stand.lab.hosts.values()
    bridged = lab.start_guest("h1", "bridged", disk="locked")
    lab.start_guest("h1", "loose", disk="shareable")
    lab.start_guest("h1", "twin", disk="locked")
    h1.run(["ip", "link", "add", "br9", "type", "bridge"]).wait(5.0)
    try:
        nic = stand.home / "nic.xml"
        nic.write_text("<interface type='bridge'><source bridge='br9'/><model type='virtio'/></interface>")
        h1.virsh("attach-device", bridged.name, str(nic), "--live")
        h2.virsh("define", str(namesake(stand, "twin")))
        h2.signal_agent(signal.SIGSTOP)
        h3.hang_libvirtd()
        code, found = document("-c", str(written(stand)), "--listen", "5")
        in_words = doctor("-c", str(written(stand)), "--listen", "5")[1]
    finally:
        h3.resume_libvirtd()
        h2.signal_agent(signal.SIGCONT)
        with suppress(LabError):
            h2.virsh("undefine", "twin")
        h1.run(["ip", "link", "del", "br9"]).wait(5.0)
    assert code == 4
    faults = said(found, "fault")
    assert any(words.startswith("network h2: 1 VM of h1 (bridged) could not come here: interface br9") for words in faults)
    assert any(words.startswith("reach h2: 1 VM of h1 (twin) could not come here: its name twin") for words in faults)
    assert any(words.startswith("reach h3: libvirt does not answer") for words in faults)
    assert any(words.startswith("telemetry h2: no report from it") for words in faults)
    assert len(faults) == 4, faults
    assert any("(loose): disk-unlocked" in words for words in said(found, "warning"))
    assert {(pair["source"], pair["target"]): pair["could"] for pair in found["pairs"]}["h1", "h2"] == 1
    assert graded(found, "h2", "cpu") == graded(found, "h1", "reach") == graded(found, "h1", "telemetry") == "ok"
    assert "FAULT network h2" in in_words
    assert "lane" not in in_words, "how calls are made is nobody's business"


def test_one_vm_goes_there_and_back(stand: Stand) -> None:
    guest = stand.lab.start_guest("h1", "traveller", memory_mib=64, disk="locked", persistent=True)
    stand.lab.hosts["h1"].virsh("autostart", guest.name)
    file = str(written(stand, libvirt={"unsafe_migration": True}))
    code, found = document("-c", file, "--rehearse", guest.name, "--to", "h3")
    assert code == 0, found
    there, back = found["legs"]
    assert (there["source"], there["target"], back["source"], back["target"]) == ("h1", "h3", "h3", "h1")
    assert stand.lab.runs_on(guest) == "h1"
    assert_lives_once(stand.lab, guest)
    assert "Autostart:      enable" in stand.lab.hosts["h1"].virsh("dominfo", guest.name)
    for leg in (there, back):
        assert 0.5 < leg["took"] / leg["predicted"] < 3.0, leg


def test_an_interrupt_calls_the_move_off(stand: Stand) -> None:
    guest = stand.lab.start_guest("h1", "slow", memory_mib=64, disk="locked")
    file = str(written(stand, libvirt={"unsafe_migration": True}))
    words = [BIN / "ballastctl", "doctor", "-c", file, "--rehearse", guest.name, "--bandwidth", "2", "--yes"]
    # whoever runs the tests in the background may have them ignore interrupts, and that is inherited
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as rehearsing:  # noqa: PLW1509
        until(lambda: "Operation" in stand.lab.hosts["h1"].virsh("domjobinfo", guest.name), 30.0, "it is under way")
        rehearsing.send_signal(signal.SIGINT)
        rehearsing.wait(20.0)
    assert rehearsing.returncode != 0
    until(lambda: "None" in stand.lab.hosts["h1"].virsh("domjobinfo", guest.name), 20.0, "the job is gone")
    assert stand.lab.runs_on(guest) == "h1"
    assert_lives_once(stand.lab, guest)


def test_what_must_not_be_moved_is_not_moved(stand: Stand) -> None:
    loose = stand.lab.start_guest("h1", "stuck", disk="shareable")
    file = str(written(stand))
    done = subprocess.run([BIN / "ballastctl", "doctor", "-c", file, "--rehearse", loose.name, "--yes"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "nothing was done: stuck is held on h1 by vdb" in done.stderr
    assert stand.lab.runs_on(loose) == "h1"
    daemon = stand.acting()
    try:
        done = subprocess.run([BIN / "ballastctl", "doctor", "-c", file, "--rehearse", loose.name, "--yes"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "a daemon is at work on this cluster" in done.stderr
    finally:
        daemon.kill()


def test_a_first_settings_file_is_taken_as_it_is(stand: Stand) -> None:
    stand.lab.start_guest("h1", "some", disk="locked")
    uris = [host.uri for host in stand.lab.hosts.values()]
    file = stand.home / "first.yaml"
    done = subprocess.run([BIN / "ballastd", "init", *uris, "--out", str(file)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert [host.uri for host in load_settings(file).cluster.hosts] == uris
    again = subprocess.run([BIN / "ballastd", "init", *uris, "--out", str(file)], capture_output=True, text=True, timeout=60,
                           check=False)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    code, found = document(*uris)
    assert any("no storage is vouched for" in words for words in said(found, "fault")), "only people can do that"
    assert code == 4
    pairs = {(pair["source"], pair["target"]): (pair["could"], pair["of"]) for pair in found["pairs"]}
    first, second = (host["host"] for host in found["hosts"][:2])
    assert pairs[first, second] == (1, 1), "what could be moved is looked at all the same"
