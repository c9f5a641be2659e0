"""Whose certificates are looked at, by the settings alone: each once, whoever has it in common."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from ballastd import credentials
from ballastd.adapters.blocking import Lanes
from ballastd.core.certificates import Flaw, Role, Service, Shown
from ballastd.credentials import certificates
from ballastd.documents import load_settings
from tests.papers import authority, dated, serving

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What libvirt would find with ``pkipath``."""
    place = tmp_path_factory.mktemp("pki")
    authority(place, "cacert")
    dated(place, "clientcert", by="cacert", until=40.0)
    shutil.copy(place / "clientcert.key", place / "clientkey.pem")
    return place


@pytest.fixture(scope="module")
def two_authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As above, by an authority that ends soon beside one that lasts."""
    place = tmp_path_factory.mktemp("two")
    dated(place, "short", by="short", until=2.0)
    dated(place, "long", by="long", until=900.0)
    dated(place, "clientcert", by="short", until=400.0)
    (place / "cacert.pem").write_bytes((place / "long.pem").read_bytes() + (place / "short.pem").read_bytes())
    shutil.copy(place / "clientcert.key", place / "clientkey.pem")
    return place


@pytest.fixture
def port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def listed(home: Path, lanes: Lanes | None = None, *, with_broker: bool = True,
                 **settings: object) -> tuple[Shown, ...]:
    file = home / "ballastd.yaml"
    file.write_text(json.dumps({"cluster": "c", **settings}))
    lanes = lanes or Lanes()
    try:
        return await certificates(load_settings(file), lanes, with_broker=with_broker)
    finally:
        await lanes.close()


async def shown(home: Path, *, with_broker: bool = True, unique: bool = True,
                **settings: object) -> dict[tuple[Service, Role, str], Shown]:
    found = await listed(home, with_broker=with_broker, **settings)
    assert not unique or len(found) == len({(one.service, one.role, one.place) for one in found})
    return {(one.service, one.role, one.place): one for one in found}


async def test_what_hosts_have_in_common_is_looked_at_once(pki: Path, tmp_path: Path, port: int) -> None:
    hosts = [{"name": name, "uri": f"qemu+tls://127.0.0.{number}:{port}/system?pkipath={pki}"}
             for number, name in enumerate(("a", "b", "c"), 1)]
    hosts.append({"name": "d", "uri": "qemu+ssh://d/system"})
    found = await shown(tmp_path, hosts=hosts)
    own = found.pop((Service.LIBVIRT, Role.CLIENT, f"{pki}/clientcert.pem"))
    believed = found.pop((Service.LIBVIRT, Role.AUTHORITY, f"{pki}/cacert.pem"))
    assert own.hosts == believed.hosts == ("a", "b", "c")
    assert own.certificate is not None
    assert (own.certificate.subject, own.flaw, believed.flaw) == ("clientcert", None, None)
    assert {one.hosts: (one.place, one.flaw) for one in found.values()} == {
        (name,): (f"127.0.0.{number}:{port}", Flaw.SILENT) for number, name in enumerate(("a", "b", "c"), 1)}


async def test_what_only_peers_see_is_told_by_its_dates_alone(pki: Path, tmp_path: Path, port: int) -> None:
    with serving(pki, "clientcert") as shown_at:
        hosts = [{"name": name, "uri": f"qemu+ssh://{name}/system", "peer_uri": f"qemu+tls://127.0.0.1:{one}/system"}
                 for name, one in (("a", shown_at), ("b", port))]
        [one] = (await shown(tmp_path, hosts=hosts)).values()
    assert one.certificate is not None
    assert (one.hosts, one.certificate.subject, one.flaw) == (("a",), "clientcert", None)


async def test_what_peers_see_is_told_though_its_name_was_not_looked_at(pki: Path, tmp_path: Path) -> None:
    with serving(pki, "clientcert", times=1) as at:
        [one] = await listed(tmp_path, hosts=[{"name": "a", "uri": "qemu+ssh://a/system",
                                               "peer_uri": f"qemu+tls://127.0.0.1:{at}/system"}])
    assert (one.flaw, one.certificate is None) == (Flaw.SILENT, False)


async def test_what_vouches_from_our_own_file_is_told_as_such(pki: Path, tmp_path: Path) -> None:
    dated(pki, "middle", by="cacert", until=4.0, names="DNS:middle", vouches=True)
    dated(pki, "leaf", by="middle", until=400.0)
    (tmp_path / "bundle.pem").write_bytes((pki / "cacert.pem").read_bytes() + (pki / "middle.pem").read_bytes())
    with serving(pki, "leaf") as at:
        found = await listed(tmp_path, hosts=[{"name": "a", "uri": "qemu+ssh://a/system", "power": {
            "driver": "redfish", "url": f"https://127.0.0.1:{at}", "ca_file": f"{tmp_path}/bundle.pem"}}])
    assert [[held.subject for held in one.held] for one in found if one.role is Role.SERVER] == [["middle"]]


async def test_a_name_that_only_peers_use_is_looked_at_too(pki: Path, tmp_path: Path) -> None:
    with serving(pki, "clientcert") as port:
        hosts = [{"name": name, "uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath={pki}&{name}", "peer_uri":
                  f"qemu+tls://{peer}:{port}/system"} for name, peer in (("a", "127.0.0.1"), ("b", "b.inside"))]
        file = tmp_path / "ballastd.yaml"
        file.write_text(json.dumps({"cluster": "c", "hosts": hosts}))
        lanes = Lanes()
        found = await certificates(load_settings(file), lanes, with_broker=True)
        await lanes.close()
    assert {(one.hosts, one.name, one.flaw, one.is_to_peers) for one in found if one.role is Role.SERVER} == {
        (("a", "b"), "127.0.0.1", None, False), (("b",), "b.inside", Flaw.NAME, True)}


async def test_what_peers_are_told_of_is_looked_at_wherever_it_is(pki: Path, tmp_path: Path, port: int) -> None:
    with serving(pki, "clientcert") as first, serving(pki, "clientcert") as second:
        uri = f"qemu+tls://127.0.0.1:{first}/system?pkipath={pki}"
        for peer_uri, flaw in ((f"qemu+tls://127.0.0.1:{first}/system?no_verify=1", Flaw.UNCHECKED),
                               (f"qemu+tls://a.inside:{first}/system?no_verify=1", Flaw.UNCHECKED),
                               (f"qemu+tls://127.0.0.1:{second}/system", None),
                               (f"qemu+tls://localhost:{second}/system", Flaw.NAME)):
            found = await shown(tmp_path, unique=False, hosts=[{"name": "a", "uri": uri, "peer_uri": peer_uri}])
            to_peers = [one for one in found.values() if one.is_to_peers]
            assert [(one.flaw, one.certificate is None) for one in to_peers] == [(flaw, False)], peer_uri
        elsewhere = await shown(tmp_path, unique=False, hosts=[{
            "name": "a", "uri": f"qemu+tls://127.0.0.2:{port}/system?pkipath={pki}",
            "peer_uri": f"qemu+tls://127.0.0.1:{second}/system"}])
        assert [one.place for one in elsewhere.values() if one.is_to_peers] == [f"127.0.0.1:{second}"]
        for peer_uri in (f"qemu+tls://127.0.0.1:{first}/system", f"qemu+tls://127.0.0.1:{port}/system"):
            found = await shown(tmp_path, hosts=[{"name": "a", "uri": uri, "peer_uri": peer_uri}])
            assert not [one for one in found.values() if one.is_to_peers], "the same, or not for us to reach"


async def test_one_controller_looked_at_in_two_ways_is_looked_at_twice(pki: Path, tmp_path: Path) -> None:
    with serving(pki, "clientcert") as at:
        hosts = [{"name": name, "uri": f"qemu+ssh://{name}/system", "power": {
            "driver": "redfish", "url": f"https://127.0.0.1:{at}", "system": f"/redfish/v1/Systems/{name}", **how}}
            for name, how in (("a", {}), ("b", {"insecure_tls": True}))]
        for those in (hosts, hosts[::-1]):
            found = await listed(tmp_path, hosts=those)
            assert {(one.hosts, one.flaw) for one in found} == {(("a",), Flaw.ISSUER), (("b",), Flaw.UNCHECKED)}


async def test_authorities_are_told_that_somebody_leads_to(two_authorities: Path, tmp_path: Path) -> None:
    with serving(two_authorities, "clientcert") as at:
        hosts = [{"name": "a", "uri": "qemu+ssh://a/system", "power": {
            "driver": "redfish", "url": f"https://127.0.0.1:{at}", "ca_file": f"{two_authorities}/cacert.pem"}}]
        believed = (await shown(tmp_path, hosts=hosts))[Service.CONTROLLER, Role.AUTHORITY, f"{two_authorities}/cacert.pem"]
    assert believed.certificate is not None
    assert (believed.certificate.subject, believed.hosts) == ("short", ("a",))


async def test_of_libvirt_every_authority_in_the_file_is_told(two_authorities: Path, tmp_path: Path, port: int) -> None:
    """It looks at the dates of each, and opens nothing where one has ended, whoever leads to it."""
    with serving(two_authorities, "clientcert") as at:
        for where, more in ((at, ""), (port, ""), (at, "no_verify=1")):
            hosts = [{"name": name, "uri": f"qemu+tls://127.0.0.1:{where}/system?pkipath={two_authorities}&{name}&{more}"}
                     for name in "ab"]
            believed = [one for one in await listed(tmp_path, hosts=hosts) if one.role is Role.AUTHORITY]
            assert [(one.certificate.subject, one.hosts) for one in believed if one.certificate is not None] == [
                ("long", ("a", "b")), ("short", ("a", "b"))]


async def test_why_a_look_came_to_nothing_is_kept(pki: Path, tmp_path: Path, port: int) -> None:
    lanes = Lanes()
    await lanes.close()
    found = await listed(tmp_path, lanes, hosts=[{"name": "a", "uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath={pki}"}])
    assert {(one.role, one.flaw, "all lanes are closed" in one.words) for one in found} == {
        (Role.SERVER, Flaw.SILENT, True), (Role.CLIENT, Flaw.UNREAD, True), (Role.AUTHORITY, Flaw.UNREAD, True)}


@pytest.mark.parametrize("hung", ["cacert.pem", "clientcert.pem", "clientkey.pem"])
async def test_a_file_that_hangs_is_named_and_holds_up_nobody_else(
        pki: Path, tmp_path: Path, hung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "FILE_SECONDS", 0.3)
    place = tmp_path / "pki"
    shutil.copytree(pki, place)
    (place / hung).unlink()
    os.mkfifo(place / hung)
    with serving(pki, "clientcert") as at:
        began = time.monotonic()
        found = await listed(tmp_path, hosts=[{"name": name, "uri": f"qemu+tls://127.0.0.1:{at}/system?pkipath={where}"}
                                              for name, where in (("a", place), ("b", pki))])
    assert time.monotonic() - began < credentials.LOOK_SECONDS / 2
    assert all((one.flaw, one.certificate is None) == (None, False) for one in found if one.hosts == ("b",))
    told = {one.role: (one.flaw, one.words) for one in found if one.hosts == ("a",)}
    words = f"{place}/{hung}: no answer within 0.3 s"
    assert told == ({Role.SERVER: (Flaw.ISSUER, words), Role.CLIENT: (None, ""), Role.AUTHORITY: (Flaw.UNREAD, words)}
                    if hung == "cacert.pem" else
                    {Role.SERVER: (None, ""), Role.CLIENT: (Flaw.UNREAD, words), Role.AUTHORITY: (None, "")})


async def test_what_never_answers_is_told_without_words_of_ours(
        pki: Path, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "look_at_server", lambda *_: time.sleep(1.0))
    monkeypatch.setattr(credentials, "LOOK_SECONDS", -0.9)
    [found] = await listed(tmp_path, hosts=[{"name": "a", "uri": "qemu+ssh://a/system", "power": {
        "driver": "redfish", "url": f"https://127.0.0.1:{port}"}}])
    assert (found.flaw, found.words) == (Flaw.SILENT, "no answer within 0.1 s")


async def test_a_place_that_no_file_can_have_is_no_trouble_of_ours(tmp_path: Path, port: int) -> None:
    found = await listed(tmp_path, hosts=[{"name": "a", "uri": f"qemu+tls://127.0.0.1:{port}/system?pkipath=/srv/%00x"}])
    assert {(one.role, "embedded null byte" in one.words) for one in found} == {(role, True) for role in Role}


async def test_a_controller_without_a_port_listens_where_https_does(pki: Path, tmp_path: Path) -> None:
    [found] = await listed(tmp_path, hosts=[{"name": "a", "uri": "qemu+ssh://a/system", "power": {
        "driver": "redfish", "url": "https://127.0.0.1"}}])
    assert found.place == "127.0.0.1:443"


async def test_a_controller_is_called_by_its_names_alone(pki: Path, tmp_path: Path) -> None:
    dated(pki, "localhost", by="cacert", until=400.0, names="")
    with serving(pki, "localhost") as at:
        found = await listed(tmp_path, hosts=[{"name": "a", "uri": "qemu+ssh://a/system", "power": {
            "driver": "redfish", "url": f"https://localhost:{at}", "ca_file": f"{pki}/cacert.pem"}}])
    assert [one.flaw for one in found if one.role is Role.SERVER] == [Flaw.NAME]


async def test_a_home_that_nobody_finds_is_told_where_it_matters(
        pki: Path, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.delenv("HOME", raising=False)
    hosts = [{"name": name, "uri": f"qemu+tls://127.0.0.1:{port}/system{query}"}
             for name, query in (("a", ""), ("b", f"?pkipath={pki}"), ("c", "?pkipath=/etc/pki/east"))]
    found = await shown(tmp_path, hosts=hosts, unique=False)
    told = found[Service.LIBVIRT, Role.CLIENT, "~/.pki/libvirt"]
    assert (told.hosts, told.flaw, told.words) == (("a",), Flaw.HIDDEN, "HOME is not set, and user 54321 is not in passwd")


async def test_controllers_count_where_they_are_spoken_to_over_tls(pki: Path, tmp_path: Path, port: int) -> None:
    def host(name: str, **power: object) -> dict[str, object]:
        return {"name": name, "uri": f"qemu+ssh://{name}/system", "power": {"driver": "redfish", **power}}

    shared = f"https://127.0.0.1:{port}"
    found = await shown(tmp_path, hosts=[
        host("a", url=shared, system="/redfish/v1/Systems/1", ca_file=f"{pki}/cacert.pem"),
        host("b", url=shared, system="/redfish/v1/Systems/2", ca_file=f"{pki}/cacert.pem"),
        host("c", url=f"http://127.0.0.2:{port}"), {"name": "d", "uri": "qemu+ssh://d/system", "power": "none"}])
    assert {key: one.hosts for key, one in found.items()} == {
        (Service.CONTROLLER, Role.SERVER, f"127.0.0.1:{port}"): ("a", "b"),
        (Service.CONTROLLER, Role.AUTHORITY, f"{pki}/cacert.pem"): ("a", "b")}


async def test_a_broker_counts_where_it_is_spoken_to_over_tls_and_asked_at_all(pki: Path, tmp_path: Path, port: int) -> None:
    hosts = [{"name": "a", "uri": "qemu+ssh://a/system"}]
    mqtt = {"host": "127.0.0.1", "port": port}
    assert await shown(tmp_path, hosts=hosts, mqtt=mqtt) == {}
    sealed = {**mqtt, "tls": {"cert_file": f"{pki}/clientcert.pem", "key_file": f"{pki}/none.key"}}
    assert await shown(tmp_path, hosts=hosts, mqtt=sealed, with_broker=False) == {}
    found = await shown(tmp_path, hosts=hosts, mqtt=sealed)
    assert {key[1]: one.flaw for key, one in found.items()} == {Role.SERVER: Flaw.SILENT, Role.CLIENT: Flaw.UNREAD}
    assert all(one.hosts == () for one in found.values()), "it concerns the cluster as a whole"
