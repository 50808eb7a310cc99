"""The inverse 9/7 wavelet in integers, by lifting. Specified in docs/format.md, section 8.5."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit

# lifting steps of the Cohen-Daubechies-Feauveau 9/7 wavelet (Daubechies and Sweldens 1998) in 1/65536, last step first
LIFTING = (29066, 57862, -3472, -103949)
LOW_GAIN, HIGH_GAIN = 57007, 75340  # 1/K and K, K = 1.149604398
LIMIT = 1 << 38  # of every value before and after a level


@njit()
def inverse(plane, heights, widths):
    """Undo all levels in place. plane: (Y, X) int64. heights, widths: of the lowest band of each level, the whole plane first."""
    line = np.empty(max(plane.shape), np.int64)
    for level in range(len(heights) - 1, 0, -1):
        height, width = heights[level - 1], widths[level - 1]
        for x in range(width):
            if height > 1:
                for y in range(height):
                    line[y] = plane[y, x]
                _line(line, heights[level], height, plane[:height, x])
        for y in range(height):
            if width > 1:
                line[:width] = plane[y, :width]
                _line(line, widths[level], width, plane[y, :width])
            for x in range(width):
                plane[y, x] = min(max(plane[y, x], -LIMIT), LIMIT)


@njit()
def inverse_along(stack, lengths):
    """The same along the first axis. stack: (Z, n) int64. lengths: as heights."""
    line = np.empty(stack.shape[0], np.int64)
    for level in range(len(lengths) - 1, 0, -1):
        length = lengths[level - 1]
        if length < 2:
            continue
        for i in range(stack.shape[1]):
            for z in range(length):
                line[z] = stack[z, i]
            _line(line, lengths[level], length, stack[:length, i])
            for z in range(length):
                stack[z, i] = min(max(stack[z, i], -LIMIT), LIMIT)


@njit(inline="always")
def _line(line, half, length, out):
    """line: `half` low, then the high coefficients. out: (length,) the samples"""
    for i in range(half):
        out[2 * i] = (line[i] * LOW_GAIN + 32768) >> 16
    for i in range(length - half):
        out[2 * i + 1] = (line[half + i] * HIGH_GAIN + 32768) >> 16
    for step in range(4):
        factor = LIFTING[step]
        for i in range(step & 1, length, 2):
            # beyond an end, the neighbour on the other side
            left = out[i - 1] if i > 0 else out[1]
            right = out[i + 1] if i + 1 < length else out[length - 2]
            out[i] -= ((left + right) * factor + 32768) >> 16
