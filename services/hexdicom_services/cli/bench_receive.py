"""How fast instances are taken in: the same files by the same sender to three receivers, in turn, several times."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID

from hexdicom.dicom.phantom import beating_heart
from hexdicom.errors import ConfigError, PeerError
from hexdicom_services import scu
from hexdicom_services.cli.own_node import own_node
from hexdicom_services.peer import Peer
from hexdicom_services.scu.association import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}  # else DCMTK waits 40 ms per message for Nagle's sake


def measure(instances: int, rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One entry per receiver. Raises ConfigError without DCMTK, PeerError where a receiver does not take everything."""
    sender = shutil.which("storescu")
    if sender is None:
        raise ConfigError("The sender, DCMTK's storescu, is not installed.", hint="On Debian: apt install dcmtk.")
    with tempfile.TemporaryDirectory(prefix="hexdicom-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        size = _make(folder / "series", instances)
        receivers = {"hexdicom": stack.enter_context(own_node(folder / "state", folder / "archive", encode=False)).peer}
        if shutil.which("storescp"):
            receivers["DCMTK storescp"] = stack.enter_context(_storescp(folder))
        if shutil.which("Orthanc"):
            receivers["Orthanc"] = stack.enter_context(_orthanc(folder))
        taken: dict[str, list[float]] = {receiver: [] for receiver in receivers}
        for number in range(1, rounds + 1):
            _make(folder / "series", instances, seed=number)  # new instances each time: nobody answers from memory
            for receiver, peer in receivers.items():
                say(f"round {number} of {rounds}: {receiver}")
                taken[receiver].append(instances / _send(sender, peer, folder / "series"))
    return [
        {
            "receiver": receiver,
            "instances_per_second": statistics.median(values),
            "megabytes_per_second": statistics.median(values) * size / instances / 1e6,
            "rounds": values,
        }
        for receiver, values in taken.items()
    ]


def _make(folder: Path, instances: int, seed: int = 0) -> int:
    """Files of 256×256 values in a fresh folder; returns their bytes. Pixels repeat, UIDs do not: nobody looks at pixels."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ds = next(iter(beating_heart(slices=1, phases=1, rows=256, columns=256, seed=seed)))
    stem, total = str(ds.SOPInstanceUID)[:50], 0
    for number in range(1, instances + 1):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{stem}.{number}")
        ds.InstanceNumber = number
        path = folder / f"{number:05}.dcm"
        ds.save_as(path, enforce_file_format=True)
        total += path.stat().st_size
    return total


def _send(sender: str, peer: Peer, folder: Path) -> float:
    """Seconds for one association with everything in the folder."""
    command = [sender, "-aec", peer.ae_title, "--scan-directories", peer.host, str(peer.port), str(folder)]
    started = time.perf_counter()
    done = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise PeerError(f"{peer} did not take everything: {done.stderr.strip()[-300:]}")
    return took


@contextmanager
def _storescp(folder: Path) -> Iterator[Peer]:
    received, port = folder / "storescp", _free_port()
    received.mkdir()
    with _running(["storescp", "--bit-preserving", "-od", str(received), str(port)], folder / "storescp.log"):
        yield _ready(Peer("STORESCP", "127.0.0.1", port))


@contextmanager
def _orthanc(folder: Path) -> Iterator[Peer]:
    port = _free_port()
    config = folder / "orthanc.json"
    places = {"StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc")}
    ports = {"DicomAet": "ORTHANC", "DicomPort": port, "HttpPort": _free_port()}
    config.write_text(json.dumps({**places, **ports, "Plugins": []}))
    with _running(["Orthanc", str(config)], folder / "orthanc.log"):
        yield _ready(Peer("ORTHANC", "127.0.0.1", port))


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=_ENVIRONMENT) as process:
        try:
            yield
        finally:
            process.terminate()


def _ready(peer: Peer) -> Peer:
    """The peer, once it answers. Raises PeerError if it does not within 20 seconds."""
    until = time.monotonic() + 20
    while True:
        try:
            scu.echo(peer, patience=Patience(connect=1, negotiate=2, respond=2))
        except PeerError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return peer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
