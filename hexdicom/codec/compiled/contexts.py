"""The contexts of the coefficients: where each begins among the adaptive probabilities, and how what lies around is graded.

Specified in docs/format.md, section 9.3. `coefficients` and `expected` decide under the same.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.times import LARGEST

UNARY = 15  # magnitudes up to here are counted, larger ones escape
SEEN_UP_TO = 255  # magnitudes count as no more in their neighbours' contexts
ZEROS, SIGNS, SIZES = 8, 4, 5  # contexts of each kind of decision
BANDS = 8 * 3  # levels and kinds

# where the contexts of each kind begin among the adaptive probabilities
_Z0 = 0
_Z1 = _Z0 + 16 * BANDS * 3
_Z2 = _Z1 + 6 * 6 * 6 * 2 * 3
_Z3 = _Z2 + 6 * 6 * 3 * 8
_Z4 = _Z3 + 16 * 6 * 3 * 8
_Z5 = _Z4 + 11 * 4 * BANDS
_Z6 = _Z5 + 16 * BANDS * 4
_Z7 = _Z6 + 16 * BANDS * 3
_S0 = _Z7 + 6 * 6 * 6 * 8
_S1 = _S0 + 3 * 3 * 4 * 8 * 3
_S2 = _S1 + 3 * 3 * BANDS
_S3 = _S2 + 3 * 4 * BANDS
_M0 = _S3 + 3 * 3 * 3 * BANDS
_M1 = _M0 + 16 * 14 * 8 * 2
_M2 = _M1 + 16 * 16 * 14
_M3 = _M2 + 16 * 14 * BANDS * 2
_M4 = _M3 + 16 * 14 * 8
EMPTY = _M4 + 16 * 14 * 8
ESCAPE = EMPTY + 4 * BANDS * 3 * 2 * 2
TIMES = ESCAPE + 16 * (LARGEST + 1)
CONTEXTS = TIMES + 64 * (LARGEST + 1)  # of all of these


@njit(inline="always")
def of_zero(slots, band, level, kind, depth, order, r, causal, above, sisters, beside, behind, below, left, up):
    """Those of whether a coefficient of channel r is not 0. -> grades that contexts and weights of later decisions need too:
    (rough and fine of what is before it, of what is below it, of all of it, of all of it with more weight on what is near)

    causal, above, sisters, beside, behind, below: sums of magnitudes around it; left, up: the magnitudes there.
    """
    total = 2 * (causal + above + beside) + sisters + behind + below
    whole = 2 * (causal + below) + above + sisters + beside
    rough, grade, deep = rough_of(causal), grade_of(4 * causal), grade_of(4 * below)
    sum_grade, whole_grade = grade_of(total), grade_of(whole)
    slots[0] = _Z0 + (grade * BANDS + band) * 3 + order
    slots[1] = _Z1 + (((rough * 6 + rough_of(above)) * 6 + rough_of(sisters)) * 2 + min(r, 1)) * 3 + kind
    slots[2] = _Z2 + ((rough_of(beside) * 6 + rough) * 3 + min(behind, 2)) * 8 + level
    slots[3] = _Z3 + ((deep * 6 + rough) * 3 + min(beside, 2)) * 8 + level
    slots[4] = _Z4 + (min(r, 10) * 4 + depth) * BANDS + band
    slots[5] = _Z5 + (sum_grade * BANDS + band) * 4 + depth
    slots[6] = _Z6 + (whole_grade * BANDS + band) * 3 + order
    slots[7] = _Z7 + ((rough_of((whole + 2) >> 2) * 6 + rough_of(left)) * 6 + rough_of(up)) * 8 + level
    return rough, grade, deep, sum_grade, whole_grade


@njit(inline="always")
def of_sign(slots, band, level, order, one, two, size, before, over, ahead, y, x):
    """Those of a sign. one, two, before, over, ahead: 0 to 2, signs in the two slices that are known, at its left, above and in its
    parent. size: the magnitude in the first of the slices. y, x: its place in the band."""
    slots[0] = _S0 + (((one * 3 + two) * 4 + min(size, 3)) * 8 + level) * 3 + order
    slots[1] = _S1 + (before * 3 + over) * BANDS + band
    slots[2] = _S2 + (ahead * 4 + (y & 1) * 2 + (x & 1)) * BANDS + band
    slots[3] = _S3 + ((one * 3 + before) * 3 + over) * BANDS + band


@njit(inline="always")
def of_one(grade, level, r):
    """The first of those of whether a magnitude is larger than 1."""
    return _M0 + (grade * 14 * 8 + level) * 2 + min(r, 1)


@njit(inline="always")
def of_size(slots, n, band, level, r, first, outside, deep, sister, sum_grade, whole_grade):
    """Those of whether a magnitude is larger than n + 1. first: `of_one`. The others: grades of what lies around."""
    slots[0] = first + n * 16
    slots[1] = _M1 + (outside * 16 + deep) * 14 + n
    slots[2] = _M2 + ((sister * 14 + n) * BANDS + band) * 2 + min(r, 1)
    slots[3] = _M3 + (sum_grade * 14 + n) * 8 + level
    slots[4] = _M4 + (whole_grade * 14 + n) * 8 + level


@njit(inline="always")
def rough_of(n):
    """0..5"""
    return n if n < 3 else 3 if n < 6 else 4 if n < 14 else 5


@njit(inline="always")
def grade_of(n):
    """0..15, of quarters"""
    if n < 20:
        return 0 if n < 1 else 1 if n < 3 else 2 if n < 6 else 3 if n < 10 else 4 if n < 14 else 5
    if n < 112:
        return 6 if n < 28 else 7 if n < 40 else 8 if n < 56 else 9 if n < 80 else 10
    return 11 if n < 160 else 12 if n < 256 else 13 if n < 400 else 14 if n < 720 else 15


@njit(inline="always")
def lowered(value, real, price, p, more):
    """The value of 0, ±1 or ±2, no larger than it is, that costs least. p: that it is not 0; more: that it is then not ±1"""
    nothing = real * real - price * np.log2(1 - p)
    one = (real - 1) ** 2 + price * (1 - np.log2(p) - np.log2(1 - more))
    two = (real - 2) ** 2 + price * (2 - np.log2(p) - np.log2(more))
    best = 1 if one < nothing else 0
    if abs(value) == 2 and two < one and two < nothing:
        best = 2
    return best if value > 0 else -best
