from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, RLELossless

from hexdicom.dicom.pixels import read_meta
from hexdicom.dicom.received import data_set_sha256, identity, read_received
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from pathlib import Path


def pixels_of(values: Any, *, big: bool = False) -> bytes:
    data = values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()
    return bytes(data + b"\0" * (len(data) % 2))


@pytest.mark.parametrize("syntax", range(3))
@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_a_native_file_is_kept_byte_for_byte(series: Any, tmp_path: Path, syntax: int, dtype: str) -> None:
    values = series.noise((5, 3), dtype)
    file = series.part10(series.image(values, 1), series.syntaxes[syntax])
    path = tmp_path / "a.dcm"
    path.write_bytes(file)
    value = pixels_of(values, big=syntax == 2)
    found = read_received(path, value)
    assert found.header.file(value) == file
    assert found.sha256 == found.received_sha256 == hashlib.sha256(file[read_meta(file)[1] :]).hexdigest()
    assert found.recoded_from == ""
    assert (found.sop_class_uid, found.sop_instance_uid) == identity(file)
    assert data_set_sha256(file) == found.sha256


def test_pixels_that_differ_are_refused(series: Any, tmp_path: Path) -> None:
    values = series.noise((4, 4))
    path = tmp_path / "a.dcm"
    path.write_bytes(series.part10(series.image(values, 1)))
    with pytest.raises(SeriesError, match="does not give back the pixels"):
        read_received(path, pixels_of(values ^ 1))
    with pytest.raises(SeriesError, match="does not give back the pixels"):
        read_received(path, pixels_of(values) + b"\0\0")


@pytest.mark.parametrize(("syntax", "plugin"), [(RLELossless, "pydicom"), (JPEGLSLossless, "pyjpegls")])
@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
@pytest.mark.parametrize("extended", [False, True])
def test_a_compressed_file_becomes_native_with_the_same_attributes(
    series: Any, tmp_path: Path, syntax: str, plugin: str, dtype: str, extended: bool
) -> None:
    values = series.noise((25, 13), dtype) & 3
    ds = series.image(values, 1, PatientName="A^B")
    ds.private_block(0x0043, "SOMEBODY", create=True).add_new(0x29, "OB", b"\1\2\3\4")
    ds.add_new(0xFFFCFFFC, "OB", bytes(8))
    ds.file_meta = Dataset()
    path = tmp_path / "a.dcm"
    path.write_bytes(series.part10(ds))
    ds = dcmread(path)
    ds.compress(syntax, generate_instance_uid=False, encapsulate_ext=extended, encoding_plugin=plugin)
    ds.save_as(path, enforce_file_format=True)
    value = pixels_of(values)
    found = read_received(path, value)
    restored = tmp_path / "b.dcm"
    restored.write_bytes(found.header.file(value))
    one, other = dcmread(path), dcmread(restored)
    assert other.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (one.pixel_array == other.pixel_array).all()
    assert (other.pixel_array == values).all()
    for name in ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        one.pop(name, None)
    del other["PixelData"]
    assert Dataset(one) == Dataset(other)
    assert found.recoded_from == syntax
    assert found.sha256 == data_set_sha256(restored.read_bytes())
    assert found.received_sha256 == data_set_sha256(path.read_bytes()) != found.sha256
    length = other.file_meta.FileMetaInformationGroupLength
    assert restored.read_bytes()[144 + length :][:4] == b"\x08\0\x05\0" or read_meta(restored.read_bytes())[1] == 144 + length


def test_a_deflated_file_becomes_native(series: Any, tmp_path: Path) -> None:
    values = series.noise((4, 4))
    path = tmp_path / "a.dcm"
    path.write_bytes(series.part10(series.image(values, 1), series.syntaxes[3]))
    found = read_received(path, pixels_of(values))
    assert found.recoded_from == series.syntaxes[3]
    plain = series.part10(series.image(values, 1))
    assert found.header.file(pixels_of(values)) == plain


def test_what_is_not_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"nothing")
    with pytest.raises(SeriesError):
        read_received(tmp_path / "a", b"")
