"""Dense layers on blocks of voxels: float32 carries integers below 2^24, which `weights.Network` proves."""

from __future__ import annotations

import numpy as np

from hexdicom.codec.compiled.jit import njit
from hexdicom.codec.network.neighbours import NEIGHBOURS


@njit(fastmath=True)
def dense(source, weights, bias, target, count, width):
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


@njit(fastmath=True)
def dense_wide(source, columns, bias, target, count):
    """The same for many units on few inputs, where sums across a register would cost as much as the products.

    columns: (inputs, units), transposed. Tiles of 4 voxels by 4 inputs, all units in turn.
    """
    for b in range(0, count, 4):
        one, two, three, four = target[b], target[b + 1], target[b + 2], target[b + 3]
        for h in range(len(bias)):
            one[h] = two[h] = three[h] = four[h] = bias[h]
        for i in range(0, len(columns), 4):
            p0, p1, p2, p3 = source[b, i], source[b, i + 1], source[b, i + 2], source[b, i + 3]
            q0, q1, q2, q3 = source[b + 1, i], source[b + 1, i + 1], source[b + 1, i + 2], source[b + 1, i + 3]
            r0, r1, r2, r3 = source[b + 2, i], source[b + 2, i + 1], source[b + 2, i + 2], source[b + 2, i + 3]
            s0, s1, s2, s3 = source[b + 3, i], source[b + 3, i + 1], source[b + 3, i + 2], source[b + 3, i + 3]
            c0, c1, c2, c3 = columns[i], columns[i + 1], columns[i + 2], columns[i + 3]
            for h in range(len(bias)):
                w0, w1, w2, w3 = c0[h], c1[h], c2[h], c3[h]
                one[h] += p0 * w0 + p1 * w1 + p2 * w2 + p3 * w3
                two[h] += q0 * w0 + q1 * w1 + q2 * w2 + q3 * w3
                three[h] += r0 * w0 + r1 * w1 + r2 * w2 + r3 * w3
                four[h] += s0 * w0 + s1 * w1 + s2 * w2 + s3 * w3


@njit(fastmath=True)
def activate(target, count, height, unit):
    for b in range(count):
        for h in range(height):
            target[b, h] = min(max(np.floor(target[b, h] * unit), np.float32(0)), np.float32(1023))


@njit(fastmath=True)
def combine(output, difference):
    total = 0.0
    for i in range(NEIGHBOURS):
        total += np.float64(output[i]) * np.float64(difference[i])
    return total
