"""A filter on one map: convolutions of 3 × 3 in float32, which carries integers below 2^24, as `sparse.filters.Filter` proves.

All layers go down the map together, each a row behind the one before, so that what they pass on is three rows and stays in the
nearest cache.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit


@njit()
def run(maps, z, step, units, limits, weights, biases, widths, found):
    """found[y, x] = what a filter says of slice z.

    maps: (Z, Y, X) int64. units: that of a step in the inputs, and what a sum is multiplied by to be an input of the layer after.
    limits: of the inputs and of those of the other layers. weights: (L, H, C, 3, 3), biases: (L, H), 0 beyond the widths of a
    layer, H even. widths: (L + 1,) planes before each layer and after the last. found: (Y, X) int64.
    """
    height, width = maps.shape[1], maps.shape[2]
    layers = len(weights)
    passed = np.zeros((layers, weights.shape[2], 3, width + 2), np.float32)  # rows y of what a layer sees lie at y mod 3
    sums = np.empty((2, width), weights.dtype)
    for newest in range(height + layers):
        if newest < height:
            describe(maps, z, newest, step, units[0], limits[0], passed[0, :, newest % 3, 1:-1])
        else:
            passed[0, :, newest % 3] = 0
        for layer in range(layers):
            y = newest - 1 - layer
            if y < 0:
                break
            for h in range(0, widths[layer + 1], 2):
                if y < height:
                    _two(passed[layer], y, widths[layer], weights[layer, h], weights[layer, h + 1], biases[layer, h : h + 2], sums)
                if layer == layers - 1:
                    if y < height:
                        found[y] = sums[0]
                elif y < height:
                    _activate(sums[0], units[1], limits[1], passed[layer + 1, h, y % 3, 1:-1])
                    _activate(sums[1], units[1], limits[1], passed[layer + 1, h + 1, y % 3, 1:-1])
                else:
                    passed[layer + 1, h : h + 2, y % 3] = 0


@njit(fastmath=True)
def _two(planes, y, count, first, second, bias, sums):
    """Row y of two outputs, from `count` planes (C, 3, X + 2). Two at once: the nine values that they share take long to fetch."""
    one, two = sums[0], sums[1]
    one[:] = bias[0]
    two[:] = bias[1]
    up, down = (y + 2) % 3, (y + 1) % 3
    y %= 3
    for c in range(count):
        over, at, under = planes[c, up], planes[c, y], planes[c, down]
        v, w = first[c], second[c]
        v00, v01, v02, v10, v11, v12, v20, v21, v22 = (
            v[0, 0], v[0, 1], v[0, 2], v[1, 0], v[1, 1], v[1, 2], v[2, 0], v[2, 1], v[2, 2],
        )  # fmt: skip
        w00, w01, w02, w10, w11, w12, w20, w21, w22 = (
            w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1], w[1, 2], w[2, 0], w[2, 1], w[2, 2],
        )  # fmt: skip
        for x in range(len(one)):
            a, b, c0, d, e, f, g, h, i = (
                over[x], over[x + 1], over[x + 2], at[x], at[x + 1], at[x + 2], under[x], under[x + 1], under[x + 2],
            )  # fmt: skip
            one[x] += a * v00 + b * v01 + c0 * v02 + d * v10 + e * v11 + f * v12 + g * v20 + h * v21 + i * v22
            two[x] += a * w00 + b * w01 + c0 * w02 + d * w10 + e * w11 + f * w12 + g * w20 + h * w21 + i * w22


@njit(fastmath=True)
def _activate(sums, unit, limit, found):
    """clamp(⌊sum · unit⌋, 0, limit)"""
    for x in range(len(sums)):
        found[x] = min(max(np.floor(sums[x] * unit), 0), limit)


@njit(error_model="numpy")
def describe(maps, z, y, step, unit, limit, found):
    """What a filter sees of row y of slice z: how far it and its neighbours lie from the mean of 5 × 5 values, and that mean's
    magnitude. found: (4, X)

    A quotient in doubles is never rounded up to an integer that it does not reach: below the limit it is further from it than that.
    """
    slices, height, width = maps.shape
    here, over, under = maps[z, y], maps[max(z - 1, 0), y], maps[min(z + 1, slices - 1), y]
    column = np.zeros(width + 4, np.int64)
    for i in range(-2, 3):
        column[2:-2] += maps[z, min(max(y + i, 0), height - 1)]
    column[:2] = column[2]
    column[-2:] = column[-3]
    far = 25.0 * step
    for x in range(width):
        mean = column[x] + column[x + 1] + column[x + 2] + column[x + 3] + column[x + 4]  # 25 times
        found[0, x] = min(max(np.floor((25 * here[x] - mean) * unit / far), -limit), limit)
        found[1, x] = min(max(np.floor((25 * over[x] - mean) * unit / far), -limit), limit)
        found[2, x] = min(max(np.floor((25 * under[x] - mean) * unit / far), -limit), limit)
        found[3, x] = min(np.floor(abs(mean) * unit / (2 * far)), limit)
