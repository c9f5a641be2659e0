"""Windows from .ics files: which events, when they begin, how long they last; and what is refused, with its line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError

WINDOW = 'kind: Window\nname: freeze\ndeny: {ics: freeze.ics, events: %s, timezone: Europe/Berlin}\n'


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def event(*lines: str, title: str = "Change freeze") -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{title}", f"SUMMARY:{title}", *lines, "END:VEVENT", ""])


def calendar(*events: str) -> str:
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n" + "".join(events) + "END:VCALENDAR\r\n"


def opened(folder: Path, now: str, *events: str, meant: str = "all") -> list[tuple[str, float]]:
    """Return the openings of the next fortnight: begin in UTC, hours."""
    (folder / "freeze.ics").write_text(calendar(*events))
    (folder / "w.yaml").write_text(WINDOW % meant)
    found = load_policies(folder, None, wall(now)).policies.windows["freeze"].intervals
    return [(datetime.fromtimestamp(b, UTC).strftime("%Y-%m-%d %H:%M"), (e - b) / 3600) for b, e in found]


def problems(folder: Path, text: str | bytes | None, meant: str = "all", name: str = "freeze.ics") -> list[str]:
    if text is not None:
        (folder / "freeze.ics").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "w.yaml").write_text((WINDOW % meant).replace("freeze.ics", name))
    with pytest.raises(ConfigurationError) as caught:
        load_policies(folder, None, 0.0)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_an_event_begins_in_its_own_zone_and_ends_where_it_says(tmp_path: Path) -> None:
    assert opened(tmp_path, "2026-12-20 00:00", event(
        "DTSTART;TZID=America/New_York:20261224T120000", "DTEND;TZID=Europe/Berlin:20261225T000000")) == [
            ("2026-12-24 17:00", 6.0)]


def test_a_time_without_a_zone_is_the_windows_and_one_in_utc_is_utc(tmp_path: Path) -> None:
    assert opened(tmp_path, "2026-12-20 00:00", event("DTSTART:20261224T120000", "DURATION:PT2H"),
                  event("DTSTART:20261226T120000Z", "DTEND:20261226T130000Z")) == [
                      ("2026-12-24 11:00", 2.0), ("2026-12-26 12:00", 1.0)]


def test_days_are_days_of_the_windows_zone_also_when_the_clocks_change(tmp_path: Path) -> None:
    assert opened(tmp_path, "2026-12-20 00:00", event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227")) == [
        ("2026-12-23 23:00", 72.0)]
    assert opened(tmp_path, "2027-03-20 00:00", event("DTSTART;VALUE=DATE:20270327", "DTEND;VALUE=DATE:20270329")) == [
        ("2027-03-26 23:00", 47.0)]
    assert opened(tmp_path, "2026-12-20 00:00", event("DTSTART;VALUE=DATE:20261224")) == [("2026-12-23 23:00", 24.0)]


@pytest.mark.parametrize("now", ["2027-03-27 12:00", "2026-10-24 12:00"])
def test_two_hours_are_two_hours_when_the_clocks_change(tmp_path: Path, now: str) -> None:
    found = opened(tmp_path, now, event("DTSTART;TZID=Europe/Berlin:20260101T013000",
                                        "DTEND;TZID=Europe/Berlin:20260101T033000", "RRULE:FREQ=DAILY"))
    assert {hours for _, hours in found} == {2.0}
    assert found[0][0][-5:] in ("00:30", "23:30")


def test_starts_are_left_out_added_and_moved(tmp_path: Path) -> None:
    weekly = event("DTSTART;TZID=Europe/Berlin:20261201T220000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY",
                   "EXDATE;TZID=Europe/Berlin:20261208T220000", "RDATE:20261205T210000Z", title="Backup")
    moved = event("RECURRENCE-ID:20261215T210000Z", "DTSTART;TZID=Europe/Berlin:20261216T200000", "DURATION:PT3H",
                  title="Backup")
    assert opened(tmp_path, "2026-12-01 00:00", weekly, moved) == [("2026-12-01 21:00", 1.0), ("2026-12-05 21:00", 1.0)]
    assert opened(tmp_path, "2026-12-09 00:00", weekly, moved) == [("2026-12-16 19:00", 3.0), ("2026-12-22 21:00", 1.0)]


def test_cancelled_events_and_starts_are_none(tmp_path: Path) -> None:
    weekly = event("DTSTART:20261201T220000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY", title="Backup")
    gone = event("RECURRENCE-ID:20261208T220000Z", "DTSTART:20261208T220000Z", "DURATION:PT1H", "STATUS:CANCELLED",
                 title="Backup")
    other = event("DTSTART:20261203T220000Z", "DURATION:PT1H", "STATUS:CANCELLED", title="Other")
    assert opened(tmp_path, "2026-12-01 00:00", weekly, gone, other) == [("2026-12-01 22:00", 1.0)]


def test_events_are_chosen_by_what_they_are_called(tmp_path: Path) -> None:
    both = (event("DTSTART:20261224T120000Z", "DURATION:PT2H", title="Change freeze 2026"),
            event("DTSTART:20261225T120000Z", "DURATION:PT2H", title="Team lunch"))
    assert opened(tmp_path, "2026-12-20 00:00", *both, meant='["Change freeze*"]') == [("2026-12-24 12:00", 2.0)]
    assert len(opened(tmp_path, "2026-12-20 00:00", *both)) == 2
    assert problems(tmp_path, calendar(*both), meant='["Chance*"]') == [
        "w.yaml:3:8: deny.ics: freeze.ics:1: no event is meant; name one of them with events: 'Change freeze 2026', "
        "'Team lunch'"]


def test_a_zone_that_outlook_names_is_known(tmp_path: Path) -> None:
    assert opened(tmp_path, "2026-12-20 00:00", event("DTSTART;TZID=W. Europe Standard Time:20261224T120000",
                                                      "DURATION:PT1H")) == [("2026-12-24 11:00", 1.0)]


def test_the_digest_follows_the_calendar(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(WINDOW % "all")
    digests = set()
    for day in ("20261224", "20261225"):
        (tmp_path / "freeze.ics").write_text(calendar(event(f"DTSTART;VALUE=DATE:{day}")))
        digests.add(load_policies(tmp_path, None, 0.0).policies.digest)
    assert len(digests) == 2


def test_a_calendar_that_has_passed_is_doubted_and_not_refused(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(WINDOW % "all")
    (tmp_path / "freeze.ics").write_text(calendar(event("DTSTART;VALUE=DATE:20201224")))
    assert f"{tmp_path}/w.yaml:2:1: freeze has passed, it never denies again; take it out" in load_policies(
        tmp_path, None, wall("2026-12-01 00:00")).warnings


DAY = "DTSTART;VALUE=DATE:20261224"


@pytest.mark.parametrize(("text", "problem"), [
    ("hello", "freeze.ics:1: no iCalendar file"),
    ("", "freeze.ics:1: no iCalendar file"),
    (calendar(), "freeze.ics:1: no iCalendar file with an event in it"),
    (calendar(event()), "freeze.ics:4: event 'Change freeze': it has no DTSTART"),
    (calendar(event(DAY), event("DTSTART:20261224T120000Z", title="b")),
     "freeze.ics:9: event 'b': it has neither DTEND nor DURATION: nobody knows how long it lasts; write DTEND"),
    (calendar(event("DTSTART:20261224T120000Z", "DTEND:20261224T110000Z")),
     "freeze.ics:4: event 'Change freeze': it would last -3600 s; more than none, and at most a year"),
    (calendar(event("DTSTART:2026banana")), "freeze.ics:4: event 'Change freeze': DTSTART: "),
    (calendar(event("DTSTART;TZID=Nowhere/City:20261224T120000", "DURATION:PT1H")),
     "freeze.ics:4: event 'Change freeze': TZID 'Nowhere/City' is no IANA time zone; write for example TZID=Europe/Berlin"),
    (calendar(event(DAY, "RRULE:FREQ=HOURLY")), "freeze.ics:4: event 'Change freeze': FREQ=HOURLY: windows recur DAILY, "
     "WEEKLY, MONTHLY or YEARLY; write for example FREQ=MONTHLY;BYDAY=2SA"),
    (calendar(event(DAY, "RRULE:FREQ=SOMETIMES")), "freeze.ics:4: event 'Change freeze': RRULE: "),
    (calendar(event(DAY, "RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY")),
     "freeze.ics:4: event 'Change freeze': RRULE stands there 2 times; keep one"),
    (calendar(event(DAY, "RRULE:FREQ=DAILY", "EXDATE:20261225T000000Z")),
     "freeze.ics:4: event 'Change freeze': EXDATE and DTSTART must both be days, or both times"),
    (calendar(event("DTSTART:18851224T120000Z", "DURATION:PT1H")),
     "freeze.ics:4: event 'Change freeze': the year 1885 is not ours"),
    (calendar(event(DAY, "STATUS:CANCELLED")), "freeze.ics:1: every event that is meant is cancelled"),
    (calendar(*[event(DAY)] * 201), "freeze.ics:1: 201 events are meant, at most 200 are taken; name fewer with events:"),
    (calendar(*[event(DAY)] * 2001), "freeze.ics:1: 2001 events; at most 2000 are read"),
    (b"\xff\xfe", "freeze.ics:1:1: not UTF-8 at byte 0; save it as UTF-8"),
    (None, "freeze.ics: cannot be read: No such file or directory; it must lie beside this file"),
    (b"x" * 300_000, "freeze.ics: 300000 bytes, at most 262144 are read; split it"),
])
def test_a_calendar_that_cannot_be_used_is_told_with_its_line(tmp_path: Path, text: str | bytes | None,
                                                              problem: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"w.yaml:3:8: deny.ics: {problem}"), found


@pytest.mark.parametrize("name", ["../freeze.ics", "/etc/freeze.ics", "freeze.txt", ".freeze.ics", "a/b.ics"])
def test_a_calendar_lies_beside_the_policies(tmp_path: Path, name: str) -> None:
    assert problems(tmp_path, None, name=name) == [
        f"w.yaml:3:8: deny.ics: {name!r}: write the name of an .ics file that lies beside this one, for example freeze.ics"]


def test_events_are_meant_in_so_many_words(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("kind: Window\nname: w\ndeny: {ics: freeze.ics, timezone: UTC}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_policies(tmp_path, None, 0.0)
    assert caught.value.problems == (
        f"{tmp_path}/w.yaml:3:1: deny.events: is missing beside ics; write for example events: all",)
