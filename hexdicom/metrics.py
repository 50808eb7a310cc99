"""How far two volumes are apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
