"""What an image becomes when its pixels came back with loss: a new, marked, derived instance (PS3.3 C.7.6.1.1, C.12.1).

Geometry, rescale, bits and padding attributes stay as they are. Everything that is added follows from the archive alone, so
restoring twice gives the same instances.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydicom import Dataset, dcmread

from hexdicom import __version__
from hexdicom.dicom.attributes import UNREADABLE, text, texts, whole
from hexdicom.dicom.modules import MR_PULSE_SEQUENCE
from hexdicom.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    derived_instance_uid,
    derived_series_uid,
)
from hexdicom.dicom.wrapper import code, described, evidence, file_meta, own_equipment, quiet, series_number, written
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD: Final = "HEXCINE_1"
"""Lossy Image Compression Method: our own defined term, stated in docs/conformance.md."""

_SHORT_TEXT: Final = 1024
_WORDS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


@dataclass(frozen=True, slots=True)
class Loss:
    """How the pixels of an archive were coded. created: YYYYMMDDhhmmss of the archive, or "".

    ratio: bytes of pixels over bytes of payload. smallest, largest: of all values that come back.
    """

    archive_uid: str
    created: str
    kind: str
    ratio: float
    max_error: int
    psnr_db: float | None
    smallest: int
    largest: int

    @property
    def description(self) -> str:
        bound = f", every stored value within {self.max_error}" if self.kind == "near-lossless" else ""
        quality = f", PSNR {self.psnr_db:.1f} dB" if self.psnr_db is not None else ""
        return f"Lossy compression {self.ratio:.4g}:1 by hexdicom {__version__} ({METHOD}{bound}{quality})"


def derive(source: bytes, loss: Loss) -> bytes:
    """The derived instance of a source whose Pixel Data are those that came back with loss; both Part 10 files.

    Raises ArchiveError where the header cannot be changed.
    """
    with quiet():
        try:
            ds = dcmread(io.BytesIO(source))
            syntax = str(ds.file_meta.TransferSyntaxUID)
        except UNREADABLE as error:
            raise ArchiveError("A header in the archive cannot be read.") from error
        values = _pixels(ds, big=syntax == EXPLICIT_VR_BIG_ENDIAN)
        if syntax == EXPLICIT_VR_BIG_ENDIAN:  # retired: nothing new is written in it
            syntax = EXPLICIT_VR_LITTLE_ENDIAN
            _turn(ds)
        _mark(ds, loss, values)
        ds.file_meta = file_meta(text(ds, "SOPClassUID"), text(ds, "SOPInstanceUID"), syntax)
        out = Dataset()
        out.update(ds)
        out.preamble, out.file_meta = b"\0" * 128, ds.file_meta
        return written(out)


def _mark(ds: Dataset, loss: Loss, values: NDArray[Any]) -> None:
    multi_frame = "PerFrameFunctionalGroupsSequence" in ds
    source = Dataset()
    source.ReferencedSOPClassUID = text(ds, "SOPClassUID")
    source.ReferencedSOPInstanceUID = text(ds, "SOPInstanceUID")
    source.PurposeOfReferenceCodeSequence = [code("121320", "Uncompressed predecessor")]
    if multi_frame:
        _mark_frames(ds, source)
    else:
        ds.SourceImageSequence = [*ds.get("SourceImageSequence", ()), source]
        ds.DerivationCodeSequence = [*ds.get("DerivationCodeSequence", ()), code("113040", "Lossy Compression")]
    ds.DerivationDescription = "; ".join(filter(None, (text(ds, "DerivationDescription"), loss.description)))[:_SHORT_TEXT]
    ds.ImageType = _derived_type(ds, "ImageType")
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = [*texts(ds, "LossyImageCompressionRatio"), f"{loss.ratio:.6g}"]
    ds.LossyImageCompressionMethod = [*texts(ds, "LossyImageCompressionMethod"), METHOD]
    _renew_extremes(ds, loss, values)
    equipment = own_equipment(loss.created, code("109103", "Modifying Equipment"), "Lossy compression and restoration")
    ds.ContributingEquipmentSequence = [*ds.get("ContributingEquipmentSequence", ()), equipment]
    series = text(ds, "SeriesInstanceUID")
    ds.SOPInstanceUID = derived_instance_uid(source.ReferencedSOPInstanceUID, loss.archive_uid)
    ds.SeriesInstanceUID = derived_series_uid(series, loss.archive_uid)
    ds.SeriesDescription = described("Lossy", ds)
    ds.SeriesNumber = series_number(ds)


def _mark_frames(ds: Dataset, source: Dataset) -> None:
    """Enhanced objects say it per frame (PS3.3 C.7.6.16.2.6, C.8.13.5.1), and list the evidence once (C.8.13.1)."""
    derivation = Dataset()
    derivation.DerivationCodeSequence = [code("113040", "Lossy Compression")]
    derivation.SourceImageSequence = [source]
    groups = [*ds.get("SharedFunctionalGroupsSequence", ()), *ds.PerFrameFunctionalGroupsSequence]
    for group in groups:
        for name in ("MRImageFrameTypeSequence", "MRSpectroscopyFrameTypeSequence"):
            for item in group.get(name, ()):
                item.FrameType = _derived_type(item, "FrameType")
    for keyword in MR_PULSE_SEQUENCE:
        ds.pop(keyword, None)
    shared = ds.get("SharedFunctionalGroupsSequence") or [Dataset()]
    if any("DerivationImageSequence" in frame for frame in ds.PerFrameFunctionalGroupsSequence):
        for frame in ds.PerFrameFunctionalGroupsSequence:
            frame.DerivationImageSequence = [*frame.get("DerivationImageSequence", ()), derivation]
    else:
        shared[0].DerivationImageSequence = [*shared[0].get("DerivationImageSequence", ()), derivation]
        ds.SharedFunctionalGroupsSequence = shared
    reference = (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID)
    study = evidence(text(ds, "StudyInstanceUID"), text(ds, "SeriesInstanceUID"), [reference])
    ds.SourceImageEvidenceSequence = [*ds.get("SourceImageEvidenceSequence", ()), study]


def _derived_type(ds: Dataset, keyword: str) -> list[str]:
    return ["DERIVED", *(texts(ds, keyword)[1:] or ("PRIMARY",))]


def _pixels(ds: Dataset, *, big: bool) -> NDArray[Any]:
    """The stored values, flat, in the byte order of the file."""
    size = whole(ds, "BitsAllocated", 16) // 8
    kind = "i" if whole(ds, "PixelRepresentation", 0) else "u"
    count = whole(ds, "Rows", 0) * whole(ds, "Columns", 0) * whole(ds, "NumberOfFrames", 1)
    data = ds.PixelData
    if count * size > len(data):
        raise ArchiveError("A header in the archive does not fit its pixels.")
    return np.frombuffer(data, f"{'>' if big else '<'}{kind}{size}", count)


def _turn(ds: Dataset) -> None:
    """From big to little endian; pydicom turns numbers as soon as it decodes an element, but no words in byte strings."""
    for element in ds.iterall():
        size = _WORDS.get(element.VR, 1)
        if size > 1 and element.value and len(element.value) % size == 0:
            element.value = np.frombuffer(element.value, f">u{size}").astype(f"<u{size}").tobytes()


def _renew_extremes(ds: Dataset, loss: Loss, values: NDArray[Any]) -> None:
    """Smallest and largest values are those that are there now; nothing is added where nothing was."""
    vr = "SS" if whole(ds, "PixelRepresentation", 0) else "US"
    for keyword, value in (
        ("SmallestImagePixelValue", int(values.min())),
        ("LargestImagePixelValue", int(values.max())),
        ("SmallestPixelValueInSeries", loss.smallest),
        ("LargestPixelValueInSeries", loss.largest),
    ):
        if keyword in ds:
            ds[keyword].VR = vr
            ds[keyword].value = value
