"""What is booked of guests that were asked to shut down."""

from __future__ import annotations

import pytest

from ballastd.core import shutdown_events as sh
from ballastd.core.books import LedgerBroken
from ballastd.core.ledger import Ledger
from ballastd.core.shutdown_books import KEPT, ShutdownBooks
from ballastd.core.shutdown_events import ShutdownEnding
from tests.builders import vm_id
from tests.unit.core.shutting import H1


def ordered(number: int, vm: str = "a") -> sh.ShutdownOrdered:
    return sh.ShutdownOrdered(float(number), f"{number}-s1", vm_id(vm), vm, H1, "failing-hosts", "because")


def test_the_books_refuse_what_cannot_follow() -> None:
    ledger = Ledger()
    ledger.apply(ordered(1))
    for wrong in (ordered(2), sh.ShutdownAskedAgain(3.0, "nobody", 2), sh.ShutdownEnded(3.0, "2-s1", ShutdownEnding.DOWN)):
        with pytest.raises(LedgerBroken):
            ledger.apply(wrong)
    ledger.apply(sh.ShutdownWithdrawn(4.0, "1-s1", "because"))
    with pytest.raises(LedgerBroken):
        ledger.apply(sh.ShutdownAskedAgain(5.0, "1-s1", 2))
    ledger.apply(sh.ShutdownEnded(6.0, "1-s1", ShutdownEnding.STAYED))
    with pytest.raises(LedgerBroken):
        ledger.apply(sh.ShutdownEnded(7.0, "1-s1", ShutdownEnding.DOWN))
    with pytest.raises(LedgerBroken):
        ledger.apply(sh.ShutdownOver(7.0, "1-s1", "a", H1, "it runs again"))
    ledger.apply(ordered(8))
    assert [one.id for one in ledger.shutdowns.open()] == ["8-s1"]


def test_the_books_are_bounded_and_drop_nothing_that_is_open() -> None:
    books = ShutdownBooks()
    books.apply(ordered(0, "open"))
    for number in range(1, KEPT + 50):
        books.apply(ordered(number, f"v{number}"))
        books.apply(sh.ShutdownEnded(float(number), f"{number}-s1", ShutdownEnding.STAYED))
    assert len(books.by_vm) == KEPT
    assert [one.vm_name for one in books.open()] == ["open"]


def test_who_has_to_be_started_by_somebody_is_never_forgotten() -> None:
    books = ShutdownBooks()
    for number in range(KEPT + 50):
        books.apply(ordered(number, f"v{number}"))
        books.apply(sh.ShutdownEnded(float(number), f"{number}-s1", ShutdownEnding.DOWN))
    assert len(books.missed()) == len(books.down()) == KEPT + 50
    books.apply(sh.ShutdownOver(300.0, "0-s1", "v0", H1, "it runs again"))
    assert vm_id("v0") not in books.down()
    books.apply(ordered(400, "another"))
    assert vm_id("v0") not in books.by_vm
