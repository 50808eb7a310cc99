"""The standard attributes around what we make: patient and study as in the source, a series and an equipment of our own.

Raw Data IOD: PS3.3 A.37.3, C.19.1. A copied attribute keeps its value as it is, also where that value breaks a rule.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from hexdicom import __version__
from hexdicom.dicom.attributes import UNREADABLE, text
from hexdicom.dicom.modules import EQUIPMENT, PATIENT_AND_STUDY, TYPE_2, UNPAIRED
from hexdicom.dicom.private import CREATOR, GROUP
from hexdicom.dicom.uids import (
    ARCHIVE_FORMAT_UID,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    RAW_DATA_STORAGE,
    archive_series_uid,
)
from hexdicom.errors import ArchiveError, SeriesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hexdicom.dicom.headers import Header

MANUFACTURER: Final = "hexdicom"
SERIES_NUMBER_OFFSET: Final = 9000
_LONG_STRING: Final = 64


def read_template(header: Header) -> Dataset:
    """The data set of a source up to its pixels. Raises SeriesError."""
    with quiet():
        try:
            return dcmread(io.BytesIO(header.before), stop_before_pixels=True)
        except UNREADABLE as error:
            raise SeriesError("The header of a source cannot be read.") from error


def archive_data_set(
    source: Dataset, references: Sequence[tuple[str, str]], sop_instance_uid: str, part: int, now: datetime
) -> Dataset:
    """A Raw Data instance without its private block. references: (SOP Class UID, SOP Instance UID) of every source."""
    with quiet():
        ds = _raw_data(source, sop_instance_uid, part, now)
        ds.file_meta = file_meta(RAW_DATA_STORAGE, sop_instance_uid)
        ds.InstanceCreationDate, ds.InstanceCreationTime = ds.ContentDate, ds.ContentTime
        copy_patient_and_study(source, ds)
        ds.SeriesDescription = described("hexdicom archive", source)
        ds.SeriesDate, ds.SeriesTime = ds.ContentDate, ds.ContentTime
        _copy_body_part(source, ds)
        ds.AcquisitionContextSequence = []
        ds.CreatorVersionUID = ARCHIVE_FORMAT_UID
        purpose = code("121320", "Uncompressed predecessor")
        ds.ReferencedInstanceSequence = [_reference(*pair, purpose) for pair in references]
        ds.ContributingEquipmentSequence = [acquisition_equipment(source)]
        declared = Dataset()
        declared.PrivateGroupReference = GROUP
        declared.PrivateCreatorReference = CREATOR
        declared.BlockIdentifyingInformationStatus = "UNSAFE"  # the headers hold what identifies the patient
        ds.PrivateDataElementCharacteristicsSequence = [declared]
    return ds


def _raw_data(source: Dataset, sop_instance_uid: str, part: int, now: datetime) -> Dataset:
    from highdicom.base import SOPClass  # 0.9 s: only for those who write archives

    return SOPClass(
        study_instance_uid=text(source, "StudyInstanceUID"),
        series_instance_uid=archive_series_uid(text(source, "SeriesInstanceUID")),
        series_number=series_number(source),
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=RAW_DATA_STORAGE,
        instance_number=part,
        modality="OT",  # viewers that choose by modality would offer it as MR images
        manufacturer=MANUFACTURER,
        manufacturer_model_name="hexdicom archive",
        software_versions=__version__,
        device_serial_number=IMPLEMENTATION_VERSION_NAME,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
        content_date=now.date(),
        content_time=now.time(),
    )


def file_meta(sop_class_uid: str, sop_instance_uid: str, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def written(ds: Dataset) -> bytes:
    """A Part 10 file of a data set."""
    out = io.BytesIO()
    with quiet():
        ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def copy_patient_and_study(source: Dataset, target: Dataset) -> None:
    for keyword in PATIENT_AND_STUDY:
        if keyword in source:
            target[keyword] = source[keyword]
    for keyword in TYPE_2:
        if keyword not in target:
            setattr(target, keyword, None)


def described(what: str, source: Dataset) -> str:
    """A Series Description (LO) that says what the series is."""
    return f"{what}: {text(source, 'SeriesDescription') or text(source, 'Modality')}"[:_LONG_STRING].rstrip(" :")


def series_number(source: Dataset) -> int:
    """Out of the way of what the scanner numbers."""
    number = text(source, "SeriesNumber")
    return SERIES_NUMBER_OFFSET + (int(number) if number.isdecimal() and len(number) < 6 else 0)


def acquisition_equipment(source: Dataset) -> Dataset:
    """An item of Contributing Equipment Sequence (PS3.3 C.12.1): the scanner."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code("109101", "Acquisition Equipment")]
    for keyword in EQUIPMENT:
        if keyword in source:
            item[keyword] = source[keyword]
    if "Manufacturer" not in item:
        item.Manufacturer = None
    return item


def own_equipment(when: str, purpose: Dataset, description: str) -> Dataset:
    """An item of Contributing Equipment Sequence: this software. when: YYYYMMDDhhmmss, or "" where not known."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = "hexdicom"
    item.SoftwareVersions = __version__
    if when:
        item.ContributionDateTime = when
    item.ContributionDescription = description
    return item


def evidence(study_uid: str, series_uid: str, references: Sequence[tuple[str, str]]) -> Dataset:
    """An item of Source Image Evidence Sequence. references: (SOP Class UID, SOP Instance UID)."""
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, []
    for sop_class_uid, sop_instance_uid in references:
        instance = Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        series.ReferencedSOPSequence.append(instance)
    study.StudyInstanceUID, study.ReferencedSeriesSequence = study_uid, [series]
    return study


def code(value: str, meaning: str) -> Dataset:
    """A DCM code as a sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


@contextmanager
def quiet() -> Iterator[None]:
    """Values of the source are kept as they are: neither pydicom's warnings nor its checks may stand in the way.

    A value that cannot even be written raises ArchiveError.
    """
    from pydicom.config import disable_value_validation

    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            yield
        except UNREADABLE as error:
            raise ArchiveError("An attribute of the source cannot be written into another object.") from error


def _copy_body_part(source: Dataset, target: Dataset) -> None:
    """Laterality is type 2C: it is for paired body parts, and must be absent for those that are not (C.7.3.1)."""
    body_part, laterality = text(source, "BodyPartExamined"), text(source, "Laterality")
    if body_part in UNPAIRED or laterality:
        target.BodyPartExamined = body_part
    if body_part not in UNPAIRED:
        target.Laterality = laterality


def _reference(sop_class_uid: str, sop_instance_uid: str, purpose: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
