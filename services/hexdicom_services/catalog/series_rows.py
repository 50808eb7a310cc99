"""Series as the catalog has them: which wait for their timer, and how one is closed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog.lifecycle import move_job, move_series
from hexdicom_services.catalog.models import job, series


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series and its timers."""

    series_instance_uid: str
    study_instance_uid: str
    state: str
    generation: int
    judged: int
    instances: int
    bytes: int
    opened_at: float
    last_at: float


_COLUMNS = tuple(series.c[name] for name in SeriesRow.__slots__)


def receiving(connection: Connection) -> list[SeriesRow]:
    """Series that instances still arrive for, the oldest first."""
    wanted = select(*_COLUMNS).where(series.c.state == "RECEIVING").order_by(series.c.opened_at)
    return [SeriesRow(*row) for row in connection.execute(wanted)]


def get(connection: Connection, uid: str) -> SeriesRow | None:
    """One series; None where it is unknown."""
    row = connection.execute(select(*_COLUMNS).where(series.c.series_instance_uid == uid)).first()
    return SeriesRow(*row) if row else None


def judged(connection: Connection, row: SeriesRow) -> None:
    """Remembers that this generation was looked into and found not to be complete."""
    here = series.c.series_instance_uid == row.series_instance_uid
    connection.execute(update(series).where(here).values(judged=row.generation))


def close(connection: Connection, row: SeriesRow, now: float, reason: str) -> bool:
    """Queues a series for a worker; False, and no change, if instances came since `row` was read."""
    latest = get(connection, row.series_instance_uid)
    if latest is None or latest.generation != row.generation or latest.state != "RECEIVING":
        return False
    uid = row.series_instance_uid
    older = select(job.c.id).where(job.c.series_instance_uid == uid, job.c.kind == "archive", job.c.state == "READY")
    for job_id in connection.scalars(older).all():
        move_job(connection, job_id, "DROPPED", now)
    values = {
        "kind": "archive",
        "series_instance_uid": uid,
        "target": "",
        "generation": row.generation,
        "state": "READY",
        "created_at": now,
    }
    connection.execute(insert(job).values(values).on_conflict_do_nothing())
    return move_series(connection, uid, "QUEUED", now, reason=reason, instances=latest.instances)


def settle(connection: Connection, uid: str, generation: int, now: float, error: str) -> None:
    """Ends the work on a series: ARCHIVED, or FAILED for a reason; RECEIVING again if instances came meanwhile."""
    row = get(connection, uid)
    if row is None:
        return
    here = series.c.series_instance_uid == uid
    move_series(connection, uid, "FAILED" if error else "ARCHIVED", now)
    connection.execute(update(series).where(here).values(archived_at=now, reason=error))
    if row.generation != generation:
        connection.execute(update(series).where(here).values(opened_at=now))
        move_series(connection, uid, "RECEIVING", now)
