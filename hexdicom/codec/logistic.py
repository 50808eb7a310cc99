"""Probability tables of quantised logistic distributions, from integer arithmetic alone. Specified in docs/format.md.

A table is named by (level, shape, offset). Level: the scale is 2^((level − 16) / 4) quantiser steps. Shape: the logistic
itself, a mixture of a narrow and a wide one (heavy tails), or of two side by side (flat top). Offset: how far the mean lies from
the symbol 0, −8..7 sixteenths of a step. Symbols −126..126; beyond a table's reach the outermost symbols say "escape".
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec.rans import TOTAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS, SHAPES, OFFSETS = 32, 3, 16
SYMBOLS = 255  # symbol q has index q + CENTRE
CENTRE = 127
TOP_LEVEL = 80  # levels from 32 on: level 28..31 of a coarser step, see `split`
_QUARTER_OCTAVE = (256, 304, 362, 431)  # 256 · 2^(i/4)
_KNOTS, _REACH = 64, 24  # knots per unit, and where the logistic function counts as 1
_ONE = 1 << 30


def split(level: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """-> (level of the table, number of low bits that are coded raw)"""
    shift = np.maximum(0, (level - 28) >> 2)
    return level - 4 * shift, shift


@cache
def reach() -> NDArray[np.int64]:
    """(LEVELS,) largest |symbol| of each level; one further is the escape."""
    return np.minimum(126, (_scales() * 16 + 255) // 256 + 6)


@cache
def cumulative() -> NDArray[np.int64]:
    """(LEVELS · SHAPES · OFFSETS, SYMBOLS + 1) cumulative frequencies out of 2^16, rows in the order of `row`."""
    symbols = np.arange(SYMBOLS + 1, dtype=np.int64) - CENTRE  # (S,)
    offsets = np.arange(OFFSETS, dtype=np.int64) - 8  # (O,)
    bounds = 16 * symbols[None] - 8 - offsets[:, None]  # (O, S) lower edges of the symbols, in sixteenths
    tables = np.empty((LEVELS, SHAPES, OFFSETS, SYMBOLS + 1), np.int64)
    for level in range(LEVELS):
        u = (bounds << 20) // _scales()[level]  # (O, S) edge over scale, Q16
        shapes = (
            2 * _sigmoid(u),
            _sigmoid(u * 7 >> 2) + _sigmoid((u << 2) // 7),
            _sigmoid((u + 60293) * 7 >> 2) + _sigmoid((u - 60293) * 7 >> 2),
        )
        limit = int(reach()[level])
        index = np.clip(symbols + limit + 1, 0, 2 * limit + 3)  # how many symbols lie below, (S,)
        free = TOTAL - (2 * limit + 3)
        for shape, probability in enumerate(shapes):
            table = (probability * free >> 31) + index
            table[:, symbols <= -limit - 1] = 0
            table[:, symbols >= limit + 2] = TOTAL
            tables[level, shape] = table
    return tables.reshape(-1, SYMBOLS + 1)


def row(level: NDArray[np.int64], shape: NDArray[np.int64], offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of `cumulative` for levels below 32, shapes 0..2 and offsets −8..7."""
    return (level * SHAPES + shape) * OFFSETS + offset + 8


def _scales() -> NDArray[np.int64]:
    """(LEVELS,) scale of each level, Q8."""
    return np.array([(_QUARTER_OCTAVE[level % 4] << (level // 4)) >> 4 for level in range(LEVELS)], np.int64)


def _sigmoid(u: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 / (1 + exp(−u)), u in Q16, result in Q30; linear between 64 knots per unit."""
    table = knots()
    magnitude = np.minimum(np.abs(u), (_REACH << 16) - 1)
    knot, part = magnitude >> 10, magnitude & 1023
    upper = table[knot] + ((table[knot + 1] - table[knot]) * part >> 10)
    value: NDArray[np.int64] = np.where(u < 0, _ONE - upper, upper)
    return value


@cache
def knots() -> NDArray[np.int64]:
    """σ(i / 64) in Q30, i = 0..1536. Decimal arithmetic is correctly rounded, hence the same everywhere."""
    with localcontext() as context:
        context.prec = 40
        values = [int(_ONE / (1 + (Decimal(-i) / _KNOTS).exp())) for i in range(_KNOTS * _REACH + 1)]
    return np.array(values, np.int64)
