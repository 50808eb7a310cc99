"""Received instances as C-FIND sees them: which are not listed yet, and how one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert

from hexdicom_services.catalog.models import QUERY_COLUMNS, instance, listing

_OVERLAP = 1000  # rows below the last listed one that are looked at again: transactions need not end in the order of their ids


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


_COLUMNS = tuple(instance.c[name] for name in Unlisted.__slots__)


def unlisted(connection: Connection, most: int, *, all_of_them: bool = False) -> list[Unlisted]:
    """Instances without a listing, in the order of arrival; all_of_them: looks at every instance, and not only at late ones."""
    missing = ~exists().where(listing.c.id == instance.c.id)
    wanted = select(*_COLUMNS).where(missing).order_by(instance.c.id).limit(most)
    if not all_of_them:
        last = connection.scalar(select(func.max(listing.c.id))) or 0
        wanted = wanted.where(instance.c.id > last - _OVERLAP)
    return [Unlisted(*row) for row in connection.execute(wanted)]


def add(connection: Connection, one: Unlisted, attributes: dict[str, Any], columns: dict[str, str]) -> None:
    """Lists an instance. columns: values of QUERY_COLUMNS. The newest version of a SOP Instance UID is what peers find."""
    same = instance.c.sop_instance_uid == one.sop_instance_uid
    newest = connection.scalar(select(func.max(instance.c.version)).where(same)) == one.version
    values: dict[str, Any] = {name: columns.get(name, "") for name in QUERY_COLUMNS}
    values |= {
        "id": one.id,
        "current": int(newest),
        "study_instance_uid": one.study_instance_uid,
        "series_instance_uid": one.series_instance_uid,
        "sop_instance_uid": one.sop_instance_uid,
        "sop_class_uid": one.sop_class_uid,
        "attributes": attributes,
    }
    if newest:
        older = update(listing).where(listing.c.sop_instance_uid == one.sop_instance_uid, listing.c.id != one.id)
        connection.execute(older.values(current=0))
    connection.execute(insert(listing).values(values).on_conflict_do_nothing())
