"""Binary arithmetic coding under mixed adaptive probabilities, in integers alone. Specified in docs/format.md, section 8.3.

A decision is predicted by several adaptive probabilities, one for each context that it stands in; a mixer weighs them in the
logistic domain and learns its weights on the way (after Mahoney's lpaq). Encoder and decoder run the same lines. Indices are made
unsigned: numba would look of each signed one whether it counts from the end, which takes a third of the time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec import logistic
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVEN = 1 << 21  # an adaptive probability has 22 bits; the coder takes its upper 16
REACH = 3072  # logits lie within ±12, in 1/256
LOW, HIGH, VALUE, PLACE = range(4)  # fields of a coder's state
_SURE = (1 << 22) - 1
_PATIENCE = 255  # decisions after which a probability no longer slows down
_LEARNING = 24  # rate of the mixer, in 2^-20
_WORD = 0xFFFFFFFF


@cache
def tables() -> tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.int64]]:
    """(squash, stretch, rates), of types so small that they stay in the nearest cache.

    squash: (2 · REACH + 1,) σ(i / 256) in 1/65536 for i = −REACH..REACH, within 1..65535. stretch: (4096,) of a probability
    p / 4096 the least i whose squash is at least 16 p + 8. rates: (256,) 65536 / (n + 1.5), the share of its error by which a
    probability moves after n decisions.
    """
    knots = logistic.knots()  # σ(i / 64) in 2^-30
    i = np.arange(REACH + 1)
    knot, part = i >> 2, i & 3
    upper = knots[knot] + ((knots[knot + 1] - knots[knot]) * part >> 2)
    half = np.clip(upper >> 14, 1, 65535)
    squash = np.concatenate((65536 - half[:0:-1], half))
    stretch = np.searchsorted(squash, 16 * np.arange(4096) + 8) - REACH
    rates = (1 << 17) // (2 * np.arange(_PATIENCE + 1, dtype=np.int64) + 3)
    return squash.astype(np.int32), stretch.astype(np.int16), rates


@njit(inline="always")
def code(coder, data, bit, p, reading):
    """One decision that is 1 with probability p / 65536. -> the decision

    Beyond the end of `data` a reader finds zeros and a writer drops bytes; PLACE tells afterwards.
    """
    low, high = coder[LOW], coder[HIGH]
    span = high - low
    middle = low + (span >> 16) * p + (((span & 0xFFFF) * p) >> 16)
    if reading:
        bit = 1 if coder[VALUE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) & 0xFF000000 == 0:
        place = coder[PLACE]
        if reading:
            following = np.int64(data[place]) if place < len(data) else np.int64(0)
            coder[VALUE] = ((coder[VALUE] << 8) & _WORD) | following
        elif place < len(data):
            data[place] = high >> 24
        coder[PLACE] = place + 1
        low = (low << 8) & _WORD
        high = ((high << 8) & _WORD) | 255
    coder[LOW], coder[HIGH] = low, high
    return bit


@njit(inline="always")
def code_alone(coder, data, bit, seen, slot, rates, reading):
    """One decision under the adaptive probability `slot` alone. -> the decision

    seen: (slots, 2) the probabilities in 2^-22, and how many decisions each has seen.
    """
    p = clamp(seen[slot, 0] >> 6, 64, 65472)
    bit = code(coder, data, bit, p, reading)
    adapt(seen, slot, bit, rates)
    return bit


@njit(inline="always")
def adapt(seen, slot, bit, rates):
    """Move a probability towards what was decided."""
    aim, at = _SURE if bit else 0, np.uint64(slot)
    seen[at, 0] += ((aim - seen[at, 0]) * rates[np.uint64(seen[at, 1])]) >> 16
    if seen[at, 1] < _PATIENCE:
        seen[at, 1] += 1


@njit(inline="always")
def mix(seen, slots, count, weights, at, logits, squash, stretch):
    """The probability, in 1/65536, that `count` slots and the weights from `at` on give together."""
    total = np.int64(0)
    for i in range(count):
        logits[i] = stretch[np.uint64(seen[np.uint64(slots[i]), 0] >> 10)]
        total += weights[np.uint64(at + i)] * logits[i]
    return np.int64(squash[np.uint64(clamp(total >> 16, 1 - REACH, REACH - 1) + REACH)])


@njit(inline="always")
def learn(seen, slots, count, weights, at, logits, p, bit, rates):
    """Let the weights and the probabilities behind `mix` learn what was decided."""
    error = ((bit << 16) - p) * _LEARNING
    for i in range(count):
        weights[np.uint64(at + i)] += (logits[i] * error + (1 << 19)) >> 20
        adapt(seen, slots[i], bit, rates)


@njit(inline="always")
def mix_sets(seen, slots, count, weights, sets, several, logits, squash, stretch):
    """As `mix`, under the sum of `several` sets of weights, which begin at `sets`."""
    total = np.int64(0)
    for i in range(count):
        logits[i] = stretch[np.uint64(seen[np.uint64(slots[i]), 0] >> 10)]
        weight = np.int64(0)
        for k in range(several):
            weight += weights[np.uint64(sets[k] + i)]
        total += weight * logits[i]
    return np.int64(squash[np.uint64(clamp(total >> 16, 1 - REACH, REACH - 1) + REACH)])


@njit(inline="always")
def learn_sets(seen, slots, count, weights, sets, several, logits, p, bit, rates):
    """Let the sets of weights and the probabilities behind `mix_sets` learn what was decided."""
    error = ((bit << 16) - p) * _LEARNING
    for i in range(count):
        change = (logits[i] * error + (1 << 19)) >> 20
        for k in range(several):
            weights[np.uint64(sets[k] + i)] += change
        adapt(seen, slots[i], bit, rates)


@njit()
def begin(data, reading):
    """The state of a coder at the start of `data`."""
    coder = np.zeros(4, np.int64)
    coder[HIGH] = _WORD
    if reading:
        for i in range(4):
            coder[VALUE] = (coder[VALUE] << 8) | (np.int64(data[i]) if i < len(data) else np.int64(0))
        coder[PLACE] = 4
    return coder


@njit()
def finish(coder, data):
    """Write what a reader needs to decide the last decision: 4 bytes, as many of them 0 as can be."""
    value = coder[HIGH]
    for bits in (24, 16, 8):
        if value >> bits << bits >= coder[LOW]:
            value = value >> bits << bits
            break
    for shift in (24, 16, 8, 0):
        if coder[PLACE] < len(data):
            data[coder[PLACE]] = (value >> shift) & 255
        coder[PLACE] += 1
