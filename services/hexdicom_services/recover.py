"""Putting in order what a crash left, before a node starts. No other process of the node may be running.

Nothing that was acknowledged is removed: incomplete files go, complete files get the row or the name that they lack, and
work that was in hand is given back. After a power cut the newest rows of received instances may be missing: a row is not
flushed (catalog/session.py, `Writer`), its file is.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.errors import StoreError
from hexdicom_services.catalog import instances, ledger
from hexdicom_services.elements import identify
from hexdicom_services.part10 import read_head
from hexdicom_services.spool import Spool
from hexdicom_services.stores.folder import FolderStore

if TYPE_CHECKING:
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """renamed: files that got their name; adopted: files that got a row; released: jobs that were given back."""

    renamed: int
    adopted: int
    released: int


def recover(settings: Settings, catalog: Catalog) -> Recovered:
    """Raises StoreError."""
    spool, now = Spool(settings.spool), time.time()
    with catalog.read() as connection:
        expected = set(instances.known_paths(connection))
        sound = set(instances.known_paths(connection, lost=False))
    renamed = spool.recover(expected)
    # A file whose row says that it was released: its release was broken off, or it was sent again. It stays, and the row says so.
    orphans = [path for path in spool.files() if path not in sound]
    adopted = [found for path in orphans if (found := _received(spool, path)) is not None]
    adopted.sort(key=lambda received: received.received_at)  # versions are numbered in the order of arrival
    FolderStore(settings.store).sweep()
    shutil.rmtree(settings.state / "work", ignore_errors=True)
    with catalog.write() as connection:
        instances.add(connection, adopted)
        released = ledger.release_all(connection, now)
    result = Recovered(renamed, len(adopted), released)
    if renamed or adopted or released:
        log.info("a crash was repaired: %s", result, extra={"event": "node.recovered"})
    return result


def _received(spool: Spool, path: str) -> instances.Received | None:
    """The row of a file in the spool; None where it is not one that the receiver wrote."""
    file = spool.root / path
    try:
        head, data = read_head(file), file.read_bytes()
    except (OSError, StoreError):
        log.exception("a file in the spool is not an instance", extra={"event": "instance.unreadable"})
        return None
    content = data[head.offset :]
    sha256 = hashlib.sha256(content).hexdigest()
    if not file.stem.endswith(f"-{sha256[:32]}"):  # the name says what it should hold
        spool.set_aside(path)
        log.error("a file in the spool is damaged and was set aside", extra={"event": "instance.damaged"})
        return None
    identity = identify(content, head.transfer_syntax_uid)
    known = bool(identity.study_instance_uid and identity.series_instance_uid)
    return instances.Received(
        sop_instance_uid=head.sop_instance_uid,
        sop_class_uid=head.sop_class_uid,
        transfer_syntax_uid=head.transfer_syntax_uid,
        study_instance_uid=identity.study_instance_uid if known else "",
        series_instance_uid=identity.series_instance_uid if known else "",
        sha256=sha256,
        size=len(content),
        path=path,
        received_at=file.stat().st_mtime,
        calling_ae_title=head.source_ae_title,
    )
