"""Dense layers on a block of voxels: float32 carries integers below 2^24, which `weights.Network` proves."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.inputs import COLUMNS
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.vectors import LANES, ROWS, tile
from hexdicom.codec.network.neighbours import NEIGHBOURS
from hexdicom.codec.network.weights import HIDDEN_LIMIT


@njit()
def dense(weights, source, bias, target, count):
    """target[h, b] = bias[h] + sum of weights[h, i] source[i, b] for `count` columns b, or a few more.

    weights: (H, I), H a multiple of ROWS; source: (I, COLUMNS); bias: (H,); target: (H, COLUMNS): float32.
    """
    for b in range(0, count, LANES):
        for h in range(0, len(bias), ROWS):
            tile(weights, h, source, b, bias, target)


@njit(fastmath=True)
def activate(target):
    unit, limit = np.float32(2.0**-9), np.float32(HIDDEN_LIMIT)
    for h in range(len(target)):
        for b in range(COLUMNS):
            target[h, b] = min(max(np.floor(target[h, b] * unit), np.float32(0)), limit)


@njit(fastmath=True)
def combine(output, difference, combined):
    """Fill (COLUMNS,) combined with the sums of differences that outputs weigh."""
    combined[:] = 0
    for i in range(NEIGHBOURS):
        for b in range(COLUMNS):
            combined[b] += np.float64(output[i, b]) * np.float64(difference[i, b])
