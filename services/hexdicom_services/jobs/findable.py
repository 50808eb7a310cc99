"""What C-FIND answers of a stored file: its attributes, read once when it is stored."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from hexdicom_services.catalog.keys import KEYS
from hexdicom_services.part10 import read_head

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

ANSWERED: Final = (
    "PatientAge", "PatientSize", "PatientWeight", "OtherPatientIDs", "EthnicGroup", "PatientComments",
    "InstitutionName", "StationName", "Manufacturer", "ManufacturerModelName", "ProtocolName", "BodyPartExamined",
    "SeriesDate", "SeriesTime", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "Laterality",
    "ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime", "AcquisitionNumber", "ImageType", "Rows",
    "Columns", "NumberOfFrames", "BitsAllocated", "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription",
    "TemporalPositionIdentifier", "NumberOfTemporalPositions", "FrameOfReferenceUID",
)  # fmt: skip
_TAGS: Final = [tag for keyword in ("SpecificCharacterSet", *KEYS, *ANSWERED) if (tag := tag_for_keyword(keyword))]


@dataclass(frozen=True, slots=True)
class Findable:
    """Identity of a file, `columns` to match, `attributes` to answer (DICOM JSON model, PS3.18 annex F)."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    columns: dict[str, str]
    attributes: dict[str, Any]


def read_findable(file: Path) -> Findable:
    """Never raises for what the data set is: one that cannot be read is findable by its SOP Instance UID alone.

    Raises StoreError where the file has no file meta group, OSError where it cannot be read.
    """
    head = read_head(file)
    try:
        found = dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, defer_size=4096)
        attributes = _plain(found).to_json_dict(suppress_invalid_tags=True)
        values = {key.column: _text(found, keyword) for keyword, key in KEYS.items()}
    except Exception:  # pydicom raises what it likes on a damaged data set; the file is kept all the same
        log.exception("attributes of a stored file cannot be read", extra={"event": "instance.unreadable"})
        attributes, values = {}, {}
    return Findable(
        sop_instance_uid=values.pop("sop_instance_uid", "") or head.sop_instance_uid,
        sop_class_uid=values.pop("sop_class_uid", "") or head.sop_class_uid,
        transfer_syntax_uid=head.transfer_syntax_uid,
        study_instance_uid=values.pop("study_instance_uid", ""),
        series_instance_uid=values.pop("series_instance_uid", ""),
        columns=values,
        attributes=attributes,
    )


def _plain(found: Dataset) -> Dataset:
    """The attributes without what is specific to their encoding: answers are UTF-8 (ISO_IR 192)."""
    found.decode()
    plain = Dataset()
    for tag in _TAGS:
        if tag in found and found[tag].keyword != "SpecificCharacterSet":
            plain[tag] = found[tag]
    return plain


def _text(found: Dataset, keyword: str) -> str:
    value = found.get(keyword)
    if value is None or value == "":
        return ""
    return "\\".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
