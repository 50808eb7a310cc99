"""What has become of received originals: in the spool, released after their archive was proved, come back, or lost.

A release is marked before any file goes, and only files whose mark still stands go, inside a transaction. So whatever brings
an original back to the spool meanwhile (the same instance sent again, a recall) takes the mark away and keeps its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog.lifecycle import move_series, record
from hexdicom_services.catalog.models import hold, instance, series, stored

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Original:
    """A received instance. released_at, lost_at: 0 where its file is in the spool, or is sound."""

    id: int
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sha256: str
    size: int
    path: str
    version: int
    calling_ae_title: str
    released_at: float
    lost_at: float

    @property
    def here(self) -> bool:
        return not self.released_at and not self.lost_at


@dataclass(frozen=True, slots=True)
class Kept:
    """A series with originals in the spool."""

    series_instance_uid: str
    study_instance_uid: str
    state: str
    generation: int
    archived_at: float
    last_at: float
    instances: int
    bytes: int


_COLUMNS = tuple(instance.c[name] for name in Original.__slots__)
_SERIES: tuple[Any, ...] = tuple(series.c[name] for name in Kept.__slots__[:6])


def of_series(connection: Connection, uid: str) -> list[Original]:
    """Everything that was received of a series, in the order of arrival, wherever it is now."""
    rows = connection.execute(select(*_COLUMNS).where(instance.c.series_instance_uid == uid).order_by(instance.c.id))
    return [Original(*row) for row in rows]


def kept(connection: Connection, *, study: str = "", weighed_before: float | None = None) -> list[Kept]:
    """Series with originals in the spool, the oldest first; only those that were last weighed before a time, where it is given."""
    here = and_(instance.c.released_at == 0, instance.c.lost_at == 0)
    wanted = (
        select(*_SERIES, func.count(), func.coalesce(func.sum(instance.c.size), 0))
        .join(instance, instance.c.series_instance_uid == series.c.series_instance_uid)
        .where(here)
        .group_by(*_SERIES)
        .order_by(series.c.archived_at, series.c.series_instance_uid)
    )
    if study:
        wanted = wanted.where(series.c.study_instance_uid == study)
    if weighed_before is not None:
        wanted = wanted.where(series.c.weighed_at < weighed_before, series.c.state == "ARCHIVED")
    rows: list[Any] = list(connection.execute(wanted))
    return [Kept(*row) for row in rows]


def with_originals_away(connection: Connection, *, study: str = "", series_uid: str = "") -> list[str]:
    """Series of which originals were released or lost."""
    wanted = select(instance.c.series_instance_uid).where(or_(instance.c.released_at != 0, instance.c.lost_at != 0)).distinct()
    if study:
        wanted = wanted.where(instance.c.study_instance_uid == study)
    if series_uid:
        wanted = wanted.where(instance.c.series_instance_uid == series_uid)
    return list(connection.scalars(wanted.order_by(instance.c.series_instance_uid)))


def weighed(connection: Connection, uid: str, now: float) -> None:
    """Remembers when it was last asked whether a series may be released."""
    connection.execute(update(series).where(series.c.series_instance_uid == uid).values(weighed_at=now))


def mark(connection: Connection, members: Sequence[Original], now: float) -> None:
    """These originals are going to be deleted from the spool: their archive was proved."""
    for one in members:
        connection.execute(update(instance).where(instance.c.id == one.id).values(released_at=now))
    detail = {"instances": len(members), "bytes": sum(one.size for one in members)}
    record(connection, "series.released", now, series_instance_uid=members[0].series_instance_uid, **detail)


def still_marked(connection: Connection, members: Sequence[Original], marked_at: float) -> list[Original]:
    """Those whose mark still stands; their rows stay locked until the transaction ends."""
    going = []
    for one in members:
        same = and_(instance.c.id == one.id, instance.c.released_at == marked_at)
        if connection.execute(update(instance).where(same).values(released_at=marked_at)).rowcount:
            going.append(one)
    return going


def unmark(connection: Connection, members: Sequence[Original], now: float, name: str) -> None:
    """These originals are in the spool after all, sound; `name` of the event says how: `series.recalled`, …"""
    for one in members:
        connection.execute(update(instance).where(instance.c.id == one.id).values(released_at=0, lost_at=0, scrubbed_at=now))
    if members:
        record(connection, name, now, series_instance_uid=members[0].series_instance_uid, instances=len(members))


def stays_from(connection: Connection, uid: str, now: float) -> None:
    """The originals of a series are wanted again: the days that retention keeps them begin anew."""
    connection.execute(update(series).where(series.c.series_instance_uid == uid).values(last_at=now))


def lose(connection: Connection, one: Original, now: float, reason: str) -> None:
    """The file of an original in the spool is damaged or gone, and nothing can replace it."""
    connection.execute(update(instance).where(instance.c.id == one.id).values(lost_at=now, scrubbed_at=now))
    detail: dict[str, Any] = {"sop_instance_uid": one.sop_instance_uid, "reason": reason}
    record(connection, "instance.lost", now, series_instance_uid=one.series_instance_uid, **detail)


def bring_back(connection: Connection, sop_instance_uid: str, sha256: str, now: float) -> bool:
    """An instance was stored again; whether it had been released or lost. Where that is needed its series is archived again."""
    same = and_(instance.c.sop_instance_uid == sop_instance_uid, instance.c.sha256 == sha256)
    gone = and_(same, or_(instance.c.released_at != 0, instance.c.lost_at != 0))
    row = connection.execute(select(instance.c.series_instance_uid, instance.c.lost_at).where(gone)).first()
    if row is None:
        return False
    connection.execute(update(instance).where(same).values(released_at=0, lost_at=0))
    uid = row.series_instance_uid
    record(connection, "instance.returned", now, series_instance_uid=uid, sop_instance_uid=sop_instance_uid)
    if row.lost_at or connection.scalar(select(func.count()).where(_quarantined(uid))):
        reopen(connection, uid, now)
    return True


def reopen(connection: Connection, uid: str, now: float) -> None:
    """A series has to be archived again, from what is there of it then: it waits for its timer like one that is arriving."""
    here = series.c.series_instance_uid == uid
    connection.execute(update(series).where(here).values(generation=series.c.generation + 1, last_at=now))
    if move_series(connection, uid, "RECEIVING", now):
        connection.execute(update(series).where(here).values(opened_at=now))


def _quarantined(uid: str) -> ColumnElement[bool]:
    return and_(stored.c.source_series_uid == uid, stored.c.state == "QUARANTINED")


def put_on_hold(connection: Connection, study: str, reason: str, now: float) -> bool:
    """Nothing of a study may be released from now on; False where it was on hold before (the new reason counts)."""
    fresh = on_hold(connection, study) is None
    values = {"study_instance_uid": study, "reason": reason, "held_at": now}
    statement = insert(hold).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=[hold.c.study_instance_uid], set_=values))
    record(connection, "study.held", now, study_instance_uid=study, reason=reason)
    return fresh


def take_off_hold(connection: Connection, study: str, reason: str, now: float) -> bool:
    """Ends a hold; False where there was none."""
    done = connection.execute(delete(hold).where(hold.c.study_instance_uid == study)).rowcount > 0
    if done:
        record(connection, "study.unheld", now, study_instance_uid=study, reason=reason)
    return done


def holds(connection: Connection) -> list[tuple[str, str, float]]:
    """Every study that is on hold: its Study Instance UID, why, and since when (seconds since 1970)."""
    rows = connection.execute(select(hold.c.study_instance_uid, hold.c.reason, hold.c.held_at).order_by(hold.c.held_at))
    return [(row[0], row[1], row[2]) for row in rows]


def on_hold(connection: Connection, study: str) -> str | None:
    """Why a study is on hold; None where it is not."""
    reason: str | None = connection.scalar(select(hold.c.reason).where(hold.c.study_instance_uid == study))
    return reason
