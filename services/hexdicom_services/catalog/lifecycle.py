"""Which state may follow which, as data. Every change of state goes through here and leaves an event."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from hexdicom_services.catalog.models import event, job, series

# A series: instances arrive (RECEIVING), a timer or its attributes close it (QUEUED), a worker has it (ARCHIVING), its
# objects are stored, read back and compared (ARCHIVED), or it could not be encoded and is stored untouched (FAILED).
# A late instance brings it back to RECEIVING, whatever it was.
SERIES: dict[str, frozenset[str]] = {
    "RECEIVING": frozenset({"QUEUED"}),
    "QUEUED": frozenset({"ARCHIVING", "RECEIVING"}),
    "ARCHIVING": frozenset({"ARCHIVED", "FAILED", "RECEIVING", "QUEUED"}),
    "ARCHIVED": frozenset({"RECEIVING", "QUEUED"}),
    "FAILED": frozenset({"RECEIVING", "QUEUED"}),
}

# A job: to do (READY), leased to a worker (RUNNING), finished (DONE), given up (FAILED; an operator may requeue it).
# One that forwards is taken up again (DONE to READY) when there is something new to forward.
# A job whose series got new instances before it began is replaced by the next one (DROPPED).
JOB: dict[str, frozenset[str]] = {
    "READY": frozenset({"RUNNING", "DROPPED"}),
    "RUNNING": frozenset({"READY", "DONE", "FAILED"}),
    "FAILED": frozenset({"READY"}),
    "DONE": frozenset({"READY"}),
    "DROPPED": frozenset(),
}


def move_series(connection: Connection, uid: str, to: str, at: float, **detail: Any) -> bool:
    """Brings a series into a state; False, and no change, where the state machine does not allow it."""
    now_in = connection.scalar(select(series.c.state).where(series.c.series_instance_uid == uid))
    if now_in is None or to not in SERIES[now_in]:
        return False
    connection.execute(update(series).where(series.c.series_instance_uid == uid).values(state=to))
    record(connection, f"series.{to.lower()}", at, series_instance_uid=uid, **detail)
    return True


def move_job(connection: Connection, job_id: int, to: str, at: float, held_by: str | None = None, **values: Any) -> bool:
    """Brings a job into a state and sets `values`; False, and no change, where that is not allowed.

    held_by: only if this worker holds the lease. So a worker that was thought dead cannot finish a job twice.
    """
    columns = (job.c.state, job.c.worker, job.c.series_instance_uid)
    row = connection.execute(select(*columns).where(job.c.id == job_id)).first()
    if row is None or to not in JOB[row.state] or (held_by is not None and row.worker != held_by):
        return False
    connection.execute(update(job).where(job.c.id == job_id).values(state=to, **values))
    detail = {"error": values["error"]} if values.get("error") else {}
    record(connection, f"job.{to.lower()}", at, series_instance_uid=row.series_instance_uid, job_id=job_id, **detail)
    return True


def record(connection: Connection, name: str, at: float, *, series_instance_uid: str = "", job_id: int = 0, **detail: Any) -> None:
    """Appends an event."""
    connection.execute(
        insert(event).values(name=name, at=at, series_instance_uid=series_instance_uid, job_id=job_id, detail=detail or None)
    )
