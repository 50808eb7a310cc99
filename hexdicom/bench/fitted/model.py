"""What is fitted: a function from the place of a voxel to its grey value, stored values normalised to [0, 100] as in the paper."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

Shape = tuple[int, int, int, int]
PEAK = 100.0
BYTES = 4  # of a parameter: fp32


class Model(torch.nn.Module, ABC):
    """shape: of the series, (T, Z, Y, X)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    @abstractmethod
    def drawn(self, target: torch.Tensor, voxels: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """About as many random voxels of the series: what the model says of them, and what they are."""

    @abstractmethod
    def frame(self, t: int) -> torch.Tensor:
        """All of one time, (Z, Y, X)."""

    @abstractmethod
    def groups(self) -> list[dict[str, object]]:
        """Parameters with their learning rates, as torch.optim.Adam takes them."""

    def clipped(self) -> list[torch.nn.Parameter]:
        """Those whose gradients are kept from growing; none unless the model needs it."""
        return []


def to_bytes(model: Model) -> bytes:
    """Every parameter, four bytes each, and nothing else: shape and range are known to the archive, sizes follow from the ratio."""
    vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach().cpu().numpy()
    return bytes(vector.astype("<f4").tobytes())


def from_bytes(model: Model, data: bytes) -> None:
    """Give a model of the same sizes the parameters of a bitstream."""
    vector = torch.from_numpy(np.frombuffer(data, "<f4").astype(np.float32))
    torch.nn.utils.vector_to_parameters(vector.to(next(model.parameters()).device), model.parameters())
