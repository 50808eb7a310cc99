"""The prior, adapted to one series: network and six planes fitted together on the bits, rounded, and kept only where they pay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.network import field, sampling, weights
from hexdicom.codec.network.field import FieldPlanes
from hexdicom.codec.network.model import CausalNetwork, no_field
from hexdicom.codec.network.parameters import Adapted
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hexdicom.codec.network.model import Examples
    from hexdicom.codec.network.prior import Prior

_EXAMPLES, _HELD_OUT = 600_000, 60_000
_BATCH = 4096
_RATE, _FIELD_RATE = 4e-3, 2e-2
_STEPS = range(8)  # octaves of the rounding step of the changed weights, in units of 8/256


def unchanged(prior: Prior) -> Adapted:
    return Adapted(prior.network, np.zeros(len(prior.network.flat()), np.int64), 0, None)


def adapt(
    series: sampling.Series,
    prior: Prior,
    max_error: int,
    steps: int,
    progress: Callable[[float], None],
) -> Adapted:
    """Where nothing pays, the prior is kept as it is."""
    values = series.values
    shape = values.shape
    generator = np.random.default_rng(0)
    voxels = values.size
    train = sampling.sample(series, min(_EXAMPLES, 2 * voxels), max_error, generator)
    held_out = sampling.sample(series, min(_HELD_OUT, voxels), max_error, generator)
    start = prior.network.flat().astype(np.float64)
    units = weights.units(prior.hidden)
    network = CausalNetwork(prior.hidden)
    load(network, start / units)
    best = unchanged(prior)
    if steps == 0:
        return best
    # a change costs its bytes once, what it saves counts for every voxel
    lowest = _bits(network, None, held_out) * voxels
    planes = FieldPlanes((shape[0], shape[1], shape[2], shape[3]), field.nodes_for((shape[0], shape[1], shape[2], shape[3])), 0)
    _fit(network, planes, torch.from_numpy(start / units).float(), train, steps, voxels, progress)
    moved = torch.nn.utils.parameters_to_vector(network.parameters()).detach().double().numpy() * units - start
    integers = planes.integers()
    field_bits = 8 * len(integers.to_bytes())
    with torch.no_grad():
        for parameter, plane in zip(planes.planes, integers.planes, strict=True):
            parameter.copy_(torch.from_numpy(plane).permute(2, 0, 1)[None] / 64)
    for step in _STEPS:
        change = np.rint(moved / (1 << step)).astype(np.int64)
        try:
            candidate = weights.from_flat((start + change * (1 << step)).astype(np.int64), prior.hidden)
        except BitstreamError:
            continue
        load(network, candidate.flat() / units)
        cost = _bits(network, planes, held_out) * voxels + field_bits + change_bits(change)
        if cost < lowest:
            lowest, best = cost, Adapted(candidate, change, step, integers)
    return best


def _fit(
    network: CausalNetwork,
    planes: FieldPlanes,
    start: torch.Tensor,
    train: Examples,
    steps: int,
    voxels: int,
    progress: Callable[[float], None],
) -> None:
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(
        [{"params": list(network.parameters()), "at": _RATE}, {"params": list(planes.parameters()), "at": _FIELD_RATE}], lr=_RATE
    )
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = group["at"] * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.005) * min(1.0, (step + 1) / 30)
        part = train.part(torch.randint(0, len(train), (_BATCH,)))
        loss = network.bits(part, planes(part.place)).mean()
        # bits of the changes under a Laplace distribution, per voxel: a small series moves the prior less
        change = torch.nn.utils.parameters_to_vector(network.parameters()) - start
        spread = change.detach().abs().mean() + 1e-3
        loss = loss + change.abs().sum() / (spread * math.log(2) * voxels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 10 == 0 or step == steps - 1:
            network.project()
            progress(step / steps)


def load(network: CausalNetwork, flat: NDArray[np.float64]) -> None:
    torch.nn.utils.vector_to_parameters(torch.from_numpy(flat).float(), network.parameters())


def change_bits(change: NDArray[np.int64]) -> float:
    """About what the changes cost in the layer: their entropy, and the tables that go with it."""
    counts = np.unique(change, return_counts=True)[1]
    return float(-(counts * np.log2(counts / len(change))).sum()) + 200


def _bits(network: CausalNetwork, planes: FieldPlanes | None, examples: Examples) -> float:
    """Mean bits per voxel of the examples"""
    total = 0.0
    with torch.no_grad():
        for begin in range(0, len(examples), 1 << 14):
            part = examples.part(slice(begin, begin + (1 << 14)))
            total += float(network.bits(part, no_field(len(part)) if planes is None else planes(part.place)).sum())
    return total / len(examples)
