"""Pairs of hosts are compared by the hosts themselves, with or without a guest on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.checkup import judge
from ballastd.core.hardware import Emulator
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Area, Finding, Grade, HostSurvey, Likeness, Readiness, Site

NAMES = tuple(HostName(name) for name in ("alder", "birch", "cedar"))
ALDER, BIRCH, CEDAR = NAMES
QEMU = Emulator("x86_64", ("kvm", "qemu"), ("pc-q35-7.2", "q35"))


def site(**emulators: tuple[Emulator, ...]) -> Site:
    """Return three hosts without a guest, of which each has what any other has."""
    surveys = {name: HostSurvey(name, libvirt=(9, 0, 0), emulator=(7, 2, 0), cpu=("EPYC", "AMD", "1"), arch="x86_64",
                                emulators=emulators.get(name, (QEMU,))) for name in NAMES}
    likenesses = tuple(Likeness(one, other, has_all=True) for one in NAMES for other in NAMES if one != other)
    return Site(ClusterDeclaration(tuple(DeclaredHost(name, f"qemu+tls://{name}/system") for name in NAMES)), surveys,
                likenesses=likenesses)


def with_likeness(source: HostName, target: HostName, has_all: bool | None, trouble: str = "") -> Site:
    return replace(site(), likenesses=tuple(
        Likeness(source, target, has_all, trouble) if (one.source, one.target) == (source, target) else one
        for one in site().likenesses))


def found(readiness: Readiness) -> list[Finding]:
    return [one for one in readiness.findings if one.area in (Area.CPU, Area.VERSION)]


def test_a_cluster_without_a_guest_has_a_matrix_too() -> None:
    readiness = judge(site())
    assert [(pair.of, pair.processor, pair.machines) for pair in readiness.pairs] == [(0, True, ())] * 6
    assert found(readiness) == []


def test_what_a_processor_lacks_is_said_of_the_pair_and_of_its_target() -> None:
    readiness = judge(with_likeness(ALDER, BIRCH, has_all=False))
    [one] = found(readiness)
    assert (one.area, one.grade, one.hosts) == (Area.CPU, Grade.NOTE, (BIRCH,))
    assert "guests of alder may have" in one.words
    assert one.cure
    assert {(pair.source, pair.target) for pair in readiness.pairs if not pair.processor} == {(ALDER, BIRCH)}


def test_what_nobody_could_compare_is_unknown() -> None:
    readiness = judge(with_likeness(ALDER, BIRCH, None, "it does not say"))
    [one] = found(readiness)
    assert (one.grade, one.hosts) == (Grade.NOTE, (BIRCH,))
    assert one.words.endswith("is not known: it does not say")
    assert {(pair.source, pair.target) for pair in readiness.pairs if pair.processor is None} == {(ALDER, BIRCH)}
    silent = judge(replace(site(birch=()), likenesses=()))
    assert {pair.processor for pair in silent.pairs} == {None}
    assert {(pair.source, pair.target) for pair in silent.pairs if pair.machines is None} == {
        (ALDER, BIRCH), (BIRCH, ALDER), (BIRCH, CEDAR), (CEDAR, BIRCH)}


@pytest.mark.parametrize(("emulators", "grade", "words"), [
    ((replace(QEMU, machines=("q35",)),), Grade.NOTE, "does not offer machine type pc-q35-7.2, and alder, cedar do"),
    ((replace(QEMU, kinds=("qemu",)),), Grade.WARNING, "does not run x86_64 guests by KVM, and alder, cedar do"),
    ((replace(QEMU, arch="aarch64"),), Grade.WARNING, "does not run x86_64 guests, and alder, cedar do"),
    ((QEMU, Emulator("aarch64", ("qemu",), ("virt",))), None, ""),
])
def test_what_an_emulator_does_not_offer_is_said(emulators: tuple[Emulator, ...], grade: Grade | None, words: str) -> None:
    """That one has an emulator of another architecture beside its own is nothing that others lack."""
    at_birch = [one for one in found(judge(site(birch=emulators))) if one.hosts == (BIRCH,)]
    assert [one.grade for one in at_birch] == ([] if grade is None else [grade])
    assert all(words in one.words and one.cure for one in at_birch)
