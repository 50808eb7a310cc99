"""The audit trail in the catalog: messages are added and read in their order, never changed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from hexdicom_services.catalog.models import audit, instance, listing, meta, stored

_SHIPPED = "audit.shipped"  # in meta: the last message that a collector has


@dataclass(frozen=True, slots=True)
class Row:
    """A message of the trail; `at` is seconds since 1970, `message` XML."""

    id: int
    at: float
    event: str
    message: str


def add(connection: Connection, at: float, event: str, message: str) -> None:
    """Adds a message."""
    connection.execute(insert(audit).values(at=at, event=event, message=message))


def unshipped(connection: Connection, most: int) -> list[Row]:
    """The messages that no collector has yet, oldest first."""
    columns = [audit.c[name] for name in Row.__slots__]
    rows = connection.execute(select(*columns).where(audit.c.id > shipped(connection)).order_by(audit.c.id).limit(most))
    return [Row(*row) for row in rows]


def waiting(connection: Connection) -> int:
    """How many messages no collector has yet."""
    return connection.scalar(select(func.count()).select_from(audit).where(audit.c.id > shipped(connection))) or 0


def shipped(connection: Connection) -> int:
    """The last message that a collector has; 0 where it has none."""
    return int(connection.scalar(select(meta.c.value).where(meta.c.key == _SHIPPED)) or 0)


def mark_shipped(connection: Connection, row_id: int) -> None:
    """Notes that a collector has everything up to this message."""
    done = connection.execute(update(meta).where(meta.c.key == _SHIPPED).values(value=str(row_id)))
    if done.rowcount == 0:
        connection.execute(insert(meta).values(key=_SHIPPED, value=str(row_id)))


def study_of(connection: Connection, sop_instance_uid: str) -> tuple[str, str]:
    """Study Instance UID and Patient ID of an instance that is held here; "" where they are not known."""
    for table in (listing, stored):
        columns = select(table.c.study_instance_uid, table.c.patient_id).where(table.c.sop_instance_uid == sop_instance_uid)
        found = connection.execute(columns).first()
        if found is not None:
            return found[0], found[1]
    study = connection.scalar(select(instance.c.study_instance_uid).where(instance.c.sop_instance_uid == sop_instance_uid)) or ""
    return study, patient_of(connection, study) if study else ""


def patient_of(connection: Connection, study_instance_uid: str) -> str:
    """Patient ID of a study of which something can be found; "" where it is not known."""
    for table in (listing, stored):
        known = select(table.c.patient_id).where(table.c.study_instance_uid == study_instance_uid, table.c.patient_id != "")
        found = connection.scalar(known.limit(1))
        if found:
            return str(found)
    return ""
