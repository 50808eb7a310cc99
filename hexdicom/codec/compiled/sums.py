"""Stored values from maps and functions of time. Specified in docs/format.md, section 8.5. Sums below 2^52 are exact in doubles."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit

_TILE = 1024  # places at once, which stay in the nearest cache
_SUMS = 4  # channels at once


@njit(fastmath=True)
def combine(maps, functions, bits, low, high, place, found):
    """found[t, place, i] = clamp(round(sum of functions[t, r] maps[r, i], bits), low, high).

    maps: (R, n) int32. functions: (T, R) float64, integers. found: (T, Z, n) int32.
    """
    channels, count = maps.shape
    unit, half = 1 / (1 << bits), np.float64(1 << (bits - 1))
    sums = np.empty(_TILE)
    for start in range(0, count, _TILE):
        width = min(_TILE, count - start)
        for t in range(len(functions)):
            sums[:width] = half
            for r in range(0, channels - _SUMS + 1, _SUMS):
                f0, f1, f2, f3 = functions[t, r], functions[t, r + 1], functions[t, r + 2], functions[t, r + 3]
                m0, m1, m2, m3 = maps[r, start:], maps[r + 1, start:], maps[r + 2, start:], maps[r + 3, start:]
                for x in range(width):
                    sums[x] += f0 * m0[x] + f1 * m1[x] + f2 * m2[x] + f3 * m3[x]
            for r in range(channels - channels % _SUMS, channels):
                f, m = functions[t, r], maps[r, start:]
                for x in range(width):
                    sums[x] += f * m[x]
            row = found[t, place, start:]
            for x in range(width):
                row[x] = min(max(np.floor(sums[x] * unit), low), high)
