"""The list of seeded faults fits the code that it is to be thrown at, whoever changed that code last."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.mutants.__main__ import ROOT, Catch, caught_in, fits, nearest_first, thrown
from tests.mutants.catalogue import ALL


def test_what_each_of_them_replaces_stands_in_the_code_once() -> None:
    assert [mutant.name for mutant in ALL if not fits(mutant)] == []


def test_none_is_there_twice() -> None:
    for what in (Counter(mutant.name for mutant in ALL), Counter((mutant.path, mutant.old, mutant.new) for mutant in ALL)):
        assert [one for one, count in what.items() if count > 1] == []


def test_the_nets_that_they_name_exist() -> None:
    paths = {path.split("::")[0] for mutant in ALL for _, paths in mutant.nets for path in paths}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_what_was_caught_of_the_same_daemon_is_not_thrown_again_and_nothing_else() -> None:
    one, other = ALL[:2]
    rows = [{"mutant": one.name, "of": thrown(one, "a"), "caught": {"unit": None, "property": "test_x.py::test_y"}},
            {"mutant": other.name, "of": thrown(other, "a"), "caught": {"unit": None}}]
    assert caught_in(rows) == {one.name: Catch("property", "test_x.py::test_y", thrown(one, "a"))}
    changed = replace(one, new=one.new + " ")
    assert len({thrown(one, "a"), thrown(one, "b"), thrown(other, "a"), thrown(changed, "a")}) == 4


def test_of_a_net_those_come_first_that_import_what_is_sabotaged() -> None:
    kernel, one = "tests/unit/kernel", "tests/unit/core/test_reserve.py::test_x"
    files = {f"{kernel}/{file.name}" for file in (ROOT / kernel).glob("test_*.py")}
    first, *rest = nearest_first(ROOT, (one, kernel), "daemon/ballastd/kernel/record.py")
    assert "from ballastd.kernel.record import" in (ROOT / first).read_text()
    assert sorted((first, *rest)) == sorted((one, *files))
