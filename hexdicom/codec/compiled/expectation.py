"""What a small network expects of a coefficient, from those around it. Specified in docs/format.md, section 9.6.

Sums stay below 2^24, which `sparse.expectation.Expectation` proves, so that float32 carries them exactly, in whatever order.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.binary import REACH, adapt
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp

WINDOWS = 8  # of 3 × 3 places, after those before a coefficient
BEFORE = 10  # places of its own band
PLACES = BEFORE + 9 * WINDOWS
OUTPUTS = 8  # whether it is not 0; its sign; whether it is larger than 1, 2, … 6 or more
LEVELS, KINDS, DEPTHS, ORDERS = 6, 3, 4, 3
POSITIONS = LEVELS * KINDS * DEPTHS * ORDERS * 4
_LEARNING = 8  # rate of the mixer, in 2^-20
_SHIFT, _LIMIT = 1 / 256, 1023


@njit(inline="always")
def position(level, levels, kind, depth, order, y, x):
    """Which of the biases of the first layer a coefficient has. levels: those of the map."""
    fine = LEVELS - 1 if level == 0 else min(levels - level, LEVELS - 2)
    return ((((fine * KINDS + kind) * DEPTHS + depth) * ORDERS + order) * 2 + (y & 1)) * 2 + (x & 1)


@njit(fastmath=True)
def expect(sizes, signs, places, strides, weights, biases, layers, room, found):
    """found[o]: the logit of each output, in 1/256. -> whether anything but 0 lies around; else nothing is done

    sizes, signs: of all planes, one after the other. places, strides: (1 + WINDOWS,) of the coefficient and of the middle of each
    window; −1: nothing there. weights: (PLACES, 2, H), for a negative and a positive value. biases: (H,) of the position.
    room: (H,) and (H',) float32, what each size counts, and (PLACES,) int64.
    """
    hidden, grades, rows = room[0], room[2], room[3]
    count = 0
    i, stride = places[0], strides[0]
    for k in range(BEFORE):
        j = i - 1 - k if k < 2 else i - stride + k - 4 if k < 7 else i - 2 * stride + k - 8
        if sizes[j]:
            rows[count] = (2 * k + (signs[j] > 0)) * 256 + sizes[j]
            count += 1
    for w in range(WINDOWS):
        i, stride = places[1 + w], strides[1 + w]
        if i < 0:
            continue
        k = BEFORE + 9 * w
        for line in range(i - stride, i + 2 * stride, stride):
            for j in range(line - 1, line + 2):
                if sizes[j]:
                    rows[count] = (2 * k + (signs[j] > 0)) * 256 + sizes[j]
                    count += 1
                k += 1
    if count == 0:
        return False
    for h in range(len(hidden)):
        hidden[h] = biases[h]
    for n in range(count):
        grade, row = grades[rows[n] & 255], weights[rows[n] >> 8]
        for h in range(len(hidden)):
            hidden[h] += row[h] * grade
    finish(layers, room, found)
    return True


@njit(fastmath=True)
def finish(layers, room, found):
    """The later layers, from the sums of the first in room[0]."""
    second, second_bias, third, third_bias = layers
    hidden, more = room[0], room[1]
    more[:] = second_bias
    for h in range(len(hidden)):
        unit = min(max(np.floor(hidden[h] * np.float32(_SHIFT)), np.float32(0)), np.float32(_LIMIT))
        if unit > 0:
            row = second[h]
            for k in range(len(more)):
                more[k] += row[k] * unit
    for o in range(OUTPUTS):
        total = third_bias[o]
        for k in range(len(more)):
            total += min(max(np.floor(more[k] * np.float32(_SHIFT)), np.float32(0)), np.float32(_LIMIT)) * third[o, k]
        found[o] = np.int64(total) >> 6


@njit(inline="always")
def mix_known(seen, slots, count, weights, sets, several, logits, squash, stretch):
    """As `binary.mix_sets`, with a logit after those of `count` slots that is known."""
    total = np.int64(0)
    for i in range(count + 1):
        if i < count:
            logits[i] = stretch[seen[slots[i], 0] >> 10]
        weight = np.int64(0)
        for k in range(several):
            weight += weights[sets[k] + i]
        total += weight * logits[i]
    return np.int64(squash[clamp(total >> 16, 1 - REACH, REACH - 1) + REACH])


@njit(inline="always")
def learn_known(seen, slots, count, weights, sets, several, logits, p, bit, rates):
    """As `binary.learn_sets`, after `mix_known`."""
    error = ((bit << 16) - p) * _LEARNING
    for i in range(count + 1):
        change = (logits[i] * error + (1 << 19)) >> 20
        for k in range(several):
            weights[sets[k] + i] += change
        if i < count:
            adapt(seen, slots[i], bit, rates)
