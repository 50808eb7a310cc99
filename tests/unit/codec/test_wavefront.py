"""Every neighbour of a voxel is decided before the voxel, and every voxel is decided once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hexdicom.codec.linear import surroundings, wavefront

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))


def _fronts(shape: tuple[int, int, int, int]) -> np.ndarray:
    """(padded shape) wavefront of every voxel, −1 in the padding"""
    pad = wavefront.padding(surroundings.NEIGHBOURS)
    padded = [size + before + after for size, (before, after) in zip(shape, pad, strict=True)]
    fronts = np.full(padded, -1).reshape(-1)
    for front, voxels in enumerate(wavefront.schedule(shape, surroundings.NEIGHBOURS)):
        assert (fronts[voxels] == -1).all()
        fronts[voxels] = front
    return fronts.reshape(padded)


@given(SHAPES)
def test_schedule_is_causal_and_complete(shape: tuple[int, int, int, int]) -> None:
    fronts = _fronts(shape)
    pad = wavefront.padding(surroundings.NEIGHBOURS)
    inside = tuple(slice(before, before + size) for (before, _), size in zip(pad, shape, strict=True))
    assert (fronts[inside] >= 0).all()
    assert (fronts >= 0).sum() == np.prod(shape)
    offsets = wavefront.flat_offsets(shape, surroundings.NEIGHBOURS, surroundings.NEIGHBOURS)
    flat = fronts.reshape(-1)
    voxels = np.flatnonzero(flat >= 0)
    assert (flat[voxels[:, None] + offsets] < flat[voxels][:, None]).all()


@given(SHAPES)
def test_sizes_are_those_of_the_fronts(shape: tuple[int, int, int, int]) -> None:
    schedule = wavefront.schedule(shape, surroundings.NEIGHBOURS)
    assert schedule.sizes() == [len(voxels) for voxels in schedule]
    assert schedule.voxels == np.prod(shape)


def test_the_least_steps_that_are_causal() -> None:
    assert wavefront.steps([(0, 0, 0, -1), (0, 0, -1, 0)]) == (1, 1, 1, 1)
    assert wavefront.steps([(0, 0, -1, 1)])[2] == 2
    assert wavefront.steps(surroundings.NEIGHBOURS) == (11, 6, 4, 1)


def test_the_neighbours_of_the_format() -> None:
    assert len(surroundings.NEIGHBOURS) == len(set(surroundings.NEIGHBOURS)) == 61
    assert len(surroundings.ERROR_NEIGHBOURS) == 13
