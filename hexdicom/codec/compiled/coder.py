"""One slice, voxel by voxel, to symbols and back."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.dense import activate, combine, dense
from hexdicom.codec.compiled.fronts import strides
from hexdicom.codec.compiled.inputs import (
    ACTIVITY,
    BLOCK,
    COLUMNS,
    LOCALS,
    REFERENCE,
    ROWS,
    describe,
    fill_field,
    gather,
    gather_errors,
    gather_run,
    normalise,
    predict,
)
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.mixture import below, distribution
from hexdicom.codec.compiled.numbers import clamp
from hexdicom.codec.network.neighbours import COMPONENTS, FRAME_STEP, HALO, REFERENCES, ROW_STEP
from hexdicom.codec.network.stream import ESCAPE_BITS, LOW, PRECISION, ROUNDED, TOTAL

DONE, TRUNCATED = 0, 1


@njit()
def code_slice(
    decode,
    truth,
    memory,
    volumes,
    references,
    linear,
    field,
    network,
    bounds,
    offsets,
    tables,
    stream,
    record,
    done,
):
    """Code one slice. -> (status, words read, bits read)

    decode: whether symbols come from `stream` = (states, words, raw bits) or go, from `truth`, to `record` = (start, frequency,
    raw, length). memory, volumes: of values, running mean and deviation, and errors, as `fronts.zeros` gives them, filled on the
    way; truth: memory of such a slice. linear: (VALUES,) weights in 1/4096. field: see `fill_field`. network: (units, inputs)
    matrices and (units,) biases in turn, units filled up to a multiple of `vectors.ROWS`. done: (1,) voxels so far, for a
    progress display.
    """
    values, mean, deviation, errors = memory
    wide_values, wide_mean, wide_deviation, wide_errors = volumes
    times, height, width = wide_values.shape
    frame_step, row_step, column_step = strides(height, width)
    low, high, max_error, predictor = bounds
    step = 2 * max_error + 1
    scale, inverse, decay, knots, mantissa, recency = tables
    field_yx, field_tx, field_ty = field
    w1, b1, w2, b2, w3, b3, w4, b4 = network
    states, words, raw_bytes = stream
    starts, frequencies, raw_values, raw_lengths = record
    lanes = len(states)
    x0 = np.zeros((w1.shape[1], COLUMNS), np.float32)
    x1 = np.zeros((len(b1), COLUMNS), np.float32)
    x2 = np.zeros((len(b2), COLUMNS), np.float32)
    x3 = np.zeros((len(b3), COLUMNS), np.float32)
    output = np.zeros((len(b4), COLUMNS), np.float32)
    difference = np.zeros((ROWS, COLUMNS), np.int32)
    local, zeros = np.ones((LOCALS, COLUMNS), np.int32), np.zeros(COLUMNS, np.int32)
    reference, activity = local[REFERENCE], local[ACTIVITY]
    limit, ratio = np.zeros(COLUMNS, np.float32), np.zeros(COLUMNS, np.float32)
    number, logs = np.zeros(COLUMNS), np.zeros((7, COLUMNS), np.int32)
    combined, predicted = np.zeros(COLUMNS), np.zeros(COLUMNS, np.int64)
    place, frames = np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64)
    mixture = np.zeros((COMPONENTS, 3), np.int64)
    position, bit, bits, entry = 0, 0, 8 * len(raw_bytes), 0
    distances = (
        _distances(offsets[0], row_step, column_step),
        _distances(offsets[1], row_step, column_step),
        _distances(offsets[2], row_step, column_step),
        _distances(offsets[3], row_step, column_step),
        -column_step,
        -row_step,
    )
    sources = np.zeros(REFERENCES, np.int64)
    for front in range(width + ROW_STEP * (height - 1) + FRAME_STEP * (times - 1)):
        index = 0  # of the voxel in its group
        t, y = max(0, -(-(front - width + 1 - ROW_STEP * (height - 1)) // FRAME_STEP)), -1
        while True:
            count = 0
            while count < BLOCK and t < times and front >= FRAME_STEP * t:
                # the rows of frame t that meet this wavefront, from y on; y = -1 stands for the first
                rest = front - FRAME_STEP * t
                if y < 0:
                    y = max(0, -(-(rest - width + 1) // ROW_STEP))
                some = min(min(height, rest // ROW_STEP + 1) - y, BLOCK - count)
                if some <= 0:
                    t, y = t + 1, -1
                    continue
                at = rest * column_step + y
                # rows whose neighbours are all there
                begin = min(max(y, HALO, -(-(rest - width + 1 + HALO) // ROW_STEP)), y + some)
                end = max(begin, min(y + some, height - HALO, (rest - HALO) // ROW_STEP + 1))
                if begin < end:
                    for k in range(REFERENCES):
                        source = references[t, k]
                        sources[k] = source * frame_step + at + begin - y if source >= 0 else -1
                    gather_run(
                        values, mean, deviation, errors, t * frame_step + at + begin - y, sources, t, distances, zeros,
                        difference, local, x0, count + begin - y, end - begin,
                    )  # fmt: skip
                # the others after the run, which has spoilt the columns behind it
                for j in range(some - (end - begin)):
                    v = y + j if y + j < begin else end - begin + y + j
                    b = count + v - y
                    gather(
                        wide_values, wide_mean, wide_deviation, references, t, v, rest - ROW_STEP * v, low, offsets,
                        difference, local, x0, b,
                    )  # fmt: skip
                    gather_errors(wide_errors, references, t, v, rest - ROW_STEP * v, offsets, difference, local, b)
                fill_field(field_yx, field_tx, field_ty, at, t, y, rest - ROW_STEP * y, x0, count, some)
                for j in range(some):
                    place[count + j], frames[count + j] = t * frame_step + at + j, t
                count, y = count + some, y + some
            if count == 0:
                break
            describe(local, low, mantissa, number, logs, x0)
            normalise(difference, local, limit, ratio, x0)
            dense(w1, x0, b1, x1, count)
            activate(x1)
            dense(w2, x1, b2, x2, count)
            activate(x2)
            dense(w3, x2, b3, x3, count)
            activate(x3)
            dense(w4, x3, b4, output, count)
            combine(output, difference, combined)
            predict(difference, linear, reference, low, high, predicted)
            for b in range(count):
                at, t_ = place[b], frames[b]
                centre16, shift, reach = distribution(
                    output, b, reference[b], activity[b], logs[0, b], combined[b], bounds, scale, decay, mixture
                )  # fmt: skip
                centre = (centre16 + 8) >> 4
                smallest, largest = -((centre - low + max_error) // step), (high - centre + max_error) // step
                # the value `low` has a symbol to itself (predictor 3)
                origin = (smallest + 1) & ((1 << shift) - 1) if predictor == ROUNDED else 0
                least, greatest = max((smallest - origin) >> shift, -reach - 1), min((largest - origin) >> shift, reach + 1)
                alone = least if predictor == ROUNDED and least > -reach - 1 else least - 1
                # each symbol that there may be has a frequency of at least 1; predictor 2 counts those beyond the bounds too
                first, last = (least, greatest) if predictor == ROUNDED else (-reach - 1, reach + 1)
                free = TOTAL - (last - first + 1)
                if decode:
                    lane = index % lanes
                    state = states[lane]
                    slot = state & (TOTAL - 1)
                    # invariant: below(under) <= slot < below(over)
                    under, over = least, greatest + 1
                    start, end = 0, TOTAL
                    while over - under > 1:
                        middle = (under + over) >> 1
                        bound = below(middle, shift, origin, first, least, greatest, centre, step, mixture, free, inverse, knots)
                        if bound <= slot:
                            under, start = middle, bound
                        else:
                            over, end = middle, bound
                    state = (end - start) * (state >> PRECISION) + slot - start
                    while state < LOW:
                        if position >= len(words):
                            return TRUNCATED, position, bit
                        state = (state << 16) | words[position]
                        position += 1
                    states[lane] = state
                    q, symbol = (under << shift) + origin, under
                    length = ESCAPE_BITS if symbol == -reach - 1 or symbol == reach + 1 else shift
                    if symbol == alone:
                        q, length = smallest, 0
                    if length:
                        if bit + length > bits:
                            return TRUNCATED, position, bit
                        raw = 0
                        for _ in range(length):
                            raw = raw << 1 | (raw_bytes[bit >> 3] >> (7 - (bit & 7))) & 1
                            bit += 1
                        q = raw - (1 << (ESCAPE_BITS - 1)) if length == ESCAPE_BITS else q + raw
                    q = clamp(q, smallest, largest)
                else:
                    gap = np.int64(truth[at]) - centre
                    q = (abs(gap) + max_error) // step
                    if gap < 0:
                        q = -q
                    symbol = clamp((q - origin) >> shift, -reach - 1, reach + 1)
                    start = below(symbol, shift, origin, first, least, greatest, centre, step, mixture, free, inverse, knots)
                    end = below(symbol + 1, shift, origin, first, least, greatest, centre, step, mixture, free, inverse, knots)
                    starts[entry], frequencies[entry] = start, end - start
                    if symbol == -reach - 1 or symbol == reach + 1:
                        raw_values[entry], raw_lengths[entry] = q + (1 << (ESCAPE_BITS - 1)), ESCAPE_BITS
                    elif symbol != alone:
                        raw_values[entry], raw_lengths[entry] = (q - origin) & ((1 << shift) - 1), shift
                    entry += 1
                value = clamp(centre + q * step, low, high)
                values[at], errors[at] = value, 16 * value - predicted[b]
                if t_ + 1 < times:
                    # running mean and mean absolute deviation of what the slice held here so far
                    past = mean[at] if t_ > 0 else 16 * value
                    gap = 16 * value - past
                    mean[at + frame_step] = past + ((gap * recency[t_]) >> 16)
                    if t_ > 0:
                        spread = deviation[at]
                        deviation[at + frame_step] = spread + (((abs(gap) - spread) * recency[t_ - 1]) >> 16)
                index += 1
            done[0] += count
    return DONE, position, bit


@njit()
def _distances(offsets, row_step, column_step):
    return offsets[:, 0] * row_step + offsets[:, 1] * column_step


@njit()
def rans_encode(start, frequency, sizes, states, words):
    """Symbols of groups of the given sizes onto the lanes, last first. -> number of words, which fill `words` from its end"""
    lanes, at, used = len(states), len(start), 0
    for group in range(len(sizes) - 1, -1, -1):
        for index in range(sizes[group] - 1, -1, -1):
            at -= 1
            state, share = states[index % lanes], np.int64(frequency[at])
            while state >= share << (48 - PRECISION):
                used += 1
                words[len(words) - used] = state & 0xFFFF
                state >>= 16
            states[index % lanes] = (state // share << PRECISION) + state % share + start[at]
    return used
