"""The distribution of a voxel, as `network.mixture` says it in torch."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.compiled.numbers import clamp, sigmoid
from hexdicom.codec.network.neighbours import COMPONENTS, NEIGHBOURS
from hexdicom.codec.network.stream import REACH_LIMIT, ROUNDED, TOTAL


@njit()
def distribution(output, b, centre, activity, octaves, combined, bounds, scale, decay, mixture):
    """Fill (3, 3) mixture with mean in sixteenths, level and weight of each component; -> (mean, shift, reach) in quantiser steps.

    Of the voxel in column b. octaves: 32 log₂ of its activity. See `mixture.mixture`.
    """
    low, high, max_error, predictor = bounds
    rounded = 1 if predictor == ROUNDED else 0
    half = 0.5 * rounded
    margin = 16 * (high - low + 1) * rounded
    unbound = clamp(centre + np.int64(np.floor(combined * 2.0**-18 + half)), 16 * low - margin, 16 * high + margin)
    mean = clamp(unbound, 16 * low, 16 * high)
    half_log = (octaves + rounded) >> 1
    heaviest = np.int64(-(1 << 30))
    for k in range(COMPONENTS):
        logit = np.int64(np.floor(output[NEIGHBOURS + k, b] * np.float32(2.0**-11)))
        mixture[k, 2] = logit
        heaviest = logit if logit > heaviest else heaviest
        offset = np.int64(np.floor(np.float64(output[NEIGHBOURS + COMPONENTS + k, b]) * activity * 2.0**-15 + half))
        mixture[k, 0] = clamp(unbound + offset, 16 * low - margin, 16 * high + margin)
        level = np.int64(np.floor(np.float64(output[NEIGHBOURS + 2 * COMPONENTS + k, b]) * 2.0**-11 + half))
        mixture[k, 1] = clamp(level + half_log, 0, 255)
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


@njit(inline="always")
def cumulative(edge, mixture, free, inverse, knots):
    """Share of `free` that lies below `edge`, in sixteenths"""
    total = 0
    for k in range(COMPONENTS):
        u = (clamp(edge - mixture[k, 0], -(1 << 22), 1 << 22) * inverse[mixture[k, 1]]) >> 20
        total += mixture[k, 2] * sigmoid(u, knots)
    return ((total >> 12) * free) >> 30


@njit(inline="always")
def below(q, shift, origin, first, least, greatest, centre, step, mixture, free, inverse, knots):
    """Cumulative frequency below symbol q, which has one of its own, as all have from `first` on"""
    if q <= least:
        return 0
    if q > greatest:
        return TOTAL
    edge = 16 * (centre + ((q << shift) + origin) * step) - 8 * step
    return cumulative(edge, mixture, free, inverse, knots) + q - first
