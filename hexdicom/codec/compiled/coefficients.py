"""The coefficients of all maps and the time functions, to a stream and back. Specified in docs/format.md, sections 9.2 to 9.4.

A map is what one channel shows of one slice, as wavelet coefficients. Most are 0; whether one is, its sign and how large it is,
follows from its surroundings: its band, its parent, its sister bands, the two channels before, two slices that are known.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.binary import EVEN, PLACE, begin, code, code_alone, finish, learn_sets, mix_sets
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.times import LARGEST, code_times, escape

_UNARY = 15  # magnitudes up to here are counted, larger ones escape
_SEEN_UP_TO = 255  # magnitudes count as no more in their neighbours' contexts
ZEROS, SIGNS, SIZES = 8, 4, 5  # contexts of each kind of decision
_BANDS = 8 * 3  # levels and kinds

# where the contexts of each kind begin among the adaptive probabilities
_Z0 = 0
_Z1 = _Z0 + 16 * _BANDS * 3
_Z2 = _Z1 + 6 * 6 * 6 * 2 * 3
_Z3 = _Z2 + 6 * 6 * 3 * 8
_Z4 = _Z3 + 16 * 6 * 3 * 8
_Z5 = _Z4 + 11 * 4 * _BANDS
_Z6 = _Z5 + 16 * _BANDS * 4
_Z7 = _Z6 + 16 * _BANDS * 3
_S0 = _Z7 + 6 * 6 * 6 * 8
_S1 = _S0 + 3 * 3 * 4 * 8 * 3
_S2 = _S1 + 3 * 3 * _BANDS
_S3 = _S2 + 3 * 4 * _BANDS
_M0 = _S3 + 3 * 3 * 3 * _BANDS
_M1 = _M0 + 16 * 14 * 8 * 2
_M2 = _M1 + 16 * 16 * 14
_M3 = _M2 + 16 * 14 * _BANDS * 2
_M4 = _M3 + 16 * 14 * 8
_EMPTY = _M4 + 16 * 14 * 8
_ESCAPE = _EMPTY + 4 * _BANDS * 3 * 2 * 2
_TIMES = _ESCAPE + 16 * (LARGEST + 1)
_SLOTS = _TIMES + 64 * (LARGEST + 1)
# and the weights of the mixers
_ZERO_1 = 8 * 3 * 6 * ZEROS
_ZERO_2 = _ZERO_1 + 6 * 6 * ZEROS
_SIGN = _ZERO_2 + _BANDS * 3 * 4 * ZEROS
_SIZE = _SIGN + 8 * 3 * SIGNS
_SIZE_1 = _SIZE + 3 * 3 * SIZES
_WEIGHTS = _SIZE_1 + 16 * SIZES


@njit()
def code_maps(q, times, bands, room, known, data, reading, real, price, cost, tables):
    """Code every map of every slice. -> bytes written or read

    q: (Z, R, Y, X) int32 coefficients, and times (R, T) int64 time functions, filled where `reading`. bands: the table of bands
    (see `sparse.bands`), in a padded plane of `room` integers. known: (levels, Z, 3) what `sparse.bands.known` says.
    real: (Z, R, Y, X) float32, what the coefficients were before they were rounded, or an empty array. If given, a coefficient of 1
    or 2 is lowered, in q, where its bits cost more than its error: `price` is what a bit may cost, in squared steps.
    cost: (Z, R, bands) float64, to which bits are added; those of a time function to the first band of slice 0.
    """
    squash, stretch, rates = tables
    coder = begin(data, reading)
    seen = np.zeros((_SLOTS, 2), np.int64)
    seen[:, 0] = EVEN
    weights = np.empty(_WEIGHTS, np.int64)
    weights[:_SIGN], weights[_SIGN:_SIZE], weights[_SIZE:] = 5461, 16384, 10486
    slots, logits, sets = np.zeros(ZEROS, np.int64), np.zeros(ZEROS, np.int64), np.zeros(3, np.int64)
    slices, channels = q.shape[0], q.shape[1]
    sizes = np.zeros((slices + 1, channels, room), np.int16)  # magnitudes, and a slice of nothing
    nothing = np.zeros(room, np.int16)
    signs = np.zeros((slices + 1, channels, room), np.int8)
    filled = np.zeros((slices + 1, channels + 1, len(bands)), np.int64)
    above_row, sisters_row, beside_row, behind_row, below_row = np.zeros((5, q.shape[3]), np.int16)
    lower = real.shape[0] > 0
    code_times(times, coder, data, seen, _TIMES, rates, reading, cost[0, :, 0])
    for z in range(slices):
        for r in range(channels):
            near, far = sizes[z, r - 1] if r > 0 else nothing, sizes[z, r - 2] if r > 1 else nothing
            here, sign = sizes[z, r], signs[z, r]
            order, later = min(r, 2), min(r, 1)
            for b in range(len(bands)):
                level, kind, top, left, height, width, parent, place, stride = bands[b]
                if height == 0 or width == 0:
                    continue
                beneath, other, depth = known[level, z]
                last, last_sign = sizes[beneath, r], signs[beneath, r]
                second, second_sign = sizes[other, r], signs[other, r]
                band = level * 3 + kind
                some = 0
                if not reading:
                    some = 1 if np.any(q[z, r, top : top + height, left : left + width]) else 0
                slot = _EMPTY + (((depth * _BANDS + band) * 3 + order) * 2 + filled[beneath, r + 1, b]) * 2
                some = code_alone(coder, data, some, seen, slot + (filled[z, r, b] if r else 1), rates, reading)
                filled[z, r + 1, b] = some
                if not some:
                    continue
                for y in range(height):
                    first = place + y * stride
                    if parent >= 0:
                        _, _, _, _, high, wide, _, start, step = bands[parent]
                        start += min(y >> 1, high - 1) * step
                        wide = max(wide, 1)  # where a parent has no columns, there is nothing in this one
                        _around(here, start, step, wide, above_row)
                    else:
                        start, wide = first, width
                        above_row[:width] = 0
                    sisters_row[:width] = 0
                    for k in range(kind):
                        _add_around(here, bands[b - 1 - k, 7] + y * stride, stride, width, sisters_row)
                    _around(near, first, stride, width, beside_row)
                    _around(far, first, stride, width, behind_row)
                    _around(last, first, stride, width, below_row)
                    _add_around(second, first, stride, width, below_row)
                    row, over, beyond = here[first - 2 :], here[first - stride - 1 :], here[first - 2 * stride :]
                    for x in range(width):
                        i = first + x
                        causal = 2 * (row[x + 1] + over[x + 1]) + over[x] + over[x + 2] + row[x] + beyond[x]
                        above, sisters = np.int64(above_row[min(x >> 1, wide - 1)]), np.int64(sisters_row[x])
                        beside, behind, below = np.int64(beside_row[x]), np.int64(behind_row[x]), np.int64(below_row[x])
                        total = 2 * (causal + above + beside) + sisters + behind + below
                        whole = 2 * (causal + below) + above + sisters + beside
                        rough, grade, deep = _rough(causal), _grade(4 * causal), _grade(4 * below)
                        sum_grade, whole_grade = _grade(total), _grade(whole)
                        slots[0] = _Z0 + (grade * _BANDS + band) * 3 + order
                        slots[1] = _Z1 + (((rough * 6 + _rough(above)) * 6 + _rough(sisters)) * 2 + later) * 3 + kind
                        slots[2] = _Z2 + ((_rough(beside) * 6 + rough) * 3 + min(behind, 2)) * 8 + level
                        slots[3] = _Z3 + ((deep * 6 + rough) * 3 + min(beside, 2)) * 8 + level
                        slots[4] = _Z4 + (min(r, 10) * 4 + depth) * _BANDS + band
                        slots[5] = _Z5 + (sum_grade * _BANDS + band) * 4 + depth
                        slots[6] = _Z6 + (whole_grade * _BANDS + band) * 3 + order
                        slots[7] = _Z7 + ((_rough((whole + 2) >> 2) * 6 + _rough(row[x + 1])) * 6 + _rough(over[x + 1])) * 8
                        slots[7] += level
                        sets[0] = ((level * 3 + order) * 6 + rough) * ZEROS
                        sets[1] = _ZERO_1 + (_rough(below) * 6 + _rough(above)) * ZEROS
                        sets[2] = _ZERO_2 + ((band * 3 + order) * 4 + depth) * ZEROS
                        p = mix_sets(seen, slots, ZEROS, weights, sets, 3, logits, squash, stretch)
                        first_size = _M0 + (grade * 14 * 8 + level) * 2 + later
                        value = np.int64(0)
                        if not reading:
                            value = np.int64(q[z, r, top + y, left + x])
                            if lower and 1 <= abs(value) <= 2:
                                more = seen[first_size, 0] / (1 << 22)
                                value = _lowered(value, abs(real[z, r, top + y, left + x]), price, p / 65536, more)
                                q[z, r, top + y, left + x] = value
                        some = code(coder, data, 1 if value else 0, p, reading)
                        if not reading:
                            cost[z, r, b] -= np.log2((p if some else 65536 - p) / 65536)
                        learn_sets(seen, slots, ZEROS, weights, sets, 3, logits, p, some, rates)
                        if not some:
                            continue
                        one, two = last_sign[i] + 1, second_sign[i] + 1
                        before, higher = sign[i - 1] + 1, sign[i - stride] + 1
                        ahead = sign[start + min(x >> 1, wide - 1)] + 1 if parent >= 0 else np.int64(1)
                        slots[0] = _S0 + (((one * 3 + two) * 4 + min(last[i], 3)) * 8 + level) * 3 + order
                        slots[1] = _S1 + (before * 3 + higher) * _BANDS + band
                        slots[2] = _S2 + (ahead * 4 + (y & 1) * 2 + (x & 1)) * _BANDS + band
                        slots[3] = _S3 + ((one * 3 + before) * 3 + higher) * _BANDS + band
                        sets[0] = _SIGN + (level * 3 + order) * SIGNS
                        p = mix_sets(seen, slots, SIGNS, weights, sets, 1, logits, squash, stretch)
                        negative = code(coder, data, 1 if value < 0 else 0, p, reading)
                        if not reading:
                            cost[z, r, b] -= np.log2((p if negative else 65536 - p) / 65536)
                        learn_sets(seen, slots, SIGNS, weights, sets, 1, logits, p, negative, rates)
                        outside, sister = _grade(4 * (above + beside)), _grade(4 * sisters)
                        size = np.int64(1)
                        while size < _UNARY:
                            n = size - 1
                            slots[0] = first_size + n * 16
                            slots[1] = _M1 + (outside * 16 + deep) * 14 + n
                            slots[2] = _M2 + ((sister * 14 + n) * _BANDS + band) * 2 + later
                            slots[3] = _M3 + (sum_grade * 14 + n) * 8 + level
                            slots[4] = _M4 + (whole_grade * 14 + n) * 8 + level
                            sets[0] = _SIZE + ((n if n < 2 else 2) * 3 + order) * SIZES
                            sets[1] = _SIZE_1 + whole_grade * SIZES
                            p = mix_sets(seen, slots, SIZES, weights, sets, 2, logits, squash, stretch)
                            more = code(coder, data, 1 if abs(value) > size else 0, p, reading)
                            if not reading:
                                cost[z, r, b] -= np.log2((p if more else 65536 - p) / 65536)
                            learn_sets(seen, slots, SIZES, weights, sets, 2, logits, p, more, rates)
                            if not more:
                                break
                            size += 1
                        if size == _UNARY:
                            slot = _ESCAPE + sum_grade * (LARGEST + 1)
                            size += escape(coder, data, abs(value) - size, seen, slot, rates, reading)
                        if reading:
                            q[z, r, top + y, left + x] = -size if negative else size
                        here[i] = min(size, _SEEN_UP_TO)
                        sign[i] = -1 if negative else 1
    if not reading:
        finish(coder, data)
    return coder[PLACE]


@njit()
def _around(plane, first, stride, width, found):
    """Of the places of a row: the magnitude there, twice, and those of its four neighbours. first: the first of them."""
    row, over, under = plane[first - 1 :], plane[first - stride :], plane[first + stride :]
    for x in range(width):
        found[x] = 2 * row[x + 1] + row[x] + row[x + 2] + over[x] + under[x]


@njit()
def _add_around(plane, first, stride, width, found):
    """The same, added to what is there."""
    row, over, under = plane[first - 1 :], plane[first - stride :], plane[first + stride :]
    for x in range(width):
        found[x] += 2 * row[x + 1] + row[x] + row[x + 2] + over[x] + under[x]


@njit(inline="always")
def _rough(n):
    """0..5"""
    return n if n < 3 else 3 if n < 6 else 4 if n < 14 else 5


@njit(inline="always")
def _grade(n):
    """0..15, of quarters"""
    if n < 20:
        return 0 if n < 1 else 1 if n < 3 else 2 if n < 6 else 3 if n < 10 else 4 if n < 14 else 5
    if n < 112:
        return 6 if n < 28 else 7 if n < 40 else 8 if n < 56 else 9 if n < 80 else 10
    return 11 if n < 160 else 12 if n < 256 else 13 if n < 400 else 14 if n < 720 else 15


@njit(inline="always")
def _lowered(value, real, price, p, more):
    """The value of 0, ±1 or ±2, no larger than it is, that costs least. p: that it is not 0; more: that it is then not ±1"""
    nothing = real * real - price * np.log2(1 - p)
    one = (real - 1) ** 2 + price * (1 - np.log2(p) - np.log2(1 - more))
    two = (real - 2) ** 2 + price * (2 - np.log2(p) - np.log2(more))
    best = 1 if one < nothing else 0
    if abs(value) == 2 and two < one and two < nothing:
        best = 2
    return best if value > 0 else -best
