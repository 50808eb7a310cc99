"""When each file was last compared with its hash: the cursor of a scrub is a time in every row, so it may be interrupted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog.holdings import Holding
from hexdicom_services.catalog.lifecycle import record
from hexdicom_services.catalog.models import delivery, instance, meta, stored
from hexdicom_services.catalog.originals import Original

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST = 256  # originals at once


@dataclass(frozen=True, slots=True)
class Due:
    """A stored file to be looked at. state: STORED, or QUARANTINED: then it is asked whether it can be replaced now."""

    id: int
    state: str
    current: bool
    holding: Holding


def due_holding(connection: Connection, before: float, now: float, *, quarantined_before: float) -> Due | None:
    """The file in the store that was not looked at for the longest time, if that is long enough."""
    sound = and_(stored.c.state == "STORED", _is_due(stored.c.scrubbed_at, stored.c.created_at, before, now))
    damaged = and_(stored.c.state == "QUARANTINED", or_(stored.c.scrubbed_at < quarantined_before, stored.c.scrubbed_at > now))
    columns = [stored.c[name] for name in Holding.__slots__]
    wanted = select(stored.c.id, stored.c.state, stored.c.current, *columns).where(or_(damaged, sound))
    row = connection.execute(wanted.order_by(stored.c.scrubbed_at, stored.c.id).limit(1)).first()
    return Due(row[0], row[1], bool(row[2]), Holding(*row[3:])) if row else None


def due_originals(connection: Connection, before: float, now: float) -> list[Original]:
    """Originals in the spool that were not looked at for the longest time, some of one series."""
    here = and_(instance.c.released_at == 0, instance.c.lost_at == 0)
    late = _is_due(instance.c.scrubbed_at, instance.c.received_at, before, now)
    first = select(instance.c.series_instance_uid).where(here, late).order_by(instance.c.scrubbed_at, instance.c.id).limit(1)
    uid = connection.scalar(first)
    if uid is None:
        return []
    columns = [instance.c[name] for name in Original.__slots__]
    rows = connection.execute(
        select(*columns).where(here, late, instance.c.series_instance_uid == uid).order_by(instance.c.id).limit(_MOST)
    )
    return [Original(*row) for row in rows]


def _is_due(seen: ColumnElement[float], made: ColumnElement[float], before: float, now: float) -> ColumnElement[bool]:
    """Also where the clock was put back since."""
    return or_(and_(seen < before, made < before), seen > now)


def looked_at_holding(connection: Connection, stored_id: int, now: float) -> None:
    connection.execute(update(stored).where(stored.c.id == stored_id).values(scrubbed_at=now))


def looked_at_originals(connection: Connection, members: Sequence[Original], now: float) -> None:
    for one in members:
        connection.execute(update(instance).where(instance.c.id == one.id).values(scrubbed_at=now))


def quarantine(connection: Connection, due: Due, now: float, reason: str) -> None:
    """The file of a row is damaged or gone. It stays `current`: peers are told that it exists, and a retrieve of it fails."""
    connection.execute(update(stored).where(stored.c.id == due.id).values(state="QUARANTINED", scrubbed_at=now))
    uid, key = due.holding.source_series_uid, due.holding.key
    record(connection, "archive.quarantined", now, series_instance_uid=uid, key=key, reason=reason)


def restore_holding(connection: Connection, due: Due, now: float, how: str, sha256: str, size: int, syntax: str) -> None:
    """The file of a quarantined row is there again, sound."""
    values = {"state": "STORED", "scrubbed_at": now, "sha256": sha256, "size": size, "transfer_syntax_uid": syntax}
    connection.execute(update(stored).where(stored.c.id == due.id).values(values))
    record(connection, "archive.repaired", now, series_instance_uid=due.holding.source_series_uid, key=due.holding.key, how=how)


def verified_targets(connection: Connection, stored_id: int) -> list[str]:
    """PACS that have given this file back unchanged."""
    wanted = (delivery.c.stored_id == stored_id, delivery.c.state == "VERIFIED")
    return list(connection.scalars(select(delivery.c.target).where(*wanted).order_by(delivery.c.id)))


def parts_of(connection: Connection, holding: Holding) -> list[Holding]:
    """All files of the archive that a file is part of; it alone where it is no archive."""
    if not holding.sources_digest:
        return [holding]
    same = (stored.c.source_series_uid == holding.source_series_uid, stored.c.sources_digest == holding.sources_digest)
    columns = [stored.c[name] for name in Holding.__slots__]
    return [Holding(*row) for row in connection.execute(select(*columns).where(*same).order_by(stored.c.id))]


def oldest_look(connection: Connection) -> float:
    """When the file that was not looked at for the longest time was last compared with its hash, seconds; 0 where one never was."""
    here = and_(instance.c.released_at == 0, instance.c.lost_at == 0)
    times = (
        connection.scalar(select(func.min(stored.c.scrubbed_at)).where(stored.c.state == "STORED")),
        connection.scalar(select(func.min(instance.c.scrubbed_at)).where(here)),
    )
    return min((time for time in times if time is not None), default=0.0)


def overdue(connection: Connection, before: float) -> int:
    """How many files have lain there, and were not looked at, since `before`."""
    here = and_(instance.c.released_at == 0, instance.c.lost_at == 0)
    counts = (
        select(func.count()).select_from(stored).where(stored.c.scrubbed_at < before, stored.c.created_at < before),
        select(func.count()).select_from(instance).where(here, instance.c.scrubbed_at < before, instance.c.received_at < before),
    )
    return sum(connection.scalar(count) or 0 for count in counts)


def take_turn(connection: Connection, name: str, owner: str, now: float, seconds: float) -> bool:
    """Whether this process may do a chore that only one may do at a time; for so many seconds, then others may."""
    key = f"turn.{name}"
    holder, _, until = (connection.scalar(select(meta.c.value).where(meta.c.key == key)) or "").rpartition(" ")
    if holder not in ("", owner) and now < float(until) <= now + seconds:
        return False
    statement = insert(meta).values(key=key, value=f"{owner} {now + seconds}")
    connection.execute(statement.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": statement.excluded.value}))
    return True
