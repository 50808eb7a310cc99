"""Received instances: how they enter the catalog, exactly once each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog import originals
from hexdicom_services.catalog.lifecycle import move_series, record
from hexdicom_services.catalog.models import instance, series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Outcome = Literal["new", "duplicate", "version", "returned"]


@dataclass(frozen=True, slots=True)
class Received:
    """An instance whose file lies in the spool. `path` is below the spool; sizes and hash are of the data set."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sha256: str
    size: int
    path: str
    received_at: float
    calling_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """An instance as catalogued."""

    sop_instance_uid: str
    sha256: str
    size: int
    path: str
    version: int


def add(connection: Connection, batch: Sequence[Received]) -> list[Outcome]:
    """Catalogues instances and starts the timers of their series anew.

    The same content under the same UID changes nothing ("duplicate"), unless the original had been released or lost: then it
    is in the spool again ("returned"). Other content is kept beside it ("version").
    """
    outcomes = [_add_one(connection, received) for received in batch]
    fresh: dict[str, list[Received]] = {}
    for received, outcome in zip(batch, outcomes, strict=True):
        if outcome in ("new", "version"):
            fresh.setdefault(received.series_instance_uid, []).append(received)
    for uid, group in fresh.items():
        _count(connection, uid, group)
    return outcomes


# Built once: building a statement costs more than running it, and this one runs for every instance.
_INSERT = (
    insert(instance)
    .values(
        version=select(func.coalesce(func.max(instance.c.version), 0) + 1)
        .where(instance.c.sop_instance_uid == bindparam("same_uid"))
        .scalar_subquery()
    )
    .on_conflict_do_nothing()
    .returning(instance.c.version)
)
_NEW_SERIES = insert(series).values(state="RECEIVING", generation=bindparam("first_generation"))
_COUNT = _NEW_SERIES.on_conflict_do_update(
    index_elements=[series.c.series_instance_uid],
    set_={
        "instances": series.c.instances + _NEW_SERIES.excluded.instances,
        "bytes": series.c.bytes + _NEW_SERIES.excluded.bytes,
        "generation": series.c.generation + _NEW_SERIES.excluded.instances,
        "last_at": _NEW_SERIES.excluded.last_at,
    },
).returning(series.c.state, series.c.generation)


def _add_one(connection: Connection, received: Received) -> Outcome:
    version = connection.scalar(_INSERT, {**_values(received), "same_uid": received.sop_instance_uid})
    if version is None:
        again = originals.bring_back(connection, received.sop_instance_uid, received.sha256, received.received_at)
        return "returned" if again else "duplicate"
    if version == 1:
        return "new"
    detail = {"sop_instance_uid": received.sop_instance_uid, "version": version}
    uid = received.series_instance_uid
    record(connection, "instance.version", received.received_at, series_instance_uid=uid, **detail)
    return "version"


def _count(connection: Connection, uid: str, group: Sequence[Received]) -> None:
    first = group[0].received_at
    values = {
        "series_instance_uid": uid,
        "study_instance_uid": group[0].study_instance_uid,
        "instances": len(group),
        "first_generation": len(group),
        "bytes": sum(received.size for received in group),
        "opened_at": first,
        "last_at": group[-1].received_at,
    }
    state, generation = connection.execute(_COUNT, values).one()
    if generation == len(group):
        record(connection, "series.receiving", first, series_instance_uid=uid)
    elif state not in ("RECEIVING", "ARCHIVING") and move_series(connection, uid, "RECEIVING", first):
        connection.execute(update(series).where(series.c.series_instance_uid == uid).values(opened_at=first))


def _values(received: Received) -> dict[str, object]:
    return {name: getattr(received, name) for name in Received.__slots__}


def of_series(connection: Connection, uid: str) -> list[Known]:
    """What is in the spool of a series, in the order of arrival: not what was released or lost."""
    columns = (instance.c.sop_instance_uid, instance.c.sha256, instance.c.size, instance.c.path, instance.c.version)
    here = (instance.c.series_instance_uid == uid) & (instance.c.released_at == 0) & (instance.c.lost_at == 0)
    rows = connection.execute(select(*columns).where(here).order_by(instance.c.id))
    return [Known(*row) for row in rows]


def known_paths(connection: Connection, *, lost: bool = True) -> Iterable[str]:
    """The path of every instance whose original should be in the spool, below it; without those known to be lost, unless `lost`."""
    wanted = select(instance.c.path).where(instance.c.released_at == 0)
    return connection.scalars(wanted if lost else wanted.where(instance.c.lost_at == 0))


def any_released(connection: Connection) -> bool:
    """Whether an instance has left the spool."""
    return connection.scalar(select(instance.c.id).where(instance.c.released_at > 0).limit(1)) is not None
