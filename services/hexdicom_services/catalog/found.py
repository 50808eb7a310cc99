"""What the store has for peers, at each level of the query/retrieve information model. Only `current` objects count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, func, select

from hexdicom_services.catalog.keys import KEYS, LEVELS, UNIQUE
from hexdicom_services.catalog.matching import candidates, matches
from hexdicom_services.catalog.models import stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Entity:
    """A patient, study, series or instance: the attributes of one of its objects, and its identity."""

    uid: str
    attributes: dict[str, Any]
    values: dict[str, str]  # by keyword of KEYS


@dataclass(frozen=True, slots=True)
class Sendable:
    """A stored object that a peer may get."""

    key: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def find(connection: Connection, level: str, wanted: Mapping[str, str]) -> Iterator[Entity]:
    """Entities of a level that match. Keys of lower levels do not select (PS3.4 C.4.1.1.3.1), but for Modality."""
    keys = {keyword: value for keyword, value in wanted.items() if value and _selects(keyword, level)}
    unique = stored.c[KEYS[UNIQUE[level]].column]
    conditions = [stored.c.current == 1, stored.c.study_instance_uid != "", unique != ""]
    conditions += [candidates(keyword, value) for keyword, value in keys.items()]
    # The newest object of each entity speaks for it.
    newest = select(func.max(stored.c.id)).where(and_(*conditions)).group_by(unique)
    ids = sorted(connection.scalars(newest).all())
    columns = [stored.c[key.column] for key in KEYS.values()]
    for start in range(0, len(ids), _PAGE):
        page = select(stored.c.attributes, *columns).where(stored.c.id.in_(ids[start : start + _PAGE]))
        for attributes, *row in connection.execute(page.order_by(stored.c.id)):
            values = dict(zip(KEYS, row, strict=True))
            if all(matches(keyword, value, values[keyword]) for keyword, value in keys.items()):
                yield Entity(values[UNIQUE[level]], attributes or {}, values)


def _selects(keyword: str, level: str) -> bool:
    own = LEVELS.index(level)
    return keyword in KEYS and (LEVELS.index(KEYS[keyword].level) <= own or (keyword, level) == ("Modality", "STUDY"))


def counts(connection: Connection, level: str, uid: str) -> dict[str, Any]:
    """How much is below a patient, study or series; and of a study, its modalities and SOP classes."""
    here = and_(stored.c.current == 1, stored.c[KEYS[UNIQUE[level]].column] == uid)
    studies, series, objects = (
        func.count(func.distinct(stored.c.study_instance_uid)),
        func.count(func.distinct(stored.c.series_instance_uid)),
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
            values = connection.scalars(select(stored.c[column]).where(here).distinct()).all()
            found[keyword] = sorted(value for value in values if value)
    return found


def sendable(connection: Connection, wanted: Mapping[str, str]) -> list[Sendable]:
    """The objects that unique keys name, in the order they were stored."""
    conditions = [candidates(keyword, value) for keyword, value in wanted.items() if value]
    columns = (stored.c[name] for name in Sendable.__slots__)
    rows = connection.execute(select(*columns).where(stored.c.current == 1, *conditions).order_by(stored.c.id))
    return [Sendable(*row) for row in rows]
