"""The same as its neighbours for longer, and whole archive objects with several damages at once: `pytest -m slow tests/hostile`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.codec.container import PLANES, RESIDUAL
from hexdicom.dicom.archive import read_part
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.restore import instances, open_archive
from hexdicom.errors import HexdicomError

from . import test_archive_objects, test_bitstreams

if TYPE_CHECKING:
    from pathlib import Path

MANY = settings(deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def archive(tmp_path: Path, stored_codec: None) -> bytes:
    folder = tmp_path / "sources"
    folder.mkdir()
    for ds in beating_heart(slices=1, phases=2, rows=16, columns=16):
        ds.save_as(folder / f"{ds.InstanceNumber}.dcm", enforce_file_format=True)
    made = pipeline.compress([folder], tmp_path / "out", Profile(), now=test_archive_objects.NOW)
    return made.series[0].archives[0].read_bytes()


def check(archive: bytes, data: st.DataObject) -> None:
    """Nothing but a clear error, or the instances as they were."""
    damaged = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(128, len(damaged) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=4))
        damaged[at : at + (len(piece) if data.draw(st.booleans()) else 0)] = piece  # in place of what was there, or between
    with suppress(HexdicomError):
        opened = open_archive([read_part(bytes(damaged))])
        values = pipeline.codec.decode(opened.archive.payload).values
        assert [one.state for one in instances(opened, values)] == ["restored"] * 2


@settings(MANY, max_examples=100)
@given(st.data())
def test_archives_with_several_damages(archive: bytes, data: st.DataObject) -> None:
    check(archive, data)


@pytest.mark.slow
@MANY
@given(st.data())
def test_archives_with_several_damages_for_long(archive: bytes, data: st.DataObject) -> None:
    check(archive, data)


@pytest.mark.slow
@MANY
@given(st.data())
def test_damaged_header_tables_for_long(data: st.DataObject) -> None:
    test_archive_objects.test_damaged_header_tables.hypothesis.inner_test(data)


@pytest.mark.slow
@MANY
@given(st.binary(max_size=2000))
def test_any_bytes_for_long(data: bytes) -> None:
    test_archive_objects.test_any_bytes.hypothesis.inner_test(data)
    test_bitstreams.test_random_bytes.hypothesis.inner_test(data)


@pytest.mark.slow
@MANY
@given(st.sampled_from([PLANES, RESIDUAL]), st.data())
def test_changed_layers_for_long(kind: int, data: st.DataObject) -> None:
    test_bitstreams.test_changed_layer_behind_a_right_checksum.hypothesis.inner_test(kind, data)
