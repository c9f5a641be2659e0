"""What a check-up needs of an X.509 certificate (RFC 5280), read from its DER: who, by whom, for which names, until when.

The standard library decodes the certificate of a peer only once it believes it, and it is those it does not believe that an
operator asks about. Nothing is judged here, and no signature is looked at: that is the handshake's part.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from ballastd.core.certificates import Certificate

DER_BYTES_MAX = 1 << 16
NAMES_MAX = 100
SHOWN_MAX = 128

_SEQUENCE, _SET, _INTEGER, _OID, _OCTETS, _BOOLEAN = 0x30, 0x31, 0x02, 0x06, 0x04, 0x01
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _ADDRESS = 0x82, 0x87
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_COMMON_NAME, _UNIT, _ORGANISATION = (bytes.fromhex(f"5504{last}") for last in ("03", "0b", "0a"))
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
_SHORT_TIME, _LONG_TIME = 0x17, 0x18


class NoCertificate(ValueError):
    """These bytes are no certificate, for the reason given."""


def read_certificate(der: bytes) -> Certificate:
    """Return what a certificate says of itself.

    Raises:
        NoCertificate: they are too many, or not what RFC 5280 describes.
    """
    if len(der) > DER_BYTES_MAX:
        raise NoCertificate(f"larger than {DER_BYTES_MAX} bytes")
    whole, rest = _Reader(der).inner(_SEQUENCE).inner(_SEQUENCE), None
    if whole.next_is(_VERSION):
        whole.take(_VERSION)
    whole.take(_INTEGER)
    whole.take(_SEQUENCE)
    issuer = _name(whole.inner(_SEQUENCE))
    validity = whole.inner(_SEQUENCE)
    valid_from, valid_until = _moment(validity), _moment(validity)
    subject = _name(whole.inner(_SEQUENCE))
    whole.take(_SEQUENCE)
    while not whole.is_at_end:
        tag, content = whole.element()
        rest = content if tag == _EXTENSIONS else rest
    return Certificate(subject, issuer, () if rest is None else _names(rest), valid_from, valid_until)


class _Reader:
    """Elements one after the other: a tag, a length, so many bytes."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._content)

    def next_is(self, tag: int) -> bool:
        return not self.is_at_end and self._content[self._at] == tag

    def element(self) -> tuple[int, bytes]:
        tag, length = self._byte(), self._byte()
        if tag & 0x1F == 0x1F:
            raise NoCertificate("a tag of several bytes")
        if length >= 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 3:
                raise NoCertificate("a length that no certificate has")
            length = int.from_bytes(bytes(self._byte() for _ in range(octets)), "big")
        content = self._content[self._at:self._at + length]
        if len(content) < length:
            raise NoCertificate("it ends too early")
        self._at += length
        return tag, content

    def take(self, wanted: int) -> bytes:
        tag, content = self.element()
        if tag != wanted:
            raise NoCertificate(f"tag {tag:#04x} in the place of {wanted:#04x}")
        return content

    def inner(self, wanted: int) -> _Reader:
        return _Reader(self.take(wanted))

    def _byte(self) -> int:
        if self.is_at_end:
            raise NoCertificate("it ends too early")
        self._at += 1
        return self._content[self._at - 1]


def _name(parts: _Reader) -> str:
    """Return the common name, or the most telling part there is."""
    found: dict[bytes, str] = {}
    while not parts.is_at_end:
        several = parts.inner(_SET)
        while not several.is_at_end:
            pair = several.inner(_SEQUENCE)
            kind = pair.take(_OID)
            tag, text = pair.element()
            found[kind] = _shown(text.decode(_TEXTS.get(tag, "latin-1"), "replace"))
    return next((found[kind] for kind in (_COMMON_NAME, _UNIT, _ORGANISATION) if found.get(kind)), "unnamed")


def _moment(validity: _Reader) -> float:
    tag, text = validity.element()
    if tag not in (_SHORT_TIME, _LONG_TIME):
        raise NoCertificate(f"tag {tag:#04x} in the place of a time")
    if tag == _SHORT_TIME:
        text = (b"19" if text >= b"5" else b"20") + text
    try:
        return datetime.strptime(text.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:  # a UnicodeDecodeError is one
        raise NoCertificate("a time that no calendar has") from error


def _names(content: bytes) -> tuple[str, ...]:
    extensions = _Reader(content).inner(_SEQUENCE)
    while not extensions.is_at_end:
        one = extensions.inner(_SEQUENCE)
        kind = one.take(_OID)
        if one.next_is(_BOOLEAN):
            one.take(_BOOLEAN)
        value = one.take(_OCTETS)
        if kind == _ALTERNATIVE_NAMES:
            return _alternatives(_Reader(value).inner(_SEQUENCE))
    return ()


def _alternatives(names: _Reader) -> tuple[str, ...]:
    found: list[str] = []
    while not names.is_at_end and len(found) < NAMES_MAX:
        tag, value = names.element()
        if tag == _DNS_NAME:
            found.append(_shown(value.decode("ascii", "replace")))
        elif tag == _ADDRESS and len(value) in (4, 16):
            found.append(str(ipaddress.ip_address(value)))
    return tuple(found)


def _shown(text: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in text[:SHOWN_MAX])
