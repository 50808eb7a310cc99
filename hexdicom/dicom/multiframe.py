"""Frames of Enhanced MR objects: functional groups, per frame or shared (PS3.3 C.7.6.16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from hexdicom.dicom.attributes import items, number, numbers, text, texts, value
from hexdicom.dicom.frame import Frame, component_of
from hexdicom.dicom.time_key import INSTANCE_NUMBER, TimeValue, time_values
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPATIAL = {0x00209056, 0x00209057, 0x00200032}  # StackID, InStackPositionNumber, ImagePositionPatient
_CONVERTED = "UnassignedPerFrameConvertedAttributesSequence"


def is_multi_frame(data_set: Dataset) -> bool:
    return value(data_set, "PerFrameFunctionalGroupsSequence") is not None


def frames_of(data_set: Dataset) -> tuple[Frame, ...]:
    """The frames of a multi-frame object in their order. Raises SeriesError."""
    shared = next(iter(items(data_set, "SharedFunctionalGroupsSequence")), Dataset())
    temporal = _temporal_dimensions(data_set)
    of_object = time_values(data_set, ("TriggerTime", "ContentTime", "AcquisitionNumber", INSTANCE_NUMBER))
    top_type = texts(data_set, "ImageType")[:4]
    return tuple(
        _frame(index, own, shared, temporal, of_object, top_type)
        for index, own in enumerate(items(data_set, "PerFrameFunctionalGroupsSequence"))
    )


def _frame(
    index: int,
    own: Dataset,
    shared: Dataset,
    temporal: Sequence[int],
    of_object: tuple[TimeValue, ...],
    top_type: tuple[str, ...],
) -> Frame:
    def macro(keyword: str) -> Dataset:
        """The item of a functional group: of the frame, else of all frames."""
        return next(iter(items(own, keyword) or items(shared, keyword)), Dataset())

    content, kind, measures = (
        macro("FrameContentSequence"),
        macro("MRImageFrameTypeSequence"),
        macro("PixelMeasuresSequence"),
    )
    transformation, converted = macro("PixelValueTransformationSequence"), macro(_CONVERTED)
    image_type = texts(kind, "FrameType")[:4] or top_type
    times = (
        *time_values(converted, ("TriggerTime", "TemporalPositionIdentifier", "AcquisitionTime")),
        *time_values(content, ("TemporalPositionIndex", "FrameAcquisitionDateTime", "FrameAcquisitionNumber")),
        *time_values(macro("CardiacSynchronizationSequence"), ("NominalCardiacTriggerDelayTime",)),
        *_dimension(content, temporal),
        *(_numbered(found, index) if found.keyword == INSTANCE_NUMBER else found for found in of_object),
    )
    if not any(found.keyword == INSTANCE_NUMBER for found in times):
        times = (*times, TimeValue(INSTANCE_NUMBER, f"frame {index + 1}", (0.0, float(index))))
    return Frame(
        position=numbers(macro("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=numbers(macro("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        location=number(converted, "SliceLocation"),
        image_type=image_type,
        component=component_of(text(kind, "ComplexImageComponent"), image_type),
        echo=text(macro("MREchoSequence"), "EffectiveEchoTime"),
        spacing=numbers(measures, "PixelSpacing", 2),
        thickness=number(measures, "SpacingBetweenSlices") or number(measures, "SliceThickness"),
        rescale=f"{text(transformation, 'RescaleSlope')}/{text(transformation, 'RescaleIntercept')}",
        times=times,
    )


def _numbered(of_object: TimeValue, index: int) -> TimeValue:
    """InstanceNumber of the object, then the frame in it."""
    return TimeValue(INSTANCE_NUMBER, f"{of_object.text} frame {index + 1}", (*of_object.order, float(index)))


def _temporal_dimensions(data_set: Dataset) -> list[int]:
    """Which of DimensionIndexValues do not count positions."""
    pointers: list[Any] = [value(item, "DimensionIndexPointer") for item in items(data_set, "DimensionIndexSequence")]
    return [place for place, pointer in enumerate(pointers) if pointer not in _SPATIAL]


def _dimension(content: Dataset, temporal: Sequence[int]) -> tuple[TimeValue, ...]:
    shown = texts(content, "DimensionIndexValues")
    if not shown or not temporal or max(temporal) >= len(shown):
        return ()
    chosen = [shown[place] for place in temporal]
    try:
        order = tuple(float(index) for index in chosen)
    except ValueError as error:
        raise SeriesError("DimensionIndexValues are not numbers.") from error
    return (TimeValue("DimensionIndexValues", "\\".join(chosen), order),)
