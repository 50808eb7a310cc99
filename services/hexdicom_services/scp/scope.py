"""Which objects a request is about: received instances, as if they had never left, or also archive objects, where they are meant.

Archive objects are Raw Data that no viewer shows. So they come only to who asks for them: by their own SOP or Series Instance
UID, by their SOP class, or under the node's second AE title, which stands for the store as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.dicom.uids import RAW_DATA_STORAGE
from hexdicom_services.catalog.found import ARCHIVES, RECEIVED, STORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pynetdicom.events import Event

    from hexdicom_services.catalog.found import View


def called_ae_title(event: Event) -> str:
    """The AE title under which the peer calls us."""
    request = event.assoc.requestor.primitive
    return str(request.called_ae_title).strip() if request is not None else ""


def views(event: Event, level: str, keys: Mapping[str, str], archive_ae_title: str | None) -> tuple[View, ...]:
    """Where to look for what a request asks for. keys: what it matches, by keyword."""
    if archive_ae_title and called_ae_title(event) == archive_ae_title:
        return (STORE,)
    by_uid = any(keys.get(keyword) for keyword in ("SeriesInstanceUID", "SOPInstanceUID"))
    by_class = RAW_DATA_STORAGE in keys.get("SOPClassUID", "").split("\\")
    if level in ("SERIES", "IMAGE") and (by_uid or by_class):
        return RECEIVED, ARCHIVES
    return (RECEIVED,)
