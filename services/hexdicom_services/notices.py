"""What has become of originals and of what the store keeps, where an operator must act on it or should know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from hexdicom_services.catalog.models import hold, instance, stored

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MOST = 20  # lines of one kind


@dataclass(frozen=True, slots=True)
class Notice:
    """subject: a UID or key. command: what helps, "" where nothing needs to be done."""

    kind: str
    subject: str
    message: str
    command: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """What has become of originals. Bytes are of data sets."""

    instances_released: int
    bytes_released: int
    instances_lost: int
    instances_versioned: int
    quarantined: int
    studies_on_hold: int


def keeping(connection: Connection) -> Keeping:
    released = connection.execute(
        select(func.count(), func.coalesce(func.sum(instance.c.size), 0)).where(instance.c.released_at != 0)
    ).one()
    return Keeping(
        instances_released=released[0],
        bytes_released=released[1],
        instances_lost=_count(connection, instance.c.lost_at != 0),
        instances_versioned=_count(connection, instance.c.version > 1),
        quarantined=_count(connection, _needed()),
        studies_on_hold=connection.scalar(select(func.count()).select_from(hold)) or 0,
    )


def notices(connection: Connection) -> tuple[Notice, ...]:
    """In the order in which they should be looked at."""
    return (*_lost(connection), *_quarantined(connection), *_versions(connection))


def _count(connection: Connection, condition: object) -> int:
    return connection.scalar(select(func.count()).where(condition)) or 0  # type: ignore[arg-type]


def _needed() -> object:
    """Damaged files that something else does not stand for: a later version of the series does for an older archive."""
    return (stored.c.state == "QUARANTINED") & or_(stored.c.current == 1, stored.c.kind == "passed-through")


def _lost(connection: Connection) -> list[Notice]:
    wanted = select(instance.c.series_instance_uid, func.count()).where(instance.c.lost_at != 0)
    rows = connection.execute(wanted.group_by(instance.c.series_instance_uid).limit(_MOST))
    return [
        Notice(
            "lost", uid,
            f"{number} originals are damaged or gone, and no archive replaces them: send the series again, "
            "or try a recall once the store is whole",
            f"hexdicom node recall --series {uid}",
        )
        for uid, number in rows
    ]  # fmt: skip


def _quarantined(connection: Connection) -> list[Notice]:
    wanted = select(stored.c.key, stored.c.source_series_uid).where(_needed())  # type: ignore[arg-type]
    return [
        Notice(
            "quarantined", key,
            f"damaged or gone, of series {uid}: scrub once a PACS that has it answers, or its file is back from a backup; "
            "or send the series again",
            "hexdicom node scrub",
        )
        for key, uid in connection.execute(wanted.order_by(stored.c.id).limit(_MOST))
    ]  # fmt: skip


def _versions(connection: Connection) -> list[Notice]:
    wanted = select(instance.c.series_instance_uid, func.count()).where(instance.c.version > 1)
    rows = connection.execute(wanted.group_by(instance.c.series_instance_uid).limit(_MOST))
    return [
        Notice("versions", uid, f"{number} instances came again with other content under the same UID; all are kept", "")
        for uid, number in rows
    ]
