"""Jobs as an operator sees and moves them: the list, the dead letters, what goes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, case, func, select, update

from hexdicom.errors import NotFound
from hexdicom_services.catalog.lifecycle import move_job, move_series
from hexdicom_services.catalog.models import job, series

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job. Times are seconds since 1970; not_before: when it is tried next; error: why it failed last."""

    id: int
    kind: str
    series_instance_uid: str
    target: str
    state: str
    priority: int
    attempts: int
    step: str
    fraction: float
    worker: str
    error: str
    created_at: float
    not_before: float
    finished_at: float


_PRIORITY = func.coalesce(series.c.priority, 0)
_COLUMNS = tuple(_PRIORITY.label(name) if name == "priority" else job.c[name] for name in JobRow.__slots__)
_WHOSE = job.outerjoin(series, series.c.series_instance_uid == job.c.series_instance_uid)
OPEN = ("RUNNING", "READY", "FAILED")


def jobs(connection: Connection, states: Collection[str] = OPEN, kinds: Collection[str] = (), most: int = 1000) -> list[JobRow]:
    """Jobs in these states: those in hand, then those that wait, in the order they are taken, then the others, newest first."""
    place = case((job.c.state == "RUNNING", 0), (job.c.state == "READY", 1), else_=2)
    order = (place, _PRIORITY.desc(), case((place < 2, job.c.kind), else_=""), case((place < 2, job.c.id), else_=-job.c.id))
    wanted = select(*_COLUMNS).select_from(_WHOSE).where(job.c.state.in_(states))
    if kinds:
        wanted = wanted.where(job.c.kind.in_(kinds))
    return [JobRow(*row) for row in connection.execute(wanted.order_by(*order).limit(most))]


def failed(connection: Connection) -> list[int]:
    """Every dead letter."""
    return list(connection.scalars(select(job.c.id).where(job.c.state == "FAILED").order_by(job.c.id)))


def requeue(connection: Connection, job_id: int, now: float) -> str:
    """Has a job tried again at once, with all its attempts; why that cannot be, "" where it was done. Raises NotFound."""
    columns = (job.c.kind, job.c.series_instance_uid, job.c.state, job.c.generation)
    row = connection.execute(select(*columns).where(job.c.id == job_id)).first()
    if row is None:
        raise NotFound(f"There is no job {job_id}.", hint="`hexdicom node jobs` lists them.")
    if row.state == "READY":  # it waits for its next attempt
        connection.execute(update(job).where(job.c.id == job_id).values(attempts=0, not_before=0))
        return ""
    if row.state != "FAILED":
        return f"it is {row.state.lower()}"
    if row.kind == "archive":
        here = (job.c.kind == "archive", job.c.series_instance_uid == row.series_instance_uid)
        if connection.scalar(select(func.max(job.c.generation)).where(*here)) != row.generation:
            return "a later job has taken its place"
        if connection.scalar(select(series.c.state).where(series.c.series_instance_uid == row.series_instance_uid)) != "FAILED":
            return "instances of its series have come meanwhile"
        move_series(connection, row.series_instance_uid, "QUEUED", now)
    move_job(connection, job_id, "READY", now, attempts=0, not_before=0, error="", step="", fraction=0, finished_at=0)
    return ""


def prioritize(connection: Connection, series_instance_uid: str) -> int:
    """Brings a series before all others that wait; returns its priority. Raises NotFound for an unknown series."""
    waiting = series.c.state.in_(("RECEIVING", "QUEUED", "ARCHIVING"))
    highest = connection.scalar(select(func.max(series.c.priority)).where(waiting)) or 0
    here = series.c.series_instance_uid == series_instance_uid
    if connection.execute(update(series).where(here).values(priority=highest + 1)).rowcount == 0:
        raise NotFound("There is no such series here.", hint="`hexdicom node jobs` lists what waits.")
    return int(highest + 1)


def running(connection: Connection) -> list[JobRow]:
    """Jobs in hand."""
    return jobs(connection, ("RUNNING",))
