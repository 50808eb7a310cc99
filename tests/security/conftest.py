"""Certificates made for a test by openssl, and receivers in this process that listen on loopback."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import build_context

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.peer import Peer
from hexdicom_services.scp.server import Receiver
from hexdicom_services.sections import NodeSection, ReceiverSection
from hexdicom_services.settings import Settings
from hexdicom_services.tls import TlsFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MR = "1.2.840.10008.5.1.4.1.1.4"
STORAGE = build_context(MR, ExplicitVRLittleEndian)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Makes certificates in a folder; `ca` is its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.openssl = folder, shutil.which("openssl") or pytest.skip("openssl is not installed (apt install openssl)")
        folder.mkdir(parents=True, exist_ok=True)
        self._lists = 0
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        subject = ("-subj", f"/CN={name}", "-days", "3650")
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self._key, "-out", self.ca, *subject)

    def issue(self, name: str, *, days: int = 365, hosts: str = "IP:127.0.0.1,DNS:localhost", password: str = "") -> Pair:
        """A certificate for both sides. Negative days: one that has ended."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={hosts}\nextendedKeyUsage=serverAuth,clientAuth\n")
        hidden = ("-passout", f"pass:{password}") if password else ("-nodes",)
        self._run("req", "-newkey", "rsa:2048", *hidden, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}")
        signed = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions)
        self._run("x509", "-req", "-in", request, *signed, "-out", pair.certificate, "-days", str(days))
        pair.key.chmod(0o600)
        return pair

    def revoke(self, *pairs: Pair, until: str = "", name: str = "revoked") -> Path:
        """A list of these and of all that were revoked before. until: when it ends, YYYYMMDDHHMMSSZ; default: in 30 days."""
        index, config, made = self.folder / "index.txt", self.folder / "ca.cnf", self.folder / f"{name}.crl"
        index.touch()
        config.write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\ndefault_md=sha256\n")
        own = ("ca", "-config", config, "-cert", self.ca, "-keyfile", self._key)
        for pair in pairs:
            self._run(*own, "-revoke", pair.certificate)
        self._lists += 1  # each made a second later than the one before: of two with one time, OpenSSL takes the first
        made_at = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 3600 + self._lists))
        ends = until or time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 30 * 86400))
        times = ("-crl_lastupdate", "20200101000000Z" if ends < made_at else made_at, "-crl_nextupdate", ends)
        self._run(*own, "-gencrl", *times, "-out", made)
        return made

    def files(self, pair: Pair | None, **more: Any) -> TlsFiles:
        return TlsFiles(pair and pair.certificate, pair and pair.key, ca=self.ca, **more)

    def _run(self, *arguments: object) -> None:
        done = subprocess.run([self.openssl, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def node_pair(authority: Authority) -> Pair:
    return authority.issue("node")


@pytest.fixture(scope="session")
def scanner_pair(authority: Authority) -> Pair:
    return authority.issue("scanner")


@contextmanager
def receiving(folder: Path, **sections: Any) -> Iterator[tuple[Receiver, Settings]]:
    """A receiver on a free port of loopback."""
    receiver = {"disk_reserve_mb": 0, **sections.pop("receiver", {})}
    node = {"port": 0, "state_dir": folder / "state", **sections.pop("node", {})}
    settings = Settings(node=NodeSection(**node), receiver=ReceiverSection(**receiver), **sections)
    running = Receiver(settings)
    try:
        yield running, settings
    finally:
        running.close(grace=2.0)


def peer(running: Receiver, tls: TlsFiles | None = None, *, called: str = "HEXDICOM", calling: str = "SCANNER") -> Peer:
    return Peer(called, "127.0.0.1", running.port, calling, tls)


@pytest.fixture
def phantom_files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "files"
    folder.mkdir()
    paths = []
    for number, ds in enumerate(beating_heart(slices=1, phases=3, rows=24, columns=24)):
        paths.append(folder / f"{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths
