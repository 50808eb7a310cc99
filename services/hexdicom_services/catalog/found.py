"""What peers find here, at each level of the query/retrieve information model: what was received, or what the store holds.

Received instances are there as if nothing had been done to them, in the spool or not; of several versions, the newest. The
store has archive objects, and instances that were passed through: of those only `current` ones count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, func, select

from hexdicom_services.catalog.keys import KEYS, LEVELS, UNIQUE
from hexdicom_services.catalog.matching import candidates, matches
from hexdicom_services.catalog.models import instance, listing, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import ColumnElement, Table

_PAGE = 500


@dataclass(frozen=True, slots=True)
class View:
    """A table to look into, and the rows of it that count."""

    table: Table
    rows: ColumnElement[bool]


RECEIVED = View(listing, listing.c.current == 1)
STORE = View(stored, stored.c.current == 1)
ARCHIVES = View(stored, and_(stored.c.current == 1, stored.c.kind == "archive"))


@dataclass(frozen=True, slots=True)
class Entity:
    """A patient, study, series or instance: the attributes of one of its objects, and its identity."""

    uid: str
    attributes: dict[str, Any]
    values: dict[str, str]  # by keyword of KEYS


@dataclass(frozen=True, slots=True)
class Sendable:
    """An object that a peer may get: a file of the store where it has a `key`, else a received instance.

    path: below the spool; released: it is no longer there. sha256: of the received data set, of the file where it has a key.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    sha256: str
    key: str = ""
    path: str = ""
    released: bool = False


def find(connection: Connection, view: View, level: str, wanted: Mapping[str, str]) -> Iterator[Entity]:
    """Entities of a level that match. Keys of lower levels do not select (PS3.4 C.4.1.1.3.1), but for Modality."""
    table = view.table
    keys = {keyword: value for keyword, value in wanted.items() if value and _selects(keyword, level)}
    unique = table.c[KEYS[UNIQUE[level]].column]
    conditions = [view.rows, table.c.study_instance_uid != "", unique != ""]
    conditions += [candidates(table, keyword, value) for keyword, value in keys.items()]
    # The newest object of each entity speaks for it.
    newest = select(func.max(table.c.id)).where(and_(*conditions)).group_by(unique)
    ids = sorted(connection.scalars(newest).all())
    columns = [table.c[key.column] for key in KEYS.values()]
    for start in range(0, len(ids), _PAGE):
        page = select(table.c.attributes, *columns).where(table.c.id.in_(ids[start : start + _PAGE]))
        for attributes, *row in connection.execute(page.order_by(table.c.id)):
            values = dict(zip(KEYS, row, strict=True))
            if all(matches(keyword, value, values[keyword]) for keyword, value in keys.items()):
                yield Entity(values[UNIQUE[level]], attributes or {}, values)


def _selects(keyword: str, level: str) -> bool:
    own = LEVELS.index(level)
    return keyword in KEYS and (LEVELS.index(KEYS[keyword].level) <= own or (keyword, level) == ("Modality", "STUDY"))


def counts(connection: Connection, view: View, level: str, uid: str) -> dict[str, Any]:
    """How much is below a patient, study or series; and of a study, its modalities and SOP classes."""
    table = view.table
    here = and_(view.rows, table.c[KEYS[UNIQUE[level]].column] == uid, table.c.study_instance_uid != "")
    studies, series, objects = (
        func.count(func.distinct(table.c.study_instance_uid)),
        func.count(func.distinct(table.c.series_instance_uid)),
        func.count(),
    )
    row = connection.execute(select(studies, series, objects).where(here)).one()
    found: dict[str, Any] = {}
    if level == "PATIENT":
        found = {"NumberOfPatientRelatedStudies": row[0], "NumberOfPatientRelatedSeries": row[1]}
    names = {"PATIENT": "Patient", "STUDY": "Study", "SERIES": "Series"}
    found[f"NumberOf{names[level]}RelatedInstances"] = row[2]
    if level == "STUDY":
        found["NumberOfStudyRelatedSeries"] = row[1]
        for keyword, column in (("ModalitiesInStudy", "modality"), ("SOPClassesInStudy", "sop_class_uid")):
            values = connection.scalars(select(table.c[column]).where(here).distinct()).all()
            found[keyword] = sorted(value for value in values if value)
    return found


def sendable(connection: Connection, view: View, wanted: Mapping[str, str]) -> list[Sendable]:
    """The objects that unique keys name, in the order they were received or stored."""
    table = view.table
    conditions = [view.rows, *(candidates(table, keyword, value) for keyword, value in wanted.items() if value)]
    if table is listing:
        columns: tuple[Any, ...] = (
            instance.c.sop_class_uid, instance.c.sop_instance_uid, instance.c.transfer_syntax_uid,
            instance.c.series_instance_uid, instance.c.sha256, instance.c.path, instance.c.released_at,
        )  # fmt: skip
        joined = select(*columns).join(listing, listing.c.id == instance.c.id).where(*conditions).order_by(instance.c.id)
        return [_received(row) for row in connection.execute(joined)]
    columns = (
        stored.c.sop_class_uid, stored.c.sop_instance_uid, stored.c.transfer_syntax_uid, stored.c.series_instance_uid,
        stored.c.sha256, stored.c.key,
    )  # fmt: skip
    rows = connection.execute(select(*columns).where(*conditions).order_by(stored.c.id))
    return [Sendable(*row) for row in rows]


def _received(row: Any) -> Sendable:
    same = row.sop_class_uid, row.sop_instance_uid, row.transfer_syntax_uid, row.series_instance_uid, row.sha256
    return Sendable(*same, path=row.path, released=row.released_at > 0)


def untouched(connection: Connection, series_instance_uid: str) -> dict[str, str]:
    """Keys in the store of the instances of a received series that were passed through and that peers get, by SOP Instance UID."""
    wanted = select(stored.c.sop_instance_uid, stored.c.key).where(
        stored.c.source_series_uid == series_instance_uid, stored.c.kind == "passed-through", stored.c.state == "STORED"
    )
    return {row[0]: row[1] for row in connection.execute(wanted.order_by(stored.c.current, stored.c.id))}


def archives(connection: Connection, series_instance_uid: str) -> list[str]:
    """Keys in the store of the archive objects of a received series, those that peers get first."""
    wanted = select(stored.c.key).where(
        stored.c.source_series_uid == series_instance_uid, stored.c.kind == "archive", stored.c.state == "STORED"
    )
    return list(connection.scalars(wanted.order_by(stored.c.current.desc(), stored.c.id)))
