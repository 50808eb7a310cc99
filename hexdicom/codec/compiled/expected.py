"""Coefficients and time functions, to a stream and back, where a network says what is to be expected. Format, section 9.6.

As `coefficients`, with what the network says among that which is mixed, and as a context of its own.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled import contexts
from hexdicom.codec.compiled.binary import EVEN, PLACE, REACH, begin, code, code_alone, finish
from hexdicom.codec.compiled.contexts import BANDS, CONTEXTS, EMPTY, ESCAPE, SEEN_UP_TO, SIGNS, SIZES, TIMES, UNARY, ZEROS
from hexdicom.codec.compiled.expectation import OUTPUTS, PLACES, WINDOWS, expect, learn_known, mix_known, position
from hexdicom.codec.compiled.expectation import finish as finish_expecting
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp
from hexdicom.codec.compiled.times import LARGEST, code_times, escape

_ZERO_ROOM, _SIGN_ROOM, _SIZE_ROOM = ZEROS + 2, SIGNS + 2, SIZES + 2  # with what a network expects: a context, and a logit
# what the weights of contexts, of the network's and of its logit begin with
_OF_ZERO, _OF_SIGN, _OF_SIZE = (0, 2000, 20000), (0, 4000, 60000), (0, 2000, 30000)

# where its own contexts begin, after those of `contexts`
_EXPECTED = CONTEXTS
_EXPECTED_SIGN = _EXPECTED + 25 * BANDS
_EXPECTED_SIZE = _EXPECTED_SIGN + 25 * 8
_SLOTS = _EXPECTED_SIZE + 25 * 14 * 8
# and the weights of the mixers
_ZERO_1 = 8 * 3 * 6 * _ZERO_ROOM
_ZERO_2 = _ZERO_1 + 6 * 6 * _ZERO_ROOM
_SIGN = _ZERO_2 + BANDS * 3 * 4 * _ZERO_ROOM
_SIZE = _SIGN + 8 * 3 * _SIGN_ROOM
_SIZE_1 = _SIZE + 3 * 3 * _SIZE_ROOM
_WEIGHTS = _SIZE_1 + 16 * _SIZE_ROOM


@njit()
def code_maps(q, times, bands, room, known, data, reading, real, price, cost, tables, network):
    """Code every map of every slice. -> bytes written or read

    q: (Z, R, Y, X) int32 coefficients, and times (R, T) int64 time functions, filled where `reading`. bands: the table of bands
    (see `sparse.bands`), in a padded plane of `room` integers. known: (levels, Z, 4) what `sparse.bands.known` says.
    real: (Z, R, Y, X) float32, what the coefficients were before they were rounded, or an empty array. If given, a coefficient of 1
    or 2 is lowered, in q, where its bits cost more than its error: `price` is what a bit may cost, in squared steps.
    cost: (Z, R, bands) float64, to which bits are added; those of a time function to the first band of slice 0. network: what
    `sparse.expectation.Expectation.arrays` gives.
    """
    squash, stretch, rates = tables
    coder = begin(data, reading)
    seen = np.zeros((_SLOTS, 2), np.int64)
    seen[:, 0] = EVEN
    weights = np.empty(_WEIGHTS, np.int64)
    first_layer, biases, layers, grades = network
    _begin(weights[:_SIGN], _ZERO_ROOM, _OF_ZERO)
    _begin(weights[_SIGN:_SIZE], _SIGN_ROOM, _OF_SIGN)
    _begin(weights[_SIZE:], _SIZE_ROOM, _OF_SIZE)
    slots, logits, sets = np.zeros(_ZERO_ROOM, np.int64), np.zeros(_ZERO_ROOM, np.int64), np.zeros(3, np.int64)
    logit, still = np.zeros(OUTPUTS, np.int64), np.zeros((len(biases), OUTPUTS + 1), np.int64)
    around = (
        np.zeros(first_layer.shape[1], np.float32), np.zeros(layers[0].shape[1], np.float32), grades, np.zeros(PLACES, np.int64)
    )  # fmt: skip
    places, strides = np.zeros(1 + WINDOWS, np.int64), np.zeros(1 + WINDOWS, np.int64)
    slices, channels = q.shape[0], q.shape[1]
    sizes = np.zeros((slices + 1, channels, room), np.int16)  # magnitudes, and a slice of nothing
    nothing = np.zeros(room, np.int16)
    signs = np.zeros((slices + 1, channels, room), np.int8)
    flat_sizes, flat_signs = sizes.reshape(-1), signs.reshape(-1)
    filled = np.zeros((slices + 1, channels + 1, len(bands)), np.int64)
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
                beneath, other, depth, farther = known[level, z]
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
                    for x in range(width):
                        i = place + y * stride + x
                        causal = 2 * (here[i - 1] + here[i - stride]) + here[i - stride - 1] + here[i - stride + 1]
                        causal += here[i - 2] + here[i - 2 * stride]
                        above, lead, step = np.int64(0), np.int64(0), np.int64(0)
                        if parent >= 0:
                            _, _, _, _, high, wide, _, first, step = bands[parent]
                            lead = first + min(y >> 1, high - 1) * step + min(x >> 1, wide - 1)
                            above = _around(here, lead, step)
                        sisters = np.int64(0)
                        for k in range(kind):
                            sisters += _around(here, bands[b - 1 - k, 7] + y * stride + x, stride)
                        beside, behind = _around(near, i, stride), _around(far, i, stride)
                        below = _around(last, i, stride) + _around(second, i, stride)
                        rough, grade, deep, sum_grade, whole_grade = contexts.of_zero(
                            slots, band, level, kind, depth, order, r, causal, above, sisters, beside, behind, below,
                            here[i - 1], here[i - stride],
                        )  # fmt: skip
                        sets[0] = ((level * 3 + order) * 6 + rough) * _ZERO_ROOM
                        sets[1] = _ZERO_1 + (contexts.rough_of(below) * 6 + contexts.rough_of(above)) * _ZERO_ROOM
                        sets[2] = _ZERO_2 + ((band * 3 + order) * 4 + depth) * _ZERO_ROOM
                        places[0], strides[:] = (z * channels + r) * room + i, stride
                        places[1], strides[1] = (z * channels + r) * room + lead if parent >= 0 else -1, step
                        for k in range(2):
                            there = (z * channels + r) * room + bands[b - kind + k, 7] + y * stride + x
                            places[2 + k] = there if k < kind else -1
                        places[4] = (beneath * channels + r) * room + i if beneath < slices else -1
                        places[5] = (other * channels + r) * room + i if other < slices else -1
                        places[6] = (farther * channels + r) * room + i if farther < slices else -1
                        places[7] = (z * channels + r - 1) * room + i if r > 0 else -1
                        places[8] = (z * channels + r - 2) * room + i if r > 1 else -1
                        where = position(level, bands[-1, 0], kind, depth, order, y, x)
                        if not expect(flat_sizes, flat_signs, places, strides, first_layer, biases[where], layers, around, logit):
                            if still[where, OUTPUTS] == 0:
                                around[0][:] = biases[where]
                                finish_expecting(layers, around, logit)
                                still[where, :OUTPUTS], still[where, OUTPUTS] = logit, 1
                            logit[:] = still[where, :OUTPUTS]
                        slots[ZEROS] = _EXPECTED + _share(logit[0]) * BANDS + band
                        logits[ZEROS + 1] = clamp(logit[0], -2047, 2047)
                        p = mix_known(seen, slots, ZEROS + 1, weights, sets, 3, logits, squash, stretch)
                        first_size = contexts.of_one(grade, level, r)
                        value = np.int64(0)
                        if not reading:
                            value = np.int64(q[z, r, top + y, left + x])
                            if lower and 1 <= abs(value) <= 2:
                                more = squash[clamp(logit[2], 1 - REACH, REACH - 1) + REACH] / 65536
                                value = contexts.lowered(value, abs(real[z, r, top + y, left + x]), price, p / 65536, more)
                                q[z, r, top + y, left + x] = value
                        some = code(coder, data, 1 if value else 0, p, reading)
                        cost[z, r, b] -= np.log2((p if some else 65536 - p) / 65536)
                        learn_known(seen, slots, ZEROS + 1, weights, sets, 3, logits, p, some, rates)
                        if not some:
                            continue
                        one, two = last_sign[i] + 1, second_sign[i] + 1
                        before, over = sign[i - 1] + 1, sign[i - stride] + 1
                        ahead = sign[lead] + 1 if parent >= 0 else np.int64(1)
                        contexts.of_sign(slots, band, level, order, one, two, last[i], before, over, ahead, y, x)
                        sets[0] = _SIGN + (level * 3 + order) * _SIGN_ROOM
                        slots[SIGNS] = _EXPECTED_SIGN + _share(2 * logit[1]) * 8 + level
                        logits[SIGNS + 1] = clamp(logit[1], -2047, 2047)
                        p = mix_known(seen, slots, SIGNS + 1, weights, sets, 1, logits, squash, stretch)
                        negative = code(coder, data, 1 if value < 0 else 0, p, reading)
                        cost[z, r, b] -= np.log2((p if negative else 65536 - p) / 65536)
                        learn_known(seen, slots, SIGNS + 1, weights, sets, 1, logits, p, negative, rates)
                        outside, sister = contexts.grade_of(4 * (above + beside)), contexts.grade_of(4 * sisters)
                        size = np.int64(1)
                        while size < UNARY:
                            n = size - 1
                            contexts.of_size(slots, n, band, level, r, first_size, outside, deep, sister, sum_grade, whole_grade)
                            sets[0] = _SIZE + ((n if n < 2 else 2) * 3 + order) * _SIZE_ROOM
                            sets[1] = _SIZE_1 + whole_grade * _SIZE_ROOM
                            larger = logit[2 + n if n < OUTPUTS - 3 else OUTPUTS - 1]
                            slots[SIZES] = _EXPECTED_SIZE + (_share(larger) * 14 + n) * 8 + level
                            logits[SIZES + 1] = clamp(larger, -2047, 2047)
                            p = mix_known(seen, slots, SIZES + 1, weights, sets, 2, logits, squash, stretch)
                            more = code(coder, data, 1 if abs(value) > size else 0, p, reading)
                            cost[z, r, b] -= np.log2((p if more else 65536 - p) / 65536)
                            learn_known(seen, slots, SIZES + 1, weights, sets, 2, logits, p, more, rates)
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
def _begin(weights, room, first):
    """Weights of sets of `room`: of contexts, of the network's context and of its logit."""
    for at in range(0, len(weights), room):
        weights[at : at + room - 2] = first[0]
        weights[at + room - 2], weights[at + room - 1] = first[1], first[2]


@njit(inline="always")
def _around(plane, i, stride):
    """The magnitude at a place, twice, and those of its four neighbours."""
    return np.int64(2 * plane[i] + plane[i - 1] + plane[i + 1] + plane[i - stride] + plane[i + stride])


@njit(inline="always")
def _share(logit):
    """0..24: a logit in halves"""
    return clamp((logit + 64) >> 7, -12, 12) + 12
