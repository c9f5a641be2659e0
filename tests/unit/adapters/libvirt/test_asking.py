"""Questions to emulators: none behind one that hangs, and few to all of them at once."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from ballastd.adapters.libvirt.asking import OPEN_TO_ALL_MAX, PATIENCE_SECONDS, Asking
from ballastd.adapters.libvirt.links import CallFailed


class PaperDomain:
    """As much of a domain as ``Asking`` looks at."""

    def __init__(self, uuid: str = "u", control: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.uuid, self.control = uuid, control

    def UUIDString(self) -> str:  # noqa: N802  libvirt's name
        return self.uuid

    def controlInfo(self, flags: int) -> tuple[int, int, int]:  # noqa: N802  libvirt's name
        return self.control


def test_a_vm_is_not_asked_again_while_a_question_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking()
    with asking.about(PaperDomain()):
        with asking.about(PaperDomain()):
            pass  # a question that is young does not count as hanging
        later = time.monotonic() + PATIENCE_SECONDS + 0.1
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(CallFailed, match="does not answer"), asking.about(PaperDomain()):
            pass
        with asking.about(PaperDomain("other")):
            pass
    with asking.about(PaperDomain()):
        pass  # the question came back


@pytest.mark.parametrize(("control", "answers"), [
    ((0, 0, 0), True), ((1, 0, 900_000), True), ((2, 0, 900), True), ((2, 0, 1_100), False), ((3, 2, 0), False)])
def test_a_vm_whose_monitor_is_held_by_others_is_not_asked(control: tuple[int, int, int], answers: bool) -> None:
    with contextlib.nullcontext() if answers else pytest.raises(CallFailed), \
            Asking().about(PaperDomain(control=control)):
        pass


def test_a_question_about_one_waits_for_the_one_about_all() -> None:
    asking, answered = Asking(), threading.Event()

    def ask_all() -> None:
        with asking.about_all():
            answered.wait(5.0)

    thread = threading.Thread(target=ask_all)
    thread.start()
    threading.Timer(0.2, answered.set).start()
    begun = time.monotonic()
    with asking.about(PaperDomain()):
        assert answered.is_set()
    assert time.monotonic() - begun < PATIENCE_SECONDS
    thread.join()


def test_while_one_to_all_hangs_a_guest_that_is_asked_already_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking()
    with asking.about_all():
        later = time.monotonic() + PATIENCE_SECONDS + 0.1
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(CallFailed), asking.about(PaperDomain(control=(2, 0, 900))):
            pass
        with asking.about(PaperDomain("other")):
            pass
    with asking.about(PaperDomain(control=(2, 0, 900))):
        pass  # nothing hangs any more: it is only slow


def test_few_questions_to_all_may_be_open_at_once() -> None:
    asking = Asking()
    with contextlib.ExitStack() as open_ones:
        for _ in range(OPEN_TO_ALL_MAX):
            open_ones.enter_context(asking.about_all())
        with pytest.raises(CallFailed, match=f"{OPEN_TO_ALL_MAX} emulators"), asking.about_all():
            pass
    with asking.about_all():
        pass
