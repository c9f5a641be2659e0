"""A check-up on paper tells two certificates at one place apart, and pairs of hosts without a guest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.cli.checkup import document, show
from ballastd.core.certificates import Certificate, Role, Service, Shown
from ballastd.core.checkup import judge
from ballastd.core.hardware import Emulator
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.readiness import HostSurvey, Likeness, Site


def test_what_peers_see_is_marked_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    ours = Shown(Service.LIBVIRT, Role.SERVER, "alder:16514", certificate=Certificate("alder", "ca", (), 0.0, 1e9))
    site = Site(ClusterDeclaration(()), {}, shown=(ours, replace(ours, is_to_peers=True)))
    readiness = judge(site)
    assert [row["to_peers"] for row in document("c", site, readiness)["certificates"]] == [False, True]
    show("c", site, readiness)
    rows = [line.split("alder:16514")[0].strip() for line in capsys.readouterr().out.splitlines()
            if line.startswith("libvirt server") and line.rstrip()[-1].isdigit()]
    assert rows == ["libvirt server", "libvirt server (peers)"]


def test_pairs_without_a_guest_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    names = [HostName(name) for name in ("alder", "birch")]
    qemu = Emulator("x86_64", ("kvm",), ("q35",))
    hosts = ClusterDeclaration(tuple(DeclaredHost(name, f"qemu+tls://{name}/system") for name in names))
    surveys = {name: HostSurvey(name, arch="x86_64", emulators=(qemu,)) for name in names}
    ends = [(names[0], names[1]), (names[1], names[0])]
    site = Site(hosts, surveys, likenesses=tuple(Likeness(*pair, has_all=True) for pair in ends))
    show("c", site, judge(site))
    assert "each host has what guests of any other may have (2 pairs)" in capsys.readouterr().out
    site = replace(site, surveys={**surveys, names[1]: replace(surveys[names[1]], emulators=(replace(qemu, machines=()),))},
                   likenesses=(Likeness(*ends[0], has_all=False), Likeness(*ends[1], has_all=None)))
    readiness = judge(site)
    show("c", site, readiness)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["alder", "cpu,", "machine"] in rows
    assert ["birch", "cpu", "unknown"] in rows
    assert [(row["processor"], row["machines_missing"]) for row in document("c", site, readiness)["pairs"]] == [
        (False, ["q35"]), (None, [])]
