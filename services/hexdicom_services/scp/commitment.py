"""N-ACTION of the Storage Commitment Push Model (PS3.4 J.3.2): a request is kept, and answered later on an association of ours."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset

from hexdicom.dicom.attributes import UNREADABLE
from hexdicom.errors import StoreError
from hexdicom_services.catalog import commitments
from hexdicom_services.catalog.commitments import Instance
from hexdicom_services.scu.commitment import INSTANCE, REQUEST
from hexdicom_services.statuses import Commit

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import N_ACTION
    from pynetdicom.events import Event

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_MOST = 100_000  # instances in one request


def on_action(event: Event, catalog: Catalog, settings: Settings) -> tuple[int | Dataset, None]:
    """0x0000 once the request is durable."""
    peer = event.assoc.requestor.ae_title.strip()
    if cast("N_ACTION", event.request).RequestedSOPInstanceUID != INSTANCE:
        return Commit.NO_SUCH_INSTANCE, None
    if event.action_type != REQUEST:
        return Commit.NO_SUCH_ACTION, None
    if peer not in {settings.peer(name).ae_title for name in settings.peers}:
        return _refuse(Commit.NOT_AUTHORIZED, "Your AE title is not in [peers]: no way to report.", peer), None
    try:
        asked = event.action_information
        transaction_uid = str(asked.get("TransactionUID") or "")
        sequence = asked.get("ReferencedSOPSequence") or ()
        if not transaction_uid or not sequence:
            return _refuse(Commit.MISSING, "Transaction UID or Referenced SOP Sequence is missing.", peer), None
        if len(sequence) > _MOST:
            return _refuse(Commit.TOO_MUCH, f"More than {_MOST} instances in one request.", peer), None
        instances = [Instance(str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in sequence]
    except UNREADABLE:
        return _refuse(Commit.INVALID, "The request cannot be read.", peer), None
    try:
        with catalog.write() as connection:
            commitments.accept(connection, peer, transaction_uid, instances, time.time())
    except StoreError:
        log.exception("a commitment request could not be kept", extra={"event": "loop.error"})
        return Commit.PROCESSING_FAILURE, None
    return Commit.SUCCESS, None


def _refuse(status: Commit, comment: str, peer: str) -> Dataset:
    extra = {"event": "commitment.refused", "status": status, "ae_title": peer}
    log.warning("a commitment request was refused: %s", comment, extra=extra)
    answer = Dataset()
    answer.Status, answer.ErrorComment = status, comment[:64]
    return answer
