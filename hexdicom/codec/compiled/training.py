"""The same inputs for training, where the whole series is known."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.inputs import (
    ACTIVITY,
    BLOCK,
    COLUMNS,
    LOCALS,
    REFERENCE,
    ROWS,
    describe,
    gather,
    gather_errors,
    normalise,
)
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp
from hexdicom.codec.network.neighbours import NEIGHBOURS, SCALARS, VALUES

UNKNOWN = -(1 << 30)  # an error that has not been worked out


@njit()
def history(values, recency, mean, deviation):
    """Fill the running mean and deviation of a whole (T, Y, X) slice: for training, where nothing has to be causal."""
    times, height, width = values.shape
    for t in range(times - 1):
        for y in range(height):
            for x in range(width):
                value = np.int64(16) * values[t, y, x]
                past = np.int64(mean[t, y, x]) if t > 0 else value
                gap = value - past
                mean[t + 1, y, x] = past + ((gap * recency[t]) >> 16)
                if t > 0:
                    spread = np.int64(deviation[t, y, x])
                    deviation[t + 1, y, x] = spread + (((abs(gap) - spread) * recency[t - 1]) >> 16)


@njit()
def examples(values, mean, deviation, errors, references, linear, places, bounds, offsets, mantissa, differences, inputs, local):
    """What the network is told of the voxels `places` (n, 3), without the field. local: (n, 2) reference and activity.

    errors: UNKNOWN where the error of the linear predictor has not been worked out yet; what is needed is filled in.
    """
    low, high = bounds
    height, width = values.shape[1:]
    near, square = offsets[3], offsets[2]
    difference, other = np.zeros((ROWS, COLUMNS), np.int32), np.zeros((ROWS, COLUMNS), np.int32)
    told, ignored = np.zeros((NEIGHBOURS + SCALARS, COLUMNS), np.float32), np.zeros((NEIGHBOURS + SCALARS, COLUMNS), np.float32)
    around, there = np.ones((LOCALS, COLUMNS), np.int32), np.ones((LOCALS, COLUMNS), np.int32)
    limit, ratio = np.zeros(COLUMNS, np.float32), np.zeros(COLUMNS, np.float32)
    number, logs = np.zeros(COLUMNS), np.zeros((7, COLUMNS), np.int32)
    for begin in range(0, len(places), BLOCK):
        count = min(BLOCK, len(places) - begin)
        for b in range(count):
            t, y, x = places[begin + b]
            gather(values, mean, deviation, references, t, y, x, low, offsets, difference, around, told, b)
            for i in range(len(near) + len(square)):
                inside = i < len(near)
                s = t if inside else references[t, 0]
                v = y + (near[i, 0] if inside else square[i - len(near), 0])
                u = x + (near[i, 1] if inside else square[i - len(near), 1])
                if s < 0 or (inside and (v < 0 or u < 0 or u >= width)):
                    continue
                v, u = clamp(v, 0, height - 1), clamp(u, 0, width - 1)
                if errors[s, v, u] == UNKNOWN:
                    gather(values, mean, deviation, references, s, v, u, low, offsets, other, there, ignored, 0)
                    errors[s, v, u] = 16 * values[s, v, u] - predicted(other, 0, linear, there[REFERENCE, 0], low, high)
            gather_errors(errors, references, t, y, x, offsets, difference, around, b)
        describe(around, low, mantissa, number, logs, told)
        normalise(difference, around, limit, ratio, told)
        for b in range(count):
            for i in range(NEIGHBOURS):
                differences[begin + b, i] = difference[i, b]
            for i in range(NEIGHBOURS + SCALARS):
                inputs[begin + b, i] = np.int16(told[i, b])
            local[begin + b, 0], local[begin + b, 1] = around[REFERENCE, b], around[ACTIVITY, b]


@njit()
def predicted(difference, b, linear, reference, low, high):
    """`predict` of one column"""
    total = 0.0
    for i in range(VALUES):
        total += linear[i] * np.float64(difference[i, b])
    return clamp(reference + np.int64(np.floor(total * 2.0**-12)), 16 * low, 16 * high)
