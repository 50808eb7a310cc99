"""dcm2niix as an independent witness: the same frames in the same order.

It turns each slice upside down (NIfTI counts rows from below), scales where the slope differs, and nothing else.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pydicom
import pytest

from hexdicom.dicom.assemble import assemble

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.data, pytest.mark.peer]

FOLDERS = [
    "cine/ge-sax",
    "fmri/siemens-enhanced",
    "fmri/ge-classic",
    "asl/siemens-mosaic",
    "dwi/canon-enhanced-4d",
    "edge/dynamic-3x3",
]


def witness(folder: Path, out: Path) -> dict[str, np.ndarray]:
    """(T, Z, Y, X) by SeriesNumber, rows from above."""
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not on this machine")
    subprocess.run([program, "-z", "n", "-b", "n", "-f", "%s", "-o", out, folder], check=True, capture_output=True)
    found = {}
    for path in out.glob("*.nii"):
        stored = np.asarray(nibabel.load(path).dataobj.get_unscaled())
        found[path.stem] = stored.transpose(3, 2, 1, 0)[:, :, ::-1]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_same_order(planned, real_data, tmp_path, folder):
    (group,) = planned(folder).groups
    (seen,) = witness(real_data / folder, tmp_path).values()
    np.testing.assert_array_equal(assemble(group).values, seen)


def test_same_order_where_slopes_differ(planned, real_data, tmp_path):
    (group,) = planned("asl/philips-multiphase").groups
    (seen,) = witness(real_data / "asl/philips-multiphase", tmp_path).values()
    times, slices = group.shape[:2]
    slopes = [float(pydicom.dcmread(group.sources[t * slices], stop_before_pixels=True).RescaleSlope) for t in range(times)]
    assert len(set(slopes)) == times
    scaled = assemble(group).values * np.reshape(slopes, (times, 1, 1, 1))
    np.testing.assert_allclose(scaled, seen, rtol=1e-5)


def test_a_whole_study(planned, real_data, tmp_path):
    seen = witness(real_data / "edge/mixed-folder", tmp_path)
    groups = planned("edge/mixed-folder").groups
    assert len(seen) == len(groups) == 10
    for group in groups:
        number = pydicom.dcmread(group.sources[0], stop_before_pixels=True).SeriesNumber
        np.testing.assert_array_equal(assemble(group).values, seen[str(number)])
