"""The network in floats: what training and adaptation differentiate. Its loss is the bits that a voxel costs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from hexdicom.codec.network import weights
from hexdicom.codec.network.neighbours import COMPONENTS, FIELD_CHANNELS, INPUTS, NEIGHBOURS
from hexdicom.codec.network.weights import HIDDEN_LIMIT, HIDDEN_UNIT, INPUT_UNIT, OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_TOP = HIDDEN_LIMIT / HIDDEN_UNIT
_FINEST, _WIDEST = -4.0, 11.9  # log2 of a scale, in stored values


class CausalNetwork(nn.Module):
    """hidden: widths of the three hidden layers. Parameters come in the order of `weights.Network.flat`."""

    def __init__(self, hidden: Sequence[int]) -> None:
        super().__init__()
        sizes = (INPUTS, *hidden, OUTPUTS)
        dense = [nn.Linear(width, height) for width, height in pairwise(sizes)]
        self.layers = nn.ModuleList(dense)
        with torch.no_grad():
            dense[-1].weight.normal_(std=1e-3)
            dense[-1].bias.zero_()
            dense[-1].bias[NEIGHBOURS + 2 * COMPONENTS :] = torch.linspace(-1.0, 1.0, COMPONENTS) - 1.4

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, INPUTS) in units of 1.0 -> (n, OUTPUTS)"""
        x = inputs
        for layer in self.layers[:-1]:
            x = functional.hardtanh(layer(x), 0.0, _TOP)  # (n, h)
        outputs: torch.Tensor = self.layers[-1](x)
        return outputs

    def bits(self, examples: Examples, field: torch.Tensor) -> torch.Tensor:
        """-> (n,) bits of each voxel, by the discretised mixture of logistics. field: (n, FIELD_CHANNELS) in units of 1.0."""
        inputs = torch.cat((examples.inputs.float() / INPUT_UNIT, field), 1)
        out = self(inputs)
        weights = out[:, :NEIGHBOURS]
        logits, offsets, levels = out[:, NEIGHBOURS:].split(COMPONENTS, 1)
        activity = examples.activity[:, None]  # (n, 1), stored values
        mean = (weights * examples.differences.float()).sum(1, keepdim=True) / 16 + offsets * activity  # (n, k), over the reference
        scale = torch.exp2((levels + activity.log2()).clamp(_FINEST, _WIDEST))
        target = examples.target[:, None]
        upper = torch.sigmoid((target + examples.half_step - mean) / scale)
        lower = torch.sigmoid((target - examples.half_step - mean) / scale)
        # what lies outside of the range of the series costs nothing
        lower = torch.where(examples.lowest[:, None], torch.zeros_like(lower), lower)
        upper = torch.where(examples.highest[:, None], torch.ones_like(upper), upper)
        log_weights = torch.log_softmax(logits * math.log(2), 1)
        return -((upper - lower).clamp(min=1e-9).log() + log_weights).logsumexp(1) / math.log(2)

    def project(self) -> None:
        """Shrink the rows whose integers `weights.Network` would refuse, with some room for rounding."""
        with torch.no_grad():
            for number, layer in enumerate(self.layers):
                matrix, bias = layer.weight, layer.bias
                assert isinstance(matrix, torch.Tensor)
                assert isinstance(bias, torch.Tensor)
                limits = weights.input_limits(number, matrix.shape[1]) / (HIDDEN_UNIT if number else INPUT_UNIT)
                reach = matrix.abs() @ torch.from_numpy(limits).float() + bias.abs()
                allowed = 0.98 * weights.EXACT / torch.from_numpy(weights.target_units(number, len(bias))).float()
                factor = (allowed / reach).clamp(max=1.0)
                matrix *= factor[:, None]
                bias *= factor


class Examples:
    """n voxels as training sees them: differences (n, NEIGHBOURS) in sixteenths, inputs (n, NEIGHBOURS + SCALARS), the rest (n,).

    target: stored value less reference; activity in stored values; lowest, highest: whether the value is the least or the greatest
    of its series. place: (n, 4) t, z, y, x.
    """

    def __init__(
        self,
        differences: torch.Tensor,
        inputs: torch.Tensor,
        target: torch.Tensor,
        activity: torch.Tensor,
        lowest: torch.Tensor,
        highest: torch.Tensor,
        place: torch.Tensor,
        half_step: float,
    ) -> None:
        self.differences, self.inputs, self.target, self.activity = differences, inputs, target, activity
        self.lowest, self.highest, self.place, self.half_step = lowest, highest, place, half_step

    def __len__(self) -> int:
        return len(self.target)

    def part(self, rows: torch.Tensor | slice) -> Examples:
        return Examples(
            self.differences[rows], self.inputs[rows], self.target[rows], self.activity[rows],
            self.lowest[rows], self.highest[rows], self.place[rows], self.half_step,
        )  # fmt: skip


def no_field(count: int) -> torch.Tensor:
    """The field of `count` voxels of a series that has none."""
    return torch.zeros(count, FIELD_CHANNELS)


def load(network: CausalNetwork, flat: NDArray[np.float64]) -> None:
    """flat: weights in units of 1.0, in the order of `weights.Network.flat`"""
    torch.nn.utils.vector_to_parameters(torch.from_numpy(flat).float(), network.parameters())
