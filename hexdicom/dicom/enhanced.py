"""One Legacy Converted Enhanced MR object instead of single frames (PS3.3 A.71), made by highdicom.

highdicom moves what has a place in the enhanced modules there, and the rest, private attributes included, into the
Unassigned Shared and Per-Frame Converted Attributes Sequences; each frame names the instance it came from. Frames stay in
the order of the archive, time by time and slice by slice, so no dimension index is asked for: highdicom's own would sort by
place alone. What it cannot know stays open: the series of images that a source refers to, so that Referenced Image
Evidence Sequence is missing where sources have Referenced Image Sequence.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pydicom import Dataset, dcmread

from hexdicom.dicom.attributes import UNREADABLE, text, value
from hexdicom.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    LEGACY_CONVERTED_ENHANCED_MR_STORAGE,
    MR_STORAGE,
    enhanced_instance_uid,
    enhanced_series_uid,
)
from hexdicom.dicom.wrapper import code, described, evidence, file_meta, own_equipment, quiet, series_number, written
from hexdicom.errors import ArchiveError, SeriesError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hexdicom.dicom.geometry import Geometry
    from hexdicom.dicom.restore import Restored


def enhanced(
    instances: Sequence[Restored], geometry: Geometry, source_series_uid: str, archive_uid: str, now: datetime
) -> tuple[str, bytes]:
    """(SOP Instance UID, Part 10 file) of one multi-frame object with the frames of `instances` in their order.

    Raises SeriesError where they are not classic single-frame MR, or highdicom refuses them.
    """
    if geometry.tiles != (1, 1):
        raise SeriesError(
            "The archive holds mosaics: their tiles have no positions of their own, which every enhanced frame needs.",
            hint="Restore them as they are, with --as original.",
        )
    others = {one.sop_class_uid for one in instances} - {MR_STORAGE}
    if others:
        raise SeriesError(
            f"Only MR Image Storage instances become an enhanced object; the archive holds {', '.join(sorted(others))}.",
            hint="Enhanced sources are multi-frame already: restore them as they are, with --as original.",
        )
    with quiet():
        try:
            frames = [dcmread(io.BytesIO(one.data)) for one in instances]
            first = frames[0]
            for frame in frames:
                if "PatientSex" in frame and text(frame, "PatientSex") not in ("M", "F", "O", ""):
                    frame.PatientSex = ""  # highdicom refuses what the standard does not list
            ds = _converted(frames, enhanced_instance_uid(archive_uid))
        except UNREADABLE as error:
            raise SeriesError(f"highdicom cannot convert the instances: {error}") from error
        ds.file_meta = file_meta(LEGACY_CONVERTED_ENHANCED_MR_STORAGE, ds.SOPInstanceUID)
        ds.InstanceCreationDate, ds.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
        ds.SeriesDescription = described("Enhanced", first)
        if not text(first, "BodyPartExamined") and "Laterality" not in ds:  # type 2C (C.7.3.1): highdicom leaves it out
            ds.Laterality = text(first, "Laterality")
        if any(one.state == "derived" for one in instances):
            sources = [(one.sop_class_uid, one.source_sop_instance_uid) for one in instances]
            ds.SourceImageEvidenceSequence = [evidence(text(first, "StudyInstanceUID"), source_series_uid, sources)]
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if text(first, "LossyImageCompression") == "01" and keyword in first:  # once lossy, always lossy
                ds[keyword] = first[keyword]
        purpose = code("109106", "Enhanced Multi-frame Conversion Equipment")
        equipment = own_equipment(now.strftime("%Y%m%d%H%M%S"), purpose, "Conversion to Legacy Converted Enhanced MR")
        ds.ContributingEquipmentSequence = [*(value(ds, "ContributingEquipmentSequence") or ()), equipment]
        data = written(ds)
    if len(ds.PerFrameFunctionalGroupsSequence) != len(instances):
        raise ArchiveError("The enhanced object does not hold every frame.")
    return str(ds.SOPInstanceUID), data


def _converted(frames: Sequence[Dataset], sop_instance_uid: str) -> Dataset:
    from highdicom.legacy import LegacyConvertedEnhancedMRImage  # 0.9 s: only for those who ask for it

    return LegacyConvertedEnhancedMRImage(
        frames,
        series_instance_uid=enhanced_series_uid(text(frames[0], "SeriesInstanceUID")),
        series_number=series_number(frames[0]),
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
        include_dimension_index=False,
    )
