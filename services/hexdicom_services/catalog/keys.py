"""The attributes that C-FIND matches: their level in the information model and their column in `stored`. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE")
UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


@dataclass(frozen=True, slots=True)
class Key:
    """An attribute that can be matched."""

    level: str
    column: str


KEYS: Final = {
    "PatientID": Key("PATIENT", "patient_id"),
    "PatientName": Key("PATIENT", "patient_name"),
    "PatientBirthDate": Key("PATIENT", "patient_birth_date"),
    "PatientSex": Key("PATIENT", "patient_sex"),
    "StudyInstanceUID": Key("STUDY", "study_instance_uid"),
    "StudyDate": Key("STUDY", "study_date"),
    "StudyTime": Key("STUDY", "study_time"),
    "AccessionNumber": Key("STUDY", "accession_number"),
    "StudyID": Key("STUDY", "study_id"),
    "StudyDescription": Key("STUDY", "study_description"),
    "ReferringPhysicianName": Key("STUDY", "referring_physician_name"),
    "SeriesInstanceUID": Key("SERIES", "series_instance_uid"),
    "Modality": Key("SERIES", "modality"),
    "SeriesNumber": Key("SERIES", "series_number"),
    "SeriesDescription": Key("SERIES", "series_description"),
    "SOPInstanceUID": Key("IMAGE", "sop_instance_uid"),
    "SOPClassUID": Key("IMAGE", "sop_class_uid"),
    "InstanceNumber": Key("IMAGE", "instance_number"),
}
