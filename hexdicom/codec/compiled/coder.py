"""One slice, voxel by voxel, to symbols and back."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.dense import activate, combine, dense, dense_wide
from hexdicom.codec.compiled.inputs import error_of, fill_field, gather, gather_errors, gather_inside, normalise
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.mixture import below, distribution
from hexdicom.codec.compiled.numbers import clamp
from hexdicom.codec.network.neighbours import COMPONENTS, FRAME_STEP, HALO, NEIGHBOURS, REFERENCES, ROW_STEP
from hexdicom.codec.network.stream import ESCAPE_BITS, LOW, PRECISION, ROUNDED, TOTAL

BLOCK = 64  # voxels whose inputs stay in the first cache
DONE, TRUNCATED = 0, 1


@njit()
def code_slice(
    decode,
    truth,
    values,
    mean,
    deviation,
    errors,
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
    raw, length). values, mean, deviation, errors: (T, Y, X) int32, filled on the way. linear: (VALUES,) weights in 1/4096.
    done: (1,) voxels so far, for a progress display.
    """
    times, height, width = values.shape
    low, high, max_error, predictor = bounds
    step = 2 * max_error + 1
    mantissa, recency = tables[4], tables[5]
    field_yx, field_tx, field_ty = field
    w1, b1, w2, b2, w3, b3, w4, b4 = network
    states, words, raw_bytes = stream
    lanes = len(states)
    x0 = np.zeros((BLOCK, w1.shape[1]), np.float32)
    x1 = np.zeros((BLOCK, w2.shape[1]), np.float32)
    x2 = np.zeros((BLOCK, w3.shape[1]), np.float32)
    x3 = np.zeros((BLOCK, w4.shape[1]), np.float32)
    output, columns = np.zeros((BLOCK, len(b4)), np.float32), w4.T.copy()
    difference = np.zeros((BLOCK, NEIGHBOURS), np.int32)
    reference, activity = np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64)
    place = np.zeros((BLOCK, 3), np.int64)
    mixture = np.zeros((COMPONENTS, 3), np.int64)
    position, bit, bits, entry = 0, 0, 8 * len(raw_bytes), 0
    unit = np.float32(2.0**-9)
    flat = values.reshape(-1), mean.reshape(-1), deviation.reshape(-1), errors.reshape(-1)
    steps = _steps(offsets[0], width), _steps(offsets[1], width), _steps(offsets[2], width), _steps(offsets[3], width)
    sources, referred = np.zeros(REFERENCES, np.int64), np.zeros(times, np.bool_)
    for frame in range(times):
        referred[frame] = references[frame].min() >= 0
    for front in range(width + ROW_STEP * (height - 1) + FRAME_STEP * (times - 1)):
        index = 0  # of the voxel in its group
        t, y = max(0, -(-(front - width + 1 - ROW_STEP * (height - 1)) // FRAME_STEP)), -1
        more = True
        while more:
            count = 0
            while count < BLOCK and more:
                # the next voxel (t, y) of this wavefront; y = -1 stands for "find the first of frame t"
                if t >= times or front - FRAME_STEP * t < 0:
                    more = False
                    break
                rest = front - FRAME_STEP * t
                if y < 0:
                    y = max(0, -(-(rest - width + 1) // ROW_STEP))
                if y >= height or ROW_STEP * y > rest:
                    t, y = t + 1, -1
                    continue
                place[count] = (t, y, rest - ROW_STEP * y)
                y += 1
                count += 1
            if count == 0:
                break
            for b in range(count):
                t_, y_, x_ = place[b]
                if referred[t_] and HALO <= y_ < height - HALO and HALO <= x_ < width - HALO:
                    at = y_ * width + x_
                    for k in range(REFERENCES):
                        sources[k] = references[t_, k] * height * width + at
                    reference[b], activity[b] = gather_inside(
                        flat[0], flat[1], flat[2], flat[3], t_ * height * width + at, sources, t_, width, low, steps, mantissa,
                        difference[b], x0[b],
                    )  # fmt: skip
                else:
                    reference[b], activity[b] = gather(
                        values, mean, deviation, references, t_, y_, x_, low, offsets, mantissa, difference[b], x0[b]
                    )
                    gather_errors(errors, references, t_, y_, x_, activity[b], offsets, mantissa, difference[b], x0[b])
                fill_field(field_yx, field_tx, field_ty, t_, y_, x_, x0[b])
                normalise(difference[b], activity[b], x0[b])
            rows = (count + 3) // 4 * 4
            dense(x0, w1, b1, x1, rows, w1.shape[1])
            activate(x1, rows, len(b1), unit)
            dense(x1, w2, b2, x2, rows, w2.shape[1])
            activate(x2, rows, len(b2), unit)
            dense(x2, w3, b3, x3, rows, w3.shape[1])
            activate(x3, rows, len(b3), unit)
            dense_wide(x3, columns, b4, output, rows)
            for b in range(count):
                t_, y_, x_ = place[b]
                combined = combine(output[b], difference[b])
                centre16, shift, reach = distribution(
                    output[b], reference[b], activity[b], combined, bounds, mantissa, tables, mixture
                )
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
                        bound = below(middle, shift, origin, first, least, greatest, centre, step, mixture, free, tables)
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
                    gap = np.int64(truth[t_, y_, x_]) - centre
                    q = (abs(gap) + max_error) // step
                    if gap < 0:
                        q = -q
                    symbol = clamp((q - origin) >> shift, -reach - 1, reach + 1)
                    start = below(symbol, shift, origin, first, least, greatest, centre, step, mixture, free, tables)
                    end = below(symbol + 1, shift, origin, first, least, greatest, centre, step, mixture, free, tables)
                    record[0][entry], record[1][entry] = start, end - start
                    if symbol == -reach - 1 or symbol == reach + 1:
                        record[2][entry], record[3][entry] = q + (1 << (ESCAPE_BITS - 1)), ESCAPE_BITS
                    elif symbol != alone:
                        record[2][entry], record[3][entry] = (q - origin) & ((1 << shift) - 1), shift
                    entry += 1
                value = clamp(centre + q * step, low, high)
                values[t_, y_, x_] = value
                errors[t_, y_, x_] = error_of(value, reference[b], difference[b], linear, low, high)
                if t_ + 1 < times:
                    # running mean and mean absolute deviation of what the slice held here so far
                    past = mean[t_, y_, x_] if t_ > 0 else 16 * value
                    gap = 16 * value - past
                    mean[t_ + 1, y_, x_] = past + ((gap * recency[t_]) >> 16)
                    if t_ > 0:
                        spread = deviation[t_, y_, x_]
                        deviation[t_ + 1, y_, x_] = spread + (((abs(gap) - spread) * recency[t_ - 1]) >> 16)
                index += 1
            done[0] += count
    return DONE, position, bit


@njit()
def _steps(offsets, width):
    return offsets[:, 0] * width + offsets[:, 1]


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
