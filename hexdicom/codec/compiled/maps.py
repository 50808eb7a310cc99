"""The coefficients of the first sparse planes layers, from their stream. Specified in docs/format.md, sections 8.3 and 8.4.

A map is what one channel shows of one slice, as wavelet coefficients. Most are 0; whether one is, and how large it is, follows from
its surroundings: its band, its parent, its sister bands, the two channels before, the slice before.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.binary import EVEN, PLACE, begin, code, code_alone, learn, mix
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.times import LARGEST, code_times, escape

LEVEL, KIND, TOP, LEFT, HEIGHT, WIDTH, PARENT, PLACE_OF, STRIDE = range(9)  # columns of the table of bands
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
def read_maps(q, times, bands, room, data, tables):
    """Read every map of every slice. -> bytes read

    q: (Z, R, Y, X) int32 coefficients, and times (R, T) int64 time functions, both to be filled. bands: the table of bands
    (see `sparse.bands`), in a padded plane of `room` integers.
    """
    squash, stretch, rates = tables
    coder = begin(data, True)
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
    code_times(times, coder, data, seen, _TIMES, rates, True, np.zeros(channels))
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
                slot = _EMPTY + (((level * 3 + kind) * 3 + order) * 2 + filled[r + 1, b]) * 2 + (filled[r, b] if r else 1)
                some = code_alone(coder, data, 0, seen, slot, rates, True)
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
                        some = code(coder, data, 0, p, True)
                        learn(seen, slots, _ZERO_INPUTS, weights, at, logits, p, some, rates)
                        if not some:
                            continue
                        slot = _SIGN + (((last_sign[i] + 1) * 4 + min(last[i], 3)) * 8 + level) * 9 + order * 3 + kind
                        negative = code_alone(coder, data, 0, seen, slot, rates, True)
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
                            more = code(coder, data, 0, p, True)
                            learn(seen, slots, _SIZE_INPUTS, weights, at, logits, p, more, rates)
                            if not more:
                                break
                            size += 1
                        if size == _UNARY:
                            first = _ESCAPE + total * (LARGEST + 1)
                            size += escape(coder, data, 0, seen, first, rates, True)
                        q[z, r, top + y, left + x] = -size if negative else size
                        here[i] = min(size, _SEEN_UP_TO)
                        sign[i] = -1 if negative else 1
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
