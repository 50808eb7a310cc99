"""Jobs: claimed under a lease, renewed while the worker lives, finished exactly once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog import holdings, pauses
from hexdicom_services.catalog.lifecycle import move_job, move_series
from hexdicom_services.catalog.models import job, series

_LOOK = 64  # jobs looked at for one that can be claimed; those that cannot are out of the way afterwards


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. attempts counts this one; created_at never changes, so what is derived from it stays the same."""

    id: int
    kind: str
    series_instance_uid: str
    target: str
    generation: int
    attempts: int
    created_at: float


_COLUMNS = tuple(job.c[name] for name in Job.__slots__)


def claim(connection: Connection, worker: str, now: float, lease: float) -> Job | None:
    """The next job that is due, or whose worker has gone silent; None where there is nothing to do.

    `Catalog.write` lets one transaction write at a time, on every database: no other worker looks at the same rows meanwhile.
    """
    due = or_(and_(job.c.state == "READY", job.c.not_before <= now), and_(job.c.state == "RUNNING", job.c.lease_until < now))
    # Archiving before forwarding, then in the order of arrival: a PACS that is away must not hold up the scanner's series.
    whose = job.outerjoin(series, series.c.series_instance_uid == job.c.series_instance_uid)
    first = select(*_COLUMNS, job.c.state).select_from(whose).where(due, job.c.kind.not_in(pauses.paused(connection)))
    order = (func.coalesce(series.c.priority, 0).desc(), job.c.kind, job.c.id)
    for row in connection.execute(first.order_by(*order).limit(_LOOK)).all():
        if row.state == "RUNNING":
            move_job(connection, row.id, "READY", now)
        if row.kind == "archive" and not _take_series(connection, row.series_instance_uid, now):
            move_job(connection, row.id, "DROPPED", now, finished_at=now)
            continue
        claimed = {"worker": worker, "lease_until": now + lease, "attempts": row.attempts + 1, "step": "", "fraction": 0}
        if not move_job(connection, row.id, "RUNNING", now, **claimed):
            continue
        return Job(row.id, row.kind, row.series_instance_uid, row.target, row.generation, row.attempts + 1, row.created_at)
    return None


def _take_series(connection: Connection, uid: str, now: float) -> bool:
    """Whether the series is ours to archive: queued, or left by an earlier attempt. A later batch has its own job."""
    state = connection.scalar(select(series.c.state).where(series.c.series_instance_uid == uid))
    return state == "ARCHIVING" or (state == "QUEUED" and move_series(connection, uid, "ARCHIVING", now))


def renew(connection: Connection, job_id: int, worker: str, until: float, step: str, fraction: float) -> bool:
    """Keeps the lease and says how far the work is; False where the lease was lost."""
    ours = and_(job.c.id == job_id, job.c.worker == worker, job.c.state == "RUNNING")
    done = connection.execute(update(job).where(ours).values(lease_until=until, step=step, fraction=fraction))
    return done.rowcount == 1


def retry(connection: Connection, job_id: int, worker: str, now: float, *, not_before: float, error: str) -> bool:
    """Gives the job back to be tried again later."""
    return move_job(connection, job_id, "READY", now, worker, not_before=not_before, error=error)


def give_back(connection: Connection, job_id: int, worker: str, now: float) -> bool:
    """Gives the job back because the worker is asked to stop: this attempt does not count."""
    return move_job(connection, job_id, "READY", now, worker, attempts=job.c.attempts - 1)


def release_worker(connection: Connection, worker: str, now: float) -> int:
    """Gives back what a dead worker had, and counts the attempt; returns how many jobs that were."""
    held = select(job.c.id).where(job.c.state == "RUNNING", job.c.worker == worker)
    return sum(move_job(connection, job_id, "READY", now) for job_id in connection.scalars(held).all())


def release_all(connection: Connection, now: float) -> int:
    """Gives back every job: the node itself had died, which is no fault of a series. Returns how many jobs that were."""
    held = connection.scalars(select(job.c.id).where(job.c.state == "RUNNING")).all()
    return sum(move_job(connection, job_id, "READY", now, attempts=job.c.attempts - 1) for job_id in held)


def add_forward(connection: Connection, uid: str, target: str, generation: int, now: float) -> None:
    """A job to forward what is archived of a series; one that is there is taken up again where something is left to send."""
    values = {
        "kind": "forward",
        "series_instance_uid": uid,
        "target": target,
        "generation": generation,
        "state": "READY",
        "created_at": now,
    }
    connection.execute(insert(job).values(values).on_conflict_do_nothing())
    same = and_(job.c.kind == "forward", job.c.series_instance_uid == uid, job.c.target == target, job.c.generation == generation)
    finished = connection.scalar(select(job.c.id).where(same, job.c.state.in_(("DONE", "FAILED"))))
    if finished is not None and holdings.undelivered(connection, uid, target):
        move_job(connection, finished, "READY", now, attempts=0, not_before=0, error="")


def open_jobs(connection: Connection, now: float) -> int:
    """How many jobs are waiting or running. One that is paused does not count, one for a PACS that is away only while it is due."""
    running, ready = job.c.state == "RUNNING", job.c.state == "READY"
    waiting = and_(ready, or_(job.c.kind == "archive", job.c.not_before <= now), job.c.kind.not_in(pauses.paused(connection)))
    return connection.scalar(select(func.count()).select_from(job).where(or_(running, waiting))) or 0


def blame(connection: Connection, job_id: int, worker: str, error: str) -> bool:
    """Says why a worker is going to be ended; False where it has the job no more."""
    held = and_(job.c.id == job_id, job.c.worker == worker, job.c.state == "RUNNING")
    return connection.execute(update(job).where(held).values(error=error)).rowcount == 1


def uncount(connection: Connection, job_id: int) -> None:
    """The last attempt does not count."""
    connection.execute(update(job).where(job.c.id == job_id, job.c.attempts > 0).values(attempts=job.c.attempts - 1))


def error_of(connection: Connection, job_id: int) -> str:
    """Why the last attempt failed; "" where it did not say."""
    return connection.scalar(select(job.c.error).where(job.c.id == job_id)) or ""


def unfinished_of(connection: Connection, uid: str) -> int:
    """How many jobs of a series wait, run, or were given up."""
    wanted = select(job.c.id).where(job.c.series_instance_uid == uid, job.c.state.in_(("READY", "RUNNING", "FAILED")))
    return len(connection.scalars(wanted).all())
