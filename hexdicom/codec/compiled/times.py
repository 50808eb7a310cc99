"""Escaped integers, and the time functions made of them. Specified in docs/format.md, sections 8.3 and 8.4."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.binary import code, code_alone
from hexdicom.codec.compiled.jit import njit

LARGEST = 24  # exponent of an escaped integer


@njit(inline="always")
def escape(coder, data, value, seen, first, rates, reading):
    """An integer from 0 on: how many bits value + 1 has below its first, counted, then these bits."""
    value += 1
    exponent = 0
    while exponent < LARGEST:
        more = 0 if reading else value >> (exponent + 1)
        if not code_alone(coder, data, 1 if more else 0, seen, first + exponent, rates, reading):
            break
        exponent += 1
    found = np.int64(1)
    for k in range(exponent - 1, -1, -1):
        found = 2 * found + code(coder, data, (value >> k) & 1, 32768, reading)
    return found - 1


@njit(inline="always")
def code_times(times, coder, data, seen, slots, rates, reading, cost):
    """The time functions: of channel 0 the differences from one time to the next, of the others the values.

    slots: the first of those for them. cost: (R,) float64, to which their bits are added, about.
    """
    for r in range(times.shape[0]):
        before = np.int64(0)
        for t in range(times.shape[1]):
            value = np.int64(times[r, t]) - before
            size = escape(coder, data, abs(value), seen, slots + r * (LARGEST + 1), rates, reading)
            if size:
                negative = code(coder, data, 1 if value < 0 else 0, 32768, reading)
                if reading:
                    value = -size if negative else size
            elif reading:
                value = np.int64(0)
            if not reading:
                cost[r] += 2 * np.log2(abs(value) + 1) + 1
            value += before
            times[r, t] = value
            if r == 0:
                before = value
