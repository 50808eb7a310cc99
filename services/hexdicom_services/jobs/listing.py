"""Making received instances findable: their attributes are read once, from the spool, soon after they came.

The supervisor does it, little by little while instances arrive, so that it does not hold them up. A query first does what is left
of what it may be about, so no answer lacks what was acknowledged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hexdicom.errors import StoreError
from hexdicom_services.catalog import listings
from hexdicom_services.catalog.listings import Listed
from hexdicom_services.jobs.findable import read_findable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hexdicom_services.catalog.listings import Unlisted
    from hexdicom_services.catalog.session import Catalog

log = logging.getLogger(__name__)

_BATCH = 100  # instances in one transaction
_BUSY_BATCH = 5  # the same while instances arrive
_QUIET = 1.0  # seconds without an instance


def list_some(catalog: Catalog, spool: Path, now: float) -> int:
    """Lists what fits into a moment; returns how many that were. Raises StoreError."""
    with catalog.read() as connection:
        quiet = now - listings.last_arrival(connection) > _QUIET
        found = listings.unlisted(connection, _BATCH if quiet else _BUSY_BATCH)
    return _list(catalog, spool, found)


def list_all(catalog: Catalog, spool: Path, wanted: Mapping[str, str]) -> None:
    """Lists everything that a request with these keys may be about. Raises StoreError."""
    while True:
        with catalog.read() as connection:
            found = listings.unlisted(connection, _BATCH, wanted)
        if not _list(catalog, spool, found):
            return


def _list(catalog: Catalog, spool: Path, found: list[Unlisted]) -> int:
    if found:
        batch = [_read(spool, one) for one in found]
        with catalog.write() as connection:
            listings.add(connection, batch)
    return len(found)


def _read(spool: Path, one: Unlisted) -> Listed:
    """Without attributes where the file is gone: then the UIDs of the row are all there is."""
    try:
        found = read_findable(spool / one.path)
    except (StoreError, OSError):
        log.exception("attributes of a received instance cannot be read", extra={"event": "instance.unreadable"})
        return Listed(one, {}, {})
    return Listed(one, found.attributes, found.columns)
