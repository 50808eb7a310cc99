"""The lossy profile on real series: what docs/benchmarks.md says, and ahead of a video encoder that is used well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from hexdicom import codec
from hexdicom.codec import Profile
from hexdicom.dicom.assemble import assemble
from hexdicom.volume import CineVolume

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom.dicom.plan import Assembly

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.mark.parametrize(
    ("folder", "slices", "level", "most"),
    [  # bits per voxel; SVT-AV1 along t takes 0.0109 and 0.0978
        ("cine/ge-sax", slice(6, 14), 40.0, 0.0085),
        ("fmri/siemens-enhanced", slice(None), 40.0, 0.0358),
    ],
)
def test_a_level_takes_no_more_bits(
    planned: Callable[[str], Assembly], folder: str, slices: slice, level: float, most: float
) -> None:
    values = np.ascontiguousarray(assemble(planned(folder).groups[0]).values[:, slices])
    report = codec.encode(CineVolume(values), Profile(name="lossy", kind="lossy", psnr=level)).report
    assert report.psnr_db is not None
    assert level <= report.psnr_db < level + 0.1
    assert report.bits_per_voxel < most
