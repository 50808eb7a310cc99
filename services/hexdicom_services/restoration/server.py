"""The process that restores while peers wait. It is warm: what decodes is loaded and compiled before anybody asks.

One batch of slices is decoded at a time, on every core; those who ask at the same time take turns. What is decoded lies in the
cache, and nobody is given more ahead of what he has sent than half of it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom import codec
from hexdicom.access import Access
from hexdicom.dicom.archive import read_part
from hexdicom.errors import ArchiveError, HexdicomError
from hexdicom.volume import CineVolume
from hexdicom_services import child
from hexdicom_services.restoration.cache import Cache
from hexdicom_services.restoration.place import FILES, NEEDED, file_name, listen
from hexdicom_services.vitals import keep_beating

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_DEVICE = "cpu"  # a GPU decodes a series faster, and a slice not
_OPEN = 4  # archives that stay open, not decoded
_LARGEST_REQUEST = 1 << 26  # bytes
_CLIENTS = 64


class _Gone(Exception):
    """The other end of a connection is closed."""


class Restorer:
    """Opened archives and the cache; `serve` answers one connection."""

    def __init__(self, store: Path, files: Path, cache_bytes: int) -> None:
        self._store, self._ahead = store, cache_bytes // 2
        self._cache = Cache(files, cache_bytes)
        self._decoding = threading.Lock()
        self._open: OrderedDict[tuple[str, ...], Access] = OrderedDict()
        self._threads = len(os.sched_getaffinity(0))

    def serve(self, connection: socket.socket) -> None:
        """Answers until everything is sent or the other end is closed."""
        with connection:
            customer = _Customer(connection, self._cache)
            try:
                request = customer.request()
                self._answer(customer, request["keys"], dict(request["wanted"]))
                customer.tell()
                customer.wait()
            except (_Gone, OSError):
                log.debug("who asked for originals has hung up")
            except Exception:
                log.exception("a restore failed", extra={"event": "restore.failed"})
            finally:
                customer.leave()

    def _answer(self, customer: _Customer, keys: Sequence[str], wanted: dict[str, str]) -> None:
        for uid in [uid for uid, sha256 in wanted.items() if customer.take(uid, file_name(uid, sha256))]:
            del wanted[uid]
        customer.tell()
        problem = "No archive object holds this instance."
        for archive in self._archives(keys) if wanted else ():
            if isinstance(archive, HexdicomError):
                problem = archive.message
                continue
            here = {uid: sha256 for uid, sha256 in wanted.items() if archive.received.get(uid) == sha256}
            for uid in here:
                del wanted[uid]
            try:
                self._restore(customer, archive, set(here))
            except HexdicomError as error:
                log.exception("an archive could not be restored", extra={"event": "restore.failed"})
                for uid in here.keys() - customer.answered:
                    customer.fail(uid, error.message)
            if not wanted:
                break
        for uid in wanted:
            customer.fail(uid, problem)

    def _restore(self, customer: _Customer, archive: Access, here: set[str]) -> None:
        """Answers for every instance of `here`. Raises what the decoder raises, _Gone."""
        names = {uid: file_name(uid, sha256) for uid, sha256 in archive.received.items()}
        order = [uid for uid in archive.received if uid in here]
        for slices in archive.batches(order, self._threads):
            customer.wait(self._ahead)
            with self._decoding:
                here = {uid for uid in here - customer.answered if not customer.take(uid, names[uid])}  # by somebody else
                if here:
                    self._decode(customer, archive, slices, here, names)
            customer.tell()

    def _decode(self, customer: _Customer, archive: Access, slices: Sequence[int], here: set[str], names: dict[str, str]) -> None:
        for one in archive.restore(slices):
            uid = one.sop_instance_uid
            if one.state != "damaged":
                self._cache.put(names[uid], one.data, held=uid in here)
                if uid in here:
                    customer.give(uid, names[uid], len(one.data))
            elif uid in here:
                log.error("an instance is damaged in its archive", extra={"event": "instance.damaged"})
                customer.fail(uid, "The archive does not give it back as it was received.")

    def _archives(self, keys: Sequence[str]) -> Iterator[Access | HexdicomError]:
        """The archives whose parts are at these keys, one after the other; an error in the place of one that cannot be opened."""
        parts: dict[bytes, list[str]] = {}
        for key in keys:
            try:
                parts.setdefault(read_part((self._store / key).read_bytes()).manifest_sha256, []).append(key)
            except OSError as error:
                yield ArchiveError(f"An archive object cannot be read: {error.strerror}.")
            except ArchiveError as error:
                yield error
        for group in parts.values():
            try:
                yield self._opened(tuple(group))
            except HexdicomError as error:
                yield error

    def _opened(self, keys: tuple[str, ...]) -> Access:
        with self._decoding:
            archive = self._open.pop(keys, None)
            if archive is None:
                archive = Access([self._store / key for key in keys], device=_DEVICE)
            self._open[keys] = archive
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return archive


class _Customer:
    """One connection: what was given to it and not yet used."""

    def __init__(self, connection: socket.socket, cache: Cache) -> None:
        self._connection, self._cache = connection, cache
        self._given: deque[tuple[str, int]] = deque()  # name ("" for a failure) and size, in the order of the answers
        self._bytes = 0
        self._untold: list[bytes] = []
        self.answered: set[str] = set()

    def request(self) -> dict[str, Any]:
        data = b""
        while not data.endswith(b"\n"):
            more = self._connection.recv(1 << 20)
            if not more or len(data) > _LARGEST_REQUEST:
                raise _Gone
            data += more
        found: dict[str, Any] = json.loads(data)
        return found

    def take(self, uid: str, name: str) -> bool:
        """Gives a file that is there; False where it is not."""
        size = self._cache.hold(name)
        if size:
            self.give(uid, name, size)
        return size > 0

    def give(self, uid: str, name: str, size: int) -> None:
        """A file that is held for this connection."""
        self._bytes += size
        self._add(uid, name, size, "")

    def fail(self, uid: str, problem: str) -> None:
        self._add(uid, "", 0, problem)

    def tell(self) -> None:
        """Sends the answers that were found since; may wait for the other end to listen."""
        data, self._untold = b"".join(self._untold), []
        self._connection.sendall(data)

    def wait(self, most: int = -1) -> None:
        """Until no more than so many bytes are given and not used; by default until all is used. Raises _Gone."""
        while True:
            waiting = bool(self._given) and self._bytes > most
            readable, _, _ = select.select([self._connection], [], [], None if waiting else 0)
            if not readable:
                return
            used = self._connection.recv(4096)
            if not used:
                raise _Gone
            for _ in used:
                self._release()

    def leave(self) -> None:
        while self._given:
            self._release()

    def _add(self, uid: str, name: str, size: int, problem: str) -> None:
        self._given.append((name, size))
        self.answered.add(uid)
        self._untold.append(json.dumps([uid, name, problem]).encode() + b"\n")

    def _release(self) -> None:
        if self._given:
            name, size = self._given.popleft()
            self._bytes -= size
            if name:
                self._cache.release(name)


def warm_up() -> None:
    """Loads and compiles what decodes, by coding a very small series."""
    noise = np.random.default_rng(1).integers(0, 100, (4, 1, 36, 36)).astype(np.int16)
    codec.encode(CineVolume(noise), codec.Profile(steps=1, adapt_steps=0), device=_DEVICE, verify=False)


def main(name: str) -> None:
    """The restore process (see child.py)."""
    settings, stop = child.begin()
    keep_beating(settings.vitals, name, stop)
    restorer = Restorer(settings.store, settings.state / FILES, settings.retrieve.cache_mb << 20)
    started = time.monotonic()
    warm_up()
    with listen(settings.state) as listener:
        (settings.state / NEEDED).unlink(missing_ok=True)
        seconds = time.monotonic() - started
        log.info("originals are restored on demand", extra={"event": "restore.ready", "seconds": seconds})
        slots = threading.BoundedSemaphore(_CLIENTS)
        listener.settimeout(0.2)
        while not stop.is_set():
            if not slots.acquire(timeout=0.2):
                continue
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                slots.release()
                continue
            connection.setblocking(True)
            threading.Thread(target=_serve, args=(restorer, connection, slots), name="restore", daemon=True).start()
    os._exit(0)  # a slice that is being decoded cannot be interrupted, and nothing needs tidying up


def _serve(restorer: Restorer, connection: socket.socket, slots: threading.BoundedSemaphore) -> None:
    try:
        restorer.serve(connection)
    finally:
        slots.release()
