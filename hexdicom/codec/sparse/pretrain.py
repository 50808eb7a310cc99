"""Training of a filter (`hexdicom codec train-filter`): it learns what is missing in the rounded maps of `examples`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hexdicom.codec.compiled import wide
from hexdicom.codec.network.soap import Soap
from hexdicom.codec.sparse import filters
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hexdicom.codec.sparse.examples import Example

DILATIONS = 1, 1, 2, 4, 2, 1  # of each layer; the last has one output
_BATCH, _CROP, _RING = 12, 64, 5  # of a crop; what lies that near to where it was cut does not count
_RATE = 3e-3
_LIMIT = filters.HIDDEN_LIMIT / filters.HIDDEN_UNIT
_REACH = 0.957 * (1 << (24 - filters.SUM_BITS))  # of a sum, with room for the rounding of its weights


class Network(nn.Module):
    """`filters.Filter` in floats. A layer is a matrix, (units, inputs · 9), and biases."""

    def __init__(self, units: int, dilations: Sequence[int] = DILATIONS, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.dilations = tuple(dilations)
        self.widths = (filters.WIDE_INPUTS, *[units] * (len(dilations) - 1), 1)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for number, (width, height) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            spread = math.sqrt((1 if number == 0 else 2) / (9 * width)) * (0.1 if height == 1 else 1)
            self.weights.append(nn.Parameter(torch.randn(height, 9 * width) * spread))
            self.biases.append(nn.Parameter(torch.zeros(height)))

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        """found: (n, inputs, Y, X) -> (n, Y, X), in steps"""
        for number, (weight, bias, dilation) in enumerate(zip(self.weights, self.biases, self.dilations, strict=True)):
            kernel = weight.view(len(weight), -1, 3, 3).contiguous(memory_format=torch.channels_last)
            found = functional.conv2d(
                found.clamp(0, _LIMIT) if number else found, kernel, bias, padding=dilation, dilation=dilation
            )
        return found[:, 0]

    @torch.no_grad()
    def project(self) -> None:
        """Keep every sum below 2^24."""
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            limit = _LIMIT if number else filters.INPUT_LIMIT / filters.STEP_UNIT
            reach = weight.abs().sum(1) * limit + bias.abs()
            if number == len(self.weights) - 1:
                reach *= 1 << filters.MORE_BITS
            weight *= (_REACH / reach).clamp(max=1)[:, None]

    def to_bytes(self) -> bytes:
        weights = [weight.detach().double().numpy().reshape(len(weight), -1, 3, 3) for weight in self.weights]
        return filters.to_bytes(weights, [bias.detach().double().numpy() for bias in self.biases], self.dilations)


def of_filter(filter_: filters.Filter) -> Network:
    """A wide filter in floats, to be trained on. Raises BitstreamError where it is not wide."""
    if not filter_.wide:
        raise BitstreamError("Only a wide filter is trained on.")
    network = Network(len(filter_.biases[0]), filter_.dilations)
    with torch.no_grad():
        for number, (weight, bias) in enumerate(filter_.floats()):
            network.weights[number].copy_(torch.from_numpy(weight).flatten(1))
            network.biases[number].copy_(torch.from_numpy(bias))
    return network


def train(
    shown: Sequence[Example], network: Network, steps: int, seed: int, say: Callable[[str], object], rate: float = _RATE
) -> None:
    """Make it leave the least share of the error of each example, on the mean. say gets a line now and then."""
    generator = np.random.default_rng(seed)
    optimiser = Soap(list(network.parameters()))
    mean = 0.0
    for step in range(steps):
        crops = [_crop(shown[int(generator.integers(len(shown)))], generator) for _ in range(_BATCH)]
        inputs, missing, shares = (torch.stack(parts) for parts in zip(*crops, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            found = network(inputs.contiguous(memory_format=torch.channels_last))
        loss = (torch.square(found.float() - missing) * shares).mean()
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step(rate * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps)))
        network.project()
        mean += (float(loss.detach()) - mean) / min(step + 1, 200)
        if (step + 1) % 100 == 0:
            say(f"step {step + 1} of {steps}: {mean:.4f} of the error left")


def inputs_of(example: Example, z: int) -> torch.Tensor:
    """(filters.WIDE_INPUTS, Y, X) of a slice, whole."""
    height, width = example.maps.shape[1:]
    return _inputs(example, z, slice(0, height), slice(0, width))


def _inputs(example: Example, z: int, rows: slice, columns: slice) -> torch.Tensor:
    maps, last = example.maps[:, rows, columns], len(example.maps) - 1
    mean, limit = example.means[z, rows, columns], filters.INPUT_LIMIT / filters.STEP_UNIT
    near = [(maps[min(max(z + dz, 0), last)] - mean).clamp(-limit, limit) for dz in filters.NEIGHBOURS]
    near.insert(3, (mean.abs() / 2).clamp(max=limit))
    shape, halved = (example.maps.shape[1], example.maps.shape[2]), (example.halvings, example.levels)
    phases = filters.phases(torch.tensor([z]), shape, halved)
    n = wide.PHASES
    planes = [plane[0].expand_as(mean) for plane in phases[:n]] + [plane[rows].expand_as(mean) for plane in phases[n : 2 * n]]
    planes += [plane[columns].expand_as(mean) for plane in phases[2 * n :]]
    return torch.stack(near + planes)


def _crop(example: Example, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A piece of a slice, x and y exchanged or not; what it misses; and what each place counts."""
    slices, height, width = example.maps.shape
    z, y, x = (int(generator.integers(max(1, n))) for n in (slices, height - _CROP + 1, width - _CROP + 1))
    rows, columns = slice(y, min(y + _CROP, height)), slice(x, min(x + _CROP, width))
    inputs, missing = _inputs(example, z, rows, columns), example.missing[z, rows, columns]
    share = torch.full_like(missing, 1 / example.error)
    share[: _RING * (rows.start > 0)] = 0
    share[:, : _RING * (columns.start > 0)] = 0
    if rows.stop < height:
        share[-_RING:] = 0
    if columns.stop < width:
        share[:, -_RING:] = 0
    n = wide.PHASES
    if generator.random() < 0.5:
        inputs, missing, share = inputs.transpose(1, 2), missing.T, share.T
        inputs = torch.cat((inputs[: -2 * n], inputs[-n:], inputs[-2 * n : -n]))
    padding = (0, _CROP - missing.shape[1], 0, _CROP - missing.shape[0])
    return tuple(functional.pad(one, padding) for one in (inputs, missing, share))  # type: ignore[return-value]
