"""What is answered to C-ECHO and C-STORE. A handler translates between pynetdicom and the node, nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from pydicom.dataset import Dataset

from hexdicom.errors import HexdicomError
from hexdicom_services.scp.desk import Delivery

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event

    from hexdicom_services.scp.desk import Desk

log = logging.getLogger(__name__)

SUCCESS = 0x0000


def on_echo(event: Event) -> int:
    """PS3.4 annex A: we are here."""
    return SUCCESS


def on_store(event: Event, desk: Desk) -> int | Dataset:
    """0x0000 when the instance is durable; else the status of the error, 0xA700 if it was the disk (PS3.4 B.2.3)."""
    request, context = cast("C_STORE", event.request), event.context
    delivery = Delivery(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(context.transfer_syntax),
        calling_ae_title=event.assoc.requestor.ae_title,
        data=event.encoded_dataset(include_meta=False),
    )
    try:
        desk.receive(delivery)
    except HexdicomError as error:
        log.error(  # noqa: TRY400 - expected, and the sentence says it all
            "an instance was refused: %s", error, extra={"event": "instance.refused", "status": error.dimse_status}
        )
        return refusal(error)
    except Exception:
        log.exception("an instance could not be kept", extra={"event": "loop.error"})
        return 0xC000
    return SUCCESS


def refusal(error: HexdicomError) -> Dataset:
    """The response that says why (Error Comment holds 64 characters, PS3.7 C.1)."""
    answer = Dataset()
    answer.Status = error.dimse_status
    answer.ErrorComment = error.message[:64]
    return answer
