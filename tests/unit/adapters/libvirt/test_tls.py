"""Which files libvirt takes for a connection over TLS, by its own rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ballastd.adapters.libvirt.tls import TlsEnd, tls_end, user_home

MACHINE = Path("/etc/pki")
OF_MACHINE = (MACHINE / "CA/cacert.pem", MACHINE / "libvirt/clientcert.pem", MACHINE / "libvirt/private/clientkey.pem")
OF_PKIPATH = (Path("/srv/pki/cacert.pem"), Path("/srv/pki/clientcert.pem"), Path("/srv/pki/clientkey.pem"))


@pytest.mark.parametrize(("uri", "end"), [
    ("qemu+tls://kvm-01/system", TlsEnd("kvm-01", 16514, *OF_MACHINE)),
    ("qemu://kvm-01/system", TlsEnd("kvm-01", 16514, *OF_MACHINE)),
    ("qemu+tls://10.0.0.1:1234/system", TlsEnd("10.0.0.1", 1234, *OF_MACHINE)),
    ("qemu+tls://[fd00::1]:1234/system", TlsEnd("fd00::1", 1234, *OF_MACHINE)),
    ("qemu+tls://kvm-01/system?pkipath=/srv/pki", TlsEnd("kvm-01", 16514, *OF_PKIPATH, is_placed=True)),
    ("qemu+tls://kvm-01/system?no_verify=1", TlsEnd("kvm-01", 16514, *OF_MACHINE, False)),
    ("qemu+tls://kvm-01/system?no_verify=0", TlsEnd("kvm-01", 16514, *OF_MACHINE)),
    ("qemu+tls://kvm-01/system?No_Verify=1", TlsEnd("kvm-01", 16514, *OF_MACHINE, False)),
    ("qemu+tls://kvm-01/system?no_verify=yes", TlsEnd("kvm-01", 16514, *OF_MACHINE)),
    ("qemu+tls://kvm-01/system?a=b&keepalive_count=5;no_verify=1", TlsEnd("kvm-01", 16514, *OF_MACHINE, False)),
    ("qemu+tls://kvm-01/system?a=b;no_verify=1&c=d", TlsEnd("kvm-01", 16514, *OF_MACHINE)),
    ("qemu+tls://kvm-01/system?pkipath=/srv%2Fpki", TlsEnd("kvm-01", 16514, *OF_PKIPATH, is_placed=True)),
    ("qemu+tls://kvm-01/system?pkipath=/srv/a+b", TlsEnd("kvm-01", 16514, *(
        Path("/srv/a+b") / name for name in ("cacert.pem", "clientcert.pem", "clientkey.pem")), is_placed=True)),
    ("qemu:///system", None), ("qemu+tcp://kvm-01/system", None), ("qemu+ssh://root@kvm-01/system", None),
    ("test:///default", None), ("qemu+unix:///system", None), ("qemu+tls://kvm-01:port/system", None)])
def test_where_a_uri_leads_over_tls(uri: str, end: TlsEnd | None) -> None:
    assert tls_end(uri, None) == end


def test_what_the_user_has_comes_first_and_a_certificate_only_with_its_key(tmp_path: Path) -> None:
    own = tmp_path / ".pki" / "libvirt"
    own.mkdir(parents=True)
    uri = "qemu+tls://kvm-01/system"
    assert tls_end(uri, tmp_path) == TlsEnd("kvm-01", 16514, *OF_MACHINE)
    (own / "cacert.pem").touch()
    (own / "clientcert.pem").touch()
    assert tls_end(uri, tmp_path) == TlsEnd("kvm-01", 16514, own / "cacert.pem", *OF_MACHINE[1:])
    (own / "clientkey.pem").touch()
    names = ("cacert.pem", "clientcert.pem", "clientkey.pem")
    assert tls_end(uri, tmp_path) == TlsEnd("kvm-01", 16514, *(own / name for name in names))
    assert tls_end(f"{uri}?pkipath=/srv/pki", tmp_path) == TlsEnd("kvm-01", 16514, *OF_PKIPATH, is_placed=True)


def test_a_home_that_cannot_be_looked_into_has_nothing_for_libvirt_either(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_home() == (tmp_path, "")
    monkeypatch.setenv("HOME", str(tmp_path / ("long" * 100)))
    home, trouble = user_home()
    assert trouble.endswith(": File name too long")
    assert tls_end("qemu+tls://kvm-01/system", home) == TlsEnd("kvm-01", 16514, *OF_MACHINE)


def test_a_user_without_a_home_is_told_and_root_looks_into_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert user_home() == (None, "HOME is not set, and user 54321 is not in passwd")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert user_home() == (None, "")
