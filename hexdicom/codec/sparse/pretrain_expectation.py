"""Training of a network that expects coefficients (`hexdicom codec train-expectation`)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hexdicom.codec.compiled import surroundings
from hexdicom.codec.compiled.expectation import DEPTHS, KINDS, LEVELS, ORDERS, OUTPUTS, PLACES
from hexdicom.codec.sparse import bands, examples, expectation, fit, series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.sparse.model import Sparse

HIDDEN = 64, 32
_BATCH, _RATE = 8192, 4e-3
_STEPS, _COARSEST, _FINEST = 7, 0.5, 1 / 600  # of each way that a series is shown in, in shares of its greatest value
_HALVINGS = (3, 2, 1), (3, 2, 1), (3, 2, 1), (2,), (0,)
_CHANNELS = 24
_KEPT, _MOST = 0.12, 100_000  # share of the coefficients that is learned from, and how many of one layer, about
_FEWEST = 200  # coefficients that are not 0
_LIMIT = expectation.HIDDEN_LIMIT / 64
_REACH = 0.95 * (1 << (24 - expectation.SUM_BITS))  # of a sum, with room for the rounding of its weights
_UNARY = OUTPUTS - 2
_POSITION = LEVELS * KINDS + DEPTHS + ORDERS + 2


class Samples(NamedTuple):
    """around: (n, PLACES) int16 coefficients. what: (n, 7) int16, see `surroundings`. counts: (n,) how much each does."""

    around: torch.Tensor
    what: torch.Tensor
    counts: torch.Tensor


class Network(nn.Module):
    """`expectation.Expectation` in floats."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2 * PLACES + _POSITION, *HIDDEN, OUTPUTS)
        self.layers = [nn.Linear(width, height) for width, height in pairwise(widths)]
        self.parts = nn.ModuleList(self.layers)

    def forward(self, around: torch.Tensor, what: torch.Tensor) -> torch.Tensor:
        """-> (n, OUTPUTS) logits"""
        sizes = torch.from_numpy(expectation.GRADES / (1 << expectation.INPUT_BITS))[around.abs().int().clamp(max=255)]
        fields = what.long()
        level = fields[:, surroundings.LEVEL] * KINDS + fields[:, surroundings.KIND]
        kinds = (level, LEVELS * KINDS), (fields[:, surroundings.DEPTH], DEPTHS), (fields[:, surroundings.ORDER], ORDERS)
        places = [functional.one_hot(number, count).float() for number, count in kinds]
        found = torch.cat((sizes, sizes * around.sign(), *places, fields[:, surroundings.ROW :].float()), 1)
        for number, layer in enumerate(self.layers):
            found = layer(found.clamp(0, _LIMIT) if number else found)
        return found

    @torch.no_grad()
    def project(self) -> None:
        """Keep every sum below 2^24."""
        for number, layer in enumerate(self.layers):
            weight, bias = layer.weight, layer.bias
            limit = _LIMIT if number else 8.0
            reach = weight.abs().sum(1) * limit + bias.abs()
            weight *= (_REACH / reach).clamp(max=1)[:, None]

    def to_bytes(self) -> bytes:
        first, second, third = (
            (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in self.layers
        )
        sizes, signed, position = np.split(first[0], (PLACES, 2 * PLACES), 1)
        rows = np.stack((sizes - signed, sizes + signed), 2).transpose(1, 2, 0).reshape(2 * PLACES, -1)
        level, depth, order, odd = np.split(position.T, np.cumsum((LEVELS * KINDS, DEPTHS, ORDERS)))
        return expectation.to_bytes([rows, first[1] + level, depth, order, odd, second[0].T, second[1], third[0], third[1]])


def samples_of(values: NDArray[np.int32], rounds: int, generator: np.random.Generator) -> Iterator[Samples]:
    """values: (T, Z, Y, X). rounds: ways to show it, of every other one channel 0 alone."""
    for number in range(rounds):
        shown = values if number == 0 else examples.shown(values, generator)
        analysis = fit.analyse(shown, 1 if number % 2 else _CHANNELS)
        for step in float(analysis.first.max()) * np.geomspace(_COARSEST, _FINEST, _STEPS) * generator.uniform(0.75, 1.33, _STEPS):
            halved = fit.across_slices(analysis, _HALVINGS[int(generator.integers(len(_HALVINGS)))])
            sparse = fit.at_step(halved, max(1, round(step * (1 << series.UNIT))))
            if np.count_nonzero(sparse.coefficients) >= _FEWEST:
                yield _samples(sparse, generator)


def _samples(sparse: Sparse, generator: np.random.Generator) -> Samples:
    q = np.ascontiguousarray(sparse.coefficients)
    share = min(_KEPT, _MOST / q.size)
    chosen = generator.random(q.shape) < share
    table, room = bands.table(q.shape[2], q.shape[3], sparse.levels)
    size = int(np.count_nonzero(chosen))
    around, what = np.zeros((size, PLACES), np.int16), np.zeros((size, 7), np.int16)
    count = surroundings.gather(q, table, room, bands.known(len(q), sparse.slice_levels), chosen, around, what)
    counts = np.full(count, 1e4 * _KEPT / (share * np.count_nonzero(q)), np.float32)  # bits are about as many as what is not 0
    return Samples(*(torch.from_numpy(part.copy()) for part in (around[:count], what[:count], counts)))


def train(samples: Sequence[Samples], epochs: float, seed: int, say: Callable[[str], object]) -> Network:
    """A network under which the fewest bits are taken. say gets a line now and then."""
    torch.manual_seed(seed)
    around, what, counts = (torch.cat(parts) for parts in zip(*samples, strict=True))
    counts = counts / counts.mean()
    network = Network()
    steps = max(20, int(epochs * len(around) / _BATCH))
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.1)
    mean = 0.0
    for step in range(steps):
        chosen = torch.randint(len(around), (_BATCH,))
        sign = 1 - 2 * torch.randint(2, (_BATCH,), dtype=torch.int16)  # what is negative might as well be positive
        values = what[chosen, surroundings.VALUE] * sign
        with torch.autocast("cpu", torch.bfloat16):
            found = network(around[chosen] * sign[:, None], what[chosen])
        loss = (bits(found.float(), values) * counts[chosen]).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        network.project()
        mean += (float(loss.detach()) - mean) / min(step + 1, 200)
        if (step + 1) % 100 == 0:
            say(f"step {step + 1} of {steps}: {mean:.4f} bits")
    return network


def bits(found: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(n,) what each coefficient takes under (n, OUTPUTS) logits."""
    size = values.abs()
    entropy = functional.binary_cross_entropy_with_logits
    total = entropy(found[:, 0], (size > 0).float(), reduction="none")
    total = total + (size > 0) * entropy(found[:, 1], (values < 0).float(), reduction="none")
    for n in range(1, _UNARY):
        total = total + (size >= n) * entropy(found[:, 1 + n], (size > n).float(), reduction="none")
    more, last = (size.clamp(max=15) - _UNARY).clamp(min=0).float(), found[:, 1 + _UNARY]
    total = total + more * functional.softplus(-last) + ((size >= _UNARY) & (size < 15)) * functional.softplus(last)
    return total / float(np.log(2))
