"""Whether we can commit ourselves to an instance: its bytes are durable here, and are those that were received, now.

An original in the spool counts, and a copy that was passed through; else an archive object that was verified when it was stored,
whose file has not changed since, and whose manifest names the SHA-256 of what was received.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.uid import UID
from sqlalchemy import select

from hexdicom.dicom import shelf
from hexdicom.dicom.restore import open_archive, received
from hexdicom.errors import HexdicomError
from hexdicom_services.catalog import found
from hexdicom_services.catalog.models import instance, stored
from hexdicom_services.part10 import holds
from hexdicom_services.statuses import Failure
from hexdicom_services.stores.folder import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from hexdicom_services.catalog.commitments import Instance
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Evidence:
    """Looks at instances one after the other; each archive is read once."""

    settings: Settings
    catalog: Catalog
    _archives: dict[str, dict[str, str]] = field(default_factory=dict)  # of a series: SHA-256 by SOP Instance UID

    def failures(self, instances: Sequence[Instance]) -> dict[str, int]:
        """Why we cannot commit ourselves, by SOP Instance UID; the others are safe. Raises StoreError."""
        reasons = {one.sop_instance_uid: self._reason(one) for one in instances}
        return {uid: reason for uid, reason in reasons.items() if reason}

    def _reason(self, one: Instance) -> int:
        if not _is_storage(one.sop_class_uid):
            return Failure.CLASS_NOT_SUPPORTED
        uid = one.sop_instance_uid
        with self.catalog.read() as connection:
            row = connection.execute(
                select(instance).where(instance.c.sop_instance_uid == uid).order_by(instance.c.version.desc()).limit(1)
            ).first()
            if row is None:
                return self._reason_of_archive(connection, one)
            series = row.series_instance_uid
            copies = found.untouched(connection, series)
        if row.sop_class_uid != one.sop_class_uid:
            return Failure.CLASS_INSTANCE_CONFLICT
        if not row.released_at and holds(self.settings.spool / row.path, row.sha256):
            return 0
        if uid in copies and holds(self.settings.store / copies[uid], row.sha256):
            return 0
        try:
            return 0 if self._archived(series).get(uid) == row.sha256 else Failure.PROCESSING_FAILURE
        except (HexdicomError, OSError):
            log.exception("an archive cannot be read", extra={"event": "commitment.failed"})
            return Failure.PROCESSING_FAILURE

    def _reason_of_archive(self, connection: Connection, one: Instance) -> int:
        """Of an archive object, which peers may ask for by its own UID."""
        wanted = select(stored).where(stored.c.sop_instance_uid == one.sop_instance_uid, stored.c.state == "STORED")
        row = connection.execute(wanted.order_by(stored.c.current.desc(), stored.c.id.desc()).limit(1)).first()
        if row is None:
            return Failure.NO_SUCH_INSTANCE
        if row.sop_class_uid != one.sop_class_uid:
            return Failure.CLASS_INSTANCE_CONFLICT
        try:
            return 0 if digest(self.settings.store / row.key).sha256 == row.sha256 else Failure.PROCESSING_FAILURE
        except OSError:
            return Failure.PROCESSING_FAILURE

    def _archived(self, series: str) -> dict[str, str]:
        """SHA-256 of the data sets of a series that come out of its archives. Raises ArchiveError, StoreError, OSError."""
        if series in self._archives:
            return self._archives[series]
        with self.catalog.read() as connection:
            wanted = select(stored.c.key, stored.c.sha256).where(
                stored.c.source_series_uid == series, stored.c.kind == "archive", stored.c.state == "STORED"
            )
            rows = connection.execute(wanted.order_by(stored.c.current, stored.c.id)).all()
        store = self.settings.store
        intact = [store / row.key for row in rows if (store / row.key).is_file() and digest(store / row.key).sha256 == row.sha256]
        contents: dict[str, str] = {}
        for paths in shelf.found(intact).groups if intact else ():
            opened = open_archive([shelf.read(path) for path in paths])
            if opened.manifest.lossless:
                contents |= received(opened)
        self._archives[series] = contents
        return contents


def _is_storage(sop_class_uid: str) -> bool:
    """Whether instances of a class are stored; a class that the standard does not know may be."""
    uid = UID(sop_class_uid)
    if not uid.is_valid:
        return False
    return uid.type != "SOP Class" or ("Storage" in uid.name and "Commitment" not in uid.name)


def reason_for_all(instances: Sequence[Instance], reason: int) -> dict[str, int]:
    """The same reason for every instance."""
    return {one.sop_instance_uid: reason for one in instances}
