"""XML from strangers: bounded, and never more than what it says itself."""

from __future__ import annotations

import time

import pytest

from ballastd.adapters.libvirt.xml_reading import SHOWN_MAX, XML_BYTES_MAX, XmlError, read_xml, shown

LAUGHS = """<!DOCTYPE lolz [<!ENTITY lol "lol">{}]><domain>&lol9;</domain>""".format(
    "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 10)))
EXTERNAL = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain><name>&x;</name></domain>'
PARAMETER = '<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]><domain/>'


@pytest.mark.parametrize(("text", "words"), [
    (LAUGHS, "document type"),
    (EXTERNAL, "document type"),
    (PARAMETER, "document type"),
    ('<!DOCTYPE domain SYSTEM "http://127.0.0.1:9/d.dtd"><domain/>', "document type"),
    ("<domain>&unheard;</domain>", "not well-formed"),
    ("", "not well-formed"),
    ("garbage", "not well-formed"),
    ("<domain><name></domain>", "not well-formed"),
    ("<domain>\x00</domain>", "not well-formed"),
    ("<domain>\ud800</domain>", "not valid Unicode"),
    ("<a>" * 200 + "</a>" * 200, "nested deeper"),
    ("<domain>" + "x" * XML_BYTES_MAX + "</domain>", "larger than"),
    ("<domain>" + "é" * (XML_BYTES_MAX // 2) + "</domain>", "larger than"),
])
def test_what_is_dangerous_or_broken_is_refused_with_the_reason(text: str, words: str) -> None:
    began = time.perf_counter()
    with pytest.raises(XmlError, match=words):
        read_xml(text)
    assert time.perf_counter() - began < 1.0


def test_a_large_text_within_the_bound_is_read() -> None:
    assert read_xml("<d>" + "<e a='1'/>" * 100_000 + "</d>").find("e") is not None


def test_namespaces_are_resolved_whatever_prefix_is_used() -> None:
    root = read_xml('<m xmlns:a="urn:x" xmlns="urn:y"><a:b a:k="1" k="2"/></m>')
    child = root[0]
    assert (root.tag, child.tag, child.get("{urn:x}k"), child.get("k")) == ("{urn:y}m", "{urn:x}b", "1", "2")


def test_comments_and_instructions_are_left_out() -> None:
    root = read_xml("<?xml version='1.0'?><d><!-- <!DOCTYPE nothing> --><?php x?><e>t</e></d>")
    assert [child.tag for child in root] == ["e"]


@pytest.mark.parametrize(("text", "clean"), [
    ("web-1", "web-1"),
    ("größe 日本", "größe 日本"),
    ("a\x1b[31mred\nnext", "a\ufffd[31mred\ufffdnext"),
    ("\u202egnp.exe", "\ufffdgnp.exe"),
    ("", ""),
])
def test_names_are_made_printable(text: str, clean: str) -> None:
    assert shown(text) == clean


def test_names_are_bounded_and_say_so() -> None:
    assert shown("x" * SHOWN_MAX) == "x" * SHOWN_MAX
    assert shown("x" * (SHOWN_MAX + 1)) == "x" * (SHOWN_MAX - 1) + "…"
