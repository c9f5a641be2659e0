"""Hosts reached over ssh, as docs/operations.md has it: a key and known hosts of the daemon's own, a forced command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ballastd.cli.demo.telling import wait_for
from tests.demo.cluster import BIN
from tests.integration.daemon_parts import a_lab
from tests.lab import Lab, missing

SSHD = Path("/usr/sbin/sshd")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()) or not SSHD.exists() or not shutil.which("virt-ssh-helper"),
                       reason=f"NO LAB, HOSTS OVER SSH ARE NOT TESTED: {missing() or 'no sshd or no virt-ssh-helper'}"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One host whose sshd takes one key, for one command."""
    with a_lab("s", 1) as one:
        place, host = papers(one), one.hosts["h1"]
        for name in ("host", "known", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
        (place / "authorized").write_text(
            f'restrict,command="virt-ssh-helper qemu:///system" {(place / "known.pub").read_text()}')
        (place / "sshd_config").write_text(
            f"ListenAddress {host.address}\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized\nStrictModes no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPidFile none\n")
        client(one, "ssh", f"{host.address} {(place / 'host.pub').read_text()}")
        client(one, "ssh-elsewhere", "")
        with (place / "log").open("w") as log:
            sshd = host.run(["sh", "-c", f"mkdir -p /run/sshd && exec {SSHD} -D -e -f {place}/sshd_config"], stderr=log)
        assert wait_for(lambda: "listening" in (place / "log").read_text(), 10.0), (place / "log").read_text()
        yield one
    sshd.wait(20.0)  # it ended with its host


def papers(lab: Lab) -> Path:
    place = lab.plan.path / "ssh"
    place.mkdir(mode=0o700, exist_ok=True)
    return place


def client(lab: Lab, name: str, hosts: str) -> None:
    """Write the wrapper that libvirt starts instead of ssh, and what it reads."""
    place = papers(lab)
    (place / f"{name}.hosts").write_text(hosts)
    (place / f"{name}.config").write_text(
        f"Host *\n    UserKnownHostsFile {place}/{name}.hosts\n    StrictHostKeyChecking yes\n    IdentitiesOnly yes\n")
    (place / name).write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {place}/{name}.config "$@"\n')
    (place / name).chmod(0o755)


def doctor(lab: Lab, key: str, command: str = "ssh") -> tuple[int, str]:
    place = papers(lab)
    uri = (f"qemu+ssh://root@{lab.hosts['h1'].address}/system?command={place}/{command}&keyfile={place}/{key}&no_tty=1")
    done = subprocess.run([BIN / "ballastctl", "doctor", "-o", "json", uri], capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_host_is_looked_at_and_steered_through_a_forced_command(lab: Lab) -> None:
    _, said = doctor(lab, "known")
    assert '"area": "reach"' not in said, said
    assert '"area": "locks"' in said, "it was looked at: what speaks against its VMs is known"
    assert (papers(lab) / "log").read_text().count("Accepted publickey") >= 2, "to look and to steer"


def test_a_key_that_is_refused_is_told_as_ssh_says_it(lab: Lab) -> None:
    code, said = doctor(lab, "stranger")
    assert code == 4
    assert "Permission denied (publickey)" in said


def test_a_host_that_is_not_known_is_not_believed(lab: Lab) -> None:
    code, said = doctor(lab, "known", "ssh-elsewhere")
    assert code == 4
    assert "host key is known" in said, said
