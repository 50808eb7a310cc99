"""Coefficients chosen for what the filter makes of them. Encoder only, float.

Rounding brings the maps near to what they were; what counts is how near the filtered maps come. So each round follows the
gradient of that error back through the filter, and rounds what it finds. The decoder has nothing to do with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from hexdicom.codec.parallel import threads
from hexdicom.codec.sparse import bands, filters, fit, model, series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hexdicom.codec.sparse.fit import Analysis
    from hexdicom.codec.sparse.model import Sparse

ROUNDS = 4
_PACE = 0.5  # of the way to where the gradient points
_SLICES = 8  # that a gradient is taken of at once


def refined(analysis: Analysis, step: int, price: float | None = None, rounds: int = ROUNDS) -> Sparse:
    """As `fit.at_step`, then through the filter that brings it nearest, and rounded anew so that the filter has more of it."""
    found = fit.filtered(analysis, fit.at_step(analysis, step, price))
    centres, target = found.centres, analysis.coefficients[:, 0]
    for _ in range(rounds):
        if not found.filter:
            break
        slope, maps = gradient(analysis, found)
        now = _transformed(analysis, maps - slope)
        target = target + _PACE * (now - target)
        coefficients = analysis.coefficients.copy()
        coefficients[:, 0] = target
        sparse = fit.at_step(replace(analysis, coefficients=coefficients), step, price)
        found = fit.filtered(analysis, replace(sparse, centres=centres), found.filter)
    return found


def gradient(analysis: Analysis, sparse: Sparse) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """-> (Z, Y, X) that of half the squared error of the filtered maps of channel 0, by the maps, and these, in stored values."""
    unit = sparse.step / (1 << series.UNIT)
    with threads(torch.device("cpu")) as workers:
        rounded = model.unfiltered(sparse, 1, workers)[:, 0] / (sparse.step)
    maps = torch.from_numpy(rounded.astype(np.float32))
    aims = torch.from_numpy((analysis.first / unit).astype(np.float32))
    found = torch.zeros_like(maps)
    filter_ = filters.load(sparse.filter)
    strength = sparse.strength / (1 << filters.STRENGTH_BITS)
    for start in range(0, len(maps), _SLICES):
        first, last = max(0, start - 2), min(len(maps), start + _SLICES + 2)
        part = maps[first:last].clone().requires_grad_()
        inside = slice(start - first, min(start + _SLICES, len(maps)) - first)
        with torch.autocast("cpu", torch.bfloat16):
            change = floats(filter_, part, sparse.halved, first, inside).float()
        error = part[inside] + strength * change - aims[start : start + _SLICES]
        torch.square(error).sum().mul(0.5).backward()  # type: ignore[no-untyped-call]
        assert part.grad is not None
        found[first:last] += part.grad
    return found.numpy() * np.float32(unit), maps.numpy() * np.float32(unit)


def floats(filter_: filters.Filter, maps: torch.Tensor, halved: tuple[int, int], first: int, wanted: slice) -> torch.Tensor:
    """What the filter finds in some slices of `maps`, (Z, Y, X) in steps, of which the first is slice `first` of the series."""
    limit = filters.INPUT_LIMIT / filters.STEP_UNIT
    mean = functional.avg_pool2d(functional.pad(maps[:, None], (2, 2, 2, 2), mode="replicate"), 5, 1)[wanted, 0]
    places = torch.arange(len(maps))[wanted]
    near = [
        (maps[(places + dz).clamp(0, len(maps) - 1)] - mean).clamp(-limit, limit)
        for dz in filters.NEIGHBOURS[: 5 if filter_.wide else 3]
    ]
    near.insert(3, (mean.abs() / 2).clamp(max=limit))
    if filter_.wide:
        shape = maps.shape[1], maps.shape[2]
        near += [plane.expand(len(places), *shape) for plane in filters.phases(places + first, shape, halved)]
    found = torch.stack(near, 1).contiguous(memory_format=torch.channels_last)
    for number, ((weights, bias), dilation) in enumerate(zip(filter_.floats(), filter_.dilations, strict=True)):
        found = functional.conv2d(
            found.clamp(0, filters.HIDDEN_LIMIT / filters.HIDDEN_UNIT) if number else found,
            torch.from_numpy(weights).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(bias),
            padding=dilation,
            dilation=dilation,
        )
    return found[:, 0]


def _transformed(analysis: Analysis, maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """(Z, Y, X) maps of channel 0 to coefficients, as `analysis` has them."""
    count = len(analysis.slice_levels) - 1
    one = np.stack([bands.forward(plane, count) for plane in maps])[:, None]
    plain = replace(analysis, coefficients=one, slice_levels=(0,) * (count + 1))
    return fit.across_slices(plain, analysis.slice_levels).coefficients[:, 0]
