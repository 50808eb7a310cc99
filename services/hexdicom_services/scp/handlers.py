"""What is answered to C-ECHO and C-STORE. A handler translates between pynetdicom and the node, nothing else."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset

from hexdicom.errors import HexdicomError, StoreError
from hexdicom_services.scp.desk import Delivery
from hexdicom_services.scp.incoming import Incoming
from hexdicom_services.statuses import Echo, Store

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event

    from hexdicom_services.scp.auditor import Auditor
    from hexdicom_services.scp.desk import Desk

log = logging.getLogger(__name__)


def on_echo(event: Event) -> int:
    """PS3.4 annex A: we are here."""
    return Echo.SUCCESS


def on_store(event: Event, desk: Desk, auditor: Auditor) -> int | Dataset:
    """0x0000 when the instance is durable; else the status of the error, 0xA700 if it was the disk (PS3.4 B.2.3)."""
    request, context = cast("C_STORE", event.request), event.context
    content = request.DataSet
    if isinstance(content, Incoming) and content.is_too_large:
        return _too_large(content)
    delivery = Delivery(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(context.transfer_syntax),
        calling_ae_title=event.assoc.requestor.ae_title,
        data=(content.spilled if isinstance(content, Incoming) else None) or event.encoded_dataset(include_meta=False),
    )
    try:
        outcome = desk.receive(delivery, partial(auditor.receiving, event.assoc))
        auditor.received(event.assoc, delivery.sop_class_uid, outcome)
    except HexdicomError as error:
        log.error(  # noqa: TRY400 - expected, and the sentence says it all
            "an instance was refused: %s", error, extra={"event": "instance.refused", "status": error.dimse_status}
        )
        return refusal(error)
    except Exception:
        log.exception("an instance could not be kept", extra={"event": "loop.error"})
        return Store.CANNOT_UNDERSTAND
    finally:
        if isinstance(content, Incoming):
            content.discard()
    return Store.SUCCESS


def _too_large(content: Incoming) -> Dataset:
    message = f"Larger than the {content.most >> 20} MiB that are taken here."
    log.error("an instance was refused: %s", message, extra={"event": "instance.refused", "status": Store.OUT_OF_RESOURCES})
    return refusal(StoreError(message))


def refusal(error: HexdicomError) -> Dataset:
    """The response that says why (Error Comment holds 64 characters, PS3.7 C.1)."""
    answer = Dataset()
    answer.Status = error.dimse_status
    answer.ErrorComment = error.message[:64]
    return answer
