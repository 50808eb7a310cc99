"""What assembly needs to know of one received file, read from its header; pixels stay on disk."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from hexdicom.dicom import attributes
from hexdicom.dicom.attributes import number, numbers, private_value, text, texts, whole
from hexdicom.dicom.frame import Frame, component_of
from hexdicom.dicom.mosaic import grid, images_in_mosaic
from hexdicom.dicom.multiframe import frames_of, is_multi_frame
from hexdicom.dicom.pixels import DEFLATED_LITTLE, PixelSpan, find_pixel_data, inflated
from hexdicom.dicom.time_key import time_values
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from pathlib import Path

    from hexdicom.dicom.plan import Layout

LOSSLESS = frozenset(
    {
        "1.2.840.10008.1.2.5",  # RLE
        "1.2.840.10008.1.2.4.57",  # JPEG lossless, process 14
        "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
        "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
        "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
        "1.2.840.10008.1.2.4.202",  # HTJ2K lossless, RPCL
    }
)
_DIRECTORY = "1.2.840.10008.1.3.10"
_GE_COMPONENTS = ("magnitude", "phase", "real", "imaginary")
_LARGEST_RATIO = 1024  # decoded to compressed size: beyond it a header is hostile, not a picture
_LARGEST_FREE = 1 << 26  # bytes that any header may ask for


@dataclass(frozen=True, slots=True)
class Instance:
    """One file: identity, value type, geometry and time of its frames.

    refusal: why it cannot be part of a 4-D group; then `frames` is empty and the rest may be.
    rows, columns: of the picture as stored; tiles: its division where it is a mosaic of `images` slices, else (1, 1).
    announced_times: time points as the header has it, or 0.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    series_description: str = ""
    modality: str = ""
    transfer_syntax_uid: str = ""
    refusal: str = ""
    layout: Layout = "single-frame"
    rows: int = 0
    columns: int = 0
    dtype: str = ""
    images: int = 1
    tiles: tuple[int, int] = (1, 1)
    announced_times: int = 0
    frames: tuple[Frame, ...] = ()


def read_header(path: Path) -> Instance:
    """Read one file. An image that cannot be part of a 4-D group comes back with `refusal`.

    Raises SeriesError for what is not DICOM or is damaged; OSError of the file passes.
    """
    span, syntax = find_pixel_data(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are merely out of the ordinary
        data_set = _read(path, syntax)
        instance = _identity(path, data_set, syntax)
        if instance.refusal:
            return instance
        if span is None:
            return replace(instance, refusal=f"There is no integer Pixel Data in it ({_name(instance.sop_class_uid)}).")
        try:
            return _image(instance, data_set, span)
        except SeriesError as error:
            return replace(instance, refusal=str(error))


def _read(path: Path, syntax: str) -> Dataset:
    try:
        if syntax == DEFLATED_LITTLE:
            return read_dataset(io.BytesIO(inflated(path)), False, True, stop_when=lambda tag, vr, length: tag >= 0x7FE00000)
        return dcmread(path, stop_before_pixels=True)
    except attributes.UNREADABLE as error:
        raise SeriesError("The header cannot be read.") from error


def _identity(path: Path, data_set: Dataset, syntax: str) -> Instance:
    meta = getattr(data_set, "file_meta", Dataset())
    instance = Instance(
        path=path,
        sop_class_uid=text(data_set, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=text(data_set, "SOPInstanceUID") or text(meta, "MediaStorageSOPInstanceUID"),
        study_instance_uid=text(data_set, "StudyInstanceUID"),
        series_instance_uid=text(data_set, "SeriesInstanceUID"),
        series_description=text(data_set, "SeriesDescription"),
        modality=text(data_set, "Modality"),
        transfer_syntax_uid=syntax,
    )
    if instance.sop_class_uid == _DIRECTORY:
        return replace(instance, refusal="This is a DICOMDIR: a list of files, not an image.")
    if not (instance.sop_instance_uid and instance.series_instance_uid and instance.sop_class_uid):
        return replace(instance, refusal="It lacks a SOP Class, SOP Instance or Series Instance UID.")
    return instance


def _image(instance: Instance, data_set: Dataset, span: PixelSpan) -> Instance:
    """Add what the pixels are. Raises SeriesError with the refusal."""
    if instance.modality != "MR":
        raise SeriesError(f"It is not MR but {instance.modality or 'of unknown modality'}.")
    dtype = _dtype(data_set)
    _check_syntax(span)
    if span.big_endian and span.vr == "OW" and dtype.endswith("int8"):
        raise SeriesError("Its 8-bit pixels are stored in big-endian words.")
    rows, columns = whole(data_set, "Rows", 0), whole(data_set, "Columns", 0)
    if rows < 1 or columns < 1:
        raise SeriesError("It has no rows or no columns.")
    image_type = texts(data_set, "ImageType")
    images, tiles = images_in_mosaic(data_set, image_type), (1, 1)
    layout: Layout = "single-frame"
    if is_multi_frame(data_set):
        layout, images, frames = "multi-frame", 0, frames_of(data_set)
    else:
        frames = (_single_frame(data_set, image_type),)
        if images:
            layout, tiles = "mosaic", grid(images, rows, columns)
    if len(frames) != whole(data_set, "NumberOfFrames", 1):
        raise SeriesError("The number of its frames differs from the number of positions that it gives.")
    if layout != "mosaic" and not all(frame.placed or frame.location is not None for frame in frames):
        raise SeriesError("It does not say where it lies: no position and orientation, and no slice location.")
    _check_size(instance.path, span, len(frames) * rows * columns * (1 if dtype.endswith("int8") else 2))
    return replace(
        instance,
        layout=layout,
        rows=rows,
        columns=columns,
        dtype=dtype,
        images=images or 1,
        tiles=tiles,
        announced_times=whole(data_set, "NumberOfTemporalPositions", 0) or whole(data_set, "CardiacNumberOfImages", 0),
        frames=frames,
    )


def _dtype(data_set: Dataset) -> str:
    """The type of stored values, all allocated bits. Raises SeriesError where they are not plain grey integers."""
    if whole(data_set, "SamplesPerPixel", 1) != 1:
        raise SeriesError("It is a colour image.")
    photometric = text(data_set, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise SeriesError(f"Its values are not grey levels but {photometric or 'not explained'}.")
    bits, signed = whole(data_set, "BitsAllocated", 0), whole(data_set, "PixelRepresentation", 0)
    if bits not in (8, 16) or signed not in (0, 1):
        raise SeriesError(f"Its values have {bits} bits; only 8 and 16 are coded.")
    for group in range(0x6000, 0x601F, 2):
        if (group, 0x0010) in data_set and (group, 0x3000) not in data_set:
            raise SeriesError("An overlay is stored in the upper bits of its pixels.")
    return f"{'' if signed else 'u'}int{bits}"


def _check_syntax(span: PixelSpan) -> None:
    """Raises SeriesError for pixels that no decoder here gives back exactly.

    A lossily compressed source is not archived: its own stream is smaller than its decoded pixels coded without loss.
    """
    uid = UID(span.transfer_syntax_uid)
    if span.native or uid == DEFLATED_LITTLE:
        return
    if uid not in LOSSLESS:
        raise SeriesError(f"Its pixels are compressed with loss, or in a way that is not known here ({_name(uid)}).")
    from pydicom.pixels.decoders.base import get_decoder  # loads codecs: only for those who need one

    if not get_decoder(uid).is_available:
        raise SeriesError(f"There is no decoder for {_name(uid)} on this machine.")


def _check_size(path: Path, span: PixelSpan, expected: int) -> None:
    if span.native and span.length not in (expected, expected + expected % 2):
        raise SeriesError(f"Its Pixel Data has {span.length} bytes and should have {expected}.")
    if not span.native and expected > max(_LARGEST_FREE, _LARGEST_RATIO * path.stat().st_size):
        raise SeriesError(f"It announces {expected} bytes of pixels, too many for its size.")


def _single_frame(data_set: Dataset, image_type: tuple[str, ...]) -> Frame:
    vendor = private_value(data_set, 0x0043, "GEMS_PARM_01", 0x2F)  # on GE, ImageType does not tell the component
    explicit = text(data_set, "ComplexImageComponent")
    if not explicit and isinstance(vendor, int) and 0 <= vendor < len(_GE_COMPONENTS):
        explicit = _GE_COMPONENTS[vendor].upper()
    return Frame(
        position=numbers(data_set, "ImagePositionPatient", 3),
        orientation=numbers(data_set, "ImageOrientationPatient", 6),
        location=number(data_set, "SliceLocation"),
        image_type=image_type[:4],
        component=component_of(explicit, image_type),
        echo=f"{text(data_set, 'EchoNumbers')}/{text(data_set, 'EchoTime')}",
        spacing=numbers(data_set, "PixelSpacing", 2),
        thickness=number(data_set, "SpacingBetweenSlices") or number(data_set, "SliceThickness"),
        rescale=f"{text(data_set, 'RescaleSlope')}/{text(data_set, 'RescaleIntercept')}",
        times=time_values(data_set),
    )


def _name(uid: str) -> str:
    return UID(uid).name if uid else "unknown"
