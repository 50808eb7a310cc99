"""Every folder of the real series: the right groups, the right reasons, every pixel back where it was."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from hexdicom.dicom.assemble import assemble, disassemble, geometry_of
from hexdicom.dicom.pixels import locate_pixel_data, pixel_value
from hexdicom.dicom.plan import Hole
from hexdicom.dicom.series import plan_files

pytestmark = pytest.mark.data

# folder: shape (T, Z, Y, X), layout, time key, type and largest value
SERIES = {
    "cine/ge-sax": ((20, 20, 256, 256), "single-frame", "TriggerTime", "int16", 376),
    "fmri/siemens-enhanced": ((20, 33, 64, 64), "multi-frame", "TemporalPositionIndex", "uint16", 2265),
    "fmri/ge-classic": ((10, 15, 64, 64), "single-frame", "InstanceNumber", "int16", 9733),
    "asl/siemens-mosaic": ((85, 20, 72, 72), "mosaic", "AcquisitionTime", "uint16", 3214),
    "asl/philips-multiphase": ((8, 6, 80, 80), "single-frame", "TriggerTime", "uint16", 4095),
    "dwi/canon-enhanced-4d": ((13, 40, 80, 80), "multi-frame", "TemporalPositionIndex", "int16", 2562),
    "edge/dynamic-3x3": ((3, 3, 192, 152), "single-frame", "AcquisitionTime", "uint16", 1136),
}
MIXED = Counter({(3, 10, 64, 64): 6, (7, 10, 64, 64): 4})


@pytest.mark.parametrize("folder", SERIES)
def test_the_group(planned, folder):
    assembly = planned(folder)
    (group,) = assembly.groups
    shape, layout, key, dtype, largest = SERIES[folder]
    assert (group.shape, group.layout, group.time_key) == (shape, layout, key)
    assert {passed.reason for passed in assembly.passed_through} <= {"This is not a DICOM file."}
    assert len(group.time_values) == shape[0]
    volume = assemble(group)
    assert (volume.values.dtype, volume.values.max()) == (dtype, largest)


@pytest.mark.parametrize("folder", [*SERIES, "edge/mixed-folder"])
def test_every_source_gets_its_pixels_back(planned, folder):
    for group in planned(folder).groups:
        back = disassemble(geometry_of(group), assemble(group).values)
        for path, value in zip(group.sources, back, strict=True):
            assert pixel_value(path, locate_pixel_data(path)) == value


def test_slopes_that_differ_per_phase_are_noted(planned):
    (group,) = planned("asl/philips-multiphase").groups
    assert "differs per time point (8 pairs" in group.notes[0]


def test_a_study_as_it_arrives(planned, real_data):
    assembly = planned("edge/mixed-folder")
    assert Counter(group.shape for group in assembly.groups) == MIXED
    assert len({group.series_instance_uid for group in assembly.groups}) == 10
    reasons = Counter(passed.reason for passed in assembly.passed_through)
    assert reasons == {
        "There is no integer Pixel Data in it (Enhanced SR Storage).": 13,
        "This is a DICOMDIR: a list of files, not an image.": 1,
    }
    files = sum(path.is_file() for path in (real_data / "edge/mixed-folder").rglob("*"))
    assert sum(len(group.sources) for group in assembly.groups) + 14 == files


def test_an_interrupted_scan(planned):
    assembly = planned("edge/interrupted-enhanced")
    assert not assembly.groups
    (reason,) = {passed.reason for passed in assembly.passed_through}
    assert reason.startswith("incomplete: 2 × 34 frames (time × slice) expected, 8 missing; ")
    assert reason.endswith("The header announces 328 time points.")
    for passed in assembly.passed_through:
        assert passed.holes == tuple(Hole(1, slice_) for slice_ in range(18, 33, 2))  # the last of the interleaved


def test_one_volume_in_many_transfer_syntaxes_is_not_4d(planned):
    assembly = planned("edge/mosaic-transfer-syntaxes")
    assert not assembly.groups
    assert [passed.reason[:7] for passed in assembly.passed_through] == ["not 4-D"] * 9


def test_all_folders_at_once(planned, real_data):
    """A series is the same whatever lies beside it."""
    folders = [*SERIES, "edge/mixed-folder", "edge/interrupted-enhanced", "edge/mosaic-transfer-syntaxes"]
    alone = {group for folder in folders for group in planned(folder).groups}
    assert set(plan_files([real_data / folder for folder in folders]).groups) == alone


def test_planning_is_quick_and_assembling_frugal(real_data):
    started = time.perf_counter()
    (group,) = plan_files([real_data / "cine/ge-sax"]).groups
    assert time.perf_counter() - started < 5
    tracemalloc.start()
    volume = assemble(group)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * volume.values.nbytes
    assert np.shares_memory(volume.values, volume.values.reshape(-1))
