"""What a VM's owner wishes for it, read off our element in its metadata. Pure.

``<ballastd xmlns="https://ballastd.org/1" ignore="yes" pinned="yes" priority="5" group="db" tags="web, prod"
 mobility="cold" downtime="100" post_copy="never" shutdown="never" check="tcp://10.0.0.7:22"/>``

A tenant may be able to write it, so it is bounded, and a wish can only hold a VM back or name it: whether it can move
is read off its devices. What cannot be used is left out; a wish to be left alone is taken as one however it is spelled.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from ballastd.adapters.libvirt.xml_reading import is_whole_number, shown
from ballastd.core.arrival_checks import Check, CheckKind, check_of
from ballastd.core.inventory import Mobility
from ballastd.core.policies import VM_MARK

METADATA_NAMESPACE = "https://ballastd.org/1"
CHANNEL = "org.qemu.guest_agent.0"
"""By this name a guest's agent listens."""
PRIORITY_LIMIT = 100
TAGS_MAX = 32
DOWNTIME_MAX_MS = 60_000
"""A longer one is no live migration any more."""
_NO = frozenset({"no", "false", "0"})
_YES = frozenset({"yes", "true", "1"})
_STRICTNESS = (Mobility.LIVE, Mobility.COLD, Mobility.NEVER)


@dataclass(frozen=True, slots=True)
class Wishes:
    """``ignored``: it is to be left alone altogether; ``pinned``: it is not to be moved. ``priority``: from -100 to
    100. ``tags``: sorted, each once. ``mobility``, ``downtime_max_ms``, ``post_copy``, ``shutdown``, ``check``,
    ``check_flaw`` as in ``VmRecord``."""

    ignored: bool = False
    pinned: bool = False
    priority: int = 0
    group: str = ""
    tags: tuple[str, ...] = ()
    mobility: Mobility = Mobility.LIVE
    downtime_max_ms: int | None = None
    post_copy: bool = True
    shutdown: bool = True
    check: Check | None = None
    check_flaw: str = ""


NO_WISHES = Wishes()
UNREADABLE_WISHES = Wishes(post_copy=False, shutdown=False)
"""Of a definition that cannot be read: what an owner may have forbidden is forbidden."""


def wishes_of(domain: ET.Element) -> Wishes:
    """Return what our element says, of several the first; held back is who is so by any of them."""
    elements = domain.findall(f"metadata/{{{METADATA_NAMESPACE}}}ballastd")
    if not elements:
        return NO_WISHES
    first = elements[0]
    check, check_flaw = _check(first, domain)
    return Wishes(
        ignored=any(_is_wished(element, "ignore") for element in elements),
        pinned=any(_is_wished(element, "pinned") for element in elements),
        priority=_priority(first.get("priority", "").strip()),
        group=_name(first.get("group", "")),
        tags=_tags(first.get("tags", "")),
        mobility=max((_mobility(element) for element in elements), key=_STRICTNESS.index),
        downtime_max_ms=min((ms for element in elements if (ms := _downtime(element)) is not None), default=None),
        post_copy=_is_allowed(elements, "post_copy"), shutdown=_is_allowed(elements, "shutdown"),
        check=check, check_flaw=check_flaw,
    )


def _is_wished(element: ET.Element, what: str) -> bool:
    return element.get(what, "no").strip().lower() not in _NO


def _is_allowed(elements: list[ET.Element], what: str) -> bool:
    return all(element.get(what, "yes").strip().lower() in _YES for element in elements)


def _mobility(element: ET.Element) -> Mobility:
    """Return what is wished; a word that nobody knows keeps the VM where it is."""
    word = element.get("mobility", Mobility.LIVE.value).strip().lower()
    return next((one for one in Mobility if one.value == word), Mobility.NEVER)


def _check(element: ET.Element, domain: ET.Element) -> tuple[Check | None, str]:
    """Return how it is to be asked whether it answers, or why what is said of that cannot be used."""
    text = element.get("check")
    if text is None:
        return None, ""
    try:
        check = check_of(text)
    except ValueError as error:
        return None, f"check={shown(text)}: {error}"
    if check.kind is CheckKind.AGENT and domain.find(f"devices/channel/target[@name='{CHANNEL}']") is None:
        return None, f"check=agent: its definition has no channel {CHANNEL}; add one, or ask it by tcp:// or http://"
    return check, ""


def _downtime(element: ET.Element) -> int | None:
    """Return milliseconds, None where they cannot be used."""
    text = element.get("downtime", "").strip()
    if not is_whole_number(text) or not (ms := int(text)):
        return None
    return min(DOWNTIME_MAX_MS, ms)


def _priority(text: str) -> int:
    if not is_whole_number(text.removeprefix("-")):
        return 0
    return max(-PRIORITY_LIMIT, min(PRIORITY_LIMIT, int(text)))


def _name(text: str) -> str:
    found = VM_MARK.fullmatch(text.strip())
    return found[0] if found else ""


def _tags(text: str) -> tuple[str, ...]:
    """Return the first ``TAGS_MAX`` usable names of a list with commas."""
    usable = dict.fromkeys(name for word in text.split(",") if (name := _name(word)))
    return tuple(sorted(tuple(usable)[:TAGS_MAX]))
