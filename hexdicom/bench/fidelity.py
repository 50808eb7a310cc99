"""How far what came back is from what went in, with the range of the series as the peak of every PSNR."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hexdicom.bench.coder import Values


@dataclass(frozen=True, slots=True)
class Fidelity:
    """In dB; None: every value came back. worst_frame_db: of the frame that came out worst, with the peak of the series."""

    psnr_db: float | None
    worst_frame_db: float | None
    largest_error: int


def compare(values: Values, back: Values) -> Fidelity:
    """Of two arrays (T, Z, Y, X); time by time, so that little memory is taken."""
    errors, largest = [], 0
    for one, other in zip(values, back, strict=True):
        difference = one.astype(np.int32) - other
        largest = max(largest, int(np.abs(difference).max()))
        errors.append(np.square(difference, dtype=np.float64).mean(axis=(1, 2)))
    squared = np.concatenate(errors)  # of each frame
    return Fidelity(_psnr(values, float(squared.mean())), _psnr(values, float(squared.max())), largest)


def flatness(values: Values) -> float:
    """PSNR of the best single grey for the whole series: what a codec must beat to have shown anything. dB"""
    level = _psnr(values, float(values.var(dtype=np.float64)))
    return -math.inf if level is None else level


def stillness(values: Values) -> float | None:
    """PSNR of the mean over time, rounded, shown at every time. dB; None: the series does not change."""
    mean = np.rint(values.mean(axis=0, dtype=np.float64)).astype(values.dtype)
    return compare(values, np.broadcast_to(mean, values.shape)).psnr_db


def _psnr(values: Values, error: float) -> float | None:
    peak = float(values.max()) - float(values.min())
    return 10 * math.log10(peak * peak / error) if error else None
