"""Who is not let in while the disk is below its reserve: those who come only to store.

They are refused for now (A-ASSOCIATE-RJ transient, local limit exceeded; PS3.8 section 9.3.4), so that a scanner keeps its images
in its queue instead of getting a failure for each. Query, retrieve and echo go on; a C-STORE beside them is answered 0xA700.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pynetdicom.association import Association

    from hexdicom_services.spool import Spool

_VERIFICATION: Final = str(Verification)


def why_not(association: Association, spool: Spool, services: Collection[str]) -> str | None:
    """Why an association that only stores is not let in. services: abstract syntaxes that are not storage."""
    requestor = association.requestor
    roles = {str(uid): item for uid, item in requestor.role_selection.items()}
    proposed = {str(context.abstract_syntax) for context in requestor.requested_contexts}
    others = proposed & set(services) - {_VERIFICATION}
    stores = {uid for uid in proposed - set(services) if uid not in roles or roles[uid].scu_role}
    if others or not stores:
        return None
    try:
        spool.check_space(0)
    except StoreError as error:
        return error.message
    return None
