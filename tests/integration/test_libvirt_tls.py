"""Hosts reached over TLS, with real certificates: by the daemon, and by one another when a guest moves."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.cluster import BIN, settings
from tests.integration.daemon_parts import (
    Stand,
    a_lab,
    assert_books_are_closed,
    assert_lives_once,
    stood,
    until_acting,
    until_left,
    until_settled,
)
from tests.lab import Lab, LabHost, missing
from tests.papers import authority, certificate, dated

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()) or not shutil.which("openssl"),
                       reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing() or 'no openssl'}"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Hosts whose libvirtd show certificates, and take nobody's call who shows none of the same authority."""
    with a_lab("t") as one:
        for name in ("ca", "other"):
            authority(papers(one), name)
        for name, by in (("client", "ca"), ("stranger", "other")):
            certificate(papers(one), name, by)
            client = papers(one) / f"as-{name}"
            client.mkdir()
            shutil.copy(papers(one) / "ca.pem", client / "cacert.pem")
            shutil.copy(papers(one) / f"{name}.pem", client / "clientcert.pem")
            (client / "private").mkdir()
            shutil.copy(papers(one) / f"{name}.key", client / "clientkey.pem")
        for host in one.hosts.values():
            certificate(papers(one), host.name, address=host.address)
            shows_papers(one, host)
        yield one


def papers(lab: Lab) -> Path:
    """Return where the certificates of a lab are."""
    place = lab.plan.path / "papers"
    place.mkdir(exist_ok=True)
    return place


def shows_papers(lab: Lab, host: LabHost) -> None:
    """Have a host listen for TLS."""
    place = papers(lab)
    lines = (f'listen_tls = 1\nca_file = "{place}/ca.pem"\ncert_file = "{place}/{host.name}.pem"\n'
             f'key_file = "{place}/{host.name}.key"\n')
    script = f"sed -i 's/^listen_tls = 0$//' /etc/libvirt/libvirtd.conf && printf '{lines}' >> /etc/libvirt/libvirtd.conf"
    assert host.run(["sh", "-c", script.replace("\n", "\\n")]).wait(10.0) == 0
    host.restart_libvirtd()


def uri_of(lab: Lab, host: LabHost, client: str = "client") -> str:
    return f"qemu+tls://{host.address}/system?pkipath={papers(lab)}/as-{client}"


def written(stand: Stand, client: str = "client") -> str:
    """Return the lab's settings, with each host reached over TLS by us and by its peer."""
    document = json.loads(settings(stand.lab, stand.home, link_mbit=240, defaults={
        "vouched_storage": [str(stand.lab.plan.path / "disks")]}, libvirt={"unsafe_migration": True}))
    for entry in document["hosts"]:
        host = stand.lab.hosts[entry["name"]]
        entry |= {"uri": uri_of(stand.lab, host, client), "peer_uri": uri_of(stand.lab, host)}
    return json.dumps(document)


@pytest.fixture
def stand(lab: Lab) -> Iterator[Stand]:
    with stood(lab) as one:
        yield one


def doctor(file: Path, *words: str) -> tuple[int, dict[str, object], str]:
    done = subprocess.run([BIN / "ballastctl", "doctor", "-c", str(file), "--listen", "0", "-o", "json", *words],
                          capture_output=True, text=True, timeout=90, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_a_guest_moves_between_hosts_that_show_papers(stand: Stand) -> None:
    guest = stand.lab.start_guest("h1", "traveller", memory_mib=16, disk="locked")
    daemon = stand.daemon()
    (daemon.home / "ballastd.yaml").write_text(json.dumps(json.loads((daemon.home / "ballastd.yaml").read_text()) | {
        "hosts": json.loads(written(stand))["hosts"]}))
    daemon.start()
    until_acting(daemon)
    stand.until_heard(daemon)
    assert daemon.ctl("host", "drain", "h1").returncode == 0
    until_left(stand.lab, guest, "h1", 60.0, daemon)
    until_settled(daemon, stand.home)
    assert_lives_once(stand.lab, guest)
    assert_books_are_closed(stand.home)


def test_a_check_up_goes_there_and_back_over_tls(stand: Stand) -> None:
    guest = stand.lab.start_guest("h2", "visitor", memory_mib=16, disk="locked")
    file = stand.home / "tls.yaml"
    file.write_text(written(stand))
    code, found, _ = doctor(file)
    assert code == 0, found
    assert not [one for one in found["findings"] if one["area"] == "transport" and one["grade"] != "note"]  # type: ignore[attr-defined]
    seen = {(one["role"], one["place"]): (tuple(one["hosts"]), one["issuer"], one["days_left"], one["flaw"])
            for one in found["certificates"]}  # type: ignore[attr-defined]
    hosts = stand.lab.hosts.values()
    assert seen == {("server", f"{host.address}:16514"): ((host.name,), "ca", 89, None) for host in hosts} | {
        (role, f"{papers(stand.lab)}/as-client/{name}"): (("h1", "h2", "h3"), "ca", 89, None)
        for role, name in (("client", "clientcert.pem"), ("authority", "cacert.pem"))}
    code, found, said = doctor(file, "--rehearse", guest.name)
    assert code == 0, (found, said)
    assert stand.lab.runs_on(guest) == "h2"


def test_hosts_that_show_what_ends_soon_or_is_of_another_name_are_told_apart(stand: Stand) -> None:
    """One that ends within a week, and one that peers call by a name that it does not have."""
    h1, place = stand.lab.hosts["h1"], papers(stand.lab)
    kept = {end: (place / f"h1.{end}").read_bytes() for end in ("pem", "key")}
    dated(place, "h1", until=5.5, names=f"IP:{h1.address}")
    document = json.loads(written(stand))
    document["hosts"][1]["peer_uri"] = document["hosts"][1]["peer_uri"].replace(stand.lab.hosts["h2"].address, "h2.inside")
    file = stand.home / "soon.yaml"
    file.write_text(json.dumps(document))
    h1.restart_libvirtd()
    try:
        code, found, _ = doctor(file)
    finally:
        for end, content in kept.items():
            (place / f"h1.{end}").write_bytes(content)
        h1.restart_libvirtd()
    about = [(one["grade"], one["hosts"], one["words"]) for one in found["findings"]  # type: ignore[attr-defined]
             if one["area"] == "certificate"]
    assert [(grade, hosts) for grade, hosts, _ in about] == [("fault", ["h1"]), ("fault", ["h2"])], about
    assert "is good for 5 days more" in about[0][2]
    assert f"is not good for h2.inside, only for {stand.lab.hosts['h2'].address}" in about[1][2]
    assert code == 4


def test_a_stranger_is_turned_away_and_told_why(stand: Stand) -> None:
    file = stand.home / "stranger.yaml"
    file.write_text(written(stand, "stranger"))
    code, found, _ = doctor(file)
    assert code == 4
    faults = [one for one in found["findings"] if one["grade"] == "fault" and one["area"] == "reach"]  # type: ignore[attr-defined]
    assert {host for fault in faults for host in fault["hosts"]} == {"h1", "h2", "h3"}
    assert all("certificate" in fault["words"] for fault in faults), faults
