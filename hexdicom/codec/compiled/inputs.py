"""What the network is told of a voxel, as `network.inputs` says it in torch: a block of voxels at once, one in each column.

Of a block there is kept: `difference` (ROWS, COLUMNS) int32, in sixteenths, of which the first NEIGHBOURS rows enter the network;
`local` (LOCALS, COLUMNS) int32; and `inputs` (INPUTS, COLUMNS) float32.
"""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp
from hexdicom.codec.compiled.vectors import LANES, differences
from hexdicom.codec.network.neighbours import (
    ERRORS_IN_FRAME,
    FIELD_CHANNELS,
    IN_FIRST,
    IN_FRAME,
    IN_OTHERS,
    NEIGHBOURS,
    REFERENCES,
    ROW_STEP,
    SCALARS,
    SIGNED_IN_FRAME,
    VALUES,
)

BLOCK = 64  # voxels whose inputs stay in the first cache
COLUMNS = BLOCK + LANES  # a vector that begins within the block may end behind it
_FRAME, _FIRST, _OTHERS, _ERRORS = len(IN_FRAME), len(IN_FIRST), len(IN_OTHERS), len(ERRORS_IN_FRAME)
_DECODED = _FRAME + _FIRST + 2 * _OTHERS  # differences of decoded values; those of the running mean follow
ROWS = VALUES + max(_ERRORS, SIGNED_IN_FRAME + 1) + _OTHERS  # the last of them for what is only summed up
_SUMMED = ROWS - _OTHERS
# rows of `local`: the reference value; mean magnitudes of all differences and of those in the frame; sums of the deviation, and
# of the errors in the frame and in the first reference; whether there are two earlier frames, and a first reference
LOCALS = 8
REFERENCE, ACTIVITY, FLAT, SPREAD, NEAR, BEFORE, LATER, REFERRED = range(LOCALS)


@njit()
def gather(values, mean, deviation, references, t, y, x, low, offsets, difference, local, inputs, b):
    """Fill column b with what values around voxel (t, y, x) tell the network, wherever it lies: see docs/format.md."""
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
        difference[row, b] = one
        absolute += abs(one)
        row += 1
    flat = absolute // max(present, 1) + 8
    inside = 2 <= y < height - 2 and 2 <= x < width - 2
    for k in range(REFERENCES):
        source = references[t, k]
        near = in_first if k == 0 else in_others
        inputs[NEIGHBOURS + 4 + k, b] = 128 if source >= 0 else 0
        if source < 0:
            for _ in range(len(near)):
                difference[row, b] = 0
                row += 1
            continue
        for i in range(len(near)):
            v, u = y + near[i, 0], x + near[i, 1]
            if not inside:
                v, u = clamp(v, 0, height - 1), clamp(u, 0, width - 1)
            one = 16 * values[source, v, u] - centre
            difference[row, b] = one
            absolute += abs(one)
            row += 1
        present += len(near)
    spread = 0
    for i in range(len(in_others)):
        one = 0
        if t > 0:
            v, u = clamp(y + in_others[i, 0], 0, height - 1), clamp(x + in_others[i, 1], 0, width - 1)
            one = mean[t, v, u] - centre
            spread += deviation[t, v, u]
            present += 1
        difference[row, b] = one
        absolute += abs(one)
        row += 1
    local[REFERENCE, b], local[ACTIVITY, b], local[FLAT, b] = centre, absolute // max(present, 1) + 8, flat
    local[SPREAD, b], local[LATER, b], local[REFERRED, b] = spread, t > 1, first >= 0


@njit()
def gather_errors(errors, references, t, y, x, offsets, difference, local, b):
    """Fill column b with what the errors of the linear predictor around voxel (t, y, x) tell the network."""
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
            difference[VALUES + i, b] = one
    first = references[t, 0]
    before = 0
    difference[VALUES + SIGNED_IN_FRAME, b] = errors[first, y, x] if first >= 0 else 0
    if first >= 0:
        for i in range(len(square)):
            before += abs(errors[first, clamp(y + square[i, 0], 0, height - 1), clamp(x + square[i, 1], 0, width - 1)])
    local[NEAR, b], local[BEFORE, b] = total, before


@njit()
def gather_run(values, mean, deviation, errors, at, sources, t, distances, zeros, difference, local, inputs, first, count):
    """`gather` and `gather_errors` of `count` voxels of a wavefront in frame t whose neighbours are all there.

    They get the columns from `first` on. values, mean, deviation, errors: memory of `fronts.zeros`. at: place of the first voxel
    there; sources: (3,) of the same voxel in the references, or −1. distances: the offsets as distances between places. zeros:
    (COLUMNS,) of them. What lies behind the last column is overwritten.
    """
    in_frame, in_first, in_others, near, left, up = distances
    value, mixed = np.int32(4), np.int32(0)  # stored values in sixteenths, and what is already in sixteenths
    centre, total = local[REFERENCE], local[ACTIVITY]
    spread, errors_near, errors_before = local[SPREAD], local[NEAR], local[BEFORE]
    referred = sources[0] >= 0
    present = _FRAME + (_FIRST if referred else 0) + (_OTHERS if t > 0 else 0)
    for k in range(1, REFERENCES):
        present += _OTHERS if sources[k] >= 0 else 0
    for j in range(count):
        one = values[at + j + left] + values[at + j + up]
        centre[first + j] = 4 * (one + 2 * values[sources[0] + j]) if referred else 8 * one
    for begin in range(0, count, LANES):
        column, here = first + begin, at + begin
        for b in range(column, column + LANES):
            total[b] = spread[b] = errors_near[b] = errors_before[b] = 0
        differences(values, here, in_frame, value, centre, difference, 0, column, total)
        for b in range(column, column + LANES):
            local[FLAT, b] = total[b] // _FRAME + 8
        row = _FRAME
        for k in range(REFERENCES):
            wanted = in_first if k == 0 else in_others
            if sources[k] >= 0:
                differences(values, sources[k] + begin, wanted, value, centre, difference, row, column, total)
            else:
                difference[row : row + len(wanted), column : column + LANES] = 0
            row += len(wanted)
        if t > 0:
            differences(mean, here, in_others, mixed, centre, difference, row, column, total)
            differences(deviation, here, in_others, mixed, zeros, difference, _SUMMED, column, spread)
        else:
            difference[row : row + _OTHERS, column : column + LANES] = 0
        differences(errors, here, near, mixed, zeros, difference, VALUES, column, errors_near)
        if referred:
            source = sources[0] + begin
            differences(errors, source, in_others, mixed, zeros, difference, _SUMMED, column, errors_before)
            for j in range(LANES):
                difference[VALUES + SIGNED_IN_FRAME, column + j] = errors[source + j]
        else:
            difference[VALUES + SIGNED_IN_FRAME, column : column + LANES] = 0
        for b in range(column, column + LANES):
            total[b] = total[b] // present + 8
    for b in range(first, first + count):
        local[LATER, b], local[REFERRED, b] = t > 1, referred
    for k in range(REFERENCES):
        inputs[NEIGHBOURS + 4 + k, first : first + count] = 128 if sources[k] >= 0 else 0


@njit()
def describe(local, low, mantissa, number, logs, inputs):
    """Fill the scalar inputs of all columns. number: (COLUMNS,) float64 and logs: (7, COLUMNS) int32, to work with."""
    bits = number.view(np.int64)
    for row in range(7):
        source = local[(ACTIVITY, ACTIVITY, REFERENCE, SPREAD, FLAT, NEAR, BEFORE)[row]]
        times, offset = (9 if row == 1 else 1), (0, 0, 16 - 16 * low, 9, 0, 6, 9)[row]
        least = 16 if row == 2 else 1
        for b in range(COLUMNS):
            number[b] = max(times * np.int64(source[b]) + offset, least)
        for b in range(COLUMNS):
            # ⌊32 log₂ v⌋ from the exponent and the next seven bits
            logs[row, b] = 32 * ((bits[b] >> 52) - 1023) + mantissa[(bits[b] >> 45) & 127]
    for b in range(COLUMNS):
        octaves, wide, reference, spread, flat = logs[0, b], logs[1, b], logs[2, b], logs[3, b], logs[4, b]
        inputs[NEIGHBOURS, b] = clamp(octaves - 224, -512, 511)
        inputs[NEIGHBOURS + 1, b] = clamp(reference - 320, -512, 511)
        inputs[NEIGHBOURS + 2, b] = clamp(spread - wide, -512, 511) * local[LATER, b]
        inputs[NEIGHBOURS + 3, b] = clamp(flat - octaves, -512, 511)
        inputs[NEIGHBOURS + 7, b] = clamp(logs[5, b] - octaves - 83, -512, 511)
        inputs[NEIGHBOURS + 8, b] = clamp(logs[6, b] - octaves - 101, -512, 511) * local[REFERRED, b]


@njit(fastmath=True)
def normalise(difference, local, limit, ratio, inputs):
    """Differences over activity, squashed to −256..256: the first inputs. All steps are below 2^24.

    limit, ratio: (COLUMNS,) float32, to work with.
    """
    unit = np.float32(2.0**-14)
    for b in range(COLUMNS):
        limit[b] = 5 * local[ACTIVITY, b]
        ratio[b] = (455 << 10) // local[ACTIVITY, b]
    for i in range(NEIGHBOURS):
        for b in range(COLUMNS):
            d = min(max(np.float32(difference[i, b]), -limit[b]), limit[b])
            u = min(max(np.floor(d * ratio[b] * unit), np.float32(-128)), np.float32(128))
            inputs[i, b] = np.floor(u * (np.float32(49152) - u * u) * unit)


@njit()
def fill_field(field_yx, field_tx, field_ty, at, t, y, x, inputs, first, count):
    """The field of `count` voxels of a wavefront from (t, y, x) on, each a row below the one before.

    field_yx: (FIELD_CHANNELS, n), the memory of a frame of `fronts.zeros`, where the first voxel lies at `at`. field_tx, field_ty:
    (FIELD_CHANNELS, T, X), (FIELD_CHANNELS, T, Y).
    """
    for c in range(FIELD_CHANNELS):
        for j in range(count):
            h = (np.int32(field_yx[c, at + j]) * np.int32(field_tx[c, t, x - ROW_STEP * j]) + 128) >> 8
            h = (h * np.int32(field_ty[c, t, y + j]) + 128) >> 8
            inputs[NEIGHBOURS + SCALARS + c, first + j] = clamp(h, -512, 511)


@njit(fastmath=True)
def predict(difference, linear, reference, low, high, predicted):
    """Fill (COLUMNS,) predicted with what the linear predictor expects, in sixteenths. Sums are integers below 2^53."""
    sums = np.zeros(COLUMNS)
    for i in range(VALUES):
        for b in range(COLUMNS):
            sums[b] += linear[i] * np.float64(difference[i, b])
    for b in range(COLUMNS):
        predicted[b] = clamp(reference[b] + np.int64(np.floor(sums[b] * 2.0**-12)), 16 * low, 16 * high)
