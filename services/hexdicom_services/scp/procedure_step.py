"""Modality Performed Procedure Step and Instance Availability Notification (PS3.4 annexes F and R), for one purpose.

They list the instances of a series, so that intake knows when all are here. Nothing else of them is kept.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import InstanceAvailabilityNotification  # type: ignore[attr-defined]

from hexdicom.dicom.attributes import UNREADABLE
from hexdicom.errors import StoreError
from hexdicom_services.catalog import procedure_steps
from hexdicom_services.catalog.procedure_steps import COMPLETED, DISCONTINUED, IN_PROGRESS
from hexdicom_services.statuses import CreateStep, SetStep

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import N_CREATE, N_SET
    from pynetdicom.events import Event

    from hexdicom_services.catalog.session import Catalog

log = logging.getLogger(__name__)

_FINAL = 0xA710  # Error ID: "may no longer be updated", PS3.4 table F.7.2-2

Answer = tuple[int | Dataset, Dataset | None]


def on_create(event: Event, catalog: Catalog) -> Answer:
    """0x0000 once it is in the catalog. A notification ends what it lists at once; a step has yet to be performed."""
    request = cast("N_CREATE", event.request)
    uid = str(request.AffectedSOPInstanceUID or "") or str(generate_uid(prefix=None))
    try:
        said = event.attribute_list
        notification = request.AffectedSOPClassUID == InstanceAvailabilityNotification
        series = _listed(said, "ReferencedSeriesSequence" if notification else "PerformedSeriesSequence")
        state = str(said.get("PerformedProcedureStepStatus") or "")
    except UNREADABLE:
        return CreateStep.INVALID_VALUE, None
    if not notification and state != IN_PROGRESS:
        return (CreateStep.INVALID_VALUE if state else CreateStep.MISSING), None
    peer, now = event.assoc.requestor.ae_title.strip(), time.time()
    try:
        with catalog.write() as connection:
            outcome = procedure_steps.create(connection, uid, IN_PROGRESS, peer, now)
            if outcome == "kept":
                procedure_steps.change(connection, uid, COMPLETED if notification else IN_PROGRESS, series, now)
    except StoreError as error:
        _failed(error)
        return CreateStep.PROCESSING_FAILURE, None
    if outcome != "kept":
        return CreateStep.DUPLICATE, None
    if request.AffectedSOPInstanceUID:
        return CreateStep.SUCCESS, None
    answer = Dataset()
    answer.AffectedSOPInstanceUID = uid  # pynetdicom takes it from here into the response (PS3.7 10.1.5.1.4)
    return CreateStep.SUCCESS, answer


def on_set(event: Event, catalog: Catalog) -> Answer:
    """0x0000 once it is in the catalog; 0x0110 for a step that has ended."""
    request = cast("N_SET", event.request)
    try:
        said = event.modification_list
        series = _listed(said, "PerformedSeriesSequence") if "PerformedSeriesSequence" in said else None
        state = str(said.get("PerformedProcedureStepStatus") or IN_PROGRESS)
    except UNREADABLE:
        return SetStep.INVALID_VALUE, None
    if state not in (IN_PROGRESS, COMPLETED, DISCONTINUED):
        return SetStep.INVALID_VALUE, None
    try:
        with catalog.write() as connection:
            outcome = procedure_steps.change(connection, str(request.RequestedSOPInstanceUID), state, series, time.time())
    except StoreError as error:
        _failed(error)
        return SetStep.PROCESSING_FAILURE, None
    if outcome == "final":
        answer = Dataset()
        answer.Status, answer.ErrorID = SetStep.PROCESSING_FAILURE, _FINAL
        answer.ErrorComment = "The step has ended and may no longer be updated."
        return answer, None
    return (SetStep.SUCCESS if outcome == "kept" else SetStep.NO_SUCH_INSTANCE), None


def _listed(said: Dataset, keyword: str) -> dict[str, list[str]]:
    """SOP Instance UIDs by Series Instance UID, images and others."""
    found: dict[str, list[str]] = {}
    for one in said.get(keyword) or ():
        uid = str(one.get("SeriesInstanceUID") or "")
        uids = found.setdefault(uid, [])
        for name in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence", "ReferencedSOPSequence"):
            uids += [str(item.ReferencedSOPInstanceUID) for item in one.get(name) or ()]
    found.pop("", None)
    return found


def _failed(error: StoreError) -> None:
    log.error("a procedure step could not be kept: %s", error, extra={"event": "loop.error"})
