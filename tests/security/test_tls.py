"""DICOM over TLS: who gets in, who does not, what is said of it, and that nobody can hold up others."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hexdicom.errors import ConfigError, PeerError
from hexdicom_services import scu
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import Patience
from hexdicom_services.sections import TlsSection
from hexdicom_services.settings import Settings
from hexdicom_services.tls import server_context

from .conftest import Authority, Pair, peer, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hexdicom_services.scp.server import Receiver

QUICK = Patience(connect=5, negotiate=5, respond=5, attempts=1, delay=0.1)


def section(authority: Authority, pair: Pair, **more: object) -> TlsSection:
    return TlsSection(enabled=True, certificate=pair.certificate, key=pair.key, ca=authority.ca, **more)


@pytest.fixture
def secured(tmp_path: Path, authority: Authority, node_pair: Pair) -> Iterator[Receiver]:
    with receiving(tmp_path, tls=section(authority, node_pair), receiver={"request_timeout": 2.0}) as (running, _):
        yield running


def test_the_right_certificate_stores(
    secured: Receiver, authority: Authority, scanner_pair: Pair, phantom_files: list[Path]
) -> None:
    there = peer(secured, authority.files(scanner_pair))
    assert scu.echo(there) < 5
    assert [one.state for one in scu.store(there, phantom_files)] == ["sent"] * 3


def test_tls_13_is_what_is_spoken_and_12_is_enough(secured: Receiver, authority: Authority, scanner_pair: Pair) -> None:
    versions = []
    for most in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.create_default_context(cafile=authority.ca)
        context.load_cert_chain(scanner_pair.certificate, scanner_pair.key)
        context.maximum_version = most
        with (
            socket.create_connection(("127.0.0.1", secured.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            versions.append((line.version(), line.cipher()))
    assert [version for version, _ in versions] == ["TLSv1.3", "TLSv1.2"]
    assert versions[1][1][0].startswith("ECDHE-")
    assert "GCM" in versions[1][1][0] or "CHACHA20" in versions[1][1][0]


def test_older_tls_is_refused(secured: Receiver, authority: Authority, scanner_pair: Pair) -> None:
    openssl = shutil.which("openssl")
    assert openssl
    for version in ("-tls1_1", "-tls1"):
        command = [openssl, "s_client", "-connect", f"127.0.0.1:{secured.port}", version, "-cipher", "ALL:@SECLEVEL=0"]
        command += ["-cert", str(scanner_pair.certificate), "-key", str(scanner_pair.key), "-CAfile", str(authority.ca)]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
        assert b"Cipher is (NONE)" in done.stdout + done.stderr or b"alert protocol version" in done.stderr
    assert scu.echo(peer(secured, authority.files(scanner_pair))) < 5


def test_who_shows_no_certificate_or_a_strange_one_is_refused(
    secured: Receiver, authority: Authority, scanner_pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger")
    strange = stranger.issue("intruder")
    for files in (authority.files(None), authority.files(strange)):
        with pytest.raises(PeerError, match=r"TLS|closed the connection") as caught:
            scu.echo(peer(secured, files), patience=QUICK)
        assert "certificate" in str(caught.value)
        secured._server._told.clear()
    closed = [record for record in caplog.records if getattr(record, "event", "") == "connection.closed"]
    assert {record.peer for record in closed} == {"127.0.0.1"}
    assert len(closed) == 2
    assert scu.echo(peer(secured, authority.files(scanner_pair))) < 5


def test_a_node_that_cannot_prove_who_it_is_is_not_called(
    secured: Receiver, authority: Authority, scanner_pair: Pair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger")
    with pytest.raises(PeerError, match=r"TLS with .* failed: (unable to get|self.signed)"):
        scu.echo(peer(secured, stranger.files(scanner_pair)), patience=QUICK)


def test_a_certificate_of_another_host_is_not_trusted(tmp_path: Path, authority: Authority, scanner_pair: Pair) -> None:
    elsewhere = authority.issue("elsewhere", hosts="DNS:pacs.example")
    with (
        receiving(tmp_path, tls=section(authority, elsewhere)) as (running, _),
        pytest.raises(PeerError, match="IP address mismatch"),
    ):
        scu.echo(peer(running, authority.files(scanner_pair)), patience=QUICK)


def test_client_certificates_can_be_optional_and_off(tmp_path: Path, authority: Authority, node_pair: Pair) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger").issue("intruder")
    for verify, strangers in (("optional", False), ("off", True)):
        with receiving(tmp_path / verify, tls=section(authority, node_pair, client_certificates=verify)) as (running, _):
            assert scu.echo(peer(running, authority.files(None))) < 5
            if strangers:
                assert scu.echo(peer(running, authority.files(stranger))) < 5
            else:
                with pytest.raises(PeerError):
                    scu.echo(peer(running, authority.files(stranger)), patience=QUICK)


def test_silence_garbage_and_plain_dicom_hold_up_nobody(secured: Receiver, authority: Authority, scanner_pair: Pair) -> None:
    lines = [socket.create_connection(("127.0.0.1", secured.port)) for _ in range(6)]
    for line, said in zip(
        lines[2:], (b"GET / HTTP/1.0\r\n\r\n", bytes(500), b"\x16\x03\x01\xff\xff", b"\x01\x00\x00\x00\x00\xce"), strict=True
    ):
        line.sendall(said)
    started = time.monotonic()
    assert scu.echo(peer(secured, authority.files(scanner_pair))) < 5
    assert time.monotonic() - started < 2
    with pytest.raises(PeerError, match=r"\+tls"):
        scu.echo(peer(secured), patience=QUICK)
    for line in lines:  # all are closed once the time for a handshake is over
        line.settimeout(10)
        with contextlib.suppress(ConnectionError):
            while line.recv(4096):
                pass
        line.close()
    assert scu.echo(peer(secured, authority.files(scanner_pair))) < 5


@pytest.mark.peer
def test_dcmtk_stores_with_tls(secured: Receiver, authority: Authority, scanner_pair: Pair, phantom_files: list[Path]) -> None:
    storescu = shutil.which("storescu")
    if storescu is None:
        pytest.skip("storescu is not installed (apt install dcmtk)")
    command = [storescu, "+tls", scanner_pair.key, scanner_pair.certificate, "+cf", authority.ca, "-aec", "HEXDICOM"]
    target = ["127.0.0.1", secured.port, *phantom_files]
    done = subprocess.run([*map(str, [*command, *target])], capture_output=True, text=True, timeout=60, check=False)
    if "unrecognized option" in done.stderr + done.stdout or "Unknown option" in done.stderr + done.stdout:
        pytest.skip("this DCMTK was built without TLS")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = [storescu, "+tla", "+cf", authority.ca, "-aec", "HEXDICOM", *target]
    assert subprocess.run([*map(str, refused)], capture_output=True, timeout=60, check=False).returncode != 0


@pytest.mark.peer
def test_dcmtk_is_called_with_tls(
    tmp_path: Path, authority: Authority, node_pair: Pair, scanner_pair: Pair, phantom_files: list[Path], free_port: int
) -> None:
    storescp = shutil.which("storescp")
    if storescp is None:
        pytest.skip("storescp is not installed (apt install dcmtk)")
    folder = tmp_path / "received"
    folder.mkdir()
    command = [storescp, "+tls", node_pair.key, node_pair.certificate, "+cf", authority.ca, "-od", folder, free_port]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", free_port)) == 0:
                        break
                time.sleep(0.05)
            there = Peer("STORESCP", "127.0.0.1", free_port, tls=authority.files(scanner_pair))
            assert [one.state for one in scu.store(there, phantom_files)] == ["sent"] * 3
        finally:
            process.terminate()
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "cannot be read"),
        ("other key", "does not belong to"),
        ("open key", "chmod 600"),
        ("not pem", "not a PEM certificate"),
        ("no ca", "who issues them"),
        ("password", "key_password"),
        ("wrong password", "does not open"),
    ],
)
def test_what_is_wrong_with_the_files_is_said(
    tmp_path: Path, authority: Authority, node_pair: Pair, scanner_pair: Pair, damage: str, said: str
) -> None:
    own = {"certificate": node_pair.certificate, "key": node_pair.key, "ca": authority.ca}
    if damage == "missing":
        own["certificate"] = tmp_path / "absent.pem"
    elif damage == "other key":
        own["key"] = scanner_pair.key
    elif damage == "open key":
        own["key"] = tmp_path / "open.key"
        own["key"].write_bytes(node_pair.key.read_bytes())
        own["key"].chmod(0o644)
    elif damage == "not pem":
        own["certificate"] = tmp_path / "text.pem"
        own["certificate"].write_text("hello")
    elif damage == "no ca":
        del own["ca"]
    else:
        locked = Authority(tmp_path / "own").issue("locked", password="secret")
        own |= {"certificate": locked.certificate, "key": locked.key}
        if damage == "wrong password":
            (tmp_path / "password").write_text("guess\n")
            own["key_password"] = tmp_path / "password"
    with pytest.raises(ConfigError) as caught:
        server_context(Settings(tls=TlsSection(enabled=True, **own)).tls_files, "required")
    assert said in str(caught.value)
    assert "guess" not in str(caught.value)


def test_a_password_is_read_from_its_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "own")
    locked = authority.issue("locked", password="secret")
    (tmp_path / "password").write_text("secret\n")
    files = TlsSection(enabled=True, certificate=locked.certificate, key=locked.key, key_password=tmp_path / "password")
    assert server_context(Settings(tls=files).tls_files, "off").minimum_version == ssl.TLSVersion.TLSv1_2
