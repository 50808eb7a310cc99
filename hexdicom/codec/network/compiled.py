"""The network predictor compiled by numba: one call codes a whole slice, on one thread, without the interpreter lock.

The integers are those of `walk`, which is the readable form and runs on any device; tests hold the two together bit for bit.
Integers that float32 carries stay below 2^24 (`weights.Network` proves it) and those that float64 carries below 2^53, so that fused
or reordered sums, which `fastmath` allows, change nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from hexdicom.codec.network.neighbours import (
    COMPONENTS,
    FIELD_CHANNELS,
    FRAME_STEP,
    NEIGHBOURS,
    REFERENCES,
    ROW_STEP,
    SCALARS,
    SIGNED_IN_FRAME,
    VALUES,
)

BLOCK = 64  # voxels whose inputs stay in the first cache
PRECISION = 20
TOTAL = 1 << PRECISION
LOW = 1 << 32
ESCAPE_BITS = 18
REACH_LIMIT = 2046
DONE, TRUNCATED = 0, 1
UNKNOWN = -(1 << 30)


@njit(cache=True, nogil=True, inline="always")
def _log(value, mantissa):
    exponent = 0
    rest = value
    while rest >= 256:
        rest >>= 1
        exponent += 1
    while rest < 128:
        rest <<= 1
        exponent -= 1
    return 32 * (exponent + 7) + mantissa[rest - 128]


@njit(cache=True, nogil=True, inline="always")
def _clamp(value, low, high):
    return min(max(value, low), high)


@njit(cache=True, nogil=True)
def gather(values, mean, deviation, references, t, y, x, low, offsets, mantissa, difference, inputs):
    """Fill in what values around voxel (t, y, x) tell the network: see docs/format.md. -> (reference, activity)"""
    height, width = values.shape[1:]
    in_frame, in_first, in_others = offsets[:3]
    first = references[t, 0]
    total, parts = 0, 0
    if x > 0:
        total += values[t, y, x - 1]
        parts += 1
    if y > 0:
        total += values[t, y - 1, x]
        parts += 1
    if first >= 0:
        total += 2 * values[first, y, x]
        parts += 2
    centre = (16 * total) // parts if parts > 0 else 16 * low
    row, present, absolute = 0, 0, 0
    for i in range(len(in_frame)):
        v, u = y + in_frame[i, 0], x + in_frame[i, 1]
        one = 0
        if v >= 0 and 0 <= u < width:
            one = 16 * values[t, v, u] - centre
            present += 1
        difference[row] = one
        absolute += abs(one)
        row += 1
    flat = absolute // max(present, 1) + 8
    inside = 2 <= y < height - 2 and 2 <= x < width - 2
    for k in range(REFERENCES):
        source = references[t, k]
        near = in_first if k == 0 else in_others
        if source < 0:
            for _ in range(len(near)):
                difference[row] = 0
                row += 1
            continue
        for i in range(len(near)):
            v, u = y + near[i, 0], x + near[i, 1]
            if not inside:
                v, u = _clamp(v, 0, height - 1), _clamp(u, 0, width - 1)
            one = 16 * values[source, v, u] - centre
            difference[row] = one
            absolute += abs(one)
            row += 1
        present += len(near)
    spread = 0
    for i in range(len(in_others)):
        one = 0
        if t > 0:
            v, u = _clamp(y + in_others[i, 0], 0, height - 1), _clamp(x + in_others[i, 1], 0, width - 1)
            one = mean[t, v, u] - centre
            spread += deviation[t, v, u]
            present += 1
        difference[row] = one
        absolute += abs(one)
        row += 1
    activity = absolute // max(present, 1) + 8
    log = _log(activity, mantissa)
    inputs[NEIGHBOURS] = _clamp(log - 224, -512, 511)
    inputs[NEIGHBOURS + 1] = _clamp(_log(max(centre - 16 * low, 0) + 16, mantissa) - 320, -512, 511)
    inputs[NEIGHBOURS + 2] = _clamp(_log(spread + 9, mantissa) - _log(9 * activity, mantissa), -512, 511) if t > 1 else 0
    inputs[NEIGHBOURS + 3] = _clamp(_log(flat, mantissa) - log, -512, 511)
    for k in range(REFERENCES):
        inputs[NEIGHBOURS + 4 + k] = 128 if references[t, k] >= 0 else 0
    return centre, activity


@njit(cache=True, nogil=True)
def gather_errors(errors, references, t, y, x, activity, offsets, mantissa, difference, inputs):
    """Fill in what the errors of the linear predictor around voxel (t, y, x) tell the network."""
    height, width = errors.shape[1:]
    near, square = offsets[3], offsets[2]
    total = 0
    for i in range(len(near)):
        v, u = y + near[i, 0], x + near[i, 1]
        one = 0
        if v >= 0 and 0 <= u < width:
            one = errors[t, v, u]
        total += abs(one)
        if i < SIGNED_IN_FRAME:
            difference[VALUES + i] = one
    first = references[t, 0]
    before = 0
    difference[VALUES + SIGNED_IN_FRAME] = errors[first, y, x] if first >= 0 else 0
    if first >= 0:
        for i in range(len(square)):
            before += abs(errors[first, _clamp(y + square[i, 0], 0, height - 1), _clamp(x + square[i, 1], 0, width - 1)])
    log = _log(activity, mantissa)
    inputs[NEIGHBOURS + 7] = _clamp(_log(total + 6, mantissa) - log - 83, -512, 511)
    inputs[NEIGHBOURS + 8] = _clamp(_log(before + 9, mantissa) - log - 101, -512, 511) if first >= 0 else 0


@njit(cache=True, nogil=True, inline="always")
def error_of(value, centre, difference, linear, low, high):
    """Error of the linear predictor, in sixteenths"""
    total = 0.0
    for i in range(VALUES):
        total += linear[i] * np.float64(difference[i])
    return 16 * value - _clamp(centre + np.int64(np.floor(total * 2.0**-12)), 16 * low, 16 * high)


@njit(cache=True, nogil=True, fastmath=True)
def normalise(difference, activity, inputs):
    """Differences over activity, squashed to -256..256: the first inputs. All steps are below 2^24."""
    unit = np.float32(2.0**-14)
    limit = np.float32(5 * activity)
    ratio = np.float32((455 << 10) // activity)
    for i in range(NEIGHBOURS):
        d = min(max(np.float32(difference[i]), -limit), limit)
        u = min(max(np.floor(d * ratio * unit), np.float32(-128)), np.float32(128))
        inputs[i] = np.floor(u * (np.float32(49152) - u * u) * unit)


@njit(cache=True, nogil=True, inline="always")
def _field(field_yx, field_tx, field_ty, t, y, x, inputs):
    for c in range(FIELD_CHANNELS):
        h = (field_yx[y, x, c] * field_tx[t, x, c] + 128) >> 8
        h = (h * field_ty[t, y, c] + 128) >> 8
        inputs[NEIGHBOURS + SCALARS + c] = _clamp(h, -512, 511)


@njit(cache=True, nogil=True, fastmath=True)
def _dense(source, weights, bias, target, count, width):
    """target[b, h] = bias[h] + sum of source[b, i] weights[h, i]: tiles of 4 voxels by 4 units stay in registers"""
    zero = np.float32(0)
    for b in range(0, count, 4):
        for h in range(0, len(bias), 4):
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
            for i in range(width):
                x0, x1, x2, x3 = source[b, i], source[b + 1, i], source[b + 2, i], source[b + 3, i]
                w0, w1, w2, w3 = weights[h, i], weights[h + 1, i], weights[h + 2, i], weights[h + 3, i]
                s00 += x0 * w0
                s01 += x0 * w1
                s02 += x0 * w2
                s03 += x0 * w3
                s10 += x1 * w0
                s11 += x1 * w1
                s12 += x1 * w2
                s13 += x1 * w3
                s20 += x2 * w0
                s21 += x2 * w1
                s22 += x2 * w2
                s23 += x2 * w3
                s30 += x3 * w0
                s31 += x3 * w1
                s32 += x3 * w2
                s33 += x3 * w3
            for row, one, two, three, four in (
                (b, s00, s01, s02, s03),
                (b + 1, s10, s11, s12, s13),
                (b + 2, s20, s21, s22, s23),
                (b + 3, s30, s31, s32, s33),
            ):
                target[row, h] = one + bias[h]
                target[row, h + 1] = two + bias[h + 1]
                target[row, h + 2] = three + bias[h + 2]
                target[row, h + 3] = four + bias[h + 3]


@njit(cache=True, nogil=True, fastmath=True)
def _activate(target, count, height, unit):
    for b in range(count):
        for h in range(height):
            target[b, h] = min(max(np.floor(target[b, h] * unit), np.float32(0)), np.float32(1023))


@njit(cache=True, nogil=True, fastmath=True)
def _combine(output, difference):
    total = 0.0
    for i in range(NEIGHBOURS):
        total += np.float64(output[i]) * np.float64(difference[i])
    return total


@njit(cache=True, nogil=True, inline="always")
def _sigmoid(u, knots):
    m = min(abs(u), (24 << 16) - 1)
    i, f = m >> 10, m & 1023
    upper = knots[i] + ((knots[i + 1] - knots[i]) * f >> 10)
    return (1 << 30) - upper if u < 0 else upper


@njit(cache=True, nogil=True)
def distribution(output, centre, activity, combined, low, high, max_error, mantissa, tables, mixture):
    """Fill (3, 3) mixture with mean in sixteenths, level and weight of each component; -> (mean, shift, reach) in quantiser steps.

    See `mixture.mixture`.
    """
    scale, _, decay = tables[:3]
    mean = _clamp(centre + np.int64(np.floor(combined * 2.0**-18)), 16 * low, 16 * high)
    half_log = _log(activity, mantissa) >> 1
    heaviest = -(1 << 30)
    for k in range(COMPONENTS):
        logit = np.int64(np.floor(output[NEIGHBOURS + k] * np.float32(2.0**-11)))
        mixture[k, 2] = logit
        heaviest = max(heaviest, logit)
        offset = np.int64(np.floor(np.float64(output[NEIGHBOURS + COMPONENTS + k]) * activity * 2.0**-15))
        mixture[k, 0] = _clamp(mean + offset, 16 * low, 16 * high)
        level = np.int64(np.floor(output[NEIGHBOURS + 2 * COMPONENTS + k] * np.float32(2.0**-11)))
        mixture[k, 1] = _clamp(level + half_log, 0, 255)
    total = 0
    for k in range(COMPONENTS):
        mixture[k, 2] = decay[min(heaviest - mixture[k, 2], 255)]
        total += mixture[k, 2]
    given, main = 0, 0
    for k in range(COMPONENTS):
        mixture[k, 2] = (mixture[k, 2] << 12) // total
        given += mixture[k, 2]
        if mixture[k, 2] > mixture[main, 2]:
            main = k
    mixture[main, 2] += 4096 - given
    finest, widest = 255, 0
    for k in range(COMPONENTS):
        if mixture[k, 2] >= 256:
            finest = min(finest, mixture[k, 1])
        widest = max(widest, 12 * scale[mixture[k, 1]] + abs(mixture[k, 0] - mean))
    step, octaves = 2 * max_error + 1, 0
    while step >> (octaves + 1) > 0:
        octaves += 1
    shift = max(0, (finest >> 4) - 8 - octaves)
    reach = min(REACH_LIMIT, (widest // (16 * step) >> shift) + 2)
    return mean, shift, reach


@njit(cache=True, nogil=True, inline="always")
def _cumulative(edge, mixture, free, inverse, knots):
    """Share of `free` that lies below `edge`, in sixteenths"""
    total = 0
    for k in range(COMPONENTS):
        u = (_clamp(edge - mixture[k, 0], -(1 << 22), 1 << 22) * inverse[mixture[k, 1]]) >> 20
        total += mixture[k, 2] * _sigmoid(u, knots)
    return ((total >> 12) * free) >> 30


@njit(cache=True, nogil=True, inline="always")
def _below(q, shift, reach, least, greatest, centre, step, mixture, free, tables):
    """Cumulative frequency below symbol q, -reach - 1 <= q <= reach + 2"""
    if q <= least:
        return 0
    if q > greatest:
        return TOTAL
    edge = 16 * (centre + (q << shift) * step) - 8 * step
    return _cumulative(edge, mixture, free, tables[1], tables[3]) + q + reach + 1


@njit(cache=True, nogil=True)
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
    low, high, max_error = bounds
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
    output = np.zeros((BLOCK, len(b4)), np.float32)
    difference = np.zeros((BLOCK, NEIGHBOURS), np.int32)
    reference, activity = np.zeros(BLOCK, np.int64), np.zeros(BLOCK, np.int64)
    place = np.zeros((BLOCK, 3), np.int64)
    mixture = np.zeros((COMPONENTS, 3), np.int64)
    position, bit, bits, entry = 0, 0, 8 * len(raw_bytes), 0
    unit = np.float32(2.0**-9)
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
                reference[b], activity[b] = gather(
                    values, mean, deviation, references, t_, y_, x_, low, offsets, mantissa, difference[b], x0[b]
                )
                gather_errors(errors, references, t_, y_, x_, activity[b], offsets, mantissa, difference[b], x0[b])
                _field(field_yx, field_tx, field_ty, t_, y_, x_, x0[b])
                normalise(difference[b], activity[b], x0[b])
            rows = (count + 3) // 4 * 4
            _dense(x0, w1, b1, x1, rows, w1.shape[1])
            _activate(x1, rows, len(b1), unit)
            _dense(x1, w2, b2, x2, rows, w2.shape[1])
            _activate(x2, rows, len(b2), unit)
            _dense(x2, w3, b3, x3, rows, w3.shape[1])
            _activate(x3, rows, len(b3), unit)
            _dense(x3, w4, b4, output, rows, w4.shape[1])
            for b in range(count):
                t_, y_, x_ = place[b]
                combined = _combine(output[b], difference[b])
                centre16, shift, reach = distribution(
                    output[b], reference[b], activity[b], combined, low, high, max_error, mantissa, tables, mixture
                )
                centre = (centre16 + 8) >> 4
                smallest, largest = -((centre - low + max_error) // step), (high - centre + max_error) // step
                least, greatest = max(smallest >> shift, -reach - 1), min(largest >> shift, reach + 1)
                free = TOTAL - (2 * reach + 3)
                if decode:
                    lane = index % lanes
                    state = states[lane]
                    slot = state & (TOTAL - 1)
                    # invariant: below(under) <= slot < below(over)
                    under, over = least, greatest + 1
                    start, end = 0, TOTAL
                    while over - under > 1:
                        middle = (under + over) >> 1
                        bound = _below(middle, shift, reach, least, greatest, centre, step, mixture, free, tables)
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
                    q, symbol = under << shift, under
                    length = ESCAPE_BITS if symbol == -reach - 1 or symbol == reach + 1 else shift
                    if length:
                        if bit + length > bits:
                            return TRUNCATED, position, bit
                        raw = 0
                        for _ in range(length):
                            raw = raw << 1 | (raw_bytes[bit >> 3] >> (7 - (bit & 7))) & 1
                            bit += 1
                        q = raw - (1 << (ESCAPE_BITS - 1)) if length == ESCAPE_BITS else q | raw
                    q = _clamp(q, smallest, largest)
                else:
                    gap = np.int64(truth[t_, y_, x_]) - centre
                    q = (abs(gap) + max_error) // step
                    if gap < 0:
                        q = -q
                    symbol = _clamp(q >> shift, -reach - 1, reach + 1)
                    start = _below(symbol, shift, reach, least, greatest, centre, step, mixture, free, tables)
                    end = _below(symbol + 1, shift, reach, least, greatest, centre, step, mixture, free, tables)
                    record[0][entry], record[1][entry] = start, end - start
                    if symbol == -reach - 1 or symbol == reach + 1:
                        record[2][entry], record[3][entry] = q + (1 << (ESCAPE_BITS - 1)), ESCAPE_BITS
                    else:
                        record[2][entry], record[3][entry] = q & ((1 << shift) - 1), shift
                    entry += 1
                value = _clamp(centre + q * step, low, high)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def history(values, recency, mean, deviation):
    """Fill the running mean and deviation of a whole (T, Y, X) slice: for training, where nothing has to be causal."""
    times, height, width = values.shape
    for t in range(times - 1):
        for y in range(height):
            for x in range(width):
                value = np.int64(16) * values[t, y, x]
                past = np.int64(mean[t, y, x]) if t > 0 else value
                gap = value - past
                mean[t + 1, y, x] = past + ((gap * recency[t]) >> 16)
                if t > 0:
                    spread = np.int64(deviation[t, y, x])
                    deviation[t + 1, y, x] = spread + (((abs(gap) - spread) * recency[t - 1]) >> 16)


@njit(cache=True, nogil=True)
def examples(values, mean, deviation, errors, references, linear, places, bounds, offsets, mantissa, differences, inputs, local):
    """What the network is told of the voxels `places` (n, 3), without the field. local: (n, 2) reference and activity.

    errors: UNKNOWN where the error of the linear predictor has not been worked out yet; what is needed is filled in.
    """
    low, high = bounds
    height, width = values.shape[1:]
    near, square = offsets[3], offsets[2]
    other, ignored = np.zeros(NEIGHBOURS, np.int32), np.zeros(NEIGHBOURS + SCALARS, np.int16)
    for b in range(len(places)):
        t, y, x = places[b]
        reference, activity = gather(
            values, mean, deviation, references, t, y, x, low, offsets, mantissa, differences[b], inputs[b]
        )
        for i in range(len(near) + len(square)):
            inside = i < len(near)
            s = t if inside else references[t, 0]
            v = y + (near[i, 0] if inside else square[i - len(near), 0])
            u = x + (near[i, 1] if inside else square[i - len(near), 1])
            if s < 0 or (inside and (v < 0 or u < 0 or u >= width)):
                continue
            v, u = _clamp(v, 0, height - 1), _clamp(u, 0, width - 1)
            if errors[s, v, u] == UNKNOWN:
                centre, _ = gather(values, mean, deviation, references, s, v, u, low, offsets, mantissa, other, ignored)
                errors[s, v, u] = error_of(np.int64(values[s, v, u]), centre, other, linear, low, high)
        gather_errors(errors, references, t, y, x, activity, offsets, mantissa, differences[b], inputs[b])
        normalise(differences[b], activity, inputs[b])
        local[b, 0], local[b, 1] = reference, activity
