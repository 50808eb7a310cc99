"""The same inputs for training, where the whole series is known."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.inputs import error_of, gather, gather_errors, normalise
from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp
from hexdicom.codec.network.neighbours import NEIGHBOURS, SCALARS

UNKNOWN = -(1 << 30)  # an error that has not been worked out


@njit()
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


@njit()
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
            v, u = clamp(v, 0, height - 1), clamp(u, 0, width - 1)
            if errors[s, v, u] == UNKNOWN:
                centre, _ = gather(values, mean, deviation, references, s, v, u, low, offsets, mantissa, other, ignored)
                errors[s, v, u] = error_of(np.int64(values[s, v, u]), centre, other, linear, low, high)
        gather_errors(errors, references, t, y, x, activity, offsets, mantissa, differences[b], inputs[b])
        normalise(differences[b], activity, inputs[b])
        local[b, 0], local[b, 1] = reference, activity
