"""The six-plane model as published: eq. 1–4, fp32 parameters, plane sizes by adaptive scaling (eq. 2 and 3).

The paper does not say how the planes begin; those of SixPlanes begin near 1, without which a product of six has no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from hexdicom.bench.fitted.model import BYTES, Model
from hexdicom.codec.fit import grid
from hexdicom.codec.planes import PARAMETER_BITS, SixPlanes, adaptive_size, interpolation

if TYPE_CHECKING:
    from hexdicom.bench.fitted.model import Shape

CHANNELS: Final = 16  # the paper does not name k, nor the width of its decoder
HIDDEN: Final = 16
_PLANE_RATE, _DECODER_RATE = 0.03, 0.01
_BETAS = (0.9, 0.99)


class Published(Model):
    """ratio: r of eq. 2, so that the planes take source_bytes / ratio. The decoder network comes on top, and is counted."""

    def __init__(self, shape: Shape, source_bytes: int, ratio: float, seed: int) -> None:
        super().__init__(shape)
        size = adaptive_size(shape, source_bytes, ratio * 8 * BYTES / PARAMETER_BITS, CHANNELS, HIDDEN)
        self.six = SixPlanes(size, seed)
        for axis, (samples, nodes) in enumerate(zip(shape, size.nodes, strict=True)):
            weights = torch.from_numpy(interpolation(samples, nodes)).to(torch.float32) / 256
            self.register_buffer(f"weights{axis}", weights, persistent=False)

    def drawn(self, target: torch.Tensor, voxels: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = [index.to(target.device) for index in grid(self.shape, voxels, generator)]
        wanted = target
        for axis, index in enumerate(chosen):
            wanted = wanted.index_select(axis, index)
        said: torch.Tensor = self.six([rows[index] for rows, index in zip(self._weights(), chosen, strict=True)], rounded=False)
        return said, wanted

    def frame(self, t: int) -> torch.Tensor:
        of_t, *others = self._weights()
        grey: torch.Tensor = self.six([of_t[t : t + 1], *others], rounded=False)[0]
        return grey.relu()  # the second activation: while fitting it would leave dead air without gradient

    def groups(self) -> list[dict[str, object]]:
        planes: dict[str, object] = {"params": list(self.six.planes), "lr": _PLANE_RATE}
        return [one | {"betas": _BETAS} for one in (planes, {"params": self.clipped(), "lr": _DECODER_RATE})]

    def clipped(self) -> list[torch.nn.Parameter]:
        """Of the decoder: behind its exponential a single step can throw the fit back by 7 dB."""
        return [self.six.weight1, self.six.bias1, self.six.weight2, self.six.bias2]

    def _weights(self) -> list[torch.Tensor]:
        return [self.get_buffer(f"weights{axis}") for axis in range(4)]
