"""A check-up on paper tells two certificates at one place apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.cli.checkup import document, show
from ballastd.core.certificates import Certificate, Role, Service, Shown
from ballastd.core.checkup import judge
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.readiness import Site


def test_what_peers_see_is_marked_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    ours = Shown(Service.LIBVIRT, Role.SERVER, "alder:16514", certificate=Certificate("alder", "ca", (), 0.0, 1e9))
    site = Site(ClusterDeclaration(()), {}, shown=(ours, replace(ours, is_to_peers=True)))
    readiness = judge(site)
    assert [row["to_peers"] for row in document("c", site, readiness)["certificates"]] == [False, True]
    show("c", site, readiness)
    rows = [line.split("alder:16514")[0].strip() for line in capsys.readouterr().out.splitlines()
            if line.startswith("libvirt server") and line.rstrip()[-1].isdigit()]
    assert rows == ["libvirt server", "libvirt server (peers)"]
