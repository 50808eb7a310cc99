"""Receiving one instance: when `receive` returns, its bytes survive a power cut, and its row the end of the process.

Each association writes and flushes its own file, then the name of the file, then commits a row, which waits for no disk: the
file holds all that the row says, and the start of a node makes the row again where a power cut has taken it (recover.py).
One commit serves all associations that wait for one.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import threading
from collections import deque
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


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a C-STORE request brings: `data` is the encoded data set as it came, or the file that a large one went to."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    data: bytes | Spilled


class Desk:
    """Takes deliveries from any number of threads."""

    def __init__(self, catalog: Catalog, spool: Spool, clock: Callable[[], float]) -> None:
        self._writer, self._spool, self._clock = catalog.writer(), spool, clock
        self._waiting: deque[tuple[instances.Received, Future[instances.Outcome]]] = deque()
        self._committing = threading.Lock()

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
        self._spool.sync(path)
        outcome = self._catalogue(received)
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
        """Once nobody receives any more."""
        with self._committing:
            self._writer.close()

    def _catalogue(self, received: instances.Received) -> instances.Outcome:
        """Gives an instance its row, together with those that have come while others were committed. Raises StoreError."""
        answer: Future[instances.Outcome] = Future()
        self._waiting.append((received, answer))
        with self._committing:
            if not answer.done():  # else whoever was here before took it along
                self._settle([self._waiting.popleft() for _ in range(len(self._waiting))])
        return answer.result()

    def _settle(self, batch: list[tuple[instances.Received, Future[instances.Outcome]]]) -> None:
        try:
            with self._writer.write() as connection:
                outcomes = instances.add(connection, [received for received, _ in batch])
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
