"""The main job on the real cine series, with the real codec: small, exact, and within what a node can spend."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from hexdicom import codec, pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.series import plan_files
from hexdicom.volume import CineVolume

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
pytestmark = [pytest.mark.data]


@pytest.mark.slow
def test_short_axis_stack(real_data: Path, tmp_path: Path) -> None:
    report = pipeline.compress([real_data / "cine/ge-sax"], tmp_path / "archive", Profile(), now=NOW)
    (group,) = report.series
    assert group.encoding.shape == (20, 20, 256, 256)
    assert group.encoding.bits_per_voxel < 1.93  # JPEG XL: 2.422
    restored = pipeline.restore([tmp_path / "archive"], tmp_path / "restored", now=NOW)
    assert len(restored.instances) == 400
    originals = {path.read_bytes() for path in (real_data / "cine/ge-sax").rglob("*.dcm")}
    assert {path.read_bytes() for path in (tmp_path / "restored").iterdir()} == originals


@pytest.mark.parametrize(
    ("folder", "most"),
    # bits per voxel, a little above what was measured
    [("fmri/siemens-enhanced", 3.83), ("asl/philips-multiphase", 6.02), ("edge/dynamic-3x3", 1.39)],
)
def test_other_series_stay_as_small(real_data: Path, folder: str, most: float) -> None:
    (group,) = plan_files([real_data / folder]).groups
    volume = assemble(group)
    encoded = codec.encode(volume, Profile())
    assert encoded.report.bits_per_voxel < most


def test_near_lossless_beats_jpeg_ls_near(real_data: Path) -> None:
    """JPEG-LS with NEAR=2 takes 1.096 bits per voxel on cine of this scanner."""
    (group,) = plan_files([real_data / "cine/ge-sax"]).groups
    part = CineVolume(assemble(group).values[:, 6:9].copy())
    encoded = codec.encode(part, Profile(kind="near-lossless", max_error=2), verify=False)
    assert encoded.report.max_error == 2
    assert encoded.report.bits_per_voxel < 0.75
