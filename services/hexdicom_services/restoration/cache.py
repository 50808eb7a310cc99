"""Restored files, as many as there is room for: who is last asked for stays longest. Emptied when the process starts.

A file that somebody holds is never removed. Nothing here need survive a crash, so nothing is flushed.
"""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class _Entry:
    size: int
    holders: int = 0


class Cache:
    """A folder of at most `limit` bytes, but for what is held. Safe to use from several threads. Raises StoreError."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._total = 0
        self._lock = threading.Lock()
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}.") from error

    def hold(self, name: str) -> int:
        """Keeps a file until `release`; returns its size, 0 where it is not here."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return 0
            entry.holders += 1
            self._entries.move_to_end(name)
            return entry.size

    def release(self, name: str) -> None:
        """Undoes one `hold`."""
        with self._lock:
            self._entries[name].holders -= 1
            self._shrink()

    def put(self, name: str, data: bytes, *, held: bool) -> None:
        """Writes a file; held: as if `hold` had been called. Raises StoreError."""
        if self.hold(name):
            if not held:
                self.release(name)
            return
        path, part = self._folder / name, self._folder / f".{name}.{threading.get_ident()}"
        try:
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            hint = "Free space on its disk." if error.errno == 28 else ""
            raise StoreError(f"A restored instance cannot be written: {error.strerror}.", hint=hint) from error
        with self._lock:
            entry = self._entries.setdefault(name, _Entry(0))
            self._total += len(data) - entry.size
            entry.size = len(data)
            entry.holders += held
            self._entries.move_to_end(name)
            self._shrink()

    def _shrink(self) -> None:
        for name in [name for name, entry in self._entries.items() if entry.holders == 0]:
            if self._total <= self._limit:
                break
            self._total -= self._entries.pop(name).size
            (self._folder / name).unlink(missing_ok=True)
