"""Integers that several of the compiled functions need."""

from __future__ import annotations

from hexdicom.codec.compiled.jit import njit


@njit(inline="always")
def log(value, mantissa):
    exponent = 0
    rest = value
    while rest >= 256:
        rest >>= 1
        exponent += 1
    while rest < 128:
        rest <<= 1
        exponent -= 1
    return 32 * (exponent + 7) + mantissa[rest - 128]


@njit(inline="always")
def clamp(value, low, high):
    return min(max(value, low), high)


@njit(inline="always")
def sigmoid(u, knots):
    m = min(abs(u), (24 << 16) - 1)
    i, f = m >> 10, m & 1023
    upper = knots[i] + ((knots[i + 1] - knots[i]) * f >> 10)
    return (1 << 30) - upper if u < 0 else upper
