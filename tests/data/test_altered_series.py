"""Real series, altered as scanners and networks alter them: what is still 4-D, and why the rest is not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest

from hexdicom.dicom.assemble import assemble, disassemble, geometry_of
from hexdicom.dicom.plan import Hole
from hexdicom.dicom.series import plan_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.data


@pytest.fixture
def stack(planned: Any, tmp_path: Path) -> Callable[..., list[Path]]:
    """Three slices of the short-axis cine (60 files), each altered by change(data set, slice, time)."""
    (group,) = planned("cine/ge-sax").groups

    def make(change: Callable[[pydicom.Dataset, int, int], None] | None = None, prefix: str = "a") -> list[Path]:
        paths = []
        for time in range(20):
            for slice_ in range(3):
                ds = pydicom.dcmread(group.sources[time * 20 + 9 + slice_])
                if change:
                    change(ds, slice_, time)
                paths.append(tmp_path / f"{prefix}-{slice_}-{time:02d}.dcm")
                ds.save_as(paths[-1])
        return paths

    return make


@pytest.fixture
def expected(planned: Any) -> Any:
    return assemble(planned("cine/ge-sax").groups[0]).values[:, 9:12]


def shapes(assembly: Any) -> list[tuple[int, ...]]:
    return [group.shape for group in assembly.groups]


def test_unaltered(stack, expected):
    (group,) = plan_files(stack()).groups
    np.testing.assert_array_equal(assemble(group).values, expected)


@pytest.mark.parametrize("value", [None, 0, 120.5], ids=str)
def test_trigger_time_absent_or_constant(stack, expected, value):
    def change(ds, slice_, time):
        del ds.TriggerTime
        if value is not None:
            ds.TriggerTime = value

    (group,) = plan_files(stack(change)).groups
    assert group.time_key == "InstanceNumber"  # acquisition times stand in whole seconds: not one per frame
    np.testing.assert_array_equal(assemble(group).values, expected)


def test_trigger_times_that_follow_each_heart_beat(stack, expected):
    def change(ds, slice_, time):
        ds.TriggerTime = round(float(ds.TriggerTime) * (1 + 0.05 * slice_) + slice_, 2)

    (group,) = plan_files(stack(change)).groups
    assert group.time_key == "TriggerTime"
    np.testing.assert_array_equal(assemble(group).values, expected)


def test_three_long_axis_views_in_one_series(stack, expected):
    turns = [(0.9814, -0.1032, -0.1618, 0, 0.843, -0.5379), (0, 1, 0, 0, 0, -1), (0.7071, 0.7071, 0, 0, 0, -1)]

    def change(ds, slice_, time):
        ds.ImageOrientationPatient = list(turns[slice_])

    assembly = plan_files(stack(change))
    assert shapes(assembly) == [(20, 1, 256, 256)] * 3
    for slice_, group in enumerate(assembly.groups):
        np.testing.assert_array_equal(assemble(group).values[:, 0], expected[:, slice_])


def test_magnitude_and_phase_in_one_series(stack, expected):
    def change(ds, slice_, time):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.1"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "P"]
        ds[0x0043, 0x102F].value = 1
        ds.PixelData = (ds.pixel_array + 1).tobytes()

    assembly = plan_files([*stack(), *stack(change, prefix="b")])
    assert [(group.component, group.shape) for group in assembly.groups] == [
        ("magnitude", (20, 3, 256, 256)),
        ("phase", (20, 3, 256, 256)),
    ]
    np.testing.assert_array_equal(assemble(assembly.groups[1]).values, expected + 1)


def test_a_series_per_slice(stack):
    def change(ds, slice_, time):
        ds.SeriesInstanceUID += f".{slice_}"

    assembly = plan_files(stack(change))
    assert shapes(assembly) == [(20, 1, 256, 256)] * 3
    assert not assembly.passed_through


def test_duplicates(stack, expected, tmp_path):
    paths = stack()
    (tmp_path / "same.dcm").write_bytes(paths[5].read_bytes())
    changed = pydicom.dcmread(paths[6])
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(tmp_path / "same-uid.dcm")
    other = pydicom.dcmread(paths[7])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = f"{other.SOPInstanceUID}.1"
    other.save_as(tmp_path / "z-other-uid.dcm")
    assembly = plan_files([tmp_path])
    (group,) = assembly.groups
    np.testing.assert_array_equal(assemble(group).values, expected)
    reasons = {passed.path.name: passed.reason for passed in assembly.passed_through}
    assert reasons == {
        "same.dcm": f"duplicate: it has the SOP Instance UID of {paths[5].name}.",
        "same-uid.dcm": f"duplicate: it has the SOP Instance UID of {paths[6].name}.",
        "z-other-uid.dcm": f"duplicate: same place and time as {paths[7].name}, with another SOP Instance UID.",
    }


def test_missing_phases(stack):
    paths = stack()
    for gone in (paths[4], paths[59]):  # slice 1 at time 1, slice 2 at time 19
        gone.unlink()
    assembly = plan_files(path for path in paths if path.exists())
    assert not assembly.groups
    assert len(assembly.passed_through) == 58
    for passed in assembly.passed_through:
        assert passed.reason.startswith("incomplete: 20 × 3 frames (time × slice) expected, 2 missing")
        assert passed.holes == (Hole(1, 1), Hole(19, 2))


@pytest.mark.parametrize("number", range(1, 10))
def test_mosaics_of_every_transfer_syntax(real_data, tmp_path, number):
    """A second time point is made of the same file, so that it is a series."""
    folder = real_data / "edge/mosaic-transfer-syntaxes"
    native = pydicom.dcmread(folder / "1.dcm")
    for time in range(2):
        ds = pydicom.dcmread(folder / f"{number}.dcm")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.{time}"
        ds.InstanceNumber = time + 1
        out = io.BytesIO()
        ds.save_as(out)
        (tmp_path / f"{time}.dcm").write_bytes(out.getvalue())
    (group,) = plan_files([tmp_path]).groups
    assert (group.shape, group.tiles, group.layout) == ((2, 35, 64, 64), (6, 6), "mosaic")
    values = assemble(group).values
    back = disassemble(geometry_of(group), values)
    order = ">u2" if number == 3 else "<u2"
    for value in back:
        np.testing.assert_array_equal(np.frombuffer(value, order), native.pixel_array.ravel())
