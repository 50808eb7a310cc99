"""Receiving one instance: when `receive` returns, its bytes and its row survive a power cut.

Each association writes and flushes its own file. One thread commits the rows of all that are waiting: with one
association that is one at a time, with sixteen up to sixteen for the price of one flush. The name of the file becomes
durable at the same time. Should a crash find the row on disk but not yet the new name, then the file lies under its old
name in `incoming`, complete, and the start of the node gives it its place (Spool.recover).
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.errors import StoreError
from hexdicom_services.catalog import instances
from hexdicom_services.elements import Identity, identify
from hexdicom_services.logs import short
from hexdicom_services.part10 import file_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.scp.incoming import Spilled
    from hexdicom_services.spool import Spool

log = logging.getLogger(__name__)

_MOST = 256  # instances in one transaction


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a C-STORE request brings: `data` is the encoded data set as it came, or the file that a large one went to."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    data: bytes | Spilled


class Desk:
    """Takes deliveries from any number of threads; `close` ends its own thread after what is waiting."""

    def __init__(self, catalog: Catalog, spool: Spool, clock: Callable[[], float]) -> None:
        self._writer, self._spool, self._clock = catalog.writer(), spool, clock
        self._waiting: queue.SimpleQueue[tuple[instances.Received, Future[instances.Outcome]] | None]
        self._waiting = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self._thread.start()

    def receive(self, delivery: Delivery, noticed: Callable[[Identity], None] | None = None) -> instances.Outcome:
        """Keeps an instance. Raises StoreError where that is not possible. `noticed` is told what it is.

        Where the file could be written and the row could not, the file stays without one: another association may be about to
        acknowledge the same content at the same path. Receiving it again, or the next start, gives it a row.
        """
        sha256, size, identity = _look(delivery)
        if noticed is not None:
            noticed(identity)
        known = bool(identity.study_instance_uid and identity.series_instance_uid)
        if not known:
            log.warning("an instance without readable UIDs was received", extra={"event": "instance.unreadable"})
        series_uid = identity.series_instance_uid if known else ""
        # The same content goes to the same path again: a duplicate repairs a file that was lost, and costs no look-up.
        path = self._spool.path_for(series_uid, delivery.sop_instance_uid, sha256)
        received = instances.Received(
            sop_instance_uid=delivery.sop_instance_uid,
            sop_class_uid=delivery.sop_class_uid,
            transfer_syntax_uid=delivery.transfer_syntax_uid,
            study_instance_uid=identity.study_instance_uid if known else "",
            series_instance_uid=series_uid,
            sha256=sha256,
            size=size,
            path=path,
            received_at=self._clock(),
            calling_ae_title=delivery.calling_ae_title,
        )
        self._write(path, delivery)
        answer: Future[instances.Outcome] = Future()
        self._waiting.put((received, answer))
        self._spool.sync(path)
        outcome = answer.result()
        if outcome == "returned" and not (self._spool.root / path).is_file():
            # Its release was just deleting the file. The mark is gone now, so nobody deletes it any more.
            self._write(path, delivery)
            self._spool.sync(path)
        if outcome == "version":
            log.warning(
                "an instance came again with other content; both are kept",
                extra={"event": "instance.version", "series": short(series_uid)},
            )
        return outcome

    def _write(self, path: str, delivery: Delivery) -> None:
        data = delivery.data
        if isinstance(data, bytes):
            uids = (delivery.sop_class_uid, delivery.sop_instance_uid, delivery.transfer_syntax_uid)
            self._spool.write(path, file_head(*uids, delivery.calling_ae_title), data)
            return
        self._spool.check_space(0)
        if data.path.exists():
            self._spool.take(path, data.path, data.handle)
        else:  # it lay where a release has just deleted it
            self._spool.copy(path, data.handle)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_for_work = True
        while open_for_work:
            batch = [self._waiting.get()]
            while len(batch) < _MOST and not self._waiting.empty():
                batch.append(self._waiting.get())
            open_for_work = None not in batch
            self._settle([entry for entry in batch if entry is not None])
        self._writer.close()

    def _settle(self, batch: list[tuple[instances.Received, Future[instances.Outcome]]]) -> None:
        if not batch:
            return
        try:
            rows = [received for received, _ in batch]
            with self._writer.write() as connection:
                outcomes = instances.add(connection, rows)
        except Exception as error:  # the peers get a failure each, the desk goes on
            problem = error if isinstance(error, StoreError) else StoreError("The catalog failed.")
            log.error(  # noqa: TRY400 - a StoreError says it all
                "received instances could not be catalogued: %s",
                problem,
                exc_info=None if problem is error else error,
                extra={"event": "loop.error"},
            )
            for _, answer in batch:
                answer.set_exception(problem)
            return
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            answer.set_result(outcome)


def _look(delivery: Delivery) -> tuple[str, int, Identity]:
    """Hash, size and identity of a data set."""
    data = delivery.data
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data), identify(data, delivery.transfer_syntax_uid)
    if data.error:
        raise StoreError(data.error)
    with mmap.mmap(data.handle, 0, access=mmap.ACCESS_READ) as mapped:
        return data.sha256, data.size, identify(mapped, delivery.transfer_syntax_uid, data.offset)
