from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from hexdicom.dicom.derived import METHOD, Loss, derive
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

LOSS = Loss("1.2.9", "20260102030405", "lossy", 125.25, 0, 44.44, -5, 777)


def derived(file: bytes, loss: Loss = LOSS) -> FileDataset:
    return dcmread(io.BytesIO(derive(file, loss)))


def test_a_derived_image_never_pretends(series: Any) -> None:
    values = series.noise((6, 4))
    ds = series.image(
        values, 1, RescaleSlope="2.5", RescaleIntercept="-7", PixelPaddingValue=-3, ImagePositionPatient=[1, 2, 3],
        SeriesNumber=4, DerivationDescription="before", PatientName="A^B", BitsStored=16,
    )  # fmt: skip
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue, ds.LargestPixelValueInSeries = 0, 1, 2
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "LargestPixelValueInSeries", "PixelPaddingValue"):
        ds[keyword].VR = "SS"
    file = series.part10(ds)
    new, old = derived(file), dcmread(io.BytesIO(file))
    assert len({new.SOPInstanceUID, old.SOPInstanceUID, new.SeriesInstanceUID, old.SeriesInstanceUID}) == 4
    assert all(UID(uid).is_valid for uid in (new.SOPInstanceUID, new.SeriesInstanceUID))
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
    assert new.StudyInstanceUID == old.StudyInstanceUID
    assert new.ImageType == ["DERIVED", "PRIMARY", "M", "ND"]
    assert (new.LossyImageCompression, float(new.LossyImageCompressionRatio)) == ("01", 125.25)
    assert new.LossyImageCompressionMethod == METHOD
    assert new.DerivationDescription.startswith("before; Lossy compression 125.2:1 by hexdicom")
    assert "44.4 dB" in new.DerivationDescription
    assert new.DerivationCodeSequence[0].CodeValue == "113040"
    source = new.SourceImageSequence[0]
    assert (source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID) == (old.SOPClassUID, old.SOPInstanceUID)
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert new.ContributingEquipmentSequence[-1].ContributionDateTime == "20260102030405"
    assert new.SmallestImagePixelValue == values.min()
    assert new.LargestImagePixelValue == values.max()
    assert new.LargestPixelValueInSeries == 777
    assert "SmallestPixelValueInSeries" not in new
    for keyword in (
        "RescaleSlope",
        "RescaleIntercept",
        "PixelPaddingValue",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "Rows",
        "Columns",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "FrameOfReferenceUID",
        "PatientName",
        "PixelData",
    ):
        assert new[keyword].value == old[keyword].value, keyword


def test_the_same_archive_gives_the_same_instance(series: Any) -> None:
    file = series.part10(series.image(series.noise((6, 4)), 1))
    assert derive(file, LOSS) == derive(file, LOSS)
    assert derived(file).SOPInstanceUID != derived(file, replace(LOSS, archive_uid="1.2.10")).SOPInstanceUID


def test_near_lossless_names_its_bound(series: Any) -> None:
    file = series.part10(series.image(series.noise((6, 4)), 1))
    text = derived(file, replace(LOSS, kind="near-lossless", max_error=3, psnr_db=None)).DerivationDescription
    assert "every stored value within 3" in text
    assert "dB" not in text


def test_earlier_losses_are_kept(series: Any) -> None:
    ds = series.image(series.noise((6, 4)), 1, LossyImageCompression="01")
    ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "10", "ISO_10918_1"
    new = derived(series.part10(ds))
    assert list(map(float, new.LossyImageCompressionRatio)) == [10, 125.25]
    assert list(new.LossyImageCompressionMethod) == ["ISO_10918_1", METHOD]


@pytest.mark.parametrize("syntax", range(3))
@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_every_native_transfer_syntax(series: Any, syntax: int, dtype: str) -> None:
    values = series.noise((6, 4), dtype)
    ds = series.image(values, 1)
    inner = Dataset()
    inner.LUTDescriptor = [2, 0, 16]
    inner["LUTDescriptor"].VR = "US"
    inner.add_new(0x00283006, "OW", b"\1\2\3\4")
    inner.Rows = 258
    ds.VOILUTSequence = [inner]
    if syntax == 2:
        inner.LUTData = b"\2\1\4\3"
    new = derived(series.part10(ds, series.syntaxes[syntax]))
    assert new.file_meta.TransferSyntaxUID == series.syntaxes[0 if syntax == 2 else syntax]
    assert (new.pixel_array == values).all()
    assert (new.Rows, new.VOILUTSequence[0].Rows) == (6, 258)
    assert new.VOILUTSequence[0].LUTData == b"\1\2\3\4"


def test_multi_frame_is_marked_in_every_frame(series: Any) -> None:
    values = series.noise((2, 2, 6, 4))
    ds = series.enhanced(values, 1, PulseSequenceName="tfi", ImageType=["ORIGINAL", "PRIMARY", "CARDIAC", "NONE"])
    for frame in ds.PerFrameFunctionalGroupsSequence:
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "CARDIAC", "NONE"]
        frame.MRImageFrameTypeSequence = [kind]
    new = derived(series.part10(ds))
    assert new.ImageType[0] == "DERIVED"
    frames = new.PerFrameFunctionalGroupsSequence
    assert {frame.MRImageFrameTypeSequence[0].FrameType[0] for frame in frames} == {"DERIVED"}
    derivation = new.SharedFunctionalGroupsSequence[0].DerivationImageSequence[0]
    assert derivation.SourceImageSequence[0].ReferencedSOPInstanceUID == ds.SOPInstanceUID
    evidence = new.SourceImageEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == ds.SeriesInstanceUID
    assert "PulseSequenceName" not in new
    assert "SourceImageSequence" not in new
    assert np.array_equal(new.pixel_array.reshape(values.shape), values)


def test_a_header_that_does_not_fit_its_pixels_is_refused(series: Any) -> None:
    file = series.part10(series.image(series.noise((6, 4)), 1))
    with pytest.raises(ArchiveError):
        derive(file.replace(b"US\2\0\6\0", b"US\2\0\7\0"), LOSS)
    with pytest.raises(ArchiveError):
        derive(b"nothing", LOSS)
