"""The coefficients of all maps and the time functions, to a stream and back. Specified in docs/format.md, sections 9.2 to 9.4.

A map is what one channel shows of one slice, as wavelet coefficients. Most are 0; whether one is, its sign and how large it is,
follows from its surroundings: its band, its parent, its sister bands, the two channels before, two slices that are known.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled import contexts
from hexdicom.codec.compiled.binary import EVEN, PLACE, begin, code, code_alone, finish, learn_sets, mix_sets
from hexdicom.codec.compiled.contexts import BANDS, CONTEXTS, EMPTY, ESCAPE, SEEN_UP_TO, SIGNS, SIZES, TIMES, UNARY, ZEROS
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.times import LARGEST, code_times, escape

# where the weights of each mixer begin
_ZERO_1 = 8 * 3 * 6 * ZEROS
_ZERO_2 = _ZERO_1 + 6 * 6 * ZEROS
_SIGN = _ZERO_2 + BANDS * 3 * 4 * ZEROS
_SIZE = _SIGN + 8 * 3 * SIGNS
_SIZE_1 = _SIZE + 3 * 3 * SIZES
_WEIGHTS = _SIZE_1 + 16 * SIZES


@njit()
def code_maps(q, times, bands, room, known, data, reading, real, price, cost, tables):
    """Code every map of every slice. -> bytes written or read

    q: (Z, R, Y, X) int32 coefficients, and times (R, T) int64 time functions, filled where `reading`. bands: the table of bands
    (see `sparse.bands`), in a padded plane of `room` integers. known: (levels, Z, 4) what `sparse.bands.known` says.
    real: (Z, R, Y, X) float32, what the coefficients were before they were rounded, or an empty array. If given, a coefficient of 1
    or 2 is lowered, in q, where its bits cost more than its error: `price` is what a bit may cost, in squared steps.
    cost: (Z, R, bands) float64, to which bits are added; those of a time function to the first band of slice 0.
    """
    squash, stretch, rates = tables
    coder = begin(data, reading)
    seen = np.zeros((CONTEXTS, 2), np.int64)
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
    code_times(times, coder, data, seen, TIMES, rates, reading, cost[0, :, 0])
    for z in range(slices):
        for r in range(channels):
            near, far = sizes[z, r - 1] if r > 0 else nothing, sizes[z, r - 2] if r > 1 else nothing
            here, sign = sizes[z, r], signs[z, r]
            order = min(r, 2)
            for b in range(len(bands)):
                level, kind, top, left, height, width, parent, place, stride = bands[b]
                if height == 0 or width == 0:
                    continue
                beneath, other, depth, _ = known[level, z]
                last, last_sign = sizes[beneath, r], signs[beneath, r]
                second, second_sign = sizes[other, r], signs[other, r]
                band = level * 3 + kind
                some = 0
                if not reading:
                    some = 1 if np.any(q[z, r, top : top + height, left : left + width]) else 0
                slot = EMPTY + (((depth * BANDS + band) * 3 + order) * 2 + filled[beneath, r + 1, b]) * 2
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
                        rough, grade, deep, sum_grade, whole_grade = contexts.of_zero(
                            slots, band, level, kind, depth, order, r, causal, above, sisters, beside, behind, below,
                            row[x + 1], over[x + 1],
                        )  # fmt: skip
                        sets[0] = ((level * 3 + order) * 6 + rough) * ZEROS
                        sets[1] = _ZERO_1 + (contexts.rough_of(below) * 6 + contexts.rough_of(above)) * ZEROS
                        sets[2] = _ZERO_2 + ((band * 3 + order) * 4 + depth) * ZEROS
                        p = mix_sets(seen, slots, ZEROS, weights, sets, 3, logits, squash, stretch)
                        first_size = contexts.of_one(grade, level, r)
                        value = np.int64(0)
                        if not reading:
                            value = np.int64(q[z, r, top + y, left + x])
                            if lower and 1 <= abs(value) <= 2:
                                more = seen[first_size, 0] / (1 << 22)
                                value = contexts.lowered(value, abs(real[z, r, top + y, left + x]), price, p / 65536, more)
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
                        contexts.of_sign(slots, band, level, order, one, two, last[i], before, higher, ahead, y, x)
                        sets[0] = _SIGN + (level * 3 + order) * SIGNS
                        p = mix_sets(seen, slots, SIGNS, weights, sets, 1, logits, squash, stretch)
                        negative = code(coder, data, 1 if value < 0 else 0, p, reading)
                        if not reading:
                            cost[z, r, b] -= np.log2((p if negative else 65536 - p) / 65536)
                        learn_sets(seen, slots, SIGNS, weights, sets, 1, logits, p, negative, rates)
                        outside, sister = contexts.grade_of(4 * (above + beside)), contexts.grade_of(4 * sisters)
                        size = np.int64(1)
                        while size < UNARY:
                            n = size - 1
                            contexts.of_size(slots, n, band, level, r, first_size, outside, deep, sister, sum_grade, whole_grade)
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
                        if size == UNARY:
                            slot = ESCAPE + sum_grade * (LARGEST + 1)
                            size += escape(coder, data, abs(value) - size, seen, slot, rates, reading)
                        if reading:
                            q[z, r, top + y, left + x] = -size if negative else size
                        here[i] = min(size, SEEN_UP_TO)
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
