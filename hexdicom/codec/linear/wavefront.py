"""The order in which voxels are coded: wavefronts of voxels that do not depend on one another, decided all at once.

Voxel (t, z, y, x) belongs to wavefront x + a·y + b·z + c·t, with the smallest a, b, c that put every causal neighbour into an
earlier one. A 256×256×20×20 series has 1,600 wavefronts of 16,000 voxels: wide enough to keep a CPU or a GPU busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Offset = tuple[int, int, int, int]  # (dt, dz, dy, dx) from a voxel to its neighbour
Pad = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


def steps(neighbours: Sequence[Offset]) -> tuple[int, int, int, int]:
    """-> (c, b, a, 1): by how much the wavefront grows along t, z, y, x. Axis by axis, the least that is causal."""
    grow = [0, 0, 0, 1]
    for axis in (2, 1, 0):
        for offset in neighbours:
            if offset[axis] < 0 and not any(offset[:axis]):
                later = sum(grow[i] * offset[i] for i in range(axis + 1, 4))
                grow[axis] = max(grow[axis], -(-(later + 1) // -offset[axis]))
    c, b, a, one = (max(1, value) for value in grow)
    return c, b, a, one


def padding(neighbours: Sequence[Offset]) -> Pad:
    """How far neighbours reach beyond the volume, before and after, along t, z, y, x."""
    t, z, y, x = ((max(0, -min(o[i] for o in neighbours)), max(0, *(o[i] for o in neighbours))) for i in range(4))
    return t, z, y, x


@dataclass(frozen=True, slots=True)
class Schedule:
    """The wavefronts of a padded volume.

    first: (lanes,) wavefront at which each row (t, z, y) begins, ascending; start: (lanes,) flat index, in the padded volume,
    of the first voxel of that row; width: X.
    """

    first: NDArray[np.int64]
    start: NDArray[np.int64]
    width: int

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """(n,) flat indices of each wavefront that is not empty, in coding order."""
        for front, low, high in self._fronts():
            yield self.start[low:high] + (front - self.first[low:high])

    @property
    def voxels(self) -> int:
        return len(self.first) * self.width

    def sizes(self) -> list[int]:
        return [high - low for _, low, high in self._fronts()]

    def _fronts(self) -> Iterator[tuple[int, int, int]]:
        fronts = np.arange(int(self.first[-1]) + self.width)
        lows = np.searchsorted(self.first, fronts - self.width, side="right")
        highs = np.searchsorted(self.first, fronts, side="right")
        for front, low, high in zip(fronts.tolist(), lows.tolist(), highs.tolist(), strict=True):
            if high > low:
                yield front, low, high


def schedule(shape: tuple[int, int, int, int], neighbours: Sequence[Offset]) -> Schedule:
    """The wavefronts of a (T, Z, Y, X) volume that is padded by `padding(neighbours)`."""
    c, b, a, _ = steps(neighbours)
    pad = padding(neighbours)
    padded = [size + before + after for size, (before, after) in zip(shape, pad, strict=True)]
    t, z, y = np.meshgrid(*(np.arange(size, dtype=np.int64) for size in shape[:3]), indexing="ij")
    first = (c * t + b * z + a * y).reshape(-1)
    row = ((t + pad[0][0]) * padded[1] + z + pad[1][0]) * padded[2] + y + pad[2][0]
    order = np.argsort(first, kind="stable")
    return Schedule(first[order], (row.reshape(-1) * padded[3] + pad[3][0])[order], shape[3])


def flat_offsets(shape: tuple[int, int, int, int], neighbours: Sequence[Offset], reach: Sequence[Offset]) -> NDArray[np.int64]:
    """(m,) distance from a voxel to each neighbour in the flat volume that is padded by `padding(reach)`."""
    _, *padded = (size + before + after for size, (before, after) in zip(shape, padding(reach), strict=True))
    z, y, x = padded
    return np.array([((dt * z + dz) * y + dy) * x + dx for dt, dz, dy, dx in neighbours], np.int64)
