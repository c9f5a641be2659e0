"""Every libvirt error that was ever met, and what it means for a migration."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.errors_map import REFUSED_WITHIN_SECONDS, LibvirtTrouble, Meaning, migration_error
from ballastd.errors import (
    MigrationAborted,
    MigrationError,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    VmVanished,
)

AT_ONCE, LATER = 0.02, 5.0

MET = [
    # code, domain, said at once, said later
    (38, 7, OutcomeUnknown, OutcomeUnknown),
    (1, 7, OutcomeUnknown, OutcomeUnknown),
    (78, 10, MigrationAborted, MigrationAborted),
    (9, 10, MigrationFailed, MigrationFailed),
    (1, 10, MigrationFailed, MigrationFailed),
    (9, 20, MigrationRefused, VmVanished),
    (55, 10, MigrationRefused, OutcomeUnknown),
    (55, 20, MigrationRefused, OutcomeUnknown),
    (81, 10, MigrationRefused, OutcomeUnknown),
    (38, 18, MigrationRefused, OutcomeUnknown),
    (38, 0, MigrationRefused, OutcomeUnknown),
    (67, 10, MigrationRefused, OutcomeUnknown),
    (91, 31, MigrationRefused, OutcomeUnknown),
    (70, 34, MigrationRefused, OutcomeUnknown),
    (42, 10, VmVanished, VmVanished),
    (42, 20, VmVanished, VmVanished),
    (29, 20, MigrationRefused, OutcomeUnknown),
    (68, 0, MigrationRefused, MigrationRefused),
    (68, 10, MigrationRefused, MigrationRefused),
    (1, 31, MigrationRefused, OutcomeUnknown),
    (84, 10, OutcomeUnknown, OutcomeUnknown),
    (43, 19, OutcomeUnknown, OutcomeUnknown),
    (50, 18, OutcomeUnknown, OutcomeUnknown),
    (80, 20, OutcomeUnknown, OutcomeUnknown),
]


@pytest.mark.parametrize(("code", "domain", "at_once", "later"), MET)
def test_each_error_that_was_met_has_its_meaning(
        code: int, domain: int, at_once: type[MigrationError], later: type[MigrationError]) -> None:
    trouble = LibvirtTrouble(code, domain, "words")
    assert type(migration_error(trouble, AT_ONCE)) is at_once
    assert type(migration_error(trouble, LATER)) is later


@pytest.mark.parametrize(("code", "domain"), [(0, 0), (-1, 0), (1, 0), (1, 99), (9, 99), (999, 10), (110, 7)])
def test_what_was_never_met_says_nothing(code: int, domain: int) -> None:
    trouble = LibvirtTrouble(code, domain, "words")
    assert type(migration_error(trouble, AT_ONCE)) is OutcomeUnknown
    assert type(migration_error(trouble, LATER)) is OutcomeUnknown


def test_a_refusal_counts_only_while_no_job_can_have_begun() -> None:
    trouble = LibvirtTrouble(81, 10, "unsafe")
    assert type(migration_error(trouble, REFUSED_WITHIN_SECONDS)) is MigrationRefused
    assert type(migration_error(trouble, REFUSED_WITHIN_SECONDS + 0.001)) is OutcomeUnknown


def test_only_the_transport_loses_a_connection() -> None:
    lost = {(code, domain) for code, domain, *_ in MET if LibvirtTrouble(code, domain, "").lost_connection}
    assert lost == {(38, 7), (1, 7)}


def test_the_error_keeps_code_domain_and_words() -> None:
    error = migration_error(LibvirtTrouble(9, 10, "job 'migration out' failed"), LATER)
    assert (error.code, error.domain, str(error)) == (9, 10, "job 'migration out' failed (9,10)")


def test_statistics_asked_at_the_target_point_to_the_source() -> None:
    assert LibvirtTrouble(84, 10, "").meaning is Meaning.ASK_THE_SOURCE
