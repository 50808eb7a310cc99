"""Fitting the six planes to a series: Adam on the squared error (eq. 4) over random sub-grids. Encoder only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from hexdicom.codec import planes
from hexdicom.codec.adam import Adam
from hexdicom.codec.parallel import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.planes import SixPlanes, Size

_GRID_VOXELS = 1 << 14
_ATTEMPTS, _FLAT_SHARE = 4, 0.5  # a fit that leaves more of the variance has failed
_ROUND_FROM = 0.6  # share of the steps after which planes are rounded as in the bitstream


def fit(values: NDArray[np.int32], size: Size, steps: int, device: torch.device, progress: Progress, seed: int = 0) -> SixPlanes:
    """values: (T, Z, Y, X). A fit that fails (not a number, or little better than a flat grey) is begun again, with another seed
    and half the learning rate; of four failures the best is taken: the residual layer corrects whatever the planes say.

    The result depends on the machine in its last bits; the bitstream holds its rounded parameters, so decoding does not.
    """
    low, high = int(values.min()), int(values.max())
    scale = 100 / max(1, high - low)
    enough = _FLAT_SHARE * float(values.var()) * scale**2
    target = torch.from_numpy(values).to(device)
    best, least = planes.SixPlanes(size, seed).to(device), math.inf
    with threads(device):
        for attempt in range(_ATTEMPTS):
            model = planes.SixPlanes(size, seed + attempt).to(device)
            error = _descend(model, target, low, scale, steps, 0.5**attempt, progress)
            if error < least:
                best, least = model, error
            if least <= enough:
                break
    return best


def _descend(model: SixPlanes, target: torch.Tensor, low: int, scale: float, steps: int, rate: float, progress: Progress) -> float:
    """-> mean squared error of the last steps, infinite where a parameter is not a number"""
    device = target.device
    weights = [
        torch.from_numpy(planes.interpolation(n, nodes)).to(device, torch.float32) / 256
        for n, nodes in zip(target.shape, model.size.nodes, strict=True)
    ]
    network = [model.weight1, model.bias1, model.weight2, model.bias2]
    initial = [0.03 * rate] * len(model.planes) + [0.01 * rate] * len(network)
    optimiser = Adam([*model.planes, *network], (0.9, 0.99))
    generator = torch.Generator().manual_seed(steps)
    error = torch.full((), math.nan, device=device)
    for step in range(steps):
        pace = min(1, (step + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        chosen = grid(target.shape, _GRID_VOXELS, generator)
        voxels = target
        for axis, index in enumerate(chosen):
            voxels = voxels.index_select(axis, index.to(device))
        wanted = (voxels.to(torch.float32) - low) * scale  # (T', Z', Y', X')
        rows = [weight[index.to(device)] for weight, index in zip(weights, chosen, strict=True)]
        loss = (model(rows, rounded=step >= _ROUND_FROM * steps) - wanted).square().mean()
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network, 10.0)
        optimiser.step([start * pace + 1e-5 for start in initial])
        error = loss.detach() if step <= _ROUND_FROM * steps else 0.95 * error + 0.05 * loss.detach()
        if step % 10 == 0:
            progress("planes", step / steps)
    finite = all(bool(p.isfinite().all()) for p in model.parameters()) and bool(error.isfinite())
    return float(error) if finite else math.inf


def grid(shape: Sequence[int], voxels: int, generator: torch.Generator) -> list[torch.Tensor]:
    """A random Cartesian sub-grid of at most so many voxels: sorted indices along t, z, y, x, few of t and z, many of y and x."""
    t, z, y, x = shape
    rows, columns = min(y, 64), min(x, 128)
    phases = min(t, max(1, voxels // (rows * columns * min(z, 2))))
    slices = min(z, max(1, voxels // (rows * columns * phases)))
    return [
        torch.randperm(n, generator=generator)[:some].sort().values
        for n, some in zip(shape, (phases, slices, rows, columns), strict=True)
    ]
