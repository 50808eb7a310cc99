"""Convolutions of 3 × 3 on planes: float32 carries integers below 2^24, which `sparse.filters.Filter` proves."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit


@njit(fastmath=True)
def convolve(planes, weights, bias, found):
    """found[h, y, x] = bias[h] + sum of planes[c, y + i, x + j] weights[h, c, i, j].

    planes: (C, Y + 2, X + 2), a border around them. found: (H, Y + 2, X + 2), its border left as it is.
    """
    height, width = planes.shape[1] - 2, planes.shape[2] - 2
    row = np.empty(width, np.float32)
    for y in range(height):
        for h in range(len(bias)):
            row[:] = bias[h]
            for c in range(len(planes)):
                over, at, under = planes[c, y], planes[c, y + 1], planes[c, y + 2]
                w = weights[h, c]
                w00, w01, w02, w10, w11, w12 = w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1], w[1, 2]
                w20, w21, w22 = w[2, 0], w[2, 1], w[2, 2]
                for x in range(width):
                    row[x] += (
                        over[x] * w00 + over[x + 1] * w01 + over[x + 2] * w02
                        + at[x] * w10 + at[x + 1] * w11 + at[x + 2] * w12
                        + under[x] * w20 + under[x + 1] * w21 + under[x + 2] * w22
                    )  # fmt: skip
            found[h, y + 1, 1 : width + 1] = row


@njit(fastmath=True)
def activate(planes, unit, limit):
    """Every value within the border becomes clamp(⌊value · unit⌋, 0, limit)."""
    for h in range(planes.shape[0]):
        for y in range(1, planes.shape[1] - 1):
            for x in range(1, planes.shape[2] - 1):
                planes[h, y, x] = min(max(np.floor(planes[h, y, x] * unit), np.float32(0)), limit)


@njit()
def describe(maps, z, step, unit, limit, planes):
    """What a filter sees of slice z: how far it and its neighbours lie from the mean of 5 × 5 values, and that mean's magnitude.

    maps: (Z, Y, X) int64. planes: (4, Y + 2, X + 2) float32, to be filled within their border. unit: that of a step.
    """
    slices, height, width = maps.shape
    here, over, under = maps[z], maps[max(z - 1, 0)], maps[min(z + 1, slices - 1)]
    for y in range(height):
        for x in range(width):
            mean = np.int64(0)  # 25 times
            for i in range(-2, 3):
                row = here[min(max(y + i, 0), height - 1)]
                for j in range(-2, 3):
                    mean += row[min(max(x + j, 0), width - 1)]
            at = y + 1, x + 1
            planes[0, at[0], at[1]] = min(max((25 * here[y, x] - mean) * unit // (25 * step), -limit), limit)
            planes[1, at[0], at[1]] = min(max((25 * over[y, x] - mean) * unit // (25 * step), -limit), limit)
            planes[2, at[0], at[1]] = min(max((25 * under[y, x] - mean) * unit // (25 * step), -limit), limit)
            planes[3, at[0], at[1]] = min(abs(mean) * unit // (50 * step), limit)
