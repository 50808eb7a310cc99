"""Volumes from files of every transfer syntax, and back; what is refused before it is archived."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from hexdicom.dicom.assemble import assemble, disassemble, geometry_of
from hexdicom.dicom.pixels import locate_pixel_data, pixel_value
from hexdicom.dicom.series import plan_files
from hexdicom.errors import SeriesError, VolumeError


def one_group(paths):
    assembly = plan_files(paths)
    assert not assembly.passed_through, assembly.passed_through
    (group,) = assembly.groups
    return group


def refusal(paths):
    (reason,) = {passed.reason for passed in plan_files(paths).passed_through}
    return reason


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("syntax", range(4), ids=["explicit", "implicit", "big", "deflated"])
@pytest.mark.parametrize("sides", [(4, 6), (3, 5)], ids=["even", "odd"])
def test_there_and_back(series, write, dtype, syntax, sides):
    values = series.noise((3, 2, *sides), dtype)
    paths = write(series.cine(values), series.syntaxes[syntax])
    group = one_group(paths)
    volume = assemble(group)
    assert volume.values.dtype == dtype
    assert volume.values.dtype.isnative
    assert volume.spacing == (8.0, 1.5, 1.5)
    np.testing.assert_array_equal(volume.values, values)
    back = disassemble(geometry_of(group), volume.values)
    assert back == [pixel_value(path, locate_pixel_data(path)) for path in group.sources]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("layout", ["single-frame", "multi-frame"])
def test_compressed_sources(series, write, syntax, layout):
    values = series.noise((3, 2, 8, 6), "uint16")
    data_sets = series.cine(values) if layout == "single-frame" else [series.enhanced(values, 1)]
    native = [ds.PixelData for ds in data_sets]
    for ds in data_sets:
        ds.file_meta = pydicom.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(syntax, generate_instance_uid=False)
    paths = write(data_sets, syntax)
    group = one_group(paths)
    volume = assemble(group)
    np.testing.assert_array_equal(volume.values, values)
    assert "Compressed source" in group.notes[0]
    back = disassemble(geometry_of(group), volume.values)
    assert dict(zip(group.sources, back, strict=True)) == dict(zip(paths, native, strict=True))


def test_unused_high_bits_are_kept(series, write):
    values = series.noise((3, 2, 4, 4), "uint16")
    data_sets = series.cine(values)
    for ds in data_sets:
        ds.BitsStored, ds.HighBit = 12, 11
    group = one_group(write(data_sets))
    np.testing.assert_array_equal(assemble(group).values, values)


def test_compressed_pixels_that_are_damaged(series, write):
    data_sets = series.cine(series.noise((2, 1, 8, 6), "uint16"))
    for ds in data_sets:
        ds.file_meta = pydicom.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
        ds.PixelData = ds.PixelData[:24] + b"\0" * (len(ds.PixelData) - 32) + ds.PixelData[-8:]
    group = one_group(write(data_sets, JPEGLSLossless))
    with pytest.raises(SeriesError, match=r"compressed pixels of a0000\.dcm"):
        assemble(group)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "grey"),
        ({"BitsAllocated": 32}, "32 bits"),
        ({"BitsAllocated": 12}, "12 bits"),
        ({"PixelRepresentation": 2}, "bits"),
        ({"Modality": "CT"}, "not MR but CT"),
        ({"Rows": 5}, "should have"),
        ({"Rows": 0}, "no rows"),
        ({"OverlayRows": 4}, "overlay"),
        ({"ImagePositionPatient": [1, 2]}, "3 finite numbers"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1]}, "6 finite numbers"),
        ({"SeriesInstanceUID": ""}, "UID"),
    ],
    ids=lambda value: next(iter(value)) + str(*value.values()) if isinstance(value, dict) else "",
)
@pytest.mark.filterwarnings("ignore")
def test_refused_with_the_reason(series, write, change, reason):
    data_sets = series.cine(series.noise((2, 2, 4, 4)))
    for ds in data_sets:
        for keyword, value in change.items():
            if keyword == "OverlayRows":
                ds.add_new((0x6000, 0x0010), "US", value)
            else:
                setattr(ds, keyword, value)
    assert reason in refusal(write(data_sets))


def test_an_overlay_of_its_own_is_no_reason(series, write):
    data_sets = series.cine(series.noise((2, 2, 4, 4)))
    for ds in data_sets:
        ds.add_new((0x6000, 0x0010), "US", 4)
        ds.add_new((0x6000, 0x3000), "OW", b"\0\0")
    one_group(write(data_sets))


def test_float_pixels(series, write):
    data_sets = series.cine(series.noise((2, 2, 4, 4)))
    for ds in data_sets:
        del ds.PixelData
        ds.FloatPixelData = np.zeros((4, 4), "float32").tobytes()
    assert "no integer Pixel Data" in refusal(write(data_sets))


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.81", "1.2.3.4"])
def test_sources_with_loss_are_passed_through(series, write, uid):
    data_sets = series.cine(series.noise((2, 1, 8, 6), "uint16"))
    for ds in data_sets:
        ds.file_meta = pydicom.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    paths = write(data_sets, JPEGLSLossless)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.80", uid.ljust(22, "\0").encode()))
    assert "compressed with loss" in refusal(paths)


def test_eight_bits_in_big_endian_words(series, write):
    data_sets = series.cine(series.noise((2, 1, 4, 4), "uint8"))
    for ds in data_sets:
        ds["PixelData"].VR = "OW"
    assert "big-endian words" in refusal(write(data_sets, series.syntaxes[2]))


def test_padding_that_is_not_zero_would_be_lost(series, write):
    paths = write(series.cine(series.noise((2, 1, 3, 3), "uint8")))
    span = locate_pixel_data(paths[1])
    assert span.length == 10
    data = bytearray(paths[1].read_bytes())
    data[span.end - 1] = 7
    paths[1].write_bytes(bytes(data))
    with pytest.raises(SeriesError, match="padding"):
        assemble(one_group(paths))


def test_files_that_change_after_planning(series, write):
    paths = write(series.cine(series.noise((2, 1, 4, 4))))
    group = one_group(paths)
    paths[1].write_bytes(series.part10(series.cine(series.noise((2, 1, 6, 4)))[1]))
    with pytest.raises(SeriesError, match="changed"):
        assemble(group)


def test_values_of_another_shape_do_not_disassemble(series, write):
    group = one_group(write(series.cine(series.noise((2, 1, 4, 4)))))
    with pytest.raises(VolumeError, match="do not fit"):
        disassemble(geometry_of(group), np.zeros((2, 1, 4, 5), "int16"))
