"""What a network sees around coefficients, gathered for its training. Format, section 9.6."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.expectation import BEFORE, LEVELS
from hexdicom.codec.compiled.jit import njit

VALUE, LEVEL, KIND, DEPTH, ORDER, ROW, COLUMN = range(7)  # fields of what a coefficient is


@njit()
def gather(q, table, room, known, chosen, around, what):
    """Fill `around`, (n, PLACES), and `what`, (n, 7), for chosen coefficients, in bands that are not empty. -> how many

    q: (Z, R, Y, X) int32. table, room, known: as `coefficients.code_maps` has them. chosen: (Z, R, Y, X) bool.
    """
    slices, channels = q.shape[0], q.shape[1]
    plane = np.zeros((slices + 1, channels, room), np.int16)
    count = 0
    for z in range(slices):
        for r in range(channels):
            here = plane[z, r]
            for b in range(len(table)):
                level, kind, top, left, height, width, parent, place, stride = table[b]
                last, second, depth, third = known[level, z]
                some = False
                for y in range(height):
                    for x in range(width):
                        value = q[z, r, top + y, left + x]
                        some = some or value != 0
                        here[place + y * stride + x] = max(-255, min(255, value))
                if not some:
                    continue
                for y in range(height):
                    for x in range(width):
                        if not chosen[z, r, top + y, left + x] or count == len(around):
                            continue
                        i, found = place + y * stride + x, around[count]
                        found[:] = 0
                        for k in range(BEFORE):
                            found[k] = here[i - 1 - k if k < 2 else i - stride + k - 4 if k < 7 else i - 2 * stride + k - 8]
                        if parent >= 0:
                            high, wide, first, step = table[parent, 4], table[parent, 5], table[parent, 7], table[parent, 8]
                            _window(here, first + min(y >> 1, high - 1) * step + min(x >> 1, wide - 1), step, found, 0)
                        for k in range(kind):
                            _window(here, table[b - kind + k, 7] + y * stride + x, stride, found, 1 + k)
                        _window(plane[last, r], i, stride, found, 3)
                        _window(plane[second, r], i, stride, found, 4)
                        _window(plane[third, r], i, stride, found, 5)
                        for k in range(min(r, 2)):
                            _window(plane[z, r - 1 - k], i, stride, found, 6 + k)
                        fine = LEVELS - 1 if level == 0 else min(table[-1, 0] - level, LEVELS - 2)
                        fields = what[count]
                        fields[VALUE], fields[LEVEL], fields[KIND], fields[DEPTH] = q[z, r, top + y, left + x], fine, kind, depth
                        fields[ORDER], fields[ROW], fields[COLUMN] = min(r, 2), y & 1, x & 1
                        count += 1
    return count


@njit(inline="always")
def _window(plane, i, stride, found, number):
    for k in range(9):
        found[BEFORE + 9 * number + k] = plane[i + (k // 3 - 1) * stride + k % 3 - 1]
