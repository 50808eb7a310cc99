"""What is already decoded around a wavefront of voxels: the only thing that a predictor sees, the same in encoder and decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.linear import wavefront

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.linear.wavefront import Offset

MISSING = -(1 << 20)  # stands where a neighbour lies outside of the volume
ERROR_UNIT = 16  # errors and means are counted in sixteenths of a stored value
ERROR_LIMIT = 1 << 20

HERE: Offset = (0, 0, 0, 0)
LEFT: Offset = (0, 0, 0, -1)
UP: Offset = (0, 0, -1, 0)
BEFORE: Offset = (-1, 0, 0, 0)
BEFORE_THAT: Offset = (-2, 0, 0, 0)
BELOW: Offset = (0, -1, 0, 0)


def _square(radius: int, dt: int, dz: int) -> list[Offset]:
    span = range(-radius, radius + 1)
    return [(dt, dz, dy, dx) for dy in span for dx in span]


# 18 in the plane, 5×5 at t−1, 3×3 at t−2, 3×3 at z−1
NEIGHBOURS: tuple[Offset, ...] = (
    *((0, 0, dy, dx) for dy in range(-3, 1) for dx in range(-3, 4) if (dy, dx) < (0, 0) and abs(dy) + abs(dx) <= 4),
    *_square(2, -1, 0),
    *_square(1, -2, 0),
    *_square(1, 0, -1),
)
ERROR_NEIGHBOURS: tuple[Offset, ...] = (
    LEFT, UP, BEFORE, (0, 0, -1, -1), (0, 0, -1, 1), (0, 0, 0, -2), (0, 0, -2, 0),
    (-1, 0, 0, 1), (-1, 0, 1, 0), (-1, 0, 0, -1), (-1, 0, -1, 0), BEFORE_THAT, BELOW,
)  # fmt: skip
BASE_NEIGHBOURS: tuple[Offset, ...] = (HERE, LEFT, UP, BEFORE)


@dataclass(frozen=True, slots=True)
class View:
    """The surroundings of n voxels; a neighbour is a row, which is faster than a column by half.

    values: (61, n) stored values or MISSING. errors: (13, n) absolute prediction errors in sixteenths, 0 where missing.
    base: (4, n) values of the six planes here, left, up and before, MISSING outside. All int32.
    """

    values: torch.Tensor
    errors: torch.Tensor
    base: torch.Tensor


class Surroundings:
    """A volume that fills up wavefront by wavefront, and the base layer, which is there from the start."""

    def __init__(self, shape: tuple[int, int, int, int], base: NDArray[np.int32], device: torch.device) -> None:
        pad = wavefront.padding(NEIGHBOURS)
        self.schedule = wavefront.schedule(shape, NEIGHBOURS)
        self.device, self.shape = device, shape
        self._inside = tuple(slice(before, before + size) for (before, _), size in zip(pad, shape, strict=True))
        padded = tuple(size + before + after for size, (before, after) in zip(shape, pad, strict=True))
        self._values = torch.full(padded, MISSING, dtype=torch.int32, device=device)
        self._errors = torch.zeros(padded, dtype=torch.int32, device=device)
        self._base = torch.full(padded, MISSING, dtype=torch.int32, device=device)
        self._base[self._inside] = torch.from_numpy(base).to(device)

        def offsets(neighbours: Sequence[Offset]) -> torch.Tensor:
            return torch.from_numpy(wavefront.flat_offsets(shape, neighbours, NEIGHBOURS)).to(device)

        self._offsets = offsets(NEIGHBOURS), offsets(ERROR_NEIGHBOURS), offsets(BASE_NEIGHBOURS)

    def view(self, voxels: torch.Tensor) -> View:
        """voxels: (n,) flat indices"""
        values, errors, base = (
            torch.take(plane, offsets[:, None] + voxels)
            for plane, offsets in zip((self._values, self._errors, self._base), self._offsets, strict=True)
        )
        return View(values, errors, base)

    def commit(self, voxels: torch.Tensor, values: NDArray[np.int64], means: NDArray[np.int64]) -> None:
        """Enter what was decoded: (n,) values, and the (n,) means, in sixteenths, that were predicted for them."""
        errors = np.minimum(np.abs(values * ERROR_UNIT - means), ERROR_LIMIT)
        for plane, entry in ((self._values, values), (self._errors, errors)):
            plane.view(-1)[voxels] = torch.from_numpy(entry.astype(np.int32)).to(self.device)

    def decoded(self) -> NDArray[np.int32]:
        """(T, Z, Y, X)"""
        result: NDArray[np.int32] = self._values[self._inside].cpu().numpy()
        return result
