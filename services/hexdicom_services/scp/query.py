"""C-FIND: what was received here, in the patient root and study root models (PS3.4 C.4.1)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
)

from hexdicom.errors import HexdicomError, SeriesError
from hexdicom_services.catalog import found
from hexdicom_services.catalog.keys import KEYS, LEVELS, UNIQUE
from hexdicom_services.jobs.listing import list_all
from hexdicom_services.scp.scope import called_ae_title, views
from hexdicom_services.statuses import Find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom.events import Event
    from sqlalchemy import Connection

    from hexdicom_services.catalog.found import Entity, View
    from hexdicom_services.catalog.session import Catalog
    from hexdicom_services.settings import Settings

log = logging.getLogger(__name__)

PATIENT_ROOT: Final = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
)
_TEXT: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))  # PS3.5 section 6.1.2.3
# PS3.3 table C.12-2, but for ISO_IR 13, of which Python's codec has more than the standard
_SINGLE_BYTE: Final = tuple(f"ISO_IR {number}" for number in (100, 101, 109, 110, 126, 127, 138, 144, 148, 166))
_COUNTED: Final = ("NumberOf", "ModalitiesInStudy", "SOPClassesInStudy")
_NOT_ATTRIBUTES: Final = ("SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle", "TimezoneOffsetFromUTC")


def on_find(event: Event, catalog: Catalog, settings: Settings) -> Iterator[tuple[int, Dataset | None]]:
    """One pending response per match; 0xA900 for an identifier that does not fit the model."""
    try:
        identifier = event.identifier
        level = level_of(identifier, patient_root=event.request.AffectedSOPClassUID in PATIENT_ROOT)
        keys = wanted(identifier)
        list_all(catalog, settings.spool, keys)
        given: set[str] = set()
        with catalog.read() as connection:
            for view in views(event, level, keys, settings.retrieve.archive_ae_title):
                for entity in found.find(connection, view, level, keys):
                    if event.is_cancelled:
                        yield Find.CANCEL, None
                        return
                    if entity.uid not in given:
                        given.add(entity.uid)
                        yield Find.PENDING, _answer(connection, view, identifier, level, entity, called_ae_title(event))
    except HexdicomError as error:
        log.warning("a query was refused: %s", type(error).__name__, extra={"event": "retrieve.failed"})
        yield error.dimse_status, None
    except Exception:
        log.exception("a query failed", extra={"event": "loop.error"})
        yield Find.UNABLE_TO_PROCESS, None


def level_of(identifier: Dataset, *, patient_root: bool) -> str:
    """The level of a query or retrieve request. Raises SeriesError (0xA900) where the model does not have it."""
    level = str(identifier.get("QueryRetrieveLevel") or "").strip().upper()
    if level not in LEVELS or (level == "PATIENT" and not patient_root):
        raise SeriesError(f"Query/Retrieve Level {level!r} is not one of this information model.")
    return level


def wanted(identifier: Dataset) -> dict[str, str]:
    """Keywords to match, with their values as text; a value of ModalitiesInStudy counts as one of Modality."""
    asked: dict[str, str] = {}
    for element in identifier:
        keyword = "Modality" if element.keyword == "ModalitiesInStudy" else element.keyword
        text = "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value or "")
        if keyword in KEYS and text.strip() not in ("", "*"):
            asked[keyword] = text.strip()
    return asked


def _answer(connection: Connection, view: View, identifier: Dataset, level: str, entity: Entity, ae_title: str) -> Dataset:
    """What was asked for, with its value or empty (PS3.4 C.2.2.1.3: every key comes back)."""
    known = Dataset.from_json(entity.attributes)
    numbers = None
    answer = Dataset()
    answer.QueryRetrieveLevel = level
    answer.RetrieveAETitle = ae_title
    for element in identifier:
        keyword = element.keyword
        if keyword in _NOT_ATTRIBUTES or not keyword or element.tag.group % 2:
            continue
        if keyword.startswith(_COUNTED) and level != "IMAGE" and keyword not in ("NumberOfFrames",):
            numbers = numbers or found.counts(connection, view, level, entity.uid)
            setattr(answer, keyword, numbers.get(keyword))
        elif keyword == "InstanceAvailability":
            answer.InstanceAvailability = "ONLINE"
        elif element.tag in known and _is_of_level(keyword, level):
            answer[element.tag] = known[element.tag]
        elif element.VR != "SQ":
            setattr(answer, keyword, None)
    for above in LEVELS[: LEVELS.index(level) + 1]:
        setattr(answer, UNIQUE[above], entity.values[UNIQUE[above]])
    if level == "IMAGE":
        answer.SOPClassUID = entity.values["SOPClassUID"]
    if character_set := covering(answer, identifier):
        answer.SpecificCharacterSet = character_set
    return answer


def covering(answer: Dataset, identifier: Dataset) -> str:
    """A Specific Character Set that has everything in an answer: none for ASCII, that of the request if it will do, else UTF-8."""
    text = "".join(str(element.value) for element in answer.iterall() if element.VR in _TEXT and element.value is not None)
    if text.isascii():
        return ""
    asked = identifier.get("SpecificCharacterSet") or ""
    if asked in _SINGLE_BYTE:
        try:
            text.encode(python_encoding[asked])
        except UnicodeEncodeError:
            return "ISO_IR 192"
        return asked
    return "ISO_IR 192"


def _is_of_level(keyword: str, level: str) -> bool:
    """Whether an attribute of one object says something of the whole entity."""
    return keyword not in KEYS or LEVELS.index(KEYS[keyword].level) <= LEVELS.index(level)
