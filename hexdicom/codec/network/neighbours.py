"""Which decoded voxels the network sees around a voxel, and the order of coding that makes them causal.

A frame (t, z) sees itself, up to three earlier frames of its slice (its references, chosen by the encoder), the running mean and
deviation of all earlier frames, and the errors that a linear predictor made. Slices never see one another: they are coded side by
side and decoded alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _square(radius: int) -> list[tuple[int, int]]:
    span = range(-radius, radius + 1)
    return [(dy, dx) for dy in span for dx in span]


# (dy, dx), rows before columns
IN_FRAME: NDArray[np.int64] = np.array(
    [(dy, dx) for dy in range(-5, 1) for dx in range(-5, 6) if (dy, dx) < (0, 0) and abs(dy) + abs(dx) <= 6], np.int64
)
IN_FIRST: NDArray[np.int64] = np.array(_square(2), np.int64)  # the first reference
IN_OTHERS: NDArray[np.int64] = np.array(_square(1), np.int64)  # second and third reference, and the running mean

# where the errors of the linear predictor are seen, in the frame and, as a square, in the first reference
ERRORS_IN_FRAME: NDArray[np.int64] = np.array([(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)], np.int64)
SIGNED_IN_FRAME = 4  # the first of them also enter with their sign, and so does the error at the same place of the reference
OFFSETS = IN_FRAME, IN_FIRST, IN_OTHERS, ERRORS_IN_FRAME

HALO = int(max(np.abs(one).max() for one in OFFSETS))  # 5: as far from the borders all neighbours are there
REFERENCES = 3
VALUES = len(IN_FRAME) + len(IN_FIRST) + 3 * len(IN_OTHERS)  # 92
NEIGHBOURS = VALUES + SIGNED_IN_FRAME + 1  # 97
SCALARS = 9
FIELD_CHANNELS = 6
INPUTS = NEIGHBOURS + SCALARS + FIELD_CHANNELS  # 112
COMPONENTS = 3  # of the mixture

# Voxel (t, y, x) of a slice belongs to wavefront x + ROW_STEP·y + FRAME_STEP·t: the least steps that put every neighbour earlier.
ROW_STEP = 6
FRAME_STEP = 15
