"""Integer tables of the network predictor, from exact integer arithmetic: the same on every machine."""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 256  # a scale is 2^(level / 16) sixteenths of a stored value
WEIGHT_BITS = 12


@cache
def scale() -> NDArray[np.int64]:
    """(LEVELS,) ⌊2^(level / 16)⌋, a scale in sixteenths of a stored value"""
    return np.array([_power(level) for level in range(LEVELS)], np.int64)


@cache
def inverse_scale() -> NDArray[np.int64]:
    """(LEVELS,) ⌊2^(36 − level / 16)⌋"""
    return np.array([_power(36 * 16 - level) for level in range(LEVELS)], np.int64)


@cache
def decay() -> NDArray[np.int64]:
    """(LEVELS,) ⌊2^(16 − i / 16)⌋: unnormalised weight of a component that is i/16 octaves behind the heaviest"""
    return np.array([_power(16 * 16 - i) for i in range(LEVELS)], np.int64)


@cache
def mantissa_log() -> NDArray[np.int64]:
    """(128,) ⌊32 log₂((128 + i) / 128)⌋"""
    return np.array([max(j for j in range(32) if 2**j * 128**32 <= (128 + i) ** 32) for i in range(128)], np.int64)


def _power(sixteenths: int) -> int:
    """⌊2^(sixteenths / 16)⌋: four nested integer square roots of 2^sixteenths, which is exact"""
    root = 1 << sixteenths
    for _ in range(4):
        root = isqrt(root)
    return root


def recency(times: int) -> NDArray[np.int64]:
    """(times,) ⌊2^16 / (n + 1)⌋: what a new value counts for in a running mean of n before it"""
    return (1 << 16) // np.arange(1, times + 1, dtype=np.int64)
