"""What the network is told of a voxel, as `network.inputs` says it in torch."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp, log
from hexdicom.codec.network.neighbours import (
    ERRORS_IN_FRAME,
    FIELD_CHANNELS,
    IN_FIRST,
    IN_FRAME,
    IN_OTHERS,
    NEIGHBOURS,
    REFERENCES,
    SCALARS,
    SIGNED_IN_FRAME,
    VALUES,
)

_FRAME, _FIRST, _OTHERS, _ERRORS = len(IN_FRAME), len(IN_FIRST), len(IN_OTHERS), len(ERRORS_IN_FRAME)
_DECODED = _FRAME + _FIRST + 2 * _OTHERS  # differences of decoded values; those of the running mean follow


@njit()
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
                v, u = clamp(v, 0, height - 1), clamp(u, 0, width - 1)
            one = 16 * values[source, v, u] - centre
            difference[row] = one
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
        difference[row] = one
        absolute += abs(one)
        row += 1
    activity = absolute // max(present, 1) + 8
    _describe(centre, activity, flat, spread, t, low, mantissa, inputs)
    for k in range(REFERENCES):
        inputs[NEIGHBOURS + 4 + k] = 128 if references[t, k] >= 0 else 0
    return centre, activity


@njit()
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
            before += abs(errors[first, clamp(y + square[i, 0], 0, height - 1), clamp(x + square[i, 1], 0, width - 1)])
    _describe_errors(total, before, activity, first >= 0, mantissa, inputs)


@njit()
def gather_inside(values, mean, deviation, errors, here, sources, t, width, low, steps, mantissa, difference, inputs):
    """`gather` and `gather_errors` of a voxel with three references whose neighbours are all there. -> (reference, activity)

    No look at borders, in loops of a constant length: two and a half times as fast. values, mean, deviation, errors: flat. here:
    place of the voxel. sources: (3,) of the same voxel in its references. steps: the offsets as distances between places.
    """
    in_frame, in_first, in_others, near = steps
    first = sources[0]
    for i in range(_FRAME):
        difference[i] = values[np.uintp(here + in_frame[i])]
    for i in range(_FIRST):
        difference[_FRAME + i] = values[np.uintp(first + in_first[i])]
    spread, before, total = 0, 0, 0
    for i in range(_OTHERS):
        difference[_FRAME + _FIRST + i] = values[np.uintp(sources[1] + in_others[i])]
        difference[_FRAME + _FIRST + _OTHERS + i] = values[np.uintp(sources[2] + in_others[i])]
        difference[_DECODED + i] = mean[np.uintp(here + in_others[i])]
        spread += deviation[np.uintp(here + in_others[i])]
        before += abs(errors[np.uintp(first + in_others[i])])
    for i in range(_ERRORS):
        one = errors[np.uintp(here + near[i])]
        total += abs(one)
        if i < SIGNED_IN_FRAME:
            difference[VALUES + i] = one
    difference[VALUES + SIGNED_IN_FRAME] = errors[np.uintp(first)]
    centre = 4 * (np.int64(values[np.uintp(here - 1)]) + values[np.uintp(here - width)] + 2 * values[np.uintp(first)])
    absolute = 0
    for i in range(_FRAME):
        one = 16 * difference[i] - centre
        difference[i] = one
        absolute += abs(one)
    flat = absolute // _FRAME + 8
    for i in range(_FRAME, _DECODED):
        one = 16 * difference[i] - centre
        difference[i] = one
        absolute += abs(one)
    for i in range(_DECODED, VALUES):
        one = difference[i] - centre
        difference[i] = one
        absolute += abs(one)
    activity = absolute // VALUES + 8
    _describe(centre, activity, flat, spread, t, low, mantissa, inputs)
    for k in range(REFERENCES):
        inputs[NEIGHBOURS + 4 + k] = 128
    _describe_errors(total, before, activity, True, mantissa, inputs)
    return centre, activity


@njit(inline="always")
def _describe(centre, activity, flat, spread, t, low, mantissa, inputs):
    octaves = log(activity, mantissa)
    inputs[NEIGHBOURS] = clamp(octaves - 224, -512, 511)
    inputs[NEIGHBOURS + 1] = clamp(log(max(centre - 16 * low, 0) + 16, mantissa) - 320, -512, 511)
    inputs[NEIGHBOURS + 2] = clamp(log(spread + 9, mantissa) - log(9 * activity, mantissa), -512, 511) if t > 1 else 0
    inputs[NEIGHBOURS + 3] = clamp(log(flat, mantissa) - octaves, -512, 511)


@njit(inline="always")
def _describe_errors(total, before, activity, referred, mantissa, inputs):
    octaves = log(activity, mantissa)
    inputs[NEIGHBOURS + 7] = clamp(log(total + 6, mantissa) - octaves - 83, -512, 511)
    inputs[NEIGHBOURS + 8] = clamp(log(before + 9, mantissa) - octaves - 101, -512, 511) if referred else 0


@njit()
def error_of(value, centre, difference, linear, low, high):
    """Error of the linear predictor, in sixteenths"""
    return 16 * value - clamp(centre + np.int64(np.floor(_linear(difference, linear) * 2.0**-12)), 16 * low, 16 * high)


@njit(fastmath=True)
def _linear(difference, linear):
    total = 0.0
    for i in range(VALUES):  # integers below 2^53, in whatever order
        total += linear[i] * np.float64(difference[i])
    return total


@njit(fastmath=True)
def normalise(difference, activity, inputs):
    """Differences over activity, squashed to -256..256: the first inputs. All steps are below 2^24."""
    unit = np.float32(2.0**-14)
    limit = np.float32(5 * activity)
    ratio = np.float32((455 << 10) // activity)
    for i in range(NEIGHBOURS):
        d = min(max(np.float32(difference[i]), -limit), limit)
        u = min(max(np.floor(d * ratio * unit), np.float32(-128)), np.float32(128))
        inputs[i] = np.floor(u * (np.float32(49152) - u * u) * unit)


@njit(inline="always")
def fill_field(field_yx, field_tx, field_ty, t, y, x, inputs):
    for c in range(FIELD_CHANNELS):
        h = (field_yx[y, x, c] * field_tx[t, x, c] + 128) >> 8
        h = (h * field_ty[t, y, c] + 128) >> 8
        inputs[NEIGHBOURS + SCALARS + c] = clamp(h, -512, 511)
