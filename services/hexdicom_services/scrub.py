"""Looking whether every file that the node keeps is still what it was, one file at a time, and repairing what can be repaired.

Every file is hashed; of some archive objects all sources are decoded and hashed too. A damaged file is moved aside, never
deleted, and replaced: an original out of its archive; an archive object by archiving its originals again, or from a PACS that
has it. What nothing replaces stays quarantined, and `node status` names it until something does.
"""

from __future__ import annotations

import logging
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hexdicom.errors import HexdicomError, VerificationError
from hexdicom_services import custody
from hexdicom_services.catalog import originals, scrubs
from hexdicom_services.jobs.forward import read_back_destination
from hexdicom_services.logs import short
from hexdicom_services.part10 import read_head
from hexdicom_services.spool import Spool
from hexdicom_services.stores import mark, pacs
from hexdicom_services.stores.folder import FolderStore, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from hexdicom_services.catalog.scrubs import Due
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

DAY = 86400.0
_TRY_AGAIN = 3600.0  # seconds before it is asked again whether a quarantined file can be replaced


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. files: how many were read. fate: `sound`; `recalled` out of the archive; `queued` to be archived again;
    `fetched` from a PACS; `quarantined`: damaged, and nothing replaces it; `lost`: an original of which that is true.

    name: of the first file in question, below spool or store.
    """

    kind: str
    name: str
    series_instance_uid: str
    files: int
    fate: str


@dataclass(frozen=True, slots=True)
class Scrubber:
    """One process that looks. `share`: of archive objects that are decoded, 0 to 1."""

    catalog: Catalog
    settings: Settings
    clock: Callable[[], float]
    share: float

    def next(self, before: float, *, damaged_before: float | None = None) -> Look | None:
        """Looks at what was not looked at since `before`, the longest ago first; None where there is nothing. Raises StoreError."""
        mark.check(self.settings)
        now = self.clock()
        with self.catalog.read() as connection:
            again = now - _TRY_AGAIN if damaged_before is None else damaged_before
            due = scrubs.due_holding(connection, before, now, quarantined_before=again)
        return self._holding(due, now) if due is not None else self._originals(before, now)

    def everything(self) -> Iterator[Look]:
        """All that is kept, now, quarantined files included."""
        began = self.clock()
        while (look := self.next(began, damaged_before=began)) is not None:
            yield look

    def _holding(self, due: Due, now: float) -> Look:
        store, key = FolderStore(self.settings.store), due.holding.key
        problem = self._problem(store, due)
        if not problem:
            with self.catalog.write() as connection:
                if due.state == "QUARANTINED":  # somebody has put the right file back
                    holding = due.holding
                    values = (holding.sha256, holding.size, holding.transfer_syntax_uid)
                    scrubs.restore_holding(connection, due, now, "put back", *values)
                scrubs.looked_at_holding(connection, due.id, now)
            return self._look(due, "sound")
        if due.state == "STORED":
            with self.catalog.write() as connection:
                scrubs.quarantine(connection, due, now, problem)
            store.set_aside(key)
            extra = {"event": "archive.damaged", "series": short(due.holding.source_series_uid)}
            log.error("a file in the store is damaged: %s", problem, extra=extra)
        with self.catalog.write() as connection:
            scrubs.looked_at_holding(connection, due.id, now)
            queued = self._archive_again(connection, due, now)
        if queued:
            return self._look(due, "queued")
        return self._look(due, "fetched" if self._fetch(store, due, now) else "quarantined")

    def _problem(self, store: FolderStore, due: Due) -> str:
        """What is wrong with a file; "" where it is sound. One that cannot be read is read once more. Raises StoreError."""
        problem = ""
        for _ in range(2):
            try:
                found = digest(store.path(due.holding.key))
                if (found.sha256, found.size) != (due.holding.sha256, due.holding.size):
                    return "it has other bytes than were stored"
                return self._disproof(store, due) if due.holding.kind == "archive" and self._is_sampled(due) else ""
            except FileNotFoundError:
                return "it is gone"
            except OSError as error:
                custody.refuse_unless_damaged(error)
                problem = f"it cannot be read: {error.strerror}"
        return problem

    def _is_sampled(self, due: Due) -> bool:
        """Another choice in each round, the same in every process. A part without sources of its own is decoded with the first."""
        round_ = int(self.clock() // (self.settings.scrub.interval_days * DAY))
        chosen = zlib.crc32(f"{due.id} {round_}".encode()) % 10000 < self.share * 10000
        return chosen and due.holding.source_instances > 0

    def _disproof(self, store: FolderStore, due: Due) -> str:
        with self.catalog.read() as connection:
            parts = scrubs.parts_of(connection, due.holding)
        try:
            found = list(custody.decoded([store.path(part.key) for part in parts], self.settings.worker.device))
        except custody.UNSOUND as error:
            return str(error)
        damaged = sum(one.state == "damaged" for one in found)
        return f"{damaged} of {len(found)} instances are damaged in it" if damaged else ""

    def _archive_again(self, connection: Connection, due: Due, now: float) -> bool:
        """Where every original is in the spool, the series is archived again, which replaces the file under the same key."""
        uid = due.holding.source_series_uid
        members = originals.of_series(connection, uid)
        replaceable = due.current or due.holding.kind == "passed-through"
        if not replaceable or not members or not all(one.here for one in members):
            return False
        originals.reopen(connection, uid, now)
        return True

    def _fetch(self, store: FolderStore, due: Due, now: float) -> bool:
        """Brings a file back from a PACS that has it, if what comes gives the same originals."""
        with self.catalog.read() as connection:
            targets = [name for name in scrubs.verified_targets(connection, due.id) if name in self.settings.peers]
            parts = scrubs.parts_of(connection, due.holding)
            known = {(one.sop_instance_uid, one.sha256) for one in originals.of_series(connection, due.holding.source_series_uid)}
        work = self.settings.state / "work"
        work.mkdir(parents=True, exist_ok=True)
        for target in targets:
            with tempfile.TemporaryDirectory(prefix="fetched-", dir=work) as folder:
                try:
                    destination = read_back_destination(self.settings)
                    came = pacs.fetch_back(self.settings.peer(target), [due.holding], Path(folder), destination)
                    file = came[due.holding.sop_instance_uid]
                    others = [store.path(part.key) for part in parts if part.key != due.holding.key]
                    self._prove(due, file, others, known)
                    written = store.put(due.holding.key, file)
                    syntax = read_head(file).transfer_syntax_uid
                except KeyError:
                    log.error("%s did not give a file back", target, extra={"event": "scrub.failed", "target": target})  # noqa: TRY400
                    continue
                except (HexdicomError, OSError) as error:
                    log.error("%s: %s", target, error, extra={"event": "scrub.failed", "target": target})  # noqa: TRY400
                    continue
            with self.catalog.write() as connection:
                scrubs.restore_holding(connection, due, now, f"from {target}", written.sha256, written.size, syntax)
            log.info("a damaged file was fetched back from %s", target, extra={"event": "archive.repaired", "target": target})
            return True
        return False

    def _prove(self, due: Due, file: Path, others: list[Path], known: set[tuple[str, str]]) -> None:
        """Raises one of UNSOUND where a file that a PACS gave is not the one that is missing."""
        if due.holding.kind == "archive":
            found = list(custody.decoded([file, *others], self.settings.worker.device))
            if any(one.state == "damaged" or (one.sop_instance_uid, one.received_sha256) not in known for one in found):
                raise VerificationError("What the PACS gave back does not give the originals.")
        elif (due.holding.sop_instance_uid, custody.data_set_sha256(file)) not in known:
            raise VerificationError("The PACS has changed an instance that was kept untouched.")

    def _originals(self, before: float, now: float) -> Look | None:
        with self.catalog.read() as connection:
            members = scrubs.due_originals(connection, before, now)
        if not members:
            return None
        spool, uid = Spool(self.settings.spool), members[0].series_instance_uid
        damaged = [one for one in members if not custody.is_sound(spool, one)]
        gone = [one for one in damaged if custody.set_aside(self.catalog, spool, one, now)]
        with self.catalog.write() as connection:
            scrubs.looked_at_originals(connection, [one for one in members if one not in gone], now)
        missing = set()
        if gone:
            _, left = custody.recall(self.catalog, spool, FolderStore(self.settings.store), uid, now, self.settings.worker.device)
            missing = {one.id for one in left} & {one.id for one in gone}
        fate = "lost" if missing else ("recalled" if gone else "sound")
        return Look("original", (gone or members)[0].path, uid, len(members), fate)

    @staticmethod
    def _look(due: Due, fate: str) -> Look:
        return Look(due.holding.kind, due.holding.key, due.holding.source_series_uid, 1, fate)
