"""From coefficients to what they stand for: the inverse 9/7 wavelet in integers, by lifting. Format, section 8.5."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit

# lifting steps of the Cohen-Daubechies-Feauveau 9/7 wavelet (Daubechies and Sweldens 1998) in 1/65536, last step first
LIFTING = (29066, 57862, -3472, -103949)
LOW_GAIN, HIGH_GAIN = 57007, 75340  # 1/K and K, K = 1.149604398
LIMIT = 1 << 38  # of every value before and after a level


@njit()
def dequantise(q, r, step, places, found):
    """Coefficients of channel r in the unit of `step`. q: (Z, R, Y, X). found: (Z, Y, X).

    places: by how many 1/256 of a step magnitudes of 0, 1, 2 and more lie above their integer.
    """
    for z in range(q.shape[0]):
        for y in range(q.shape[2]):
            row, out = q[z, r, y], found[z, y]
            for x in range(len(out)):
                size = np.int64(abs(row[x]))
                value = min((256 * size + places[min(size, 3)]) * step >> 8, LIMIT)
                out[x] = (value if row[x] > 0 else -value) if size else 0


@njit()
def inverse(plane, heights, widths):
    """Undo all levels in place. plane: (Y, X) int64. heights, widths: of the lowest band of each level, the whole plane first."""
    room = np.empty(plane.size, np.int64)
    low, high = np.empty(widths[0], np.int64), np.empty(widths[0], np.int64)
    for level in range(len(heights) - 1, 0, -1):
        height, width, half = heights[level - 1], widths[level - 1], widths[level]
        rows = room[: height * width].reshape(height, width)
        _across(plane, heights[level], rows)
        for y in range(height):
            row, out = rows[y], plane[y]
            if width > 1:
                _scale(row[:half], LOW_GAIN, low[:half])
                _scale(row[half:], HIGH_GAIN, high[: width - half])
                _along(low[:half], high[: width - half])
                for x in range(width - half):
                    out[2 * x] = min(max(low[x], -LIMIT), LIMIT)
                    out[2 * x + 1] = min(max(high[x], -LIMIT), LIMIT)
                if width & 1:
                    out[width - 1] = min(max(low[half - 1], -LIMIT), LIMIT)
            else:
                out[0] = min(max(row[0], -LIMIT), LIMIT)


@njit()
def inverse_along(stack, lengths):
    """The same along the first axis. stack: (Z, n) int64. lengths: as heights."""
    room = np.empty(stack.size, np.int64)
    width = stack.shape[1]
    for level in range(len(lengths) - 1, 0, -1):
        length = lengths[level - 1]
        if length < 2:
            continue
        rows = room[: length * width].reshape(length, width)
        _across(stack, lengths[level], rows)
        for z in range(length):
            for x in range(width):
                stack[z, x] = min(max(rows[z, x], -LIMIT), LIMIT)


@njit()
def _across(plane, half, rows):
    """rows: one level of what the first rows of `plane` hold, undone down the columns, all of a row at once."""
    height, width = rows.shape
    if height == 1:
        rows[0] = plane[0, :width]
        return
    for i in range(half):
        _scale(plane[i, :width], LOW_GAIN, rows[2 * i])
    for i in range(height - half):
        _scale(plane[half + i, :width], HIGH_GAIN, rows[2 * i + 1])
    for step in range(4):
        for y in range(step & 1, height, 2):
            # beyond an end, the neighbour on the other side
            _lift(rows[y], rows[y - 1 if y > 0 else 1], rows[y + 1 if y + 1 < height else height - 2], LIFTING[step])


@njit()
def _along(low, high):
    """One level of a line, in place. low: the even samples; high: the odd ones, as many or one less."""
    n, m = len(low), len(high)
    for step in (0, 2):
        _lift(low[:1], high[:1], high[:1], LIFTING[step])
        _lift(low[1:m], high[: m - 1], high[1:], LIFTING[step])
        _lift(low[m:], high[m - 1 :], high[m - 1 :], LIFTING[step])
        _lift(high[: n - 1], low[: n - 1], low[1:], LIFTING[step + 1])
        _lift(high[n - 1 :], low[n - 1 :], low[n - 1 :], LIFTING[step + 1])


@njit()
def _scale(values, gain, out):
    for i in range(len(out)):
        out[i] = (values[i] * gain + 32768) >> 16


@njit()
def _lift(values, left, right, factor):
    for i in range(len(values)):
        values[i] -= ((left[i] + right[i]) * factor + 32768) >> 16
