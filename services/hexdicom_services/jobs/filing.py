"""Putting files into the store so that store and catalog agree after any crash.

A row is announced, the file is written and read back, the row is confirmed. A key whose row was confirmed is never
written again; files whose row was not are removed when the work is taken up again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hexdicom_services.catalog import holdings, instances, originals, series_rows
from hexdicom_services.catalog.holdings import Holding
from hexdicom_services.jobs.findable import Findable, read_findable
from hexdicom_services.stores.folder import FolderStore, key_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hexdicom_services.catalog.ledger import Job
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.jobs.archiver import Archived


class Filing:
    """The files of one series, as one job files them. `keys`: everything that was filed, in order.

    members: everything of the series that is in the spool, by path; generation: how much of the series that is.
    Where released originals could not be brought back, what is stored of them stays current, and the members are filed beside it.
    newest: path of the newest version of each instance, by SOP Instance UID.
    """

    def __init__(self, catalog: Catalog, spool: Path, store: FolderStore, job: Job, clock: Callable[[], float]) -> None:
        self._catalog, self._store, self._job, self._clock = catalog, store, job, clock
        uid = job.series_instance_uid
        with catalog.read() as connection:
            row = series_rows.get(connection, uid)
            received = instances.of_series(connection, uid)
            broken_off = holdings.unfinished(connection, uid)
            kept = holdings.of_source(connection, uid)
            away = any(one.released_at for one in originals.of_series(connection, uid))
            supplemented = holdings.of_source(connection, uid, current=True) if away else []
        for key in broken_off:
            store.remove(key)
        with catalog.write() as connection:
            holdings.forget(connection, broken_off)
        self.members = {spool / member.path: member for member in received}
        self.generation = row.generation if row else 0
        self.keys: list[str] = [holding.key for holding in supplemented]
        self.newest = {member.sop_instance_uid: path for path, member in self.members.items()}  # in order of arrival
        self._kept = {holding.key: holding for holding in kept if store.path(holding.key).is_file()}

    def has_archive(self, sources_digest: str) -> bool:
        """Whether these sources are archived already, with the same profile; then that archive is filed again."""
        ready = [key for key, holding in self._kept.items() if holding.sources_digest == sources_digest]
        self.keys += ready
        return bool(ready)

    def archive(self, archived: Archived, sources: Sequence[Path], sources_digest: str) -> None:
        """Files the parts of one archive. Raises StoreError, VerificationError."""
        members = [self.members[path] for path in sources]
        rows, found = [], [read_findable(file) for file in archived.files]
        for number, item in enumerate(found):
            key = key_for(item.study_instance_uid, item.series_instance_uid, item.sop_instance_uid)
            row = replace(self._holding(key, "archive", item), sources_digest=sources_digest)
            if number == 0:  # what it was made from is counted once, with the first part
                size = sum(member.size for member in members)
                row = replace(row, source_bytes=size, source_instances=len(members))
            rows.append(row)
        fresh = [i for i, row in enumerate(rows) if row.key not in self._kept]
        with self._catalog.write() as connection:
            for i in fresh:
                self._announce(connection, rows[i], found[i], archived.report if i == 0 else None)
        written = [self._store.put(rows[i].key, archived.files[i]) for i in fresh]
        with self._catalog.write() as connection:  # all parts at once: a digest never stands for half an archive
            for i, result in zip(fresh, written, strict=True):
                holdings.confirm(connection, rows[i].key, result.sha256, result.size)
        self.keys += [row.key for row in rows]

    def pass_through(self, path: Path, reason: str, *, current: bool = True) -> None:
        """Files a received instance byte for byte. Raises StoreError, VerificationError.

        current: whether peers get it; of several versions of an instance only the newest.
        """
        member, item = self.members[path], read_findable(path)
        distinct = f"v{member.version}" if member.version > 1 else ""
        key = key_for(item.study_instance_uid, item.series_instance_uid, member.sop_instance_uid, distinct)
        if key not in self._kept:
            row = self._holding(key, "passed-through", item)
            row = replace(row, source_bytes=member.size, source_instances=1, reason=reason)
            row = replace(row, sop_instance_uid=member.sop_instance_uid)
            with self._catalog.write() as connection:
                self._announce(connection, row, item, None)
            written = self._store.put(key, path)
            with self._catalog.write() as connection:
                holdings.confirm(connection, key, written.sha256, written.size)
        if current:
            self.keys.append(key)

    def _holding(self, key: str, kind: str, item: Findable) -> Holding:
        return Holding(
            key=key,
            kind=kind,
            source_series_uid=self._job.series_instance_uid,
            sop_instance_uid=item.sop_instance_uid,
            sop_class_uid=item.sop_class_uid,
            transfer_syntax_uid=item.transfer_syntax_uid,
            study_instance_uid=item.study_instance_uid,
            series_instance_uid=item.series_instance_uid,
        )

    def _announce(self, connection: Any, row: Holding, item: Findable, report: dict[str, Any] | None) -> None:
        holdings.announce(
            connection,
            row,
            job_id=self._job.id,
            now=self._clock(),
            report=report,
            attributes=item.attributes,
            columns=item.columns,
        )
