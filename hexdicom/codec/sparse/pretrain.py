"""Training of a filter (`hexdicom codec train-filter`).

Maps of channel 0, rounded as an encoder rounds them until they lie LOW to HIGH dB from what they were, are to come back.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hexdicom.codec.parallel import threads
from hexdicom.codec.sparse import filters, fit, model, series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

HIDDEN, LAYERS = 24, 4
_BATCH, _CROP = 24, 40
_RATE = 4e-3
_HALVINGS = (3, 2, 1), (3, 2, 1), (2,), (1,), (0,)
_LIMIT = filters.HIDDEN_LIMIT / filters.HIDDEN_UNIT
_REACH = 0.957 * (1 << (24 - filters.SUM_BITS))  # of a sum, with room for the rounding of its weights


class Example(NamedTuple):
    """inputs: (Z, 4, Y, X), in steps. missing: (Z, Y, X) what is to be added, in steps. error: its mean square."""

    inputs: torch.Tensor
    missing: torch.Tensor
    error: float


class Network(nn.Module):
    """`filters.Filter` in floats."""

    def __init__(self) -> None:
        super().__init__()
        widths = (filters.INPUTS, *[HIDDEN] * (LAYERS - 1), 1)
        self.layers = [nn.Conv2d(width, height, 3, padding=1) for width, height in pairwise(widths)]
        self.parts = nn.ModuleList(self.layers)
        with torch.no_grad():
            self.layers[-1].weight *= 0.1
            _bias(self.layers[-1]).zero_()

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        """found: (n, 4, Y, X) -> (n, Y, X), in steps"""
        for number, layer in enumerate(self.layers):
            found = layer(found.clamp(0, _LIMIT) if number else found)
        return found[:, 0]

    @torch.no_grad()
    def project(self) -> None:
        """Keep every sum below 2^24."""
        for number, layer in enumerate(self.layers):
            limit = torch.full((layer.weight.shape[1],), _LIMIT if number else filters.INPUT_LIMIT / filters.STEP_UNIT)
            reach = (layer.weight.abs().sum((2, 3)) * limit).sum(1) + _bias(layer).abs()
            layer.weight *= (_REACH / reach).clamp(max=1)[:, None, None, None]

    def to_bytes(self) -> bytes:
        weights = [layer.weight.detach().double().numpy() for layer in self.layers]
        return filters.to_bytes(weights, [_bias(layer).detach().double().numpy() for layer in self.layers])


def _bias(layer: nn.Conv2d) -> torch.Tensor:
    assert layer.bias is not None
    return layer.bias


def train(examples: Sequence[Example], steps: int, seed: int, say: Callable[[str], object]) -> Network:
    """A network that leaves the least share of the error of each example, on the mean. say gets a line now and then."""
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.05)
    for step in range(steps):
        crops = [_crop(examples[int(generator.integers(len(examples)))], generator) for _ in range(_BATCH)]
        inputs, missing, shares = (torch.stack(parts) for parts in zip(*crops, strict=True))
        loss = (torch.square(network(inputs) - missing).mean((1, 2)) * shares).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        network.project()
        if (step + 1) % 100 == 0:
            say(f"step {step + 1} of {steps}: {float(loss.detach()):.3f}")
    return network


def examples_of(values: NDArray[np.int32], low: float, high: float, generator: np.random.Generator) -> Iterator[Example]:
    """values: (T, Z, Y, X). As a series is, with fewer times, and one of them: noise and contrast differ. low, high: dB."""
    times = len(values)
    few = max(1, times // 6)
    for part in (values, values[(start := int(generator.integers(times - few + 1))) : start + few], values[start : start + 1]):
        analysis = fit.analyse(part, 1)
        top = float(analysis.first.max())
        for step in np.geomspace(1.2 * top, top / 120, 11) * generator.uniform(0.8, 1.25, 11):
            halved = fit.across_slices(analysis, _HALVINGS[int(generator.integers(len(_HALVINGS)))])
            sparse = fit.at_step(halved, max(1, round(step * (1 << series.UNIT))))
            if not len(sparse.times):
                continue
            with threads(torch.device("cpu")) as workers:
                maps = model.unfiltered(sparse, 1, workers)[:, 0] / (1 << series.UNIT)
            level = 10 * np.log10(top**2 / np.square(analysis.first - maps).mean())
            if low <= level <= high:
                yield _example(maps, analysis.first, sparse.step / (1 << series.UNIT))


def _example(maps: NDArray[np.float64], before: NDArray[np.float32], step: float) -> Example:
    found = torch.from_numpy(maps / step).float()
    mean = functional.avg_pool2d(functional.pad(found[:, None], (2, 2, 2, 2), mode="replicate"), 5, 1)[:, 0]
    limit = filters.INPUT_LIMIT / filters.STEP_UNIT
    near = [found, torch.cat((found[:1], found[:-1])), torch.cat((found[1:], found[-1:]))]
    inputs = [(one - mean).clamp(-limit, limit) for one in near] + [(mean.abs() / 2).clamp(max=limit)]
    missing = torch.from_numpy(before / step).float() - found
    return Example(torch.stack(inputs, 1), missing, float(missing.square().mean()))


def _crop(example: Example, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A piece of a slice, turned or not, its neighbours in either order, and the weight of its error."""
    z, y, x = (
        int(generator.integers(max(1, n))) for n in (len(example.missing), *(m - _CROP + 1 for m in example.missing.shape[1:]))
    )
    inputs, missing = example.inputs[z, :, y : y + _CROP, x : x + _CROP], example.missing[z, y : y + _CROP, x : x + _CROP]
    turns, mirrored, exchanged = generator.integers((4, 2, 2))
    inputs, missing = inputs.rot90(int(turns), (1, 2)), missing.rot90(int(turns), (0, 1))
    if mirrored:
        inputs, missing = inputs.flip(2), missing.flip(1)
    return inputs[[0, 2, 1, 3]] if exchanged else inputs, missing, torch.tensor(1 / example.error)
