"""Which presentation contexts are accepted beside those of the services: storage of whatever a study contains.

pynetdicom's unrestricted storage takes every abstract syntax that it does not know for a storage class, also services of the
standard that are not offered here, Modality Worklist among them. Those are rejected: 3, abstract syntax not supported (PS3.8
table 9-18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import UID
from pynetdicom import acse
from pynetdicom.presentation import negotiate_unrestricted

if TYPE_CHECKING:
    from pynetdicom.presentation import CXNegotiationReturn, ListCXType, RoleType

_ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."  # whatever is below it is stored, whether or not it has a name


def is_service(uid: str) -> bool:
    """Whether the standard has a class of that UID that is not storage; a private or newer class may be storage."""
    found = UID(uid)
    named = found.type in ("SOP Class", "Meta SOP Class")
    stored = found.startswith(_STORAGE) or ("Storage" in found.name and "Commitment" not in found.name)
    return named and not stored


def negotiate(proposed: ListCXType, supported: ListCXType, roles: RoleType = None) -> CXNegotiationReturn:
    """What pynetdicom accepts, without services that are not among the supported ones."""
    offered = {str(context.abstract_syntax) for context in supported}
    contexts, answers = negotiate_unrestricted(proposed, supported, roles)
    for context in contexts:
        if str(context.abstract_syntax) not in offered and is_service(str(context.abstract_syntax)):
            context.result = _ABSTRACT_SYNTAX_NOT_SUPPORTED
    return contexts, [one for one in answers if str(one.sop_class_uid) in offered or not is_service(str(one.sop_class_uid))]


def install() -> None:
    """Has every association that this process accepts negotiated so."""
    setattr(acse, "negotiate_unrestricted", negotiate)  # noqa: B010 - pynetdicom offers no place for it
