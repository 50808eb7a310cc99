"""Real peers on loopback: DCMTK and Orthanc. A test that needs one is skipped, with the reason, where it is absent."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PACKAGES = {"Orthanc": "orthanc", "dciodvfy": "dicom3tools", "dcm2niix": "dcm2niix"}
DESTINATION = "DEST"  # the AE title that the archives below know as a destination of C-MOVE


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """A peer process. folder: where it keeps what it received. destination_port: where it sends a C-MOVE to DEST."""

    peer: Peer
    folder: Path
    destination_port: int = 0
    http_port: int = 0

    def files(self) -> list[Path]:
        return sorted(p for p in self.folder.rglob("*") if p.is_file() and p.name != "index.dat")


def tool(name: str) -> str:
    """Path of a program. Skips the test, saying what to install, where it is absent."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install {PACKAGES.get(name, 'dcmtk')})")
    return found


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str | Path], number: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens at a port; stopped on leaving, with its log in the failure if it never listens."""
    with log.open("wb") as out, subprocess.Popen([*map(str, command)], stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            for _ in range(300):
                if process.poll() is not None:
                    pytest.fail(f"{command[0]} ended at once:\n{log.read_text(errors='replace')[-3000:]}")
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", number)) == 0:
                        break
                time.sleep(0.05)
            else:
                pytest.fail(f"{command[0]} does not listen at {number}:\n{log.read_text(errors='replace')[-3000:]}")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def cut_connection(peer: Peer, *, after: int, times: int, downstream: bool = False) -> Iterator[Peer]:
    """The peer behind a line that is cut `times` times, each after so many bytes to it (downstream: from it)."""
    cuts = [times]
    stop = threading.Event()

    def pump(source: socket.socket, sink: socket.socket, budget: float) -> None:
        with contextlib.suppress(OSError):
            while budget > 0 and (data := source.recv(int(min(4096, budget)))):
                sink.sendall(data)
                budget -= len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            try:
                near, _ = listener.accept()
            except TimeoutError:
                continue
            with near, socket.create_connection((peer.host, peer.port)) as far:
                budget = float(after) if cuts[0] > 0 else float("inf")
                cuts[0] -= 1
                there = (near, far, float("inf") if downstream else budget)
                back = (far, near, budget if downstream else float("inf"))
                pumps = [threading.Thread(target=pump, args=ends) for ends in (there, back)]
                for thread in pumps:
                    thread.start()
                for thread in pumps:
                    thread.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        try:
            yield replace(peer, port=listener.getsockname()[1])
        finally:
            stop.set()
            server.join()
    assert cuts[0] <= 0, "the line was never cut"


@pytest.fixture
def phantom(tmp_path: Path) -> list[Path]:
    """A small cine series as files, in scanner order."""
    folder = tmp_path / "phantom"
    folder.mkdir()
    paths = []
    for ds in beating_heart(slices=2, phases=6, rows=48, columns=40):
        path = folder / f"{int(ds.InstanceNumber):04}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[RunningPeer]:
    """DCMTK storescp: takes everything, writes data sets bit by bit as they come."""
    folder, number = tmp_path / "storescp", port()
    folder.mkdir()
    command = [tool("storescp"), "--aetitle", "STORESCP", "--bit-preserving", "+xa", "-od", folder, str(number)]
    with running(command, number, tmp_path / "storescp.log"):
        yield RunningPeer(Peer("STORESCP", "127.0.0.1", number), folder)


@pytest.fixture
def implicit_storescp(tmp_path: Path) -> Iterator[RunningPeer]:
    """DCMTK storescp that takes nothing but Implicit VR Little Endian, so private elements lose their VR on the way."""
    folder, number = tmp_path / "implicit", port()
    folder.mkdir()
    with running([tool("storescp"), "--aetitle", "IMPLICIT", "+xi", "-od", folder, str(number)], number, tmp_path / "implicit.log"):
        yield RunningPeer(Peer("IMPLICIT", "127.0.0.1", number), folder)


@contextmanager
def _dcmqrscp(tmp_path: Path, *options: str) -> Iterator[RunningPeer]:
    folder, number, destination = tmp_path / "dcmqrscp", port(), port()
    folder.mkdir()
    config = tmp_path / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {number}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\ndest = ({DESTINATION}, 127.0.0.1, {destination})\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQRSCP {folder} RW (1000, 4096mb) ANY\nAETable END\n"
    )
    with running([tool("dcmqrscp"), *options, "-c", config], number, tmp_path / "dcmqrscp.log"):
        yield RunningPeer(Peer("QRSCP", "127.0.0.1", number), folder, destination)


@pytest.fixture
def dcmqrscp(tmp_path: Path) -> Iterator[RunningPeer]:
    """DCMTK dcmqrscp: a small archive with C-STORE, C-FIND, C-GET and C-MOVE."""
    with _dcmqrscp(tmp_path) as peer:
        yield peer


@pytest.fixture
def dcmqrscp_without_get(tmp_path: Path) -> Iterator[RunningPeer]:
    """The same where it does not offer C-GET, like many a PACS."""
    with _dcmqrscp(tmp_path, "--disable-get") as peer:
        yield peer


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[RunningPeer]:
    """Orthanc with its defaults, on free ports."""
    folder, number, http, destination = tmp_path / "orthanc", port(), port(), port()
    config = tmp_path / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "Name": "test",
                "StorageDirectory": str(folder),
                "IndexDirectory": str(folder),
                "DicomAet": "ORTHANC",
                "DicomPort": number,
                "HttpPort": http,
                "RemoteAccessAllowed": False,
                "DicomAlwaysAllowFind": True,
                "DicomAlwaysAllowGet": True,
                "DicomAlwaysAllowMove": True,
                "DicomModalities": {"dest": [DESTINATION, "127.0.0.1", destination]},
                "Plugins": [],
            }
        )
    )
    with running([tool("Orthanc"), config], number, tmp_path / "orthanc.log"):
        yield RunningPeer(Peer("ORTHANC", "127.0.0.1", number), folder, destination, http)
