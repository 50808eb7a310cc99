"""Who is let in while the disk is below its reserve: everybody but those who come only to store.

They are refused for now (A-ASSOCIATE-RJ transient, local limit exceeded; PS3.8 section 9.3.4), so that a scanner keeps its images
in its queue instead of getting a failure for each. Query, retrieve and echo go on; a C-STORE beside them is answered 0xA700.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pynetdicom import evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pynetdicom.events import Event

    from hexdicom_services.spool import Spool

log = logging.getLogger(__name__)

TRANSIENT, PRESENTATION, LOCAL_LIMIT_EXCEEDED = 0x02, 0x03, 0x02
_VERIFICATION: Final = str(Verification)


def on_requested(event: Event, spool: Spool, services: Collection[str]) -> None:
    """Refuses an association that only stores where there is no room. services: abstract syntaxes that are not storage."""
    requestor = event.assoc.requestor
    roles = {str(uid): item for uid, item in requestor.role_selection.items()}
    proposed = {str(context.abstract_syntax) for context in requestor.requested_contexts}
    others = proposed & set(services) - {_VERIFICATION}
    stores = {uid for uid in proposed - set(services) if uid not in roles or roles[uid].scu_role}
    if others or not stores:
        return
    try:
        spool.check_space(0)
    except StoreError as error:
        log.warning("an association was refused: %s", error.message, extra={"event": "association.refused"})
        event.assoc.acse.send_reject(TRANSIENT, PRESENTATION, LOCAL_LIMIT_EXCEEDED)
        evt.trigger(event.assoc, evt.EVT_REJECTED, {})
        event.assoc.kill()
