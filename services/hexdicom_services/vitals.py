"""Signs of life of the processes of a node: a small file each in state_dir/vitals, written many times a minute, never flushed.

Times are of the monotonic clock, which all processes of a machine share: setting the clock makes nobody look dead.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ENTRY = struct.Struct("<dq")  # seconds, associations
_BEAT = 1.0  # seconds
STALE = 30.0  # seconds without a sign of life after which a process counts as stuck


@dataclass(frozen=True, slots=True)
class Vital:
    """age: seconds since the last sign of life. associations: of a receiver, now."""

    age: float
    associations: int


class Pulse:
    """The sign of life of one process. Raises OSError where the folder cannot be written."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.beat()  # takes its block while there is room

    def beat(self, associations: int = 0) -> None:
        with suppress(OSError):  # a full disk ends no receiver; a sign of life that is missing shows by its age
            os.pwrite(self._handle, _ENTRY.pack(time.monotonic(), associations), 0)

    def close(self) -> None:
        os.close(self._handle)


def begin(folder: Path, name: str) -> None:
    """The first sign of life of a process that is being started."""
    with suppress(OSError):  # a full disk keeps none from starting
        Pulse(folder, name).close()


def keep_beating(folder: Path, name: str, stop: threading.Event) -> None:
    """Has a thread give signs of life of a process until `stop`: for one that may wait for a peer for long."""

    def beat() -> None:
        pulse = Pulse(folder, name)
        while not stop.wait(_BEAT):
            pulse.beat()

    threading.Thread(target=beat, name="vitals", daemon=True).start()


def look(folder: Path) -> dict[str, Vital]:
    """The processes that have given a sign of life, by name."""
    found = {}
    for name, entry in _entries(folder):
        at, associations = _ENTRY.unpack(entry)
        found[name] = Vital(max(0.0, time.monotonic() - at), associations)
    return found


def forget(folder: Path, name: str) -> None:
    """A process has ended."""
    (folder / name).unlink(missing_ok=True)


def _entries(folder: Path) -> list[tuple[str, bytes]]:
    read = []
    with suppress(FileNotFoundError):  # none yet
        for file in sorted(folder.iterdir()):
            with suppress(OSError):  # it has just ended; the others have not
                read.append((file.name, file.read_bytes()))
    return [(name, entry) for name, entry in read if len(entry) == _ENTRY.size]
