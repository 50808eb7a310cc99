"""The linear predictor: a weighted sum of differences to a local reference, with weights for each regime and activity class.

Its weights were fitted to the series by least squares and sent as integers. Prediction is integer arithmetic carried in doubles:
every product is below 2^33 and every sum below 2^40, so any order of summation, on any device, gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.linear import surroundings
from hexdicom.codec.linear.surroundings import BASE_NEIGHBOURS, MISSING, NEIGHBOURS, View
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTEXTS = 288
MAX_CLASSES = 12
_FRACTION = 12  # bits behind the point of a weight
_REGIMES = 6  # (t = 0, t = 1, t ≥ 2) × (z = 0, z ≥ 1)
_REGIME_STEP = 1 << 30
_INPUTS = len(NEIGHBOURS) + len(BASE_NEIGHBOURS)
_OCTAVE = (1024, 1149, 1290, 1448, 1625, 1825)  # 1024 · 2^(i/6)
_ERROR_WEIGHTS = (2, 2, 2, *(1,) * 10)

_BEFORE, _BEFORE_THAT, _BELOW = map(NEIGHBOURS.index, (surroundings.BEFORE, surroundings.BEFORE_THAT, surroundings.BELOW))
_REFERENCE = [NEIGHBOURS.index(offset) for offset in (surroundings.LEFT, surroundings.UP, surroundings.BEFORE)]
_NEAR = [i for i, (_, _, dy, dx) in enumerate(NEIGHBOURS) if max(abs(dy), abs(dx)) <= 1]


@dataclass(frozen=True, slots=True)
class Linear:
    """edges: (c,) ascending lower edges of the classes, regime · 2^30 + activity. weights: (_INPUTS, c) in 1/4096."""

    edges: NDArray[np.int64]
    weights: NDArray[np.int16]

    def on(self, device: torch.device) -> Predictor:
        return Predictor(torch.from_numpy(self.edges).to(device), torch.from_numpy(self.weights.T.astype(np.float64)).to(device))

    @classmethod
    def from_bytes(cls, data: bytes) -> Linear:
        """Raises BitstreamError."""
        reader = Reader(data, "linear predictor")
        (count,) = reader.fields("H")
        if not 1 <= count <= _REGIMES * MAX_CLASSES:
            raise BitstreamError(f"A linear predictor cannot have {count} classes.")
        edges = reader.array("<i8", count).astype(np.int64)
        weights = reader.array("<i2", _INPUTS * count).astype(np.int16).reshape(_INPUTS, count)
        reader.end()
        if edges[0] < 0 or (np.diff(edges) < 0).any():
            raise BitstreamError("The classes of the linear predictor are not in order.")
        return cls(edges, weights)


@dataclass(frozen=True, slots=True)
class Predictor:
    """A linear predictor on its device."""

    edges: torch.Tensor
    weights: torch.Tensor  # (c, _INPUTS)

    def predict(self, view: View, low: int, high: int) -> tuple[torch.Tensor, torch.Tensor]:
        """-> (mean in sixteenths, context), each (n,) int64. low, high: bounds of the stored values."""
        reference, inputs, key = _features(view)  # (n,), (65, n), (n,)
        column = (torch.bucketize(key, self.edges, right=True) - 1).clamp(min=0)  # (n,)
        change = (self.weights @ inputs).gather(0, column[None])[0]  # (n,) in 1/4096
        mean = torch.floor((reference * (1 << _FRACTION) + change + 128) / 256).to(torch.int64)
        return mean.clamp(16 * low, 16 * high), _context(view)


def _features(view: View) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """-> (reference (n,) float64, inputs (65, n) float64, class key (n,) int64)"""
    values, missing = view.values, view.values == MISSING  # (61, n)
    near = values[_REFERENCE], ~missing[_REFERENCE]  # (3, n) left, up, before
    share = near[1] * torch.tensor([[1], [1], [2]], dtype=torch.int32, device=values.device)  # (3, n)
    total = (near[0] * share).sum(0, dtype=torch.int32)
    reference = torch.div(total, share.sum(0, dtype=torch.int32).clamp(min=1), rounding_mode="floor")  # (n,)
    difference = torch.where(missing, 0, values - reference)  # (61, n)
    # what the planes say that the neighbours lack, and how far the planes are from the reference
    towards = torch.where(view.base == MISSING, 0, view.base[:1] - view.base)  # (4, n)
    towards[0] = view.base[0] - reference
    activity = difference[_NEAR].abs().sum(0, dtype=torch.int64)  # (n,)
    age = near[1][2].to(torch.int64) + ~missing[_BEFORE_THAT]
    regime = 2 * age + ~missing[_BELOW]
    inputs = torch.cat((difference, towards)).to(torch.float64)  # (65, n)
    return reference.to(torch.float64), inputs, regime * _REGIME_STEP + activity


def _context(view: View) -> torch.Tensor:
    """(n,) which table: the errors around, in sixths of an octave; the first phase apart, which has fewer of them."""
    weights = torch.tensor(_ERROR_WEIGHTS, dtype=torch.int32, device=view.errors.device)
    energy = (view.errors * weights[:, None]).sum(0, dtype=torch.int32)  # (n,) below 2^24
    count = CONTEXTS // 2
    edges = [(_OCTAVE[i % 6] << i // 6) // 256 for i in range(count - 1)]
    first = view.values[_BEFORE] == MISSING
    return torch.bucketize(energy, torch.tensor(edges, dtype=torch.int32, device=energy.device), right=True) + count * first
