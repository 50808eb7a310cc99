"""Small series made from nothing, as scanners of several makes would write them."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

ROOT = "1.2.826.0.1.3680043.8.498.7"
AXIAL = [1, 0, 0, 0, 1, 0]


def image(values: Any, number: int, **attributes: Any) -> Dataset:
    """A classic MR image. values: (Y, X) integers. attributes: by keyword; None leaves one out."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, f"{ROOT}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = f"{ROOT}.2", f"{ROOT}.3", f"{ROOT}.4"
    ds.Modality, ds.SeriesDescription, ds.InstanceNumber = "MR", "cine", number
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.ImageOrientationPatient, ds.PixelSpacing, ds.SliceThickness = AXIAL, [1.5, 1.5], 8
    _pixels(ds, values)
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def cine(values: Any, **attributes: Any) -> list[Dataset]:
    """(T, Z, Y, X) as single frames, slice by slice, each through the cycle; trigger times differ a little per slice."""
    times, slices = values.shape[:2]
    return [
        image(
            values[t, z],
            z * times + t + 1,
            **{
                "ImagePositionPatient": [-100, -100, 8 * z],
                "SliceLocation": 8 * z,
                "TriggerTime": round(t * (40 + 0.3 * z), 2),
                **attributes,
            },
        )
        for z in range(slices)
        for t in range(times)
    ]


def enhanced(values: Any, number: int, *, first_time: int = 1, **attributes: Any) -> Dataset:
    """One Enhanced MR object of (T, Z, Y, X), position by position in each time point."""
    times, slices = values.shape[:2]
    ds = image(values[0, 0], number, ImageOrientationPatient=None, PixelSpacing=None, SliceThickness=None)
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedMRImageStorage, times * slices
    ds.ContentTime = "101010"
    _pixels(ds, values.reshape(-1, *values.shape[2:]))
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = AXIAL
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.5], 8
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = []
    for t in range(times):
        for z in range(slices):
            content, position, frame = Dataset(), Dataset(), Dataset()
            content.TemporalPositionIndex = first_time + t
            position.ImagePositionPatient = [-100, -100, 8 * z]
            frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
            ds.PerFrameFunctionalGroupsSequence.append(frame)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def mosaic(volume: Any, number: int, *, blank: int = 0, csa: bool = False, **attributes: Any) -> Dataset:
    """A Siemens mosaic of (Z, Y, X). blank: what fills the unused tiles. csa: how it says its number of slices."""
    slices, y, x = volume.shape
    side = int(np.ceil(np.sqrt(slices)))
    tiles = np.full((side * side, y, x), blank, volume.dtype)
    tiles[:slices] = volume
    picture = tiles.reshape(side, side, y, x).swapaxes(1, 2).reshape(side * y, side * x)
    ds = image(picture, number, ImagePositionPatient=[0, 0, 0], AcquisitionNumber=number)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    if csa:
        text = str(slices).encode()
        tag = b"NumberOfImagesInMosaic".ljust(64, b"\0") + struct.pack("<i4sIII", 1, b"US", 12, 6, 77)
        item = struct.pack("<4I", len(text), len(text), 77, len(text)) + text.ljust((len(text) + 3) // 4 * 4, b"\0")
        block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", b"SV10\4\3\2\1" + struct.pack("<II", 1, 77) + tag + item)
    else:
        ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", slices)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def part10(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The bytes of a file. For big endian, Pixel Data is taken as little endian and turned."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    if syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    if syntax == ImplicitVRLittleEndian:
        ds["PixelData"].VR = "OW"
    out = io.BytesIO()
    dcmwrite(
        out,
        ds,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return out.getvalue()


def noise(shape: tuple[int, ...], dtype: str = "int16", seed: int = 1) -> Any:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _pixels(ds: Dataset, values: Any) -> None:
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = values.dtype.itemsize * 8
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(values.dtype.kind == "i")
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    ds.add_new("PixelData", "OW" if ds.BitsAllocated == 16 else "OB", data + b"\0" * (len(data) % 2))


@pytest.fixture
def series() -> Any:
    """The makers above, by name."""
    from types import SimpleNamespace

    return SimpleNamespace(
        image=image, cine=cine, enhanced=enhanced, mosaic=mosaic, part10=part10, noise=noise,
        syntaxes=(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    )  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write data sets as files a0000.dcm, a0001.dcm, …"""

    def writer(data_sets: Iterable[Dataset], syntax: str = ExplicitVRLittleEndian, prefix: str = "a") -> list[Path]:
        paths = []
        for count, ds in enumerate(data_sets):
            paths.append(tmp_path / f"{prefix}{count:04d}.dcm")
            paths[-1].write_bytes(part10(ds, syntax))
        return paths

    return writer
