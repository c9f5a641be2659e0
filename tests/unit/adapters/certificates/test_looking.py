"""Certificates that were made for it, in files and shown by real TLS servers on the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ballastd.adapters.certificates import looking
from ballastd.adapters.certificates.contexts import Contexts, Server, Verification
from ballastd.adapters.certificates.files import FILE_BYTES_MAX, Unread
from ballastd.adapters.certificates.looking import look_at_authority, look_at_own, look_at_server
from ballastd.core.certificates import DAY_SECONDS, Certificate, Flaw
from tests.papers import authority, dated, serving

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Authorities, and certificates of each kind that there is something to say about."""
    place = tmp_path_factory.mktemp("papers")
    for name in ("ca", "other"):
        authority(place, name)
    dated(place, "old", by="old", since=-20.0, until=-10.0)
    dated(place, "well", until=400.0, names="DNS:kvm-01.example,DNS:*.lab.example,IP:127.0.0.1,IP:::1")
    dated(place, "expired", since=-20.0, until=-3.0)
    dated(place, "soon", until=5.5)
    dated(place, "tomorrow", since=1.0, until=400.0)
    dated(place, "elsewhere", until=400.0, names="DNS:kvm-02.example")
    dated(place, "nameless", until=400.0, names="")
    dated(place, "strange", by="other", until=400.0)
    dated(place, "orphan", by="old", until=400.0)
    dated(place, "localhost", until=400.0, names="")
    dated(place, "short", by="short", until=3.0)
    dated(place, "brief", by="short", until=400.0)
    dated(place, "middle", until=4.0, names="DNS:middle", vouches=True)
    dated(place, "leaf", by="middle", until=400.0)
    (place / "chain.pem").write_bytes((place / "leaf.pem").read_bytes() + (place / "middle.pem").read_bytes())
    shutil.copy(place / "leaf.key", place / "chain.key")
    (place / "bundle.pem").write_bytes((place / "ca.pem").read_bytes() + (place / "middle.pem").read_bytes())
    (place / "strays.pem").write_bytes(b"".join(
        (place / f"{name}.pem").read_bytes() for name in ("leaf", "short", "ca", "middle")))
    shutil.copy(place / "leaf.key", place / "strays.key")
    for name, more in (("client", "extendedKeyUsage=clientAuth"), ("critical", "1.2.3.4.5=critical,ASN1:UTF8String:hello")):
        dated(place, name, until=400.0, names=f"DNS:right\n{more}")
    (place / "several.pem").write_bytes((place / "short.pem").read_bytes() + (place / "ca.pem").read_bytes())
    (place / "both.pem").write_bytes((place / "old.pem").read_bytes() + (place / "ca.pem").read_bytes())
    return place


def looked(papers: Path, shown: str, **changes: object) -> looking.Sight:
    with serving(papers, shown) as port:
        return look_at_server(replace(Server("127.0.0.1", port, "127.0.0.1", papers / "ca.pem"), **changes), Contexts({}))  # type: ignore[arg-type]


def days_left(certificate: Certificate | None) -> float:
    assert certificate is not None
    return certificate.days_left(time.time())


def test_who_is_believed_is_read_whole(papers: Path) -> None:
    sight = looked(papers, "well")
    assert sight.certificate is not None
    assert (sight.flaw, sight.words) == (None, "")
    assert (sight.certificate.subject, sight.certificate.issuer) == ("well", "ca")
    assert sight.certificate.names == ("kvm-01.example", "*.lab.example", "127.0.0.1", "::1")
    assert days_left(sight.certificate) == pytest.approx(400.0, abs=0.01)
    assert sight.certificate.valid_until - sight.certificate.valid_from == pytest.approx(401 * DAY_SECONDS, abs=5)


@pytest.mark.parametrize(("shown", "flaw", "words", "left"), [
    ("expired", Flaw.CHAIN, "certificate has expired", -3.0), ("soon", None, "", 5.5),
    ("tomorrow", Flaw.CHAIN, "not yet valid", 400.0), ("elsewhere", Flaw.NAME, "mismatch", 400.0),
    ("nameless", Flaw.NAME, "mismatch", 400.0), ("strange", Flaw.ISSUER, "unable to get local issuer certificate", 400.0)])
def test_who_is_not_believed_is_read_all_the_same(
        papers: Path, shown: str, flaw: Flaw | None, words: str, left: float) -> None:
    sight = looked(papers, shown)
    assert (sight.flaw, words in sight.words) == (flaw, True), sight
    assert days_left(sight.certificate) == pytest.approx(left, abs=0.01)


def test_an_authority_that_expired_takes_what_it_vouched_for_along(papers: Path) -> None:
    sight = looked(papers, "orphan", ca_file=papers / "old.pem")
    assert (sight.flaw, sight.words) == (Flaw.CHAIN, "certificate has expired")
    assert days_left(sight.certificate) > 0


@pytest.mark.parametrize(("name", "flaw"), [
    ("kvm-01.example", None), ("any.lab.example", None), ("a.b.lab.example", Flaw.NAME), ("kvm-02.example", Flaw.NAME),
    ("127.0.0.2", Flaw.NAME), ("::1", None)])
def test_a_name_is_matched_as_clients_do(papers: Path, name: str, flaw: Flaw | None) -> None:
    assert looked(papers, "well", name=name).flaw is flaw


def test_where_anybody_is_believed_that_is_what_is_said(papers: Path) -> None:
    sight = looked(papers, "strange", verification=Verification.NOTHING)
    assert sight.flaw is Flaw.UNCHECKED
    assert days_left(sight.certificate) > 0


def test_a_file_of_authorities_that_is_missing_is_named(papers: Path) -> None:
    sight = looked(papers, "well", ca_file=papers / "none.pem")
    assert (sight.flaw, sight.words) == (Flaw.ISSUER, f"{papers}/none.pem: No such file or directory")
    assert sight.certificate is not None


def test_who_is_no_root_may_be_believed_where_that_is_the_rule(papers: Path) -> None:
    assert looked(papers, "well", ca_file=papers / "well.pem").flaw is Flaw.ISSUER
    assert looked(papers, "well", ca_file=papers / "well.pem", is_root_needed=False).flaw is None


@pytest.mark.parametrize("tls12", [False, True])
def test_who_demands_one_is_shown_ours(papers: Path, tls12: bool) -> None:
    with serving(papers, "well", demands=True, tls12=tls12) as port:
        server = Server("127.0.0.1", port, "127.0.0.1", papers / "ca.pem", papers / "soon.pem", papers / "soon.key")
        assert look_at_server(server, Contexts({})).flaw is None
        nobody = replace(server, cert_file=papers / "none.pem")
        without = look_at_server(nobody, Contexts({}))
    assert (without.flaw, "TLS: " in without.words) == ((Flaw.SILENT, True) if tls12 else (None, False)), without


def test_a_port_where_nobody_listens_is_told(papers: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    sight = look_at_server(Server("127.0.0.1", port, "127.0.0.1", papers / "ca.pem"), Contexts({}))
    assert (sight.certificate, sight.flaw, sight.words) == (None, Flaw.SILENT, "Connection refused")


def test_who_never_answers_takes_no_longer_than_it_may(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "HANDSHAKE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        began = time.monotonic()
        sight = look_at_server(
            Server("127.0.0.1", int(listening.getsockname()[1]), "127.0.0.1", papers / "ca.pem"), Contexts({}))
    assert time.monotonic() - began < 2.0
    assert (sight.flaw, sight.words) == (Flaw.SILENT, "no answer within 0.2 s")


def test_our_own_is_read_with_its_key(papers: Path) -> None:
    sight = look_at_own(papers / "soon.pem", papers / "soon.key")
    assert sight.flaw is None
    assert days_left(sight.certificate) == pytest.approx(5.5, abs=0.01)


@pytest.mark.parametrize(("cert", "key", "words"), [
    ("none.pem", "soon.key", "none.pem: No such file"), ("soon.pem", "none.key", "none.key: No such file"),
    ("soon.key", "soon.key", "there is no certificate in it"), ("soon.pem", "well.key", "well.key is not its key")])
def test_what_is_wrong_with_our_own_names_the_file(papers: Path, cert: str, key: str, words: str) -> None:
    sight = look_at_own(papers / cert, papers / key)
    assert (sight.flaw, words in sight.words) == (Flaw.UNREAD, True), sight


def test_a_key_with_a_password_asks_nobody(papers: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "pkcs8", "-topk8", "-in", papers / "soon.key", "-out", locked, "-passout", "pass:secret"],
                   check=True, capture_output=True)
    sight = look_at_own(papers / "soon.pem", locked)
    assert (sight.flaw, "needs a password" in sight.words) == (Flaw.UNREAD, True), sight


def test_of_several_authorities_the_one_that_lasts_is_meant(papers: Path, tmp_path: Path) -> None:
    sight = look_at_authority(papers / "both.pem")
    assert sight.certificate is not None
    assert sight.certificate.subject == "ca"
    assert look_at_authority(tmp_path / "none.pem").flaw is Flaw.UNREAD
    (tmp_path / "torn.pem").write_text((papers / "ca.pem").read_text()[:300])
    assert look_at_authority(tmp_path / "torn.pem").flaw is Flaw.UNREAD
    assert look_at_authority(tmp_path).flaw is Flaw.UNREAD


def test_who_vouched_is_told_and_not_just_anybody_in_the_file(papers: Path) -> None:
    for shown, anchor in (("brief", "short"), ("well", "ca")):
        sight = looked(papers, shown, ca_file=papers / "several.pem")
        assert sight.anchor is not None
        assert (sight.anchor.subject, sight.vouchers) == (anchor, ())
    assert looked(papers, "brief").anchor is None


def test_what_goes_along_with_a_certificate_is_read_too(papers: Path) -> None:
    sight, own = looked(papers, "chain"), look_at_own(papers / "chain.pem", papers / "chain.key")
    for one in (sight, own):
        assert days_left(one.certificate) == pytest.approx(400.0, abs=0.01)
        assert [(voucher.subject, round(days_left(voucher))) for voucher in one.vouchers] == [("middle", 4)]
    assert (sight.anchor.subject if sight.anchor else "", own.anchor) == ("ca", None)


def test_only_what_a_certificate_leads_to_vouches_for_it(papers: Path) -> None:
    own = look_at_own(papers / "strays.pem", papers / "strays.key")
    assert [one.subject for one in own.vouchers] == ["middle", "ca"]


def test_what_vouches_from_a_file_of_ours_is_told_from_what_is_shown(
        papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shown in ("leaf", "chain"):
        ours = looked(papers, shown, ca_file=papers / "bundle.pem")
        assert ([one.subject for one in ours.vouchers], ours.held) == (["middle"], ours.vouchers)
    assert looked(papers, "chain").held == ()
    monkeypatch.setenv("SSL_CERT_FILE", str(papers / "bundle.pem"))
    assert [one.subject for one in looked(papers, "leaf", ca_file=None).held] == ["middle"]


def test_a_common_name_is_a_name_to_some(papers: Path) -> None:
    assert looked(papers, "localhost", name="localhost").flaw is None
    assert looked(papers, "localhost", name="localhost", is_common_name_good=False).flaw is Flaw.NAME


@pytest.mark.parametrize(("shown", "name", "flaw"), [
    ("strange", "127.0.0.1", None), ("expired", "127.0.0.1", None), ("strange", "kvm-09", Flaw.NAME),
    ("expired", "kvm-09", Flaw.NAME)])
def test_a_name_can_be_all_that_is_asked_for(papers: Path, shown: str, name: str, flaw: Flaw | None) -> None:
    sight = looked(papers, shown, name=name, ca_file=None, verification=Verification.NAME, is_root_needed=False)
    assert (sight.flaw, sight.anchor, sight.certificate is None) == (flaw, None, False), sight


@pytest.mark.parametrize(("shown", "words"), [
    ("client", "unsuitable certificate purpose"), ("critical", "unhandled critical extension")])
@pytest.mark.parametrize("name", ["right", "wrong"])
def test_a_name_that_was_not_looked_at_is_not_good(papers: Path, shown: str, words: str, name: str) -> None:
    sight = looked(papers, shown, name=name, ca_file=None, verification=Verification.NAME, is_root_needed=False)
    assert (sight.flaw, sight.words, sight.certificate is None) == (Flaw.UNFIT, words, False)


def test_what_was_seen_is_kept_where_nobody_answers_a_second_time(papers: Path) -> None:
    with serving(papers, "strange", times=1) as port:
        sight = look_at_server(Server("127.0.0.1", port, "127.0.0.1", verification=Verification.NAME), Contexts({}))
    assert sight.flaw is Flaw.SILENT
    assert days_left(sight.certificate) == pytest.approx(400.0, abs=0.01)


@pytest.mark.parametrize("head", ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_a_certificate_has_several_heads(papers: Path, tmp_path: Path, head: str) -> None:
    file = tmp_path / "head.pem"
    if head.startswith("TRUSTED"):
        subprocess.run(["openssl", "x509", "-in", papers / "ca.pem", "-trustout", "-out", file], check=True)
    else:
        file.write_text((papers / "ca.pem").read_text().replace("CERTIFICATE", head))
    assert f"BEGIN {head}" in file.read_text()
    assert look_at_authority(file).flaw is None
    assert looked(papers, "well", ca_file=file).flaw is None


def test_a_file_that_is_no_list_of_certificates_is_not_read_to_its_end(papers: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.pem"
    large.write_bytes((papers / "ca.pem").read_bytes() + b"\n" * FILE_BYTES_MAX)
    sight = look_at_authority(large)
    assert (sight.flaw, "larger than" in sight.words) == (Flaw.UNREAD, True)


def test_who_vouches_for_itself_is_nobody_we_believe(papers: Path) -> None:
    assert looked(papers, "short").flaw is Flaw.ISSUER


def test_the_list_of_the_system_counts_where_no_file_is_named(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(papers, "well", ca_file=None).flaw is Flaw.ISSUER
    monkeypatch.setenv("SSL_CERT_FILE", str(papers / "ca.pem"))
    assert looked(papers, "well", ca_file=None).flaw is None


def test_a_server_of_the_last_ten_years_is_spoken_to(papers: Path) -> None:
    with serving(papers, "well", tls12=True) as port:
        assert look_at_server(Server("127.0.0.1", port, "127.0.0.1", papers / "ca.pem"), Contexts({})).flaw is None


def test_who_believes_the_same_has_one_context(papers: Path) -> None:
    contexts, one = Contexts({}), Server("127.0.0.1", 1, "127.0.0.1", papers / "ca.pem")
    assert contexts.of(one) is contexts.of(replace(one, host="127.0.0.2", port=2, name="kvm-02"))
    for other in (replace(one, ca_file=papers / "other.pem"), replace(one, verification=Verification.NOTHING),
                  replace(one, is_common_name_good=False)):
        assert contexts.of(one) is not contexts.of(other)


def test_whom_we_believe_is_read_once_also_where_that_fails(papers: Path, tmp_path: Path) -> None:
    contexts, one = Contexts({}), Server("127.0.0.1", 1, "127.0.0.1", tmp_path / "late.pem")
    for _ in range(2):
        with pytest.raises(Unread, match="No such file"):
            contexts.of(one)
        shutil.copy(papers / "ca.pem", tmp_path / "late.pem")


def test_whoever_waits_for_one_file_waits_for_no_other(papers: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pem")
    contexts, well = Contexts({}), Server("127.0.0.1", 1, "127.0.0.1", papers / "ca.pem")
    hung = replace(well, ca_file=tmp_path / "fifo.pem")
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(contexts.of, hung) for _ in range(2)]
        try:
            assert pool.submit(contexts.of, well).result(5.0)
        finally:
            (tmp_path / "fifo.pem").write_bytes(b"nothing")
        assert all("no certificate in it" in str(one.exception(5.0)) for one in waiting)
