"""Rate against PSNR: the Bjøntegaard delta rate (VCEG-M33; here with PCHIP, as in VCEG-AI11 and JCT-VC), and the rate at a PSNR."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_POINTS = 4
LEAST_SPAN = 2.0  # dB that two curves must share; a mean over less says more about the points than about the codecs

Rated = tuple[float, float]
"""Bits per voxel and PSNR in dB."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Mean rate of a curve against another over the PSNR that both cover. ratio 0.8: −20 %; it takes a fifth fewer bits.

    ratio: None where the curves share too little, or have too few points. low, high: dB; low > high: they share nothing.
    """

    ratio: float | None
    low: float
    high: float


def front(points: Sequence[Rated]) -> list[Rated]:
    """The points that no other of the curve beats in both rate and PSNR, by rate: what a user of the codec would choose from.

    >>> front([(0.2, 38.0), (0.1, 35.0), (0.3, 37.5)])
    [(0.1, 35.0), (0.2, 38.0)]
    """
    kept: list[Rated] = []
    for rate, level in sorted(points, key=lambda one: (one[0], -one[1])):
        if not kept or level > kept[-1][1]:
            kept.append((rate, level))
    return kept


def delta(points: Sequence[Rated], anchor: Sequence[Rated]) -> Delta:
    """The curve of the points against that of the anchor. Raises ConfigError without scipy."""
    ours, theirs = front(points), front(anchor)
    if not ours or not theirs:
        return Delta(None, math.inf, -math.inf)
    low, high = max(ours[0][1], theirs[0][1]), min(ours[-1][1], theirs[-1][1])
    if min(len(ours), len(theirs)) < LEAST_POINTS or high - low < LEAST_SPAN:
        return Delta(None, low, high)
    areas = [float(_log_rate(curve).integrate(low, high)) for curve in (ours, theirs)]
    return Delta(math.exp((areas[0] - areas[1]) / (high - low)), low, high)


def rate_at(points: Sequence[Rated], level: float) -> float | None:
    """Bits per voxel at a PSNR in dB; None outside the curve. Raises ConfigError without scipy."""
    curve = front(points)
    if len(curve) < 2 or not curve[0][1] <= level <= curve[-1][1]:
        return None
    return math.exp(float(_log_rate(curve)(level)))


def interpolator() -> Any:
    """scipy's PCHIP, a piecewise cubic that overshoots nowhere. Raises ConfigError without scipy."""
    try:
        return importlib.import_module("scipy.interpolate").PchipInterpolator
    except ImportError as error:
        hint = "pip install 'hexdicom[bench]' brings it."
        raise ConfigError("BD-rates are computed with scipy, which is not installed.", hint=hint) from error


def _log_rate(curve: Sequence[Rated]) -> Any:
    """The logarithm of the rate as a function of PSNR."""
    return interpolator()([level for _, level in curve], np.log([rate for rate, _ in curve]))
