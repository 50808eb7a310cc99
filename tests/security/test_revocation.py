"""Revocation lists: who is on one is not let in and not called, a list that has ended lets nobody in, a new one counts at once."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.errors import ConfigError, PeerError
from hexdicom_services import revocation, scu
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.scu.association import Patience
from hexdicom_services.sections import NodeSection, TlsSection
from hexdicom_services.settings import Settings
from hexdicom_services.status import status
from hexdicom_services.tls import client_context, server_context

from .conftest import Authority, Pair, peer, receiving
from .test_node_check import said

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Patience(connect=5, negotiate=5, respond=5, attempts=1, delay=0.1)
PAST = "20200201000000Z"


@pytest.fixture
def hospital(tmp_path: Path) -> Authority:
    """An authority of its own for each test, since what is revoked stays revoked."""
    return Authority(tmp_path / "authority", "hospital")


def section(hospital: Authority, pair: Pair, crl: Path, **more: Any) -> TlsSection:
    return TlsSection(enabled=True, certificate=pair.certificate, key=pair.key, ca=hospital.ca, crl=crl, **more)


def wait_for(words: str, caplog: pytest.LogCaptureFixture) -> None:
    """The receiver's thread says it after the peer has learnt of it."""
    until = time.monotonic() + 10
    while words not in caplog.text and time.monotonic() < until:
        time.sleep(0.02)
    assert words in caplog.text


def test_who_is_on_the_list_is_refused_and_a_new_list_counts_at_once(
    tmp_path: Path, hospital: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node, scanner, thief = (hospital.issue(name) for name in ("node", "scanner", "thief"))
    crl = hospital.revoke()
    with receiving(tmp_path, tls=section(hospital, node, crl)) as (running, _):
        for pair in (scanner, thief):
            assert scu.echo(peer(running, hospital.files(pair)), patience=QUICK) < 5
        hospital.revoke(thief)  # the same file
        with pytest.raises(PeerError):
            scu.echo(peer(running, hospital.files(thief)), patience=QUICK)
        wait_for("certificate revoked", caplog)
        assert scu.echo(peer(running, hospital.files(scanner)), patience=QUICK) < 5
        whole = crl.read_bytes()
        crl.write_bytes(whole[:-100])  # while it is being copied
        assert scu.echo(peer(running, hospital.files(scanner)), patience=QUICK) < 5
        with pytest.raises(PeerError):
            scu.echo(peer(running, hospital.files(thief)), patience=QUICK)
    assert any(getattr(record, "event", "") == "tls.revocation" for record in caplog.records)


def test_a_list_that_has_ended_lets_nobody_in_until_there_is_a_new_one(
    tmp_path: Path, hospital: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    node, scanner = hospital.issue("node"), hospital.issue("scanner")
    crl = hospital.revoke(until=PAST)
    with receiving(tmp_path, tls=section(hospital, node, crl)) as (running, settings):
        with pytest.raises(PeerError):
            scu.echo(peer(running, hospital.files(scanner)), patience=QUICK)
        wait_for("CRL has expired", caplog)
        assert [line.what for line in status(settings).attention if "revocation list" in line.what]
        hospital.revoke()
        assert scu.echo(peer(running, hospital.files(scanner)), patience=QUICK) < 5


def test_a_peer_whose_certificate_was_revoked_is_not_called(tmp_path: Path, hospital: Authority) -> None:
    node, us, stolen = (hospital.issue(name) for name in ("node", "us", "stolen"))
    crl = hospital.revoke(stolen)
    for pair, good in ((node, True), (stolen, False)):
        tls = TlsSection(enabled=True, certificate=pair.certificate, key=pair.key, ca=hospital.ca)
        with receiving(tmp_path / str(good), tls=tls) as (running, _):
            there = peer(running, hospital.files(us, crl=crl))
            if good:
                assert scu.echo(there, patience=QUICK) < 5
                continue
            with pytest.raises(PeerError, match="certificate revoked"):
                scu.echo(there, patience=QUICK)


def test_an_authority_without_a_list_is_not_trusted(tmp_path: Path, hospital: Authority) -> None:
    node, other = hospital.issue("node"), Authority(tmp_path / "other", "other")
    crl, both = hospital.revoke(), tmp_path / "both.pem"
    both.write_bytes(hospital.ca.read_bytes() + other.ca.read_bytes())
    tls = section(hospital, node, crl).model_copy(update={"ca": both})
    stranger = other.issue("stranger")
    with receiving(tmp_path, tls=tls) as (running, _):
        assert scu.echo(peer(running, hospital.files(node)), patience=QUICK) < 5
        with pytest.raises(PeerError):
            scu.echo(peer(running, hospital.files(stranger)), patience=QUICK)
        crl.write_bytes(crl.read_bytes() + other.revoke().read_bytes())
        assert scu.echo(peer(running, hospital.files(stranger)), patience=QUICK) < 5


@pytest.mark.parametrize("content", [None, b"", b"hello", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_file_that_is_no_list_is_said_at_the_start(content: bytes | None, tmp_path: Path, hospital: Authority) -> None:
    node, crl = hospital.issue("node"), tmp_path / "list.pem"
    if content is not None:
        crl.write_bytes(content)
    files = section(hospital, node, crl)
    for make in (lambda one: server_context(one, "required"), client_context):
        with pytest.raises(ConfigError, match=r"list\.pem"):
            make(Settings(tls=files).tls_files)


def test_how_long_a_list_holds_is_read(hospital: Authority) -> None:
    (now,) = revocation.read(hospital.revoke())
    assert abs(now.made - time.time()) < 3700
    assert abs(now.due - time.time() - 30 * 86400) < 100
    (past,) = revocation.read(hospital.revoke(until=PAST))
    assert time.gmtime(past.due)[:3] == (2020, 2, 1)
    (far,) = revocation.read(hospital.revoke(until="20520101000000Z"))  # a GeneralizedTime
    assert time.gmtime(far.due)[:3] == (2052, 1, 1)


def test_node_check_says_when_a_list_ends(tmp_path: Path, hospital: Authority) -> None:
    crl = hospital.revoke()
    tls = section(hospital, hospital.issue("node"), crl)
    settings = Settings(node=NodeSection(port=0, state_dir=tmp_path / "state"), tls=tls, worker={"device": "cpu"})
    assert said(settings, "TLS revocation")[0] is True
    hospital.revoke(until=PAST)
    good, message = said(settings, "TLS revocation")
    assert good is False
    assert "ended on 2020-02-01" in message


@pytest.mark.peer
def test_dcmtk_with_a_revoked_certificate_is_refused(tmp_path: Path, hospital: Authority, phantom_files: list[Path]) -> None:
    storescu = shutil.which("storescu")
    if storescu is None:
        pytest.skip("storescu is not installed (apt install dcmtk)")
    node, scanner, thief = (hospital.issue(name) for name in ("node", "scanner", "thief"))
    crl = hospital.revoke(thief)
    with receiving(tmp_path, tls=section(hospital, node, crl)) as (running, settings):
        codes = {}
        for pair in (scanner, thief):
            command = [storescu, "+tls", pair.key, pair.certificate, "+cf", hospital.ca, "-aec", "HEXDICOM"]
            target = ["127.0.0.1", running.port, *phantom_files]
            done = subprocess.run([*map(str, [*command, *target])], capture_output=True, timeout=60, check=False)
            codes[pair] = done.returncode
        catalog = open_catalog(settings.database)
        with catalog.read() as connection:
            assert connection.exec_driver_sql("select count(*) from instance").scalar() == len(phantom_files)
        catalog.close()
    assert codes[scanner] == 0
    assert codes[thief] != 0
