"""How far migrations give way on their links: what is taken, and where it would do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import ClusterDeclaration
from ballastd.documents import load_policies
from tests.builders import a_cluster

SILENT = a_cluster().host("kvm-01").host("kvm-02").build()
MEASURED = a_cluster().host("kvm-01", link_interfaces=("eno1",)).host("kvm-02").build()
DOUBT = ("p.yaml:3:30: no host says in the settings by which interfaces guest memory travels, so migrations give way to "
         "nobody; write there for example link_interfaces: [eno1]")


@pytest.mark.parametrize(("cluster", "doubts"), [(SILENT, [DOUBT]), (MEASURED, []), (None, [])])
def test_giving_way_that_nobody_measures_is_doubted(tmp_path: Path, cluster: ClusterDeclaration | None, doubts: list[str]
                                                    ) -> None:
    (tmp_path / "p.yaml").write_text("kind: Limits\nname: cluster\nbandwidth: {link_share: 50%, give_way: 50%}\n")
    loaded = load_policies(tmp_path, cluster, 0.0)
    assert loaded.policies.limits.give_way == 0.5
    assert [warning.replace(f"{tmp_path}/", "") for warning in loaded.warnings] == doubts


def test_nobody_gives_way_where_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("kind: Limits\nname: cluster\nbandwidth: {link_share: 50%}\n")
    loaded = load_policies(tmp_path, SILENT, 0.0)
    assert loaded.policies.limits.give_way is None
    assert loaded.warnings == ()
