from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("stored_codec")
NOW = datetime(2026, 1, 2, 3, 4, 5)


def restored(paths: list[Path], tmp_path: Path, kind: Any = "lossless") -> Any:
    pipeline.compress(paths, tmp_path / "out", Profile(name=kind, kind=kind), now=NOW)
    report = pipeline.restore([tmp_path / "out"], tmp_path / "back", as_="enhanced", now=NOW)
    [one] = report.instances
    assert one.path is not None
    return dcmread(one.path)


def test_frames_are_in_the_order_of_time_and_slice(series: Any, write: Any, tmp_path: Path) -> None:
    values = series.noise((3, 2, 8, 6))
    ds = restored(write(series.cine(values, AcquisitionDate="20260101", AcquisitionTime="101010")), tmp_path)
    assert (ds.pixel_array.reshape(values.shape) == values).all()
    assert [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in ds.PerFrameFunctionalGroupsSequence] == [0, 8] * 3
    sources = [f.ConversionSourceAttributesSequence[0].ReferencedSOPInstanceUID for f in ds.PerFrameFunctionalGroupsSequence]
    assert len(set(sources)) == 6
    assert (ds.InstanceCreationDate, ds.Modality) == ("20260102", "MR")
    assert ds.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue == "109106"


def test_what_is_lossy_stays_lossy(series: Any, write: Any, tmp_path: Path) -> None:
    values = series.noise((3, 2, 8, 6)) & 255
    ds = restored(write(series.cine(values)), tmp_path, "lossy")
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "HEXCINE_1")
    assert ds.ImageType[0] == "DERIVED"
    assert len(ds.SourceImageEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence) == 6


def test_enhanced_sources_are_refused(series: Any, write: Any, tmp_path: Path) -> None:
    values = series.noise((3, 2, 8, 6))
    paths = write([series.enhanced(values[t : t + 1], t, first_time=t + 1) for t in range(3)])
    with pytest.raises(SeriesError, match="multi-frame already"):
        restored(paths, tmp_path)


def test_mosaics_are_refused(series: Any, write: Any, tmp_path: Path) -> None:
    paths = write([series.mosaic(series.noise((4, 8, 6), seed=t), t, AcquisitionTime=f"10101{t}") for t in range(3)])
    with pytest.raises(SeriesError, match="mosaics"):
        restored(paths, tmp_path)
