"""The six-plane model of Zheng et al., "Hybrid Representation for 4D Medical Image Compression", eq. 1–4. Float, for fitting.

    coordinates (x, y, z, t) ─► six planes, bilinear ─► element-wise product h (eq. 1) ─► two-layer decoder ψ(h) ─► grey value

On a dense grid nothing has to be gathered: interpolation along an axis is a small matrix product, the product a broadcast.
What a decoder computes from the rounded parameters, in integers, is in synthesis.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXES = "tzyx"
PLANES = ("yx", "zx", "zy", "tx", "ty", "tz")  # the paper's xy, xz, yz, xt, yt, zt, as they lie in memory
PARAMETER_BITS = 8  # what eq. 2 counts for a parameter; entropy coding then takes less
STEP = 64  # plane values are multiples of 1/64 in the bitstream


@dataclass(frozen=True, slots=True)
class Size:
    """Nodes along t, z, y, x (the paper's R_P), channels k of the planes, hidden units of the decoder network."""

    nodes: tuple[int, int, int, int]
    channels: int
    hidden: int

    def plane(self, name: str) -> tuple[int, int]:
        """Rows and columns of a plane"""
        return self.nodes[AXES.index(name[0])], self.nodes[AXES.index(name[1])]


def adaptive_size(shape: tuple[int, int, int, int], source_bytes: int, ratio: float, channels: int, hidden: int) -> Size:
    """Adaptive plane scaling: as many nodes as the ratio leaves (eq. 2), along each axis in proportion to the image (eq. 3).

    An axis gets at least 2 nodes (1 where the image has 1 sample) and at most as many as it has samples.
    """
    pairs = sum(shape[i] * shape[j] for i in range(4) for j in range(i))
    budget = source_bytes / ratio * 8 / PARAMETER_BITS / channels
    scale = math.sqrt(budget / pairs)  # U / V of eq. 3
    t, z, y, x = (min(n, max(2, round(n * scale))) for n in shape)
    return Size((t, z, y, x), channels, hidden)


def interpolation(samples: int, nodes: int) -> NDArray[np.int64]:
    """(samples, nodes) weights of bilinear interpolation along one axis in 1/256: the first and last node lie on the border."""
    matrix = np.zeros((samples, nodes), np.int64)
    position = np.arange(samples) * (nodes - 1) * 256 // max(1, samples - 1)
    node = np.minimum(position >> 8, max(0, nodes - 2))
    part = position - (node << 8)
    matrix[np.arange(samples), node] = 256 - part
    if nodes > 1:
        matrix[np.arange(samples), node + 1] += part
    return matrix


class _ClippedExp(torch.autograd.Function):
    """exp whose gradient stops growing: the paper's "exponential function with gradient clipping"."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: torch.Tensor) -> torch.Tensor:
        result = x.clamp(-8, 7.999).exp()
        context.save_for_backward(result)
        return result

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        (result,) = context.saved_tensors  # type: ignore[attr-defined]
        product: torch.Tensor = gradient * result.clamp(max=20)
        return product


class SixPlanes(torch.nn.Module):
    """The model. Grey values are normalised to [0, 100], as in the paper."""

    def __init__(self, size: Size, seed: int) -> None:
        super().__init__()
        self.size = size
        generator = torch.Generator().manual_seed(seed)

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        k, m = size.channels, size.hidden
        # A product of six starts near the identity: all planes but the first near 1, or the gradient is a product of small numbers.
        self.planes = torch.nn.ParameterList(
            (0.3 if name == "yx" else 0.1) * noise(*size.plane(name), k) + (name != "yx") for name in PLANES
        )
        self.weight1 = torch.nn.Parameter(noise(k, m) / math.sqrt(k))
        self.bias1 = torch.nn.Parameter(torch.zeros(m))
        self.weight2 = torch.nn.Parameter(noise(m) * 10 / m)
        self.bias2 = torch.nn.Parameter(torch.full((1,), 10.0))

    def forward(self, weights: list[torch.Tensor], rounded: bool) -> torch.Tensor:
        """Grey values on a grid. weights: interpolation along t, z, y, x, (samples, nodes) each, for the samples wanted.

        rounded: plane values as the bitstream holds them; gradients pass straight through. -> (T, Z, Y, X)
        """
        full = []
        for name, plane in zip(PLANES, self.planes, strict=True):
            values = plane + (torch.round(plane * STEP) / STEP - plane).detach() if rounded else plane
            rows, columns = weights[AXES.index(name[0])], weights[AXES.index(name[1])]
            full.append(torch.einsum("ai,ibk->abk", rows, torch.einsum("bj,ijk->ibk", columns, values)))
        yx, zx, zy, tx, ty, tz = full
        along_x = zx[None] * tx[:, None]  # (T, Z, X, k)
        along_y = zy[None] * ty[:, None] * tz[:, :, None]  # (T, Z, Y, k)
        h = yx[None, None] * along_x[:, :, None] * along_y[:, :, :, None]  # (T, Z, Y, X, k), eq. 1
        hidden: torch.Tensor = _ClippedExp.apply(h @ self.weight1 + self.bias1)  # type: ignore[no-untyped-call]  # (T, Z, Y, X, m)
        # the second activation, ReLU, comes with the rounding at decode: while fitting it would leave dead air without gradient
        grey: torch.Tensor = hidden @ self.weight2 + self.bias2  # (T, Z, Y, X)
        return grey
