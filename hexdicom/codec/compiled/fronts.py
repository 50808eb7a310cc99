"""Slices whose voxels lie in memory as they are coded: those of a wavefront and a frame side by side, so that vectors take them.

Voxel (y, x) of a frame lies at f·pitch + y, where f = x + ROW_STEP·y is its wavefront. A seventh of the memory stays unused where
frames are 256 × 256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.vectors import LANES
from hexdicom.codec.network.neighbours import ROW_STEP

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def zeros(shape: tuple[int, int, int], dtype: DTypeLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """-> (the memory of a (T, Y, X) slice, which a vector that begins within it may not leave, the slice as a view of it)"""
    times, height, width = shape
    frame, row, column = strides(height, width)
    flat = np.zeros(times * frame + LANES, dtype)
    bytes_of = flat.itemsize
    view = np.lib.stride_tricks.as_strided(flat, shape, (frame * bytes_of, row * bytes_of, column * bytes_of))
    return flat, view


@njit()
def strides(height, width):
    """How far frames, rows and columns lie apart, in voxels"""
    pitch = -(-width // ROW_STEP)  # at most so many rows meet a wavefront in one frame
    row = ROW_STEP * pitch + 1
    return (height - 1) * row + (width - 1) * pitch + 1, row, pitch
