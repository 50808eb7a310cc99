"""Brings the audit trail to its collector, in order, each message again until it is taken. The trail never waits for it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from hexdicom.errors import HexdicomError
from hexdicom_services.audit.syslog import Wire
from hexdicom_services.catalog import audit_rows
from hexdicom_services.collector import Collector

if TYPE_CHECKING:
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_BATCH = 100  # messages between two notes of how far it is; after a crash so many may be sent twice
_LOOK = 0.5  # seconds between looks for new messages
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0  # seconds before a collector that is away is tried again


class Shipper:
    """A thread that ships; does nothing where no collector is set."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._catalog = catalog
        self._wire: Wire | None = None
        if settings.audit.collector is not None:
            self._wire = Wire(Collector.parse(settings.audit.collector), settings.tls_files)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        if self._wire is not None:
            self._thread.start()

    def close(self) -> None:
        """Tries once more to ship what there is, then stops. What is left waits in the catalog."""
        self._stop.set()
        if self._wire is not None:
            self._thread.join()
            self._wire.close()

    def _run(self) -> None:
        delay, away = 0.0, False
        while not self._stop.wait(delay or _LOOK):
            try:
                self._ship()
                if away:
                    log.info("the audit trail is being shipped again", extra={"event": "audit.resumed"})
                delay, away = 0.0, False
            except HexdicomError as error:
                if not away:
                    log.warning("%s They wait in the catalog.", error, extra={"event": "audit.waiting"})
                delay, away = min(_LONGEST_DELAY, max(_FIRST_DELAY, 2 * delay)), True
            except Exception:
                log.exception("the audit trail could not be shipped", extra={"event": "loop.error"})
                delay = _LONGEST_DELAY
        try:
            self._ship()
        except HexdicomError as error:
            log.warning("%s They wait in the catalog.", error, extra={"event": "audit.waiting"})

    def _ship(self) -> None:
        """Everything that waits. Raises PeerError, with what was taken noted."""
        assert self._wire is not None
        while True:
            with self._catalog.read() as connection:
                rows = audit_rows.unshipped(connection, _BATCH)
            if not rows:
                return
            taken = 0
            try:
                for row in rows:
                    self._wire.send(row)
                    taken = row.id
            finally:
                if taken:
                    with self._catalog.write() as connection:
                        audit_rows.mark_shipped(connection, taken)
