"""What a wide filter sees of a map. Specified in docs/format.md, section 9.5."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit

PHASES = 3  # halvings along each axis that a wide filter knows of


@njit()
def describe(maps, z, step, unit, limit, halved, planes):
    """What a wide filter sees of slice z: how far it and four neighbours lie from the mean of 5 × 5 values; that mean's magnitude;
    and in which half of each wavelet a place is, across slices, down the rows, along them.

    maps: (Z, Y, X) int64. unit: that of a step. halved: how often they are halved across slices, and within them. planes: 0,
    (C, Y, X), to be filled.
    """
    slices, height, width = maps.shape
    here = maps[z]
    for y in range(height):
        for x in range(width):
            mean = np.int64(0)  # 25 times
            for i in range(-2, 3):
                row = here[min(max(y + i, 0), height - 1)]
                for j in range(-2, 3):
                    mean += row[min(max(x + j, 0), width - 1)]
            for c, near in ((0, z), (1, z - 1), (2, z + 1), (4, z - 2), (5, z + 2)):
                value = 25 * maps[min(max(near, 0), slices - 1), y, x] - mean
                planes[c, y, x] = min(max((2 * value * unit + 25 * step) // (50 * step), -limit), limit)
            planes[3, y, x] = min((2 * abs(mean) * unit + 50 * step) // (100 * step), limit)
            for d in range(PHASES):
                if d < halved[0]:
                    planes[6 + d, y, x] = unit * ((z >> d) & 1)
                if d < halved[1]:
                    planes[6 + PHASES + d, y, x] = unit * ((y >> d) & 1)
                    planes[6 + 2 * PHASES + d, y, x] = unit * ((x >> d) & 1)
