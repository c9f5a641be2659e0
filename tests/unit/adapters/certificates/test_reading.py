"""What is read of a certificate is what OpenSSL reads of it; and whatever else it is given, it says no."""

from __future__ import annotations

import contextlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.adapters.certificates.reading import DER_BYTES_MAX, NoCertificate, read_certificate

SYSTEM = sorted(Path("/etc/ssl/certs").glob("*.pem"))
# made once: a certificate of an authority "ca" for "kvm-01", with a DNS name and two addresses
DER = ssl.PEM_cert_to_DER_cert((Path(__file__).parent / "kvm-01.pem").read_text())


@pytest.mark.skipif(not SYSTEM, reason="no authorities on this machine")
def test_authorities_of_the_world_are_read_as_openssl_does() -> None:
    for file in SYSTEM:
        known = ssl._ssl._test_decode_cert(str(file))  # type: ignore[attr-defined]
        found = read_certificate(ssl.PEM_cert_to_DER_cert(file.read_text()))
        assert found.valid_from == ssl.cert_time_to_seconds(known["notBefore"])
        assert found.valid_until == ssl.cert_time_to_seconds(known["notAfter"])
        subject, issuer = ({kind: value for part in known[name] for kind, value in part} for name in ("subject", "issuer"))
        for names, said in ((subject, found.subject), (issuer, found.issuer)):
            assert said == next(names[kind] for kind in ("commonName", "organizationalUnitName", "organizationName")
                                if kind in names)


def test_names_and_addresses_are_read() -> None:
    found = read_certificate(DER)
    assert (found.subject, found.issuer) == ("kvm-01", "ca")
    assert found.names == ("kvm-01.example", "10.0.0.1", "fd00::1")


@given(st.integers(0, len(DER) - 1))
def test_what_is_cut_off_is_no_certificate(length: int) -> None:
    with pytest.raises(NoCertificate):
        read_certificate(DER[:length])


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_what_was_changed_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    der = bytearray(DER)
    for place, value in changes:
        der[place] = value
    with contextlib.suppress(NoCertificate):
        found = read_certificate(bytes(der))
        assert all(name.isprintable() for name in (found.subject, found.issuer, *found.names))


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(NoCertificate):
        read_certificate(noise)


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(NoCertificate, match="larger"):
        read_certificate(DER + bytes(DER_BYTES_MAX))


@pytest.mark.parametrize(("digits", "year"), [(b"50", 1950), (b"99", 1999), (b"00", 2000), (b"49", 2049)])
def test_a_year_of_two_digits_is_of_the_century_that_rfc_5280_says(digits: bytes, year: int) -> None:
    at = DER.index(b"\x17\x0d") + 2
    found = read_certificate(DER[:at] + digits + DER[at + 2:])
    assert datetime.fromtimestamp(found.valid_from, UTC).year == year


def test_a_name_of_two_octets_a_sign_is_read() -> None:
    found = read_certificate(DER.replace(b"\x0c\x06kvm-01", b"\x1e\x06" + "kvm".encode("utf-16-be")))
    assert found.subject == "kvm"
