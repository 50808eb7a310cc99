"""Storage Commitment Push Model on associations that we open (PS3.4 J.3): asking a PACS, and reporting to who asked us."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from hexdicom.dicom.attributes import UNREADABLE
from hexdicom_services.scu.association import DEFAULT_PATIENCE, Patience, associate, failure, status_of
from hexdicom_services.statuses import Failure
from hexdicom_services.statuses import Report as Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pynetdicom.events import Event

    from hexdicom_services.peer import Peer

INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # Storage Commitment Push Model SOP Instance
REQUEST, ALL_COMMITTED, SOME_FAILED = 1, 1, 2  # PS3.4 tables J.3-1 and J.3-2
_LOOK = 0.05  # seconds

References = tuple[tuple[str, str], ...]  # (SOP Class UID, SOP Instance UID)


@dataclass(frozen=True, slots=True)
class Report:
    """What an N-EVENT-REPORT says. failed: reasons of PS3.3 C.14.1.1, by SOP Instance UID."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: dict[str, int]


def ask(
    peer: Peer,
    transaction_uid: str,
    instances: References,
    on_report: Callable[[Event], int],
    *,
    wait: float,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Asks a PACS to commit itself. Raises PeerError where it does not take the question.

    on_report: the handler of an N-EVENT-REPORT, should it come on this association within `wait` seconds.
    """
    came = threading.Event()

    def take(event: Event) -> tuple[int, None]:
        try:
            return on_report(event), None
        finally:
            came.set()

    question = Dataset()
    question.TransactionUID = transaction_uid
    question.ReferencedSOPSequence = [_reference(*one) for one in instances]
    handlers = [(evt.EVT_N_EVENT_REPORT, take)]
    with associate(peer, [build_context(StorageCommitmentPushModel)], handlers=handlers, patience=patience) as association:
        answer, _ = association.send_n_action(question, REQUEST, StorageCommitmentPushModel, INSTANCE)
        if status_of(peer, association, answer, "N-ACTION") != 0x0000:
            raise failure(peer, answer, "N-ACTION")
        until = time.monotonic() + wait
        while association.is_established and time.monotonic() < until and not came.wait(_LOOK):
            pass
        if came.is_set():
            time.sleep(_LOOK)  # our answer to the report leaves before the release


def report(
    peer: Peer,
    transaction_uid: str,
    instances: References,
    failed: Mapping[str, int],
    ae_title: str,
    *,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Tells a peer what we are committed to, on an association where we are the SCP. Raises PeerError where it does not take it."""
    said = Dataset()
    said.TransactionUID = transaction_uid
    said.RetrieveAETitle = ae_title
    good = [_reference(*one) for one in instances if one[1] not in failed]
    bad = [_reference(*one, failed[one[1]]) for one in instances if one[1] in failed]
    if good:
        said.ReferencedSOPSequence = good
    if bad:
        said.FailedSOPSequence = bad
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    with associate(peer, [build_context(StorageCommitmentPushModel)], roles=[role], patience=patience) as association:
        kind = SOME_FAILED if bad else ALL_COMMITTED
        answer, _ = association.send_n_event_report(said, kind, StorageCommitmentPushModel, INSTANCE)
        if status_of(peer, association, answer, "N-EVENT-REPORT") != 0x0000:
            raise failure(peer, answer, "N-EVENT-REPORT")


def read_report(event: Event) -> Report | Answer:
    """What an N-EVENT-REPORT says, or the status to refuse it with."""
    if event.event_type not in (ALL_COMMITTED, SOME_FAILED):
        return Answer.NO_SUCH_EVENT
    try:
        said = event.event_information
        transaction_uid = str(said.get("TransactionUID") or "")
        good, bad = said.get("ReferencedSOPSequence") or (), said.get("FailedSOPSequence") or ()
        committed = tuple(str(one.ReferencedSOPInstanceUID) for one in good)
        failed = {str(one.ReferencedSOPInstanceUID): int(one.get("FailureReason") or Failure.PROCESSING_FAILURE) for one in bad}
    except UNREADABLE:
        return Answer.INVALID
    return Report(transaction_uid, committed, failed) if transaction_uid else Answer.MISSING


def _reference(sop_class_uid: str, sop_instance_uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item
