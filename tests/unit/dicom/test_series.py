"""Grouping of classic single frames: time, slices, views, components, and what is refused."""

from __future__ import annotations

import errno
from collections import Counter

import numpy as np
import pytest

from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.plan import Hole
from hexdicom.dicom.series import plan_files
from hexdicom.errors import NotFound, StoreError


def reasons(assembly):
    return Counter(passed.reason for passed in assembly.passed_through)


def check_partition(assembly, paths):
    """Every file is in exactly one group or passed through."""
    seen = [path for group in assembly.groups for path in group.sources]
    seen += [passed.path for passed in assembly.passed_through]
    assert sorted(seen) == sorted(paths)


def test_cine_by_trigger_time(series, write):
    values = series.noise((5, 3, 6, 8))
    paths = write(series.cine(values))
    assembly = plan_files(paths)
    (group,) = assembly.groups
    assert not assembly.passed_through
    assert (group.shape, group.time_key, group.layout) == ((5, 3, 6, 8), "TriggerTime", "single-frame")
    assert group.time_values == ("0.0", "40.0", "80.0", "120.0", "160.0")
    assert (group.spacing, group.component, group.notes) == ((8.0, 1.5, 1.5), "", ())
    assert group.sources[0] == paths[0]
    assert group.sources[1] == paths[5]  # slices follow each other within a time point
    np.testing.assert_array_equal(assemble(group).values, values)


def test_order_of_files_does_not_matter(series, write):
    values = series.noise((4, 3, 4, 4))
    data_sets = series.cine(values)
    order = np.random.default_rng(5).permutation(len(data_sets))
    (group,) = plan_files(write(data_sets[at] for at in order)).groups
    np.testing.assert_array_equal(assemble(group).values, values)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda t, z: {"TriggerTime": None}, "InstanceNumber"),
        (lambda t, z: {"TriggerTime": 0}, "InstanceNumber"),
        (lambda t, z: {"TriggerTime": 13.5 * z}, "InstanceNumber"),  # slice timing, not cardiac phase
        (lambda t, z: {"TriggerTime": None, "TemporalPositionIdentifier": t + 1}, "TemporalPositionIdentifier"),
        (lambda t, z: {"TriggerTime": None, "AcquisitionTime": "later", "ContentTime": f"10{t}"}, "ContentTime"),
        (lambda t, z: {"TriggerTime": 7, "AcquisitionTime": f"1015{10 + t}.5"}, "AcquisitionTime"),
        (lambda t, z: {"TriggerTime": None, "ContentTime": f"1015{10 + t}"}, "ContentTime"),
        (lambda t, z: {"TriggerTime": None, "AcquisitionNumber": t + 1}, "AcquisitionNumber"),
        (lambda t, z: {"TriggerTime": None, "AcquisitionTime": "101010", "ContentTime": "101010"}, "InstanceNumber"),
        (lambda t, z: {"AcquisitionTime": f"1015{50 - t}"}, "TriggerTime"),
        (lambda t, z: {"TriggerTime": 40 * (3 - t) + z, "AcquisitionNumber": t}, "AcquisitionNumber"),  # falls, per slice
    ],
    ids=[
        "absent",
        "constant",
        "slice-timing",
        "position",
        "unreadable",
        "clock",
        "content",
        "acquisition",
        "clocks",
        "last",
        "falls",
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value")  # of pydicom, as the series is made
def test_time_key_is_the_first_that_varies_as_time_does(series, write, change, key):
    values = series.noise((4, 3, 4, 4))
    data_sets = series.cine(values)
    for z in range(3):
        for t in range(4):
            for keyword, value in change(t, z).items():
                if value is None:
                    del data_sets[z * 4 + t][keyword]
                else:
                    setattr(data_sets[z * 4 + t], keyword, value)
    (group,) = plan_files(write(data_sets)).groups
    assert group.time_key == key
    np.testing.assert_array_equal(assemble(group).values, values)


def test_times_shared_by_all_slices_win_over_shuffled_instance_numbers(series, write):
    values = series.noise((4, 3, 4, 4))
    data_sets = series.cine(values)
    numbers = np.random.default_rng(3).permutation(12)
    for count, ds in enumerate(data_sets):
        ds.TriggerTime, ds.InstanceNumber = 40 * (count % 4), int(numbers[count])
    (group,) = plan_files(write(data_sets)).groups
    assert group.time_key == "TriggerTime"
    np.testing.assert_array_equal(assemble(group).values, values)


def test_three_views_of_one_series_are_three_groups(series, write):
    views = [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [0.7071, 0.7071, 0, 0, 0, -1]]
    data_sets = []
    for count, view in enumerate(views):
        own = series.cine(series.noise((4, 1, 4, 4), seed=count), ImageOrientationPatient=view)
        for ds in own:
            ds.SOPInstanceUID += f".{count}"
            ds.InstanceNumber += 4 * count
        data_sets += own
    assembly = plan_files(write(data_sets))
    assert [group.shape for group in assembly.groups] == [(4, 1, 4, 4)] * 3
    assert not assembly.passed_through


def test_rounded_orientation_and_position_are_the_same(series, write):
    data_sets = series.cine(series.noise((4, 3, 4, 4)))
    for count, ds in enumerate(data_sets):
        jitter = 1e-5 * (count % 5)
        ds.ImageOrientationPatient = [1, jitter, 0, 0, 1, -jitter]
        ds.ImagePositionPatient = [-100, -100, float(ds.SliceLocation) + 10 * jitter]
    assert [group.shape for group in plan_files(write(data_sets)).groups] == [(4, 3, 4, 4)]


@pytest.mark.parametrize(
    ("of_phase", "labels"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, ["magnitude", "phase"]),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]}, ["magnitude", "phase"]),
        ({"ComplexImageComponent": "PHASE"}, ["magnitude", "phase"]),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "Columns": 8}, ["", ""]),
        ({"PixelRepresentation": 0}, ["", ""]),
        ({"Rows": 2, "Columns": 8}, ["", ""]),
        ({"EchoTime": 4.6}, ["", ""]),
    ],
    ids=["siemens", "philips", "attribute", "bits", "sign", "matrix", "echo"],
)
def test_what_differs_in_kind_is_never_mixed(series, write, of_phase, labels):
    first = series.cine(series.noise((3, 2, 4, 4)), EchoTime=2.3)
    second = series.cine(series.noise((3, 2, 4, 4), seed=2), **{"EchoTime": 2.3, **of_phase})
    for ds in second:
        ds.SOPInstanceUID += ".9"
        ds.InstanceNumber += 100
    assembly = plan_files(write(first + second))
    assert sorted(len(group.sources) for group in assembly.groups) == [6, 6]
    assert [group.component for group in assembly.groups] == labels
    assert not assembly.passed_through


def test_ge_writes_the_component_privately(series, write):
    data_sets = series.cine(series.noise((6, 1, 4, 4)))
    for count, ds in enumerate(data_sets):
        ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", count % 2)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    groups = plan_files(write(data_sets)).groups
    assert [(group.component, group.shape) for group in groups] == [("magnitude", (3, 1, 4, 4)), ("phase", (3, 1, 4, 4))]


def test_an_echo_time_that_varies_only_with_the_slice_does_not_divide(series, write):
    data_sets = series.cine(series.noise((3, 2, 4, 4)))
    for ds in data_sets:
        ds.EchoTime = 2.0 + 0.01 * float(ds.SliceLocation)
    assert [group.shape for group in plan_files(write(data_sets)).groups] == [(3, 2, 4, 4)]


def test_a_series_per_slice_is_a_group_per_series(series, write):
    data_sets = series.cine(series.noise((4, 3, 4, 4)))
    for ds in data_sets:
        ds.SeriesInstanceUID += f".{int(ds.SliceLocation)}"
    assembly = plan_files(write(data_sets))
    assert [group.shape for group in assembly.groups] == [(4, 1, 4, 4)] * 3
    assert len({group.series_instance_uid for group in assembly.groups}) == 3


def test_stacks_beside_each_other_are_two_groups(series, write):
    left = series.cine(series.noise((3, 2, 4, 4)))
    right = series.cine(series.noise((3, 2, 4, 4), seed=2))
    for ds in right:
        ds.SOPInstanceUID += ".9"
        ds.InstanceNumber += 100
        ds.ImagePositionPatient = [100, -100, ds.ImagePositionPatient[2]]
    assert [group.shape for group in plan_files(write(left + right)).groups] == [(3, 2, 4, 4)] * 2


def test_slice_location_where_the_position_is_missing(series, write):
    values = series.noise((3, 2, 4, 4))
    data_sets = series.cine(values, ImagePositionPatient=[0, 0, 0])
    for ds in data_sets:
        del ds.ImagePositionPatient
    (group,) = plan_files(write(data_sets)).groups
    np.testing.assert_array_equal(assemble(group).values, values)
    for ds in data_sets:
        del ds.SliceLocation
    (reason,) = reasons(plan_files(write(data_sets)))
    assert "no slice location" in reason


def test_missing_phases_are_holes(series, write):
    data_sets = series.cine(series.noise((5, 3, 4, 4)))
    paths = write(data_sets)
    for gone in (paths[7], paths[14]):  # slice 1, phase 2; slice 2, phase 4
        gone.unlink()
    left = [path for path in paths if path.exists()]
    assembly = plan_files(left)
    assert not assembly.groups
    check_partition(assembly, left)
    (reason,) = reasons(assembly)
    assert reason.startswith("incomplete: 5 × 3 frames (time × slice) expected, 2 missing")
    assert all(passed.holes == (Hole(2, 1), Hole(4, 2)) for passed in assembly.passed_through)


def test_a_still_stack_is_not_4d(series, write):
    assembly = plan_files(write(series.cine(series.noise((1, 3, 4, 4)))))
    assert reasons(assembly) == {"not 4-D: one time point, 3 slices.": 3}
    assembly = plan_files(write(series.cine(series.noise((1, 1, 4, 4)))))
    assert [passed.reason for passed in assembly.passed_through[:1]] == ["not 4-D: a single picture."]


def test_pictures_that_nothing_tells_apart(series, write):
    data_sets = series.cine(series.noise((3, 1, 4, 4)), InstanceNumber=1, TriggerTime=0)
    assert reasons(plan_files(write(data_sets))) == {"not 4-D: nothing tells the 3 pictures of a place apart.": 3}


def test_the_same_uid_twice(series, write, tmp_path):
    values = series.noise((3, 2, 4, 4))
    paths = write(series.cine(values))
    copy = tmp_path / "b.dcm"
    copy.write_bytes(paths[2].read_bytes())
    assembly = plan_files([tmp_path])
    assert [group.shape for group in assembly.groups] == [(3, 2, 4, 4)]
    assert reasons(assembly) == {"duplicate: it has the SOP Instance UID of a0002.dcm.": 1}
    check_partition(assembly, [*paths, copy])


@pytest.mark.parametrize("number", [3, 99])
def test_the_same_place_and_time_under_another_uid(series, write, number):
    values = series.noise((4, 2, 4, 4))
    data_sets = series.cine(values)
    extra = series.cine(values)[2]
    extra.SOPInstanceUID, extra.InstanceNumber = f"{extra.SOPInstanceUID}.9", number
    assembly = plan_files(write([*data_sets, extra]))
    (group,) = assembly.groups
    np.testing.assert_array_equal(assemble(group).values, values)
    (passed,) = assembly.passed_through
    assert passed.reason.startswith("duplicate: same place and ")
    assert "a0002.dcm" in passed.reason


def test_a_repeated_slice_keeps_the_first(series, write):
    values = series.noise((4, 3, 4, 4))
    again = series.cine(series.noise((4, 3, 4, 4), seed=2))[4:8]
    for ds in again:
        ds.SOPInstanceUID += ".9"
        ds.InstanceNumber += 50
    assembly = plan_files(write(series.cine(values) + again))
    np.testing.assert_array_equal(assemble(assembly.groups[0]).values, values)
    assert all("duplicate" in passed.reason for passed in assembly.passed_through)
    assert len(assembly.passed_through) == 4


def test_two_beats_of_the_same_trigger_times_are_one_longer_series(series, write):
    data_sets = series.cine(series.noise((6, 2, 4, 4)))
    for count, ds in enumerate(data_sets):
        ds.TriggerTime = 40 * (count % 3)
    (group,) = plan_files(write(data_sets)).groups
    assert (group.shape, group.time_key) == ((6, 2, 4, 4), "InstanceNumber")


def test_rescale_that_varies_and_phases_that_were_announced_are_noted(series, write):
    data_sets = series.cine(series.noise((3, 2, 4, 4)), CardiacNumberOfImages=25)
    for ds in data_sets:
        ds.RescaleSlope, ds.RescaleIntercept = 1 + ds.InstanceNumber % 3, 0
    (group,) = plan_files(write(data_sets)).groups
    assert "differs per time point (3 pairs" in group.notes[0]
    assert "announces 25 time points and 3 were received" in group.notes[1]


def test_what_is_no_image_is_passed_through(series, write, tmp_path):
    paths = write(series.cine(series.noise((2, 2, 4, 4))))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty").touch()
    (tmp_path / "cut.dcm").write_bytes(paths[0].read_bytes()[:-5])
    assembly = plan_files([tmp_path])
    assert len(assembly.groups) == 1
    found = {passed.path.name: passed.reason for passed in assembly.passed_through}
    assert found["notes.txt"] == "This is not a DICOM file."
    assert found["empty"] == "The file is empty."
    assert found["cut.dcm"].startswith("The file ends too early")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError),
        (MemoryError(), MemoryError),
        (OSError(errno.EMFILE, "Too many open files"), StoreError),
    ],
)
def test_a_shortage_says_nothing_of_a_file(series, write, monkeypatch, raised, expected):
    """Passed through for it, a series would stay unarchived for ever."""

    def short(path):
        raise raised

    paths = write(series.cine(series.noise((2, 2, 4, 4))))
    monkeypatch.setattr("hexdicom.dicom.series.read_header", short)
    with pytest.raises(expected):
        plan_files(paths)


def test_a_file_that_cannot_be_read_is_passed_through(series, write, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    paths = write(series.cine(series.noise((2, 2, 4, 4))))
    monkeypatch.setattr("hexdicom.dicom.series.read_header", denied)
    assert reasons(plan_files(paths)) == {"The file cannot be read: Permission denied.": 4}


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(NotFound, match="nowhere"):
        plan_files([tmp_path / "nowhere"])
