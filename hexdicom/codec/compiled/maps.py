"""The coefficients of all maps and the time functions, to a stream and back. Specified in docs/format.md, sections 8.3 and 8.4.

A map is what one channel shows of one slice, as wavelet coefficients. Most are 0; whether one is, and how large it is, follows from
its surroundings: its band, its parent, its sister bands, the two channels before, the slice before.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.binary import EVEN, PLACE, begin, code, code_alone, finish, learn, mix
from hexdicom.codec.compiled.jit import njit

LEVEL, KIND, TOP, LEFT, HEIGHT, WIDTH, PARENT, PLACE_OF, STRIDE = range(9)  # columns of the table of bands
LARGEST = 24  # exponent of an escaped integer
_UNARY = 15  # magnitudes up to here are counted, larger ones escape
_SEEN_UP_TO = 255  # magnitudes count as no more in their neighbours' contexts
_ZERO_INPUTS, _SIZE_INPUTS = 6, 4

# where the contexts of each kind begin among the adaptive probabilities
_Z0 = 0
_Z1 = _Z0 + 12 * 8 * 3 * 3
_Z2 = _Z1 + 6 * 6 * 6 * 2 * 2
_Z3 = _Z2 + 6 * 6 * 3 * 8
_Z4 = _Z3 + 6 * 6 * 3 * 3
_Z5 = _Z4 + 64 * 8 * 3
_M0 = _Z5 + 24 * 8
_M1 = _M0 + 14 * 20 * 2
_M2 = _M1 + 14 * 20 * 20
_M3 = _M2 + 14 * 8 * 2 * 3 * 20
_EMPTY = _M3 + 14 * 20 * 8
_ESCAPE = _EMPTY + 8 * 3 * 3 * 2 * 2
_SIGN = _ESCAPE + 20 * (LARGEST + 1)
_TIMES = _SIGN + 3 * 4 * 8 * 3 * 3
_SLOTS = _TIMES + 64 * (LARGEST + 1)
# and the weights of the mixers
_SIZES = 8 * 3 * 6 * _ZERO_INPUTS
_WEIGHTS = _SIZES + 3 * 3 * _SIZE_INPUTS


@njit()
def code_maps(q, times, bands, room, data, reading, real, price, cost, tables):
    """Code every map of every slice. -> bytes written or read

    q: (Z, R, Y, X) int32 coefficients, and times (R, T) int64 time functions, filled where `reading`. bands: the table of bands
    (see `sparse.bands`), in a padded plane of `room` integers.
    real: (Z, R, Y, X) float32, what the coefficients were before they were rounded, or an empty array. If given, a coefficient of 1
    or 2 is lowered, in q, where its bits cost more than its error: `price` is what a bit may cost, in squared steps.
    cost: (R,) float64, to which the bits of each channel are added.
    """
    squash, stretch, rates = tables
    coder = begin(data, reading)
    seen = np.zeros((_SLOTS, 2), np.int64)
    seen[:, 0] = EVEN
    weights = np.empty(_WEIGHTS, np.int64)
    weights[:_SIZES] = 22937
    weights[_SIZES:] = 26214
    slots, logits = np.zeros(_ZERO_INPUTS, np.int64), np.zeros(_ZERO_INPUTS, np.int64)
    slices, channels = q.shape[0], q.shape[1]
    sizes = np.zeros((2, channels + 2, room), np.int16)  # magnitudes: slices even and odd, after two channels of nothing
    signs = np.zeros((2, channels, room), np.int8)
    filled = np.zeros((channels + 1, len(bands)), np.int64)
    lower = real.shape[0] > 0
    _code_times(times, coder, data, seen, rates, reading, cost)
    for z in range(slices):
        for r in range(channels):
            near, far, last = sizes[z & 1, r + 1], sizes[z & 1, r], sizes[(z + 1) & 1, r + 2]
            here, sign, last_sign = sizes[z & 1, r + 2], signs[z & 1, r], signs[(z + 1) & 1, r]
            here[:] = 0
            sign[:] = 0
            order = min(r, 2)
            for b in range(len(bands)):
                level, kind, top, left, height, width, parent, place, stride = bands[b]
                if height == 0 or width == 0:
                    continue
                some = 0
                if not reading:
                    some = 1 if np.any(q[z, r, top : top + height, left : left + width]) else 0
                slot = _EMPTY + (((level * 3 + kind) * 3 + order) * 2 + filled[r + 1, b]) * 2 + (filled[r, b] if r else 1)
                some = code_alone(coder, data, some, seen, slot, rates, reading)
                filled[r + 1, b] = some
                if not some:
                    continue
                for y in range(height):
                    for x in range(width):
                        i = place + y * stride + x
                        causal = 2 * (here[i - 1] + here[i - stride]) + here[i - stride - 1] + here[i - stride + 1]
                        causal += here[i - 2] + here[i - 2 * stride]
                        above = np.int64(0)
                        if parent >= 0:
                            row, column = min(y >> 1, bands[parent, HEIGHT] - 1), min(x >> 1, bands[parent, WIDTH] - 1)
                            above = _around(
                                here, bands[parent, PLACE_OF] + row * bands[parent, STRIDE] + column, bands[parent, STRIDE]
                            )
                        sisters = np.int64(0)
                        for k in range(kind):
                            sisters += _around(here, bands[b - 1 - k, PLACE_OF] + y * stride + x, stride)
                        beside, behind, below = _around(near, i, stride), _around(far, i, stride), _around(last, i, stride)
                        rough = _rough(causal)
                        fine = _fine(causal)
                        everything = min((2 * (causal + above + beside) + sisters + behind + below + 1) >> 1, 90)
                        step = everything if everything < 12 else min(12 + ((everything - 12) >> 2), 23)
                        slots[0] = _Z0 + ((fine * 8 + level) * 3 + kind) * 3 + order
                        slots[1] = _Z1 + (((rough * 6 + _rough(above)) * 6 + _rough(sisters)) * 2 + min(r, 1)) * 2 + (kind == 2)
                        slots[2] = _Z2 + ((_rough(beside) * 6 + rough) * 3 + min(behind, 2)) * 8 + level
                        slots[3] = _Z3 + ((_rough(below) * 6 + rough) * 3 + min(beside, 2)) * 3 + order
                        slots[4] = _Z4 + (r * 8 + level) * 3 + kind
                        slots[5] = _Z5 + step * 8 + level
                        at = ((level * 3 + order) * 6 + rough) * _ZERO_INPUTS
                        p = mix(seen, slots, _ZERO_INPUTS, weights, at, logits, squash, stretch)
                        octave = _octave(causal)
                        value = np.int64(0)
                        if not reading:
                            value = np.int64(q[z, r, top + y, left + x])
                            if lower and 1 <= abs(value) <= 2:
                                more = seen[_M0 + octave * 2 + min(r, 1), 0] / (1 << 22)
                                value = _lowered(value, abs(real[z, r, top + y, left + x]), price, p / 65536, more)
                                q[z, r, top + y, left + x] = value
                        some = code(coder, data, 1 if value else 0, p, reading)
                        cost[r] -= np.log2((p if some else 65536 - p) / 65536)
                        learn(seen, slots, _ZERO_INPUTS, weights, at, logits, p, some, rates)
                        if not some:
                            continue
                        slot = _SIGN + (((last_sign[i] + 1) * 4 + min(last[i], 3)) * 8 + level) * 9 + order * 3 + kind
                        negative = code_alone(coder, data, 1 if value < 0 else 0, seen, slot, rates, reading)
                        outside, deep, sister = _octave(above + beside), _octave(below), _octave(sisters)
                        total = _octave((2 * (causal + above + beside) + sisters + below + 3) >> 2)
                        size = np.int64(1)
                        while size < _UNARY:
                            slots[0] = _M0 + ((size - 1) * 20 + octave) * 2 + min(r, 1)
                            slots[1] = _M1 + ((size - 1) * 20 + outside) * 20 + deep
                            slots[2] = _M2 + ((((size - 1) * 8 + level) * 2 + min(r, 1)) * 3 + kind) * 20 + sister
                            slots[3] = _M3 + ((size - 1) * 20 + total) * 8 + level
                            at = _SIZES + ((size - 1 if size < 3 else 2) * 3 + order) * _SIZE_INPUTS
                            p = mix(seen, slots, _SIZE_INPUTS, weights, at, logits, squash, stretch)
                            more = code(coder, data, 1 if abs(value) > size else 0, p, reading)
                            cost[r] -= np.log2((p if more else 65536 - p) / 65536)
                            learn(seen, slots, _SIZE_INPUTS, weights, at, logits, p, more, rates)
                            if not more:
                                break
                            size += 1
                        cost[r] += 1
                        if size == _UNARY:
                            first = _ESCAPE + total * (LARGEST + 1)
                            size += _escape(coder, data, abs(value) - size, seen, first, rates, reading)
                        if reading:
                            q[z, r, top + y, left + x] = -size if negative else size
                        here[i] = min(size, _SEEN_UP_TO)
                        sign[i] = -1 if negative else 1
    if not reading:
        finish(coder, data)
    return coder[PLACE]


@njit(inline="always")
def _around(plane, i, stride):
    """The magnitude at a place, twice, and those of its four neighbours."""
    return np.int64(2 * plane[i] + plane[i - 1] + plane[i + 1] + plane[i - stride] + plane[i + stride])


@njit(inline="always")
def _rough(n):
    """0..5"""
    return n if n < 3 else 3 if n < 5 else 4 if n < 9 else 5


@njit(inline="always")
def _fine(n):
    """0..11"""
    if n < 5:
        return n
    return 5 if n < 7 else 6 if n < 9 else 7 if n < 12 else 8 if n < 16 else 9 if n < 23 else 10 if n < 33 else 11


@njit(inline="always")
def _octave(n):
    """0..19: n itself below 6, then two steps an octave."""
    if n < 6:
        return n
    exponent = 2
    while n >> (exponent + 1):
        exponent += 1
    return min(2 * exponent + 1 + ((n >> (exponent - 1)) & 1), 19)


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


@njit(inline="always")
def _escape(coder, data, value, seen, first, rates, reading):
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
def _code_times(times, coder, data, seen, rates, reading, cost):
    """The time functions: of channel 0 the differences from one time to the next, of the others the values."""
    for r in range(times.shape[0]):
        before = np.int64(0)
        for t in range(times.shape[1]):
            value = np.int64(times[r, t]) - before
            size = _escape(coder, data, abs(value), seen, _TIMES + r * (LARGEST + 1), rates, reading)
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
