"""What the store holds. A row is there before its file, so the catalog knows every file in the store.

A file is WRITING until it was read back and compared, then STORED; it is answered to peers only when it is `current`,
which a whole series becomes at once. What a later version of a series replaces stays, but is current no more. A file that is
found to be damaged is QUARANTINED until it was replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog.models import QUERY_COLUMNS, delivery, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Holding:
    """A file in the store. kind: `archive` or `passed-through`; `reason` says why it was passed through."""

    key: str
    kind: str
    source_series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sources_digest: str = ""
    source_bytes: int = 0
    source_instances: int = 0
    reason: str = ""
    sha256: str = ""
    size: int = 0


_COLUMNS = tuple(stored.c[name] for name in Holding.__slots__)


def announce(
    connection: Connection,
    holding: Holding,
    *,
    job_id: int,
    now: float,
    report: dict[str, Any] | None,
    attributes: dict[str, Any],
    columns: dict[str, str],
) -> None:
    """A file is going to be written. columns: values of QUERY_COLUMNS; attributes: what C-FIND answers, DICOM JSON."""
    values = {name: getattr(holding, name) for name in Holding.__slots__}
    values |= {name: columns.get(name, "") for name in QUERY_COLUMNS}
    values |= {"state": "WRITING", "job_id": job_id, "created_at": now, "report": report, "attributes": attributes}
    statement = insert(stored).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=[stored.c.key], set_=values))


def confirm(connection: Connection, key: str, sha256: str, size: int) -> None:
    """The file was written, read back and compared."""
    connection.execute(update(stored).where(stored.c.key == key).values(state="STORED", sha256=sha256, size=size))


def unfinished(connection: Connection, source_series_uid: str) -> list[str]:
    """Keys of files of a series whose writing was broken off."""
    wanted = and_(stored.c.source_series_uid == source_series_uid, stored.c.state == "WRITING")
    return list(connection.scalars(select(stored.c.key).where(wanted)))


def forget(connection: Connection, keys: Iterable[str]) -> None:
    """Removes the rows of files whose writing was broken off."""
    for key in keys:
        connection.execute(delete(stored).where(stored.c.key == key, stored.c.state == "WRITING"))


def of_source(connection: Connection, source_series_uid: str, *, current: bool = False) -> list[Holding]:
    """What is stored of a received series; only what peers get, where `current`."""
    wanted = select(*_COLUMNS).where(stored.c.source_series_uid == source_series_uid, stored.c.state == "STORED")
    if current:
        wanted = wanted.where(stored.c.current == 1)
    return [Holding(*row) for row in connection.execute(wanted.order_by(stored.c.id))]


def publish(connection: Connection, source_series_uid: str, keys: Sequence[str]) -> None:
    """Makes these files, and no others, what peers get of a series."""
    here = stored.c.source_series_uid == source_series_uid
    connection.execute(update(stored).where(here).values(current=0))
    for key in keys:
        connection.execute(update(stored).where(stored.c.key == key, stored.c.state == "STORED").values(current=1))


def undelivered(connection: Connection, source_series_uid: str, target: str) -> list[tuple[int, Holding]]:
    """Row id and file of everything current of a series that a PACS has not yet given back unchanged."""
    done = select(delivery.c.stored_id).where(delivery.c.target == target, delivery.c.state == "VERIFIED")
    wanted = (
        select(stored.c.id, *_COLUMNS)
        .where(stored.c.source_series_uid == source_series_uid, stored.c.current == 1, stored.c.id.not_in(done))
        .order_by(stored.c.id)
    )
    return [(row[0], Holding(*row[1:])) for row in connection.execute(wanted)]


def delivered(connection: Connection, stored_id: int, target: str, state: str, now: float, error: str = "") -> None:
    """How far a file has come at a PACS: PENDING, SENT, VERIFIED or FAILED."""
    values = {"stored_id": stored_id, "target": target, "state": state, "changed_at": now, "error": error}
    statement = insert(delivery).values(values)
    same = [delivery.c.stored_id, delivery.c.target]
    connection.execute(statement.on_conflict_do_update(index_elements=same, set_=values))


def unverified(connection: Connection, source_series_uid: str, target: str) -> int:
    """How many current files of a series a PACS has not given back unchanged."""
    return len(undelivered(connection, source_series_uid, target))


def uncommitted(connection: Connection, source_series_uid: str, target: str) -> int:
    """How many current files of a series a PACS has not committed itself to keep (PS3.4 annex J)."""
    done = select(delivery.c.stored_id).where(delivery.c.target == target, delivery.c.committed_at > 0)
    wanted = (stored.c.source_series_uid == source_series_uid, stored.c.current == 1, stored.c.id.not_in(done))
    return connection.scalar(select(func.count()).select_from(stored).where(*wanted)) or 0


def quarantined(connection: Connection, source_series_uid: str) -> list[Holding]:
    """Files of a series that are damaged and were not replaced yet."""
    wanted = (stored.c.source_series_uid == source_series_uid, stored.c.state == "QUARANTINED")
    return [Holding(*row) for row in connection.execute(select(*_COLUMNS).where(*wanted).order_by(stored.c.id))]
