"""Finding Pixel Data without decoding."""

from __future__ import annotations

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from hexdicom.dicom.pixels import find_pixel_data, locate_pixel_data, pixel_value
from hexdicom.errors import SeriesError

NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def with_icon(series, **icon):
    """An image with Pixel Data in a sequence before its own, nested and of undefined length."""
    ds = series.image(series.noise((4, 6)), 1, ImagePositionPatient=[0, 0, 0])
    inner = series.image(series.noise((2, 2), seed=9), 2)
    outer = Dataset()
    outer.IconImageSequence = [inner]
    ds.ReferencedImageSequence = [outer]
    ds.IconImageSequence = [inner]
    for undefined in (ds["ReferencedImageSequence"], outer["IconImageSequence"]):
        undefined.is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    return ds


@pytest.mark.parametrize("syntax", NATIVE)
def test_the_span_is_the_value(series, syntax, tmp_path):
    ds = with_icon(series)
    ds.DataSetTrailingPadding = b"\0" * 10
    data = series.part10(ds, syntax)
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    span = locate_pixel_data(data)
    assert locate_pixel_data(path) == span
    assert (span.native, span.big_endian, span.transfer_syntax_uid) == (True, syntax == ExplicitVRBigEndian, syntax)
    assert data[span.start : span.end] == pydicom.dcmread(path).PixelData == pixel_value(path, span)
    group = (0x7FE0).to_bytes(2, "big" if span.big_endian else "little")
    assert data[span.header : span.header + 2] == group
    assert data[span.data_set : span.data_set + 2] != b"\2\0"


def test_a_private_sequence_of_unknown_vr(series):
    """UN of undefined length is implicit little endian inside (PS3.5 6.2.2), whatever is around it."""
    ds = series.image(series.noise((2, 2)), 1)
    data = series.part10(ds)
    span = locate_pixel_data(data)
    implicit = b"\x10\0\0\x40\x08\0\0\0implicit"
    sequence = (
        b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff"
        + (b"\xfe\xff\0\xe0\xff\xff\xff\xff" + implicit + b"\xfe\xff\x0d\xe0\0\0\0\0")
        + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )
    changed = data[: span.header] + sequence + data[span.header :]
    assert locate_pixel_data(changed).start == span.start + len(sequence)


def test_compressed_pixels_are_a_span_of_items(series):
    ds = series.image(series.noise((4, 6)), 1)
    ds.file_meta = pydicom.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.compress(RLELossless, generate_instance_uid=False)
    data = series.part10(ds, RLELossless)
    span = locate_pixel_data(data)
    assert not span.native
    assert data[span.start : span.start + 4] == b"\xfe\xff\0\xe0"
    assert data[span.end - 8 : span.end] == b"\xfe\xff\xdd\xe0\0\0\0\0"


def test_a_deflated_file_has_no_span_but_a_value(series, tmp_path):
    ds = series.image(series.noise((4, 6)), 1)
    path = tmp_path / "a.dcm"
    path.write_bytes(series.part10(ds, DeflatedExplicitVRLittleEndian))
    span = locate_pixel_data(path)
    assert (span.start, span.length, span.native) == (0, 0, False)
    assert pixel_value(path, span) == ds.PixelData
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SeriesError, match="deflated"):
        pixel_value(path, span)


def test_without_pixel_data(series):
    ds = series.image(series.noise((4, 6)), 1)
    del ds.PixelData
    data = series.part10(ds)
    assert find_pixel_data(data) == (None, ExplicitVRLittleEndian)
    with pytest.raises(SeriesError, match="no Pixel Data"):
        locate_pixel_data(data)


@pytest.mark.parametrize("syntax", NATIVE)
def test_every_cut_is_an_error(series, syntax):
    data = series.part10(with_icon(series), syntax)
    end = locate_pixel_data(data).end
    for length in range(0, end, 3):
        with pytest.raises(SeriesError):
            locate_pixel_data(data[:length])


def test_nesting_without_end(series):
    data = series.part10(series.image(series.noise((2, 2)), 1))
    span = locate_pixel_data(data)
    deeper = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    with pytest.raises(SeriesError, match="nested"):
        locate_pixel_data(data[: span.header] + deeper * 100)


def test_another_transfer_syntax_than_announced(series):
    data = series.part10(series.image(series.noise((2, 2)), 1), ImplicitVRLittleEndian)
    changed = data.replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.9\0")
    with pytest.raises(SeriesError, match="transfer syntax"):
        locate_pixel_data(changed)
