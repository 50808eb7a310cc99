"""Slices that lie in memory as they are coded."""

from __future__ import annotations

import numpy as np
import pytest

from hexdicom.codec.compiled import fronts
from hexdicom.codec.network.neighbours import ROW_STEP

SHAPES = [(1, 1, 1), (2, 1, 9), (3, 9, 1), (2, 5, 6), (2, 7, 7), (3, 20, 31), (2, 40, 12), (2, 13, 61)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_voxel_has_a_place_of_its_own(shape: tuple[int, int, int]) -> None:
    memory, view = fronts.zeros(shape, np.int32)
    view[:] = np.arange(1, view.size + 1).reshape(shape)
    assert (view == np.arange(1, view.size + 1).reshape(shape)).all()
    assert np.count_nonzero(memory) == view.size


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wavefront_of_a_frame_lies_side_by_side(shape: tuple[int, int, int]) -> None:
    memory, view = fronts.zeros(shape, np.int64)
    view[:] = np.arange(view.size).reshape(shape) + 1
    times, height, width = shape
    for front in range(width + ROW_STEP * (height - 1)):
        rows = [y for y in range(height) if 0 <= front - ROW_STEP * y < width]
        if rows:
            wanted = [int(view[times - 1, y, front - ROW_STEP * y]) for y in rows]
            first = int(np.flatnonzero(memory == wanted[0])[0])
            assert memory[first : first + len(rows)].tolist() == wanted


def test_a_vector_that_begins_at_the_last_voxel_stays_within_the_memory() -> None:
    memory, view = fronts.zeros((2, 8, 9), np.int32)
    view[-1, -1, -1] = 1
    assert len(memory) - int(np.flatnonzero(memory)[0]) >= fronts.LANES
