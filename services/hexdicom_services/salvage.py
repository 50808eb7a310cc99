"""A catalog whose file is damaged: every row that can still be read goes into a new one, and the old file is kept beside it.

What rows are missing is made up for from the files: the start of the node adopts originals from the spool (recover.py), and
`adopt` takes archive objects in the store that no row knows, with the released originals that only they hold.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_unless

from hexdicom import durable
from hexdicom.dicom.archive import is_archive_object, read_part
from hexdicom.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hexdicom.errors import ArchiveError, StoreError
from hexdicom_services import custody, holds
from hexdicom_services.catalog import holdings
from hexdicom_services.catalog.holdings import Holding
from hexdicom_services.catalog.lifecycle import record
from hexdicom_services.catalog.models import instance, job, meta, metadata, series, stored
from hexdicom_services.catalog.session import open_catalog
from hexdicom_services.database import Database
from hexdicom_services.elements import identify
from hexdicom_services.jobs.findable import read_findable
from hexdicom_services.part10 import read_head
from hexdicom_services.spool import Spool
from hexdicom_services.stores.folder import FolderStore, digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table

    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNFINISHED = "salvage"  # in the table meta, until the rows that were lost have been made up for


def salvage(file: Path, now: float) -> Path | None:
    """Replaces a damaged catalog by what can be read of it; returns where the old one is, None where it was sound.

    At every moment one of the two is under the name of the catalog. Raises StoreError.
    """
    if not file.exists() or _is_sound(file):
        return None
    fresh, aside = file.with_name(f"{file.name}.salvaged"), file.with_name(f"{file.name}.damaged-{int(now)}")
    for leftover in (fresh, *_companions(fresh)):
        leftover.unlink(missing_ok=True)
    rows = _copy_rows(file, fresh)
    with durable.on_disk(file):
        if not aside.exists():
            aside.hardlink_to(file)
        for own, kept in zip(_companions(file), _companions(aside), strict=True):
            if own.exists():
                own.replace(kept)  # else SQLite would take the old log for one of the new catalog
        fresh.replace(file)
        durable.sync_folder(file.parent)
    extra = {"event": "catalog.salvaged"}
    log.error("the catalog was damaged; %d rows of it were salvaged, it is kept as %s", rows, aside.name, extra=extra)
    return aside


def adopt(settings: Settings, catalog: Catalog, now: float) -> int:
    """After a salvage: archives that no row knows get theirs, and every series whose rows say too little is archived again.

    Does nothing where there was none, or where it is done. Returns how many archives that were. Raises StoreError.
    """
    store = FolderStore(settings.store)
    with catalog.read() as connection:
        if connection.scalar(select(meta.c.value).where(meta.c.key == _UNFINISHED)) is None:
            return 0
        known = set(connection.scalars(select(stored.c.key)))
    unknown: dict[bytes, list[Path]] = {}
    for path in sorted(store.root.rglob("*.dcm")):
        if str(path.relative_to(store.root)) in known or path.relative_to(store.root).parts[0].startswith("."):
            continue
        with durable.on_disk(path), suppress(ArchiveError):
            data = path.read_bytes()
            belongs = read_part(data).manifest_sha256 if is_archive_object(data) else str(path).encode()
            unknown.setdefault(belongs, []).append(path)
    for paths in unknown.values():
        try:
            _adopt(catalog, Spool(settings.spool), store, paths, now)
        except custody.UNSOUND:
            log.exception("an archive in the store cannot be read", extra={"event": "archive.damaged"})
    holds.put_back(catalog, settings.state, now)
    with catalog.write() as connection:
        _look_again(connection, now)
        connection.execute(delete(meta).where(meta.c.key == _UNFINISHED))
    return len(unknown)


def _is_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(file)) as connection:
            answer = connection.execute("PRAGMA integrity_check(1)").fetchone()
            tables = connection.execute("select count(*) from sqlite_master where name = 'meta'").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _DAMAGED:  # locked, a disk that fails: no reason to replace it
            raise StoreError(f"The catalog cannot be read: {error}.", hint="Check its disk.") from error
        return False
    return bool(answer == ("ok",) and tables == (1,))


def _companions(file: Path) -> tuple[Path, Path]:
    return file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")


def _copy_rows(damaged: Path, fresh: Path) -> int:
    catalog, count = open_catalog(Database(file=fresh)), 0
    try:
        with catalog.write() as connection:
            connection.execute(insert_unless(meta).values(key=_UNFINISHED, value=damaged.name))
        for table in metadata.sorted_tables:
            if table.name == meta.name:
                continue  # the schema is that of this version
            with catalog.write() as connection:
                for row in _readable(damaged, table):
                    statement = insert_unless(table).values(row).on_conflict_do_nothing()
                    count += connection.execute(statement).rowcount
    finally:
        catalog.close()
    return count


def _readable(damaged: Path, table: Table) -> Iterator[dict[str, Any]]:
    """From both ends: a page that cannot be read stops the one and the other, what lies before and behind it is had."""
    for order in ("rowid", "rowid desc"):
        try:
            with closing(sqlite3.connect(damaged)) as connection:
                connection.row_factory = sqlite3.Row
                for row in connection.execute(f"select * from {table.name} order by {order}"):
                    if (plain := _plain(table, dict(row))) is not None:
                        yield plain
        except sqlite3.DatabaseError as error:
            log.warning("the table %s can be read in part: %s", table.name, error, extra={"event": "catalog.salvaged"})


def _plain(table: Table, values: dict[str, Any]) -> dict[str, Any] | None:
    """A row with values of the types that its columns have; None where the damage is in the row."""
    found: dict[str, Any] = {}
    for column in table.columns:
        value = values.get(column.name)
        if value is None:
            if not column.nullable and column.server_default is None:
                return None
            continue
        kind = column.type.python_type
        if kind is dict:
            continue  # answers to queries and details of events: they are read from the files again, or do without
        if not isinstance(value, (int, float) if kind is float else kind):
            return None
        found[column.name] = value
    return found


def _adopt(catalog: Catalog, spool: Spool, store: FolderStore, paths: list[Path], now: float) -> None:
    """Takes the parts of an archive, or an instance that was passed through. Raises one of custody.UNSOUND."""
    data = {path: path.read_bytes() for path in paths}
    members: list[dict[str, Any]]
    if not is_archive_object(data[paths[0]]):
        first, kind, known_as = paths[0], "passed-through", ""
        head = read_head(first)
        content = data[first][head.offset :]
        one = custody.Source(head.sop_instance_uid, hashlib.sha256(content).hexdigest(), "restored", content)
        members = [_original(spool, one, now, head.transfer_syntax_uid)]
    else:
        parts = {path: read_part(content) for path, content in data.items()}
        first, kind = next(path for path, part in parts.items() if part.number == 1), "archive"
        known_as = "salvaged " + hashlib.sha256(parts[first].manifest).hexdigest()
        # decoded before a row is written: an archive that does not give its sources is not taken
        members = [_original(spool, one, now) for one in custody.decoded(paths)]
    uid = members[0]["series_instance_uid"]
    with catalog.write() as connection:
        for member in members:
            connection.execute(insert_unless(instance).values(member).on_conflict_do_nothing())
        for path in paths:
            item, written = read_findable(path), digest(path)
            holding = Holding(
                key=str(path.relative_to(store.root)), kind=kind, source_series_uid=uid,
                sop_instance_uid=item.sop_instance_uid, sop_class_uid=item.sop_class_uid,
                transfer_syntax_uid=item.transfer_syntax_uid, study_instance_uid=item.study_instance_uid,
                series_instance_uid=item.series_instance_uid, sources_digest=known_as,
                source_instances=len(members) if path == first else 0,
                source_bytes=sum(member["size"] for member in members) if path == first else 0,
                reason="" if known_as else "Found in the store after the catalog was damaged.",
            )  # fmt: skip
            holdings.announce(connection, holding, job_id=0, now=now, report=None, attributes=item.attributes, columns=item.columns)
            holdings.confirm(connection, holding.key, written.sha256, written.size)
        there = [holding.key for holding in holdings.of_source(connection, uid, current=True)]
        holdings.publish(connection, uid, [*there, *(str(path.relative_to(store.root)) for path in paths)])
        values = {
            "series_instance_uid": uid, "study_instance_uid": members[0]["study_instance_uid"],
            "state": "ARCHIVED", "generation": len(members), "instances": len(members),
            "bytes": sum(member["size"] for member in members), "opened_at": now, "last_at": now, "archived_at": now,
        }  # fmt: skip
        connection.execute(insert_unless(series).values(values).on_conflict_do_nothing())
        record(connection, "archive.adopted", now, series_instance_uid=uid)


def _original(spool: Spool, one: custody.Source, now: float, syntax: str = "") -> dict[str, Any]:
    """The row of an original that only the store holds. One that is in the spool has its row already, under the same key."""
    if one.state != "restored":
        raise ArchiveError("An archive in the store does not give back its sources byte for byte.")
    tried = (syntax,) if syntax else (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    found = {name: identify(one.data_set, name) for name in tried}
    syntax = next((name for name, identity in found.items() if identity.sop_instance_uid), tried[0])
    identity = found[syntax]
    known = bool(identity.study_instance_uid and identity.series_instance_uid)
    uid = identity.series_instance_uid if known else ""
    return {
        "sop_instance_uid": one.sop_instance_uid, "sop_class_uid": identity.sop_class_uid, "transfer_syntax_uid": syntax,
        "study_instance_uid": identity.study_instance_uid if known else "", "series_instance_uid": uid,
        "sha256": one.received_sha256, "size": len(one.data_set),
        "path": spool.path_for(uid, one.sop_instance_uid, one.received_sha256),
        "version": 1, "received_at": now, "released_at": now,
    }  # fmt: skip


def _look_again(connection: Connection, now: float) -> None:
    """Series without a row get one; those in whose work rows are missing are taken up from the start."""
    counted = select(
        instance.c.series_instance_uid, func.max(instance.c.study_instance_uid), func.count(), func.sum(instance.c.size)
    ).group_by(instance.c.series_instance_uid)
    for uid, study, number, size in connection.execute(counted).all():
        values = {"series_instance_uid": uid, "study_instance_uid": study, "state": "RECEIVING", "instances": number, "bytes": size}
        values |= {"opened_at": now, "last_at": now}
        connection.execute(insert_unless(series).values(values).on_conflict_do_nothing())
    # Beyond that of every job that there ever was, so that the next one is a new one.
    latest = select(func.coalesce(func.max(job.c.generation), 0)).where(job.c.series_instance_uid == series.c.series_instance_uid)
    connection.execute(update(series).values(generation=series.c.generation + latest.scalar_subquery() + 1))
    stands = select(stored.c.source_series_uid).where(stored.c.current == 1)
    doubtful = or_(series.c.state.in_(("QUEUED", "ARCHIVING")), series.c.series_instance_uid.not_in(stands))
    again = {"state": "RECEIVING", "opened_at": now, "last_at": now}
    connection.execute(update(series).where(doubtful).values(again))
    waiting = job.c.state.in_(("READY", "RUNNING"))
    connection.execute(update(job).where(waiting, job.c.kind == "archive").values(state="DROPPED", finished_at=now))
