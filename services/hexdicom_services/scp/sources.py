"""Where the bytes of an instance come from: the spool, the store, or an archive object, whichever still has them.

What is sent has the SHA-256 of what was received. So a file of the spool that is damaged is not sent; the archive is asked instead.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from hexdicom_services.catalog import found
from hexdicom_services.logs import short
from hexdicom_services.part10 import holds, read_head
from hexdicom_services.restoration import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hexdicom_services.catalog.found import Sendable
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)


class Outgoing(Dataset):
    """An instance to send: its identity as a data set, where its file is and how it is written; or what is wrong."""

    file: Path | None
    syntax: str
    problem: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that instances are sent from."""

    settings: Settings
    catalog: Catalog

    def of(self, objects: Sequence[Sendable], cancelled: Callable[[], bool]) -> Iterator[Outgoing]:
        """Every object, in an order of our own; its file is there until the next one is asked for. Raises StoreError."""
        series: dict[str, list[Sendable]] = {}
        for item in objects:
            series.setdefault(item.series_instance_uid, []).append(item)
        for uid, items in series.items():
            yield from self._of_series(uid, items, cancelled)

    def _of_series(self, uid: str, items: Sequence[Sendable], cancelled: Callable[[], bool]) -> Iterator[Outgoing]:
        store, spool = self.settings.store, self.settings.spool
        gone: dict[str, Sendable] = {}
        for item in items:
            if item.key:
                yield _outgoing(item, store / item.key, item.transfer_syntax_uid)
            elif not item.released and holds(spool / item.path, item.sha256):
                yield _outgoing(item, spool / item.path, item.transfer_syntax_uid)
            else:
                gone[item.sop_instance_uid] = item
        if not gone:
            return
        with self.catalog.read() as connection:
            copies, archives = found.untouched(connection, uid), found.archives(connection, uid)
        for item in list(gone.values()):
            key = copies.get(item.sop_instance_uid)
            if key is not None and holds(store / key, item.sha256):
                del gone[item.sop_instance_uid]
                yield _outgoing(item, store / key, item.transfer_syntax_uid)
        wanted = {item.sop_instance_uid: item.sha256 for item in gone.values()}
        for ready in client.restore(self.settings.state, archives, wanted, cancelled) if wanted else ():
            item = gone[ready.sop_instance_uid]
            if ready.path is not None:
                # an instance that came losslessly compressed comes back native
                yield _outgoing(item, ready.path, read_head(ready.path).transfer_syntax_uid)
            else:
                extra = {"event": "retrieve.failed", "series": short(uid)}
                log.error("an instance could not be restored: %s", ready.problem, extra=extra)
                yield _outgoing(item, None, "", ready.problem)


def _outgoing(item: Sendable, file: Path | None, syntax: str, problem: str = "") -> Outgoing:
    outgoing = Outgoing()
    outgoing.SOPClassUID, outgoing.SOPInstanceUID = item.sop_class_uid, item.sop_instance_uid
    outgoing.file, outgoing.syntax, outgoing.problem = file, syntax, problem
    return outgoing
