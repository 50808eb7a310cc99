"""How fast instances are taken in, and what that costs: the same files by the same sender to three receivers, in turn.

What the receivers promise differs. The node answers after fsync of file and folder; the rows of its catalog, which it makes again
from the files after a power cut, are flushed now and then. Orthanc, by its defaults, flushes each file, its index now and then
(SQLite with synchronous NORMAL) and its folders never. DCMTK storescp writes files and flushes nothing; it has a process for
each association.
"""

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
from dataclasses import dataclass
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
_IDLE = 0.04  # seconds of CPU time in half a second


@dataclass(frozen=True, slots=True)
class _Receiver:
    peer: Peer
    pid: int


def measure(
    instances: int, rounds: int, associations: Sequence[int], processes: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One entry per receiver and number of associations. processes: receivers of the node.

    Raises ConfigError without DCMTK, PeerError where a receiver does not take everything.
    """
    sender = shutil.which("storescu")
    if sender is None:
        raise ConfigError("The sender, DCMTK's storescu, is not installed.", hint="On Debian: apt install dcmtk.")
    with tempfile.TemporaryDirectory(prefix="hexdicom-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        own = stack.enter_context(own_node(folder / "state", folder / "archive", encode=False, receivers=processes))
        receivers = {"hexdicom": _Receiver(own.peer, own.pid)}
        if shutil.which("storescp"):
            receivers["DCMTK storescp"] = stack.enter_context(_storescp(folder))
        if shutil.which("Orthanc"):
            receivers["Orthanc"] = stack.enter_context(_orthanc(folder))
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        size = 0
        for number in range(rounds):
            for count in associations:
                # New instances each time: nobody answers from memory. Nothing is deleted between: ext4 is slow to make
                # files where others were deleted within five minutes, and that would fall on whoever is near.
                series = folder / f"series-{number}-{count}"
                size = _make(series, instances, count, seed=number * 1000 + count)
                os.sync()  # what is written here is not to be flushed with what they receive
                for receiver, one in receivers.items():
                    say(f"round {number + 1} of {rounds}, {count} associations: {receiver}")
                    busy = _busy_seconds(one.pid)
                    seconds = _send(sender, one.peer, series)
                    entry = (instances / seconds, (_busy_seconds(one.pid) - busy) / instances)
                    _rest(one.pid)
                    found.setdefault((receiver, count), []).append(entry)
    return [
        {
            "receiver": receiver,
            "associations": count,
            "instances_per_second": (rate := statistics.median(value for value, _ in values)),
            "megabytes_per_second": rate * size / instances / 1e6,
            "cpu_seconds_per_instance": statistics.median(value for _, value in values),
            "rounds": [value for value, _ in values],
        }
        for (receiver, count), values in found.items()
    ]


def _make(folder: Path, instances: int, parts: int, seed: int) -> int:
    """Files of 256×256 values in `parts` folders below a fresh one; returns their bytes. Pixels repeat, UIDs do not."""
    ds = next(iter(beating_heart(slices=1, phases=1, rows=256, columns=256, seed=seed)))
    stem, total = str(ds.SOPInstanceUID)[:50], 0
    for number in range(1, instances + 1):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{stem}.{number}")
        ds.InstanceNumber = number
        path = folder / str(number % parts) / f"{number:05}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
        total += path.stat().st_size
    return total


def _send(sender: str, peer: Peer, folder: Path) -> float:
    """Seconds for everything in the folder, with an association for each folder below it, all at once."""
    # As scanners do, a sender proposes what it is going to send, and not all that DCMTK knows.
    command = [sender, "--required", "-aec", peer.ae_title, "--scan-directories", peer.host, str(peer.port)]
    started = time.perf_counter()
    senders = [
        subprocess.Popen([*command, str(part)], env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for part in sorted(folder.iterdir())
    ]
    said = [process.communicate()[1] for process in senders]
    took = time.perf_counter() - started
    for process, message in zip(senders, said, strict=True):
        if process.returncode != 0:
            raise PeerError(f"{peer} did not take everything: {message.strip()[-300:]}")
    return took


def _rest(pid: int) -> None:
    """Waits until a receiver does nothing any more with what it got, ten seconds at most: else the next one is slowed by it."""
    until, last = time.monotonic() + 10, -1.0
    while (busy := _busy_seconds(pid)) - last > _IDLE and time.monotonic() < until:
        last = busy
        time.sleep(0.5)


def _busy_seconds(pid: int) -> float:
    """CPU time of a process, of those that it started, and of those of them that have ended."""
    place = Path(f"/proc/{pid}")
    try:
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        children = (place / "task" / str(pid) / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended; its parent has its time
        return 0.0
    own = sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")  # utime, stime, cutime, cstime: proc(5)
    return own + sum(_busy_seconds(int(child)) for child in children)


@contextmanager
def _storescp(folder: Path) -> Iterator[_Receiver]:
    received, port = folder / "storescp", _free_port()
    received.mkdir()
    command = ["storescp", "--fork", "--bit-preserving", "-od", str(received), str(port)]
    with _running(command, folder / "storescp.log") as pid:
        yield _Receiver(_ready(Peer("STORESCP", "127.0.0.1", port)), pid)


@contextmanager
def _orthanc(folder: Path) -> Iterator[_Receiver]:
    port = _free_port()
    config = folder / "orthanc.json"
    places = {"StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc")}
    ports = {"DicomAet": "ORTHANC", "DicomPort": port, "HttpPort": _free_port()}
    config.write_text(json.dumps({**places, **ports, "Plugins": []}))
    with _running(["Orthanc", str(config)], folder / "orthanc.log") as pid:
        yield _Receiver(_ready(Peer("ORTHANC", "127.0.0.1", port)), pid)


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[int]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=_ENVIRONMENT) as process:
        try:
            yield process.pid
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
