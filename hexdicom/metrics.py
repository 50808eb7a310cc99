"""How far two volumes are apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW = 7


def psnr(original: NDArray[Any], restored: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB: the peak is max − min of the original; infinite where the two are equal.

    >>> round(psnr(np.array([0, 100]), np.array([0, 99])), 2)
    43.01
    """
    difference = original.astype(np.int32) - restored.astype(np.int32)
    error = float(np.mean(np.square(difference, dtype=np.float64)))
    peak = float(original.max()) - float(original.min())
    if error == 0:
        return math.inf
    return 10 * math.log10(peak * peak / error) if peak else -math.inf


def worst_frame_psnr(original: NDArray[Any], restored: NDArray[Any]) -> float:
    """PSNR in dB of the frame that came out worst: one slice at one time of (T, Z, Y, X), under the peak of the whole series.

    >>> round(worst_frame_psnr(np.array([[[[0, 100]], [[0, 0]]]]), np.array([[[[0, 99]], [[0, 0]]]])), 2)
    43.01
    """
    peak = float(original.max()) - float(original.min())
    most = 0.0
    for before, after in zip(original, restored, strict=True):
        squares: NDArray[np.float64] = np.square(before.astype(np.int32) - after.astype(np.int32), dtype=np.float64)
        most = max(most, float(squares.mean(axis=(1, 2)).max()))
    if most == 0:
        return math.inf
    return 10 * math.log10(peak * peak / most) if peak else -math.inf


def ssim(original: NDArray[Any], restored: NDArray[Any]) -> float:
    """Structural similarity (Wang et al. 2004), the mean over all frames of (T, Z, Y, X): 1 where the two are equal.

    Windows of 7×7 voxels within the frame (smaller where the frame is), all of the same weight; K1 = 0.01, K2 = 0.03; the dynamic
    range is max − min of the original. Frames are compared as they are stored, without the display window.

    >>> frame = np.arange(100).reshape(1, 1, 10, 10)
    >>> ssim(frame, frame), ssim(frame, 99 - frame) < 0
    (1.0, True)
    """
    span = float(original.max()) - float(original.min())
    window = min(_WINDOW, *original.shape[2:])
    few, some = (0.01 * span) ** 2, (0.03 * span) ** 2
    total = 0.0
    for before, after in zip(original, restored, strict=True):
        for a, b in zip(before.astype(np.float64), after.astype(np.float64), strict=True):
            mean_a, mean_b = _means(a, window), _means(b, window)
            spread_a, spread_b = _means(a * a, window) - mean_a**2, _means(b * b, window) - mean_b**2
            common = _means(a * b, window) - mean_a * mean_b
            above = (2 * mean_a * mean_b + few) * (2 * common + some)
            below = (mean_a**2 + mean_b**2 + few) * (spread_a + spread_b + some)
            total += float(np.mean(above / below)) if span else float(np.array_equal(a, b))
    return float(total / (original.shape[0] * original.shape[1]))


def _means(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Means of all square windows of a frame, by sums of integers below 2^53"""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    means: NDArray[np.float64] = (
        sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    )
    return means / window**2
