"""Making received instances findable: their attributes are read once, from the spool, soon after they came.

The supervisor does it now and then; a query does what is left before it answers, so no answer lacks what was acknowledged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hexdicom.errors import StoreError
from hexdicom_services.catalog import listings
from hexdicom_services.jobs.findable import read_findable

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom_services.catalog.listings import Unlisted
    from hexdicom_services.catalog.session import Catalog

log = logging.getLogger(__name__)

_BATCH = 200  # instances in one transaction


def list_new(catalog: Catalog, spool: Path, most: int = _BATCH, *, all_of_them: bool = False) -> int:
    """Lists up to `most` instances that are not listed; returns how many. Raises StoreError."""
    with catalog.read() as connection:
        found = listings.unlisted(connection, most, all_of_them=all_of_them)
    if not found:
        return 0
    read = [(one, *_attributes(spool, one)) for one in found]
    with catalog.write() as connection:
        for one, attributes, columns in read:
            listings.add(connection, one, attributes, columns)
    return len(found)


def list_all(catalog: Catalog, spool: Path) -> None:
    """Lists everything that is not listed. Raises StoreError."""
    while list_new(catalog, spool) == _BATCH:
        pass


def _attributes(spool: Path, one: Unlisted) -> tuple[dict[str, Any], dict[str, str]]:
    """What a query answers and matches; nothing where the file is gone: then the UIDs of the row are all there is."""
    try:
        found = read_findable(spool / one.path)
    except (StoreError, OSError):
        log.exception("attributes of a received instance cannot be read", extra={"event": "instance.unreadable"})
        return {}, {}
    return found.attributes, found.columns
