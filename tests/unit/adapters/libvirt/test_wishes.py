"""What an owner's metadata says: its words within bounds, and nothing in it frees a VM."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.wishes import METADATA_NAMESPACE, NO_WISHES, PRIORITY_LIMIT, TAGS_MAX, Wishes
from ballastd.adapters.libvirt.xml_facts import DomainFacts, domain_facts
from ballastd.adapters.libvirt.xml_reading import XmlError
from ballastd.core.arrival_checks import AGENT, Check, check_of
from ballastd.core.inventory import Mobility, PinKind
from tests.unit.adapters.libvirt.domains import VOUCHED, domain

UNLOCKED = """<disk type='block' device='disk'><driver name='qemu' type='raw'/>
<source dev='/dev/vg/web'/><target dev='vda' bus='virtio'/></disk>"""


def facts(wish: str, namespace: str = METADATA_NAMESPACE, devices: str = "") -> DomainFacts:
    return domain_facts(domain(devices, metadata=f'<b:ballastd xmlns:b="{namespace}" {wish}/>'), VOUCHED)


def wishes(wish: str) -> Wishes:
    return facts(wish).wishes


def test_an_owner_says_everything_in_one_element() -> None:
    said = ('ignore="yes" pinned="yes" priority="5" group="db" tags="web, prod" mobility="cold" downtime="100" '
            'post_copy="never" shutdown="never"')
    assert wishes(said) == Wishes(ignored=True, pinned=True, priority=5, group="db", tags=("prod", "web"),
                                  mobility=Mobility.COLD, downtime_max_ms=100, post_copy=False, shutdown=False)


@pytest.mark.parametrize(("word", "mobility"), [
    ("live", Mobility.LIVE), (" Cold ", Mobility.COLD), ("never", Mobility.NEVER), ("", Mobility.NEVER),
    ("sometimes", Mobility.NEVER), ("live cold", Mobility.NEVER), ("x" * 100_000, Mobility.NEVER),
])
def test_a_word_of_mobility_that_nobody_knows_keeps_a_vm_where_it_is(word: str, mobility: Mobility) -> None:
    assert wishes(f'mobility="{word}"').mobility is mobility


@pytest.mark.parametrize(("text", "ms"), [
    ("100", 100), (" 300 ", 300), ("1", 1), ("60000", 60_000), ("999999999", 60_000), ("0", None), ("-5", None),
    ("1e3", None), ("0.5", None), ("fast", None), ("٣", None), ("9" * 5000, None), ("", None),
])
def test_a_wished_downtime_is_bounded(text: str, ms: int | None) -> None:
    assert wishes(f'downtime="{text}"').downtime_max_ms == ms


@pytest.mark.parametrize(("word", "allowed"), [
    ("never", False), ("no", False), ("", False), ("whatever", False), ("yes", True), (" TRUE ", True),
])
def test_a_last_resort_is_kept_off_by_any_word_but_yes(word: str, allowed: bool) -> None:
    assert wishes(f'post_copy="{word}"').post_copy is allowed
    assert wishes(f'shutdown="{word}"').shutdown is allowed


AGENT_CHANNEL = """<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"""
OTHER_CHANNEL = AGENT_CHANNEL.replace("guest_agent", "other_agent")


@pytest.mark.parametrize(("word", "check"), [("tcp://10.0.0.7:22", check_of("tcp://10.0.0.7:22")), (" agent ", AGENT)])
def test_an_owner_names_how_it_is_asked_whether_it_answers(word: str, check: Check) -> None:
    found = facts(f'check="{word}"', devices=AGENT_CHANNEL)
    assert (found.wishes.check, found.wishes.check_flaw, found.pins) == (check, "", ())


@pytest.mark.parametrize(("word", "devices", "flaw"), [
    ("agent", "", "check=agent: its definition has no channel org.qemu.guest_agent.0; add one"),
    ("agent", OTHER_CHANNEL, "check=agent: its definition has no channel"),
    ("", "", "check=: it is no check"), ("ping", "", "check=ping: it is no check"),
    ("tcp://web.example.net:22", "", "check=tcp://web.example.net:22: it is no check, or not by an address; write agent"),
    ("x" * 100_000, "", "check=xxxx"),
])
def test_a_check_that_cannot_be_used_is_told_with_its_cure_and_pins_nothing(word: str, devices: str, flaw: str) -> None:
    found = facts(f'check="{word}"', devices=devices)
    assert found.wishes.check is None
    assert found.wishes.check_flaw.startswith(flaw)
    assert len(found.wishes.check_flaw) < 300
    assert found.pins == ()


def test_who_says_nothing_wishes_nothing() -> None:
    assert wishes("") == NO_WISHES


@pytest.mark.parametrize(("wish", "priority"), [
    ('priority="5"', 5), ('priority="-7"', -7), ('priority="100000"', 100), ('priority="-100000"', -100),
    ('priority="high"', 0), ('priority="--5"', 0), ('priority=""', 0), ('priority="1e3"', 0), ('priority="٣"', 0),
    (f'priority="{"9" * 5000}"', 0), ("", 0),
])
def test_a_wished_priority_is_bounded(wish: str, priority: int) -> None:
    assert wishes(wish).priority == priority
    assert -PRIORITY_LIMIT <= priority <= PRIORITY_LIMIT


@pytest.mark.parametrize(("word", "held"), [
    ("yes", True), ("true", True), ("please", True), ("", True), (" NO ", False), ("false", False), ("0", False),
])
def test_an_owner_holds_a_vm_back_with_any_word_but_no(word: str, held: bool) -> None:
    read = facts(f'pinned="{word}"')
    assert [pin.kind for pin in read.pins] == ([PinKind.OPERATOR] if held else [])
    assert wishes(f'ignore="{word}"').ignored is held


def test_a_stranger_with_the_same_tag_has_no_say() -> None:
    read = facts('pinned="yes" priority="9" tags="web" ignore="yes"', namespace="https://example.org/1")
    assert (read.pins, read.wishes) == ((), NO_WISHES)


@pytest.mark.parametrize(("text", "tags"), [
    ("web", ("web",)), ("web,prod", ("prod", "web")), (" web ,, prod,", ("prod", "web")), ("a, a, a", ("a",)),
    ("v1.2_x-3", ("v1.2_x-3",)), ("two words, ok", ("ok",)), ("größe, 日本, ok", ("ok",)), ("a/b, a:b, *, ok", ("ok",)),
    ("x" * 64, ("x" * 64,)), ("x" * 65, ()), ("&lt;script&gt;, ok", ("ok",)), ("a&#10;b, ok&#10;", ("ok",)), ("", ()),
])
def test_of_the_tags_the_usable_ones_remain(text: str, tags: tuple[str, ...]) -> None:
    assert wishes(f'tags="{text}"').tags == tags


def test_of_too_many_tags_the_first_count() -> None:
    told = ",".join(f"t{n:05}" for n in reversed(range(50_000)))
    assert wishes(f'tags="{told}"').tags == tuple(f"t{n:05}" for n in range(50_000 - TAGS_MAX, 50_000))


@pytest.mark.parametrize(("text", "group"), [
    ("db", "db"), (" db ", "db"), ("two words", ""), ("", ""), ("x" * 65, ""), ("../etc", ""), ("db&#0009;x", ""),
])
def test_a_group_is_one_usable_name(text: str, group: str) -> None:
    assert wishes(f'group="{text}"').group == group


def test_a_second_element_cannot_take_back_what_holds_a_vm() -> None:
    both = "".join(f'<ballastd xmlns="{METADATA_NAMESPACE}" {words}/>' for words in (
        'pinned="no" ignore="no" tags="one" mobility="live" downtime="500" post_copy="yes" shutdown="yes"',
        'pinned="yes" ignore="yes" tags="two" priority="9" mobility="never" downtime="100" post_copy="never" '
        'shutdown="never"'))
    read = domain_facts(domain("", metadata=both), VOUCHED)
    assert read.wishes == Wishes(ignored=True, pinned=True, tags=("one",), mobility=Mobility.NEVER, downtime_max_ms=100,
                                 post_copy=False, shutdown=False)


@pytest.mark.parametrize("wish", [
    'pinned="no"', 'pinned="false" ignore="no" priority="100"', 'tags="movable, unpinned"', 'group="movable"',
    'vouched="yes" locked="yes"',
])
def test_no_word_of_an_owner_takes_a_pin_away(wish: str) -> None:
    assert [pin.kind for pin in facts(wish, devices=UNLOCKED).pins] == [PinKind.DISK_UNLOCKED]


@pytest.mark.parametrize("metadata", [
    f'<ballastd xmlns="{METADATA_NAMESPACE}" tags="a" tags="b"/>', f'<ballastd xmlns="{METADATA_NAMESPACE}" tags="&x;"/>',
    f'<x:ballastd xmlns:y="{METADATA_NAMESPACE}"/>', "<a>" * 200 + "</a>" * 200,
])
def test_metadata_that_is_no_xml_makes_the_whole_definition_unreadable(metadata: str) -> None:
    with pytest.raises(XmlError):
        domain_facts(domain("", metadata=metadata), VOUCHED)
