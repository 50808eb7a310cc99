"""Received instances as C-FIND sees them: which are not listed yet, and how they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from hexdicom_services.catalog.models import QUERY_COLUMNS, instance, listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Unlisted:
    """An instance that has no listing. The UIDs are those of the request and of the data set as far as they could be read."""

    id: int
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    path: str
    version: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The same with what a query answers (DICOM JSON) and matches (values of QUERY_COLUMNS)."""

    instance: Unlisted
    attributes: dict[str, Any]
    columns: dict[str, str]


_COLUMNS = tuple(instance.c[name] for name in Unlisted.__slots__)
_NARROWING = {"StudyInstanceUID": "study_instance_uid", "SeriesInstanceUID": "series_instance_uid"}


def unlisted(connection: Connection, most: int, wanted: Mapping[str, str] | None = None) -> list[Unlisted]:
    """Instances without a listing, in the order of arrival. wanted: keys of a query, which may narrow it down."""
    found = select(*_COLUMNS).where(instance.c.listed == 0).order_by(instance.c.id).limit(most)
    for keyword, column in _NARROWING.items():
        if value := (wanted or {}).get(keyword):
            found = found.where(instance.c[column].in_(value.split("\\")))
    return [Unlisted(*row) for row in connection.execute(found)]


def last_arrival(connection: Connection) -> float:
    """When the last instance came; 0 where none ever did."""
    last = select(func.max(instance.c.id)).scalar_subquery()
    return connection.scalar(select(instance.c.received_at).where(instance.c.id == last)) or 0.0


def add(connection: Connection, batch: Sequence[Listed]) -> None:
    """Lists instances. The newest version of a SOP Instance UID is what peers find, in whatever order versions are listed."""
    if not batch:
        return
    connection.execute(insert(listing).on_conflict_do_nothing(), [_row(one) for one in batch])
    ids = [one.instance.id for one in batch]
    connection.execute(update(instance).where(instance.c.id.in_(ids)).values(listed=1))
    uids = [one.instance.sop_instance_uid for one in batch]
    several = select(listing.c.sop_instance_uid).where(listing.c.sop_instance_uid.in_(uids))
    several = several.group_by(listing.c.sop_instance_uid).having(func.count() > 1)
    for uid in connection.scalars(several).all():
        versions = select(instance.c.id).join(listing, listing.c.id == instance.c.id).where(instance.c.sop_instance_uid == uid)
        newest = connection.scalar(versions.order_by(instance.c.version.desc()).limit(1))
        here = listing.c.sop_instance_uid == uid
        connection.execute(update(listing).where(here).values(current=case((listing.c.id == newest, 1), else_=0)))


def _row(one: Listed) -> dict[str, Any]:
    values: dict[str, Any] = {name: one.columns.get(name, "") for name in QUERY_COLUMNS}
    return values | {
        "id": one.instance.id,
        "current": 1,
        "study_instance_uid": one.instance.study_instance_uid,
        "series_instance_uid": one.instance.series_instance_uid,
        "sop_instance_uid": one.instance.sop_instance_uid,
        "sop_class_uid": one.instance.sop_class_uid,
        "attributes": one.attributes,
    }
