"""Integers that several of the compiled functions need."""

from __future__ import annotations

from hexdicom.codec.compiled.jit import njit


@njit(inline="always")
def clamp(value, low, high):
    return min(max(value, low), high)


@njit(inline="always")
def sigmoid(u, knots):
    m = min(abs(u), (24 << 16) - 1)
    i, f = m >> 10, m & 1023
    upper = knots[i] + ((knots[i + 1] - knots[i]) * f >> 10)
    return (1 << 30) - upper if u < 0 else upper
