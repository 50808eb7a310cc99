"""The six planes that drive the network: their product (eq. 1 of the paper) says what kind of place and moment a voxel is.

Small planes, fitted with the network on the bits that they save; in the bitstream, integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from hexdicom.codec import plane_coding
from hexdicom.codec.network.neighbours import FIELD_CHANNELS
from hexdicom.codec.planes import AXES, PLANES, STEP, Size, interpolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hexdicom.codec.reader import Reader

    Slice = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

_LIMIT = 4 * STEP  # plane values lie in -4..4
_VOXELS_PER_PARAMETER = 500


@dataclass(frozen=True, slots=True)
class Field:
    """nodes: along t, z, y, x. planes: six (rows, columns, FIELD_CHANNELS) in 1/64, in the order of `planes.PLANES`."""

    nodes: tuple[int, int, int, int]
    planes: tuple[NDArray[np.int64], ...]

    def to_bytes(self) -> bytes:
        return np.array(self.nodes, "<u2").tobytes() + plane_coding.to_bytes(self.planes, _LIMIT)

    def slices(self, shape: tuple[int, int, int, int]) -> list[Slice]:
        """For each slice of a (T, Z, Y, X) series what the product is made of, in 1/256: (Y, X, k), (T, X, k) and (T, Y, k).

        h = round(round(first · second, 8) · third, 8).
        """
        full = []
        for name, plane in zip(PLANES, self.planes, strict=True):
            rows, columns = (interpolation(shape[a], self.nodes[a]) for a in (AXES.index(name[0]), AXES.index(name[1])))
            one = np.einsum("ai,ijk->ajk", rows, plane)
            full.append(_rounded(np.einsum("bj,ajk->abk", columns, one), 6 + 16 - 8))  # (a, b, k)
        yx, zx, zy, tx, ty, tz = full
        return [
            (yx, _rounded(zx[z] * tx, 8), _rounded(_rounded(zy[z] * ty, 8) * tz[:, z, None], 8))
            for z in range(shape[1])
        ]  # fmt: skip


def from_reader(reader: Reader, shape: tuple[int, int, int, int]) -> Field:
    """The inverse of `Field.to_bytes`, of a (T, Z, Y, X) series. Raises BitstreamError."""
    nodes = reader.fields("4H")
    size = plane_coding.checked_size((nodes[0], nodes[1], nodes[2], nodes[3]), shape, FIELD_CHANNELS, 1)
    return Field(size.nodes, plane_coding.from_bytes(reader, size, _LIMIT))


def absent(shape: tuple[int, int, int, int]) -> list[Slice]:
    """What `Field.slices` gives where there is no field: zeros."""
    times, slices, height, width = shape
    k = FIELD_CHANNELS
    none = np.zeros((height, width, k), np.int64), np.zeros((times, width, k), np.int64), np.zeros((times, height, k), np.int64)
    return [none] * slices


class FieldPlanes(torch.nn.Module):
    """The planes while they are fitted, to a (T, Z, Y, X) series."""

    def __init__(self, shape: tuple[int, int, int, int], nodes: tuple[int, int, int, int], seed: int) -> None:
        super().__init__()
        self.shape, self.nodes = shape, nodes
        generator = torch.Generator().manual_seed(seed)
        size = Size(nodes, FIELD_CHANNELS, 1)
        # as in the base layer: the first starts near 0, the others near 1, so that the product has a gradient
        self.planes = torch.nn.ParameterList(
            0.1 * torch.randn(1, FIELD_CHANNELS, *size.plane(name), generator=generator) + (name != "yx") for name in PLANES
        )

    def forward(self, place: torch.Tensor) -> torch.Tensor:
        """(n, 4) t, z, y, x -> (n, FIELD_CHANNELS)"""
        unit = torch.tensor([max(n - 1, 1) for n in self.shape])
        at = 2 * place / unit - 1  # (n, 4) in -1..1
        h = torch.ones(())
        for name, plane in zip(PLANES, self.planes, strict=True):
            rounded = plane + (torch.round(plane * STEP) / STEP - plane).detach()
            grid = torch.stack((at[:, AXES.index(name[1])], at[:, AXES.index(name[0])]), -1)[None, None]
            h = h * functional.grid_sample(rounded, grid, align_corners=True, padding_mode="border")[0, :, 0].T  # (n, k)
        return h.clamp(-4, 4)

    def load(self, integers: Field) -> None:
        with torch.no_grad():
            for parameter, plane in zip(self.planes, integers.planes, strict=True):
                parameter.copy_(torch.from_numpy(plane).permute(2, 0, 1)[None] / STEP)

    def integers(self) -> Field:
        planes = (np.rint(plane.detach()[0].double().permute(1, 2, 0).numpy() * STEP) for plane in self.planes)
        return Field(self.nodes, tuple(np.clip(plane, -_LIMIT, _LIMIT).astype(np.int64) for plane in planes))


def nodes_for(shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Few nodes: one for 16 voxels of a large frame, for 8 of a small one, for 2 slices (all of up to 8), for 4 times.

    Fewer still in the frame where the planes would have more than one parameter for _VOXELS_PER_PARAMETER voxels.
    """
    times, slices, height, width = shape
    spacing = 16.0 if min(height, width) >= 128 else 8.0
    while True:
        nodes = (
            min(times, max(2, times // 4)),
            slices if slices <= 8 else slices // 2,
            min(height, max(2, math.ceil(height / spacing))),
            min(width, max(2, math.ceil(width / spacing))),
        )
        parameters = FIELD_CHANNELS * sum(nodes[a] * nodes[b] for a in range(4) for b in range(a))
        if parameters * _VOXELS_PER_PARAMETER <= math.prod(shape) or max(nodes[2:]) <= 2:
            return nodes
        spacing *= 1.25


def _rounded(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return (values + (1 << bits >> 1)) >> bits
