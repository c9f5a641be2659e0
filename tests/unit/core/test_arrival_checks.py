"""What an owner's words ask for, and what of it an operator lets the daemon do: addresses in networks that are named."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ballastd.core.arrival_checks import AGENT, NOTHING_ALLOWED, AllowedChecks, Check, CheckKind, check_of
from ballastd.core.plain import from_plain, to_plain


def allowed(*networks: str, agent: bool = False) -> AllowedChecks:
    return AllowedChecks(agent, tuple(ip_network(one) for one in networks))


@pytest.mark.parametrize(("text", "check", "words"), [
    ("agent", AGENT, "agent"), (" agent ", AGENT, "agent"),
    ("tcp://10.0.0.7:22", Check(CheckKind.TCP, "10.0.0.7", 22), "tcp://10.0.0.7:22"),
    ("tcp://[FD00::0:7]:22", Check(CheckKind.TCP, "fd00::7", 22), "tcp://[fd00::7]:22"),
    ("http://10.0.0.7", Check(CheckKind.HTTP, "10.0.0.7", 80, "/"), "http://10.0.0.7:80/"),
    ("https://10.0.0.7/a?b=c%20d", Check(CheckKind.HTTPS, "10.0.0.7", 443, "/a?b=c%20d"), "https://10.0.0.7:443/a?b=c%20d"),
    ("http://10.0.0.7:8080/health", Check(CheckKind.HTTP, "10.0.0.7", 8080, "/health"), "http://10.0.0.7:8080/health"),
])
def test_an_owner_names_a_check(text: str, check: Check, words: str) -> None:
    assert check_of(text) == check
    assert check.words() == words
    assert check_of(words) == check
    assert from_plain(Check, to_plain(check)) == check


@pytest.mark.parametrize("text", [
    "", "yes", "Agent", "ping", "tcp://10.0.0.7", "tcp://10.0.0.7:0", "tcp://10.0.0.7:65536", "tcp://10.0.0.7:22/x",
    "tcp://web.example.net:22", "http://localhost/", "http://user:word@10.0.0.7/", "http://10.0.0.7@192.0.2.7/",
    "http://10.0.0.7/a b", "http://10.0.0.7/\r\nHost: x", "http://10.0.0.7/#x", "http://10.0.0.7\\@192.0.2.7/", "ftp://10.0.0.7:21",
    "http://0x0a000007/", "http://167772167/", "http://10.7/", "http://010.0.0.7/", "http://10.0.0.256/", "tcp://[fe80::1%eth0]:22",
    "tcp://[::ffff:10.0.0.7]:22", "tcp://0.0.0.0:22", "tcp://[::]:22", "tcp://224.0.0.1:22", "tcp://255.255.255.255:22",
    "tcp://[ff02::1]:22", "tcp://fd00::7:22", "http://١٠.0.0.7/", "http://10.0.0.7/" + "x" * 300, "tcp://10.0.0.7:22 tcp://10.0.0.8:22",
])
def test_whatever_else_is_said_is_no_check_and_has_a_cure(text: str) -> None:
    with pytest.raises(ValueError, match="write") as found:
        check_of(text)
    assert len(str(found.value)) < 200


@pytest.mark.parametrize("spare", range(8))
def test_what_can_be_written_can_be_read_again_also_with_its_port(spare: int) -> None:
    start = "https://10.0.0.7/"
    text = start + (256 - spare - len(start)) * "x"
    if spare < len(":443"):
        with pytest.raises(ValueError, match="with its port it is longer than 256 characters"):
            check_of(text)
    else:
        assert check_of(check_of(text).words()) == check_of(text)


@pytest.mark.parametrize("text", ["agent", "tcp://10.0.0.7:22", "tcp://127.0.0.1:22", "http://[fd00::7]/"])
def test_nothing_is_allowed_as_shipped(text: str) -> None:
    assert NOTHING_ALLOWED.why_not(check_of(text))


@pytest.mark.parametrize(("networks", "text", "is_allowed"), [
    (("10.0.0.0/8",), "tcp://10.0.0.7:22", True), (("10.0.0.0/8",), "tcp://11.0.0.7:22", False),
    (("10.0.0.0/8",), "http://[fd00::7]/", False), (("fd00::/8",), "http://[fd00::7]/", True),
    (("0.0.0.0/0", "::/0"), "tcp://127.0.0.1:22", False), (("0.0.0.0/0", "::/0"), "tcp://[::1]:22", False),
    (("0.0.0.0/0",), "http://169.254.169.254/latest", False), (("::/0",), "tcp://[fe80::1]:22", False),
    (("127.0.0.0/8",), "tcp://127.0.0.1:22", True), (("127.0.0.1",), "tcp://127.0.0.1:22", True),
    (("::1",), "tcp://[::1]:22", True), (("169.254.7.0/24",), "tcp://169.254.7.7:22", True),
    (("126.0.0.0/7",), "tcp://127.0.0.1:22", False), (("10.0.0.0/8",), "agent", False),
    (("::/0",), "tcp://[64:ff9b::a9fe:a9fe]:80", False), (("::/0",), "tcp://[64:ff9b:1::a9fe:a9fe]:80", False),
    (("::/0",), "tcp://[2002:a9fe:a9fe::1]:80", False), (("::/0",), "tcp://[::7f00:1]:80", False),
    (("::/0",), "tcp://[::ffff:0:a9fe:a9fe]:80", False), (("::/0",), "tcp://[fec0::1]:80", False),
    (("64:ff9b::/96",), "tcp://[64:ff9b::a00:7]:80", True), (("fec0:0:0:7::/64",), "tcp://[fec0:0:0:7::1]:80", True),
    (("::/0",), "tcp://[2001:db8::7]:80", True),
])
def test_only_addresses_in_networks_that_are_named_and_loopback_only_as_such(networks: tuple[str, ...], text: str,
                                                                            is_allowed: bool) -> None:
    assert (not allowed(*networks).why_not(check_of(text))) is is_allowed


def test_agents_are_allowed_by_a_word_of_their_own() -> None:
    assert not allowed(agent=True).why_not(AGENT)
    assert allowed(agent=True).why_not(check_of("tcp://10.0.0.7:22"))


@pytest.mark.parametrize(("networks", "is_named"), [
    (("10.0.0.0/8",), False), (("10.0.0.7",), True), (("10.0.0.0/8", "10.0.0.7/32"), True), (("10.0.0.8",), False),
    ((), False)])
def test_an_address_of_our_own_has_to_be_named_by_itself(networks: tuple[str, ...], is_named: bool) -> None:
    assert allowed(*networks).names("10.0.0.7") is is_named


def test_loopback_is_named_as_loopback() -> None:
    assert allowed("127.0.0.0/8").names("127.0.0.1")
    assert not allowed("0.0.0.0/0").names("127.0.0.1")


def test_who_names_another_notation_does_not_mean_an_address_of_our_own() -> None:
    assert not allowed("2002::/16").names("2002:a00:7::1")
