"""Enhanced MR objects and mosaics: volumes in files."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.plan import Hole
from hexdicom.dicom.series import plan_files
from hexdicom.errors import SeriesError


def volumes(series, values):
    """One Enhanced MR file per time point."""
    return [series.enhanced(values[t : t + 1], t + 1, first_time=t + 1) for t in range(len(values))]


def reason(assembly):
    (found,) = {passed.reason for passed in assembly.passed_through}
    assert not assembly.groups
    return found


def test_one_volume_per_file(series, write):
    values = series.noise((4, 3, 4, 6), "uint16")
    (group,) = plan_files(write(volumes(series, values))).groups
    assert (group.shape, group.layout, group.time_key) == ((4, 3, 4, 6), "multi-frame", "TemporalPositionIndex")
    assert (len(group.sources), group.spacing, group.time_values) == (4, (8.0, 1.5, 1.5), ("1", "2", "3", "4"))
    np.testing.assert_array_equal(assemble(group).values, values)


def test_all_volumes_in_one_file(series, write):
    values = series.noise((4, 3, 4, 6))
    (group,) = plan_files(write([series.enhanced(values, 1)])).groups
    assert (group.shape, len(group.sources)) == ((4, 3, 4, 6), 1)
    np.testing.assert_array_equal(assemble(group).values, values)


def test_order_of_frames_in_the_file_does_not_matter(series, write):
    values = series.noise((4, 3, 4, 6))
    ds = series.enhanced(values, 1)
    order = np.random.default_rng(4).permutation(12)
    ds.PerFrameFunctionalGroupsSequence = [ds.PerFrameFunctionalGroupsSequence[int(at)] for at in order]
    ds.PixelData = values.reshape(12, 4, 6)[order].tobytes()
    (group,) = plan_files(write([ds])).groups
    np.testing.assert_array_equal(assemble(group).values, values)


def test_diffusion_by_dimension_index(series, write):
    """The fourth dimension is not time: b-values repeat, directions differ, and the dimension index tells them apart."""
    values = series.noise((4, 3, 4, 6))
    ds = series.enhanced(values, 1)
    ds.DimensionIndexSequence = []
    for pointer in (0x00209057, 0x00189087, 0x00189089):
        dimension = Dataset()
        dimension.DimensionIndexPointer = pointer
        ds.DimensionIndexSequence.append(dimension)
    for count, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        content = frame.FrameContentSequence[0]
        del content.TemporalPositionIndex
        t, z = divmod(count, 3)
        content.DimensionIndexValues = [z + 1, 1 + (t > 0), 1 + t]
    (group,) = plan_files(write([ds])).groups
    assert (group.time_key, group.time_values[1]) == ("DimensionIndexValues", "2\\2")
    np.testing.assert_array_equal(assemble(group).values, values)


def test_cardiac_delay(series, write):
    values = series.noise((3, 2, 4, 4))
    ds = series.enhanced(values, 1)
    for count, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].TemporalPositionIndex = 1
        delay = Dataset()
        delay.NominalCardiacTriggerDelayTime = 40.0 * (count // 2)
        frame.CardiacSynchronizationSequence = [delay]
    (group,) = plan_files(write([ds])).groups
    assert (group.shape, group.time_key) == ((3, 2, 4, 4), "NominalCardiacTriggerDelayTime")


def test_an_interrupted_scan_names_its_holes(series, write):
    data_sets = volumes(series, series.noise((3, 4, 4, 4)))
    last = data_sets[-1]
    last.PerFrameFunctionalGroupsSequence = last.PerFrameFunctionalGroupsSequence[:2]
    last.NumberOfFrames, last.PixelData = 2, last.PixelData[: 2 * 32]
    assembly = plan_files(write(data_sets))
    assert reason(assembly).startswith("incomplete: 3 × 4 frames (time × slice) expected, 2 missing")
    assert {passed.holes for passed in assembly.passed_through} == {(Hole(2, 2), Hole(2, 3))}


def test_one_object_of_several_components_or_views(series, write):
    ds = series.enhanced(series.noise((4, 2, 4, 4)), 1)
    for count, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "CARDIAC", "NONE"]
        kind.ComplexImageComponent = ("MAGNITUDE", "PHASE")[count // 2 % 2]
        frame.MRImageFrameTypeSequence = [kind]
    assert "components" in reason(plan_files(write([ds])))
    ds = series.enhanced(series.noise((4, 2, 4, 4)), 1)
    for count, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        view = Dataset()
        view.ImageOrientationPatient = [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]][count % 2]
        frame.PlaneOrientationSequence = [view]
    assert "views" in reason(plan_files(write([ds])))


def test_frames_without_positions(series, write):
    ds = series.enhanced(series.noise((2, 2, 4, 4)), 1)
    ds.NumberOfFrames = 5
    assert "number of its frames" in reason(plan_files(write([ds])))
    ds = series.image(series.noise((4, 4)), 1, ImagePositionPatient=[0, 0, 0], NumberOfFrames=3)
    ds.PixelData = series.noise((3, 4, 4)).tobytes()
    assert "number of its frames" in reason(plan_files(write([ds])))


def test_a_volume_sent_twice(series, write):
    data_sets = volumes(series, series.noise((3, 2, 4, 4)))
    again = volumes(series, series.noise((3, 2, 4, 4)))[1]
    again.SOPInstanceUID += ".9"
    assembly = plan_files(write([*data_sets, again]))
    assert [group.shape for group in assembly.groups] == [(3, 2, 4, 4)]
    assert assembly.passed_through[0].reason.startswith("duplicate: same place and time as a0001.dcm")


@pytest.mark.parametrize("csa", [False, True])
@pytest.mark.parametrize("slices", [1, 3, 4, 7, 10])
def test_mosaic(series, write, slices, csa):
    values = series.noise((3, slices, 4, 6), "uint16")
    paths = write(series.mosaic(volume, t + 1, csa=csa) for t, volume in enumerate(values))
    (group,) = plan_files(paths).groups
    side = {1: 1, 3: 2, 4: 2, 7: 3, 10: 4}[slices]
    assert (group.shape, group.layout, group.tiles) == ((3, slices, 4, 6), "mosaic", (side, side))
    assert group.time_key == "AcquisitionNumber"
    np.testing.assert_array_equal(assemble(group).values, values)


def test_a_mosaic_whose_unused_tiles_are_not_empty_is_refused(series, write):
    values = series.noise((3, 3, 4, 6), "uint16")
    paths = write(series.mosaic(volume, t + 1, blank=t) for t, volume in enumerate(values))
    (group,) = plan_files(paths).groups
    with pytest.raises(SeriesError, match="unused tiles of the mosaic a0001"):
        assemble(group)


def test_a_mosaic_that_moved_is_noted(series, write):
    values = series.noise((3, 4, 4, 6), "uint16")
    paths = write(series.mosaic(volume, t + 1, ImagePositionPatient=[0, 0, t / 7]) for t, volume in enumerate(values))
    (group,) = plan_files(paths).groups
    assert "motion correction" in group.notes[0]


def test_a_mosaic_that_does_not_say_its_slices(series, write):
    data_sets = [series.mosaic(series.noise((3, 4, 6)), t + 1) for t in range(2)]
    for ds in data_sets:
        del ds[0x0019, 0x100A]
    assert "how many slices" in reason(plan_files(write(data_sets)))
    data_sets = [series.mosaic(series.noise((3, 4, 6)), t + 1) for t in range(2)]
    for ds in data_sets:
        ds[0x0019, 0x100A].value = 17
    assert "does not fit" in reason(plan_files(write(data_sets)))
