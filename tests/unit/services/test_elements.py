"""The UIDs of encoded data sets: right in every encoding, and harmless for any bytes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from hexdicom_services.elements import Identity, identify, what_is_missing

IMPLICIT, EXPLICIT, BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
EXPECTED = Identity("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4", "1.2.3", "1.2.3.5")


def a_data_set() -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = (
        EXPECTED.sop_class_uid,
        EXPECTED.sop_instance_uid,
        EXPECTED.study_instance_uid,
        EXPECTED.series_instance_uid,
    )
    item, inner = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "9.9"
    inner.StudyInstanceUID = "8.8"  # not that of the instance
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    for undefined in (True, False):
        sequence = Sequence([item, Dataset()])
        ds.add_new(0x00081140 if undefined else 0x00081115, "SQ", sequence)
        ds[0x00081140 if undefined else 0x00081115].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = True
    ds.add_new(0x00190010, "LO", "PRIVATE")
    ds.add_new(0x00191001, "OB", b"x" * 5000)
    ds.PatientName = "Nobody"
    ds.Rows = 4
    return ds


def encode(ds: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(buffer, ds)
    if syntax != DEFLATED:
        return buffer.getvalue()
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(buffer.getvalue()) + packer.flush()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.4.90"])
def test_every_encoding_is_read(syntax: str) -> None:
    assert identify(encode(a_data_set(), syntax), syntax) == EXPECTED


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
def test_a_data_set_that_was_cut_gives_what_is_there(syntax: str) -> None:
    data = encode(a_data_set(), syntax)
    for end in range(0, len(data), 37):
        found = identify(data[:end], syntax)
        assert found.series_instance_uid in ("", EXPECTED.series_instance_uid)


@given(st.binary(max_size=400), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.3"]))
def test_no_bytes_do_harm(data: bytes, syntax: str) -> None:
    identify(data, syntax)


def test_nesting_is_bounded() -> None:
    head = bytes.fromhex("0800401153510000ffffffff")
    item = bytes.fromhex("feff00e0ffffffff")
    assert identify((head + item) * 5000, EXPLICIT) == Identity()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.4.90"])
def test_what_is_cut_off_is_noticed_and_what_is_whole_is_not_doubted(syntax: str) -> None:
    ds = a_data_set()
    ds.add_new(0x7FE00010, "OB", b"x" * 1000)
    data = encode(ds, syntax)
    assert not what_is_missing(data, syntax)
    assert what_is_missing(b"", syntax) == "it is empty"
    for length in (1, 5, len(data) // 2, len(data) - 9, len(data) - 1):
        assert what_is_missing(data[:length], syntax) == "it is cut off"
    if syntax != DEFLATED:
        assert not what_is_missing(data + b"\0", syntax)  # padding after the last element


def test_encapsulated_pixels_are_followed_to_their_end() -> None:
    ds = a_data_set()
    ds.PixelData = encapsulate([b"frame" * 100, b"frames" * 50])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    data = encode(ds, "1.2.840.10008.1.2.4.90")
    assert not what_is_missing(data, "1.2.840.10008.1.2.4.90")
    for cut in (1, 4, 8, 9, 200, 400):
        assert what_is_missing(data[:-cut], "1.2.840.10008.1.2.4.90") == "it is cut off"


@given(st.binary(min_size=1, max_size=200), st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]))
def test_any_bytes_are_judged_without_an_error(data: bytes, syntax: str) -> None:
    assert what_is_missing(data, syntax) in ("", "it is cut off")
