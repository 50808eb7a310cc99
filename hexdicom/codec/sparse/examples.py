"""Examples that a filter of the lossy profile learns from: maps of channel 0, rounded as the encoder rounds them, and as they were.

A few series stand for all there are, so each is shown in many ways: fewer times (other noise, other contrasts), other resolutions,
another range of greys, mirrored, cut, its slices in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from hexdicom.codec.parallel import threads
from hexdicom.codec.sparse import fit, model, series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_HALVINGS = (3, 2, 1), (3, 2, 1), (3, 2, 1), (2,), (1,), (0,)
_COARSEST, _FINEST = 1.2, 1 / 2500  # steps, in shares of the greatest value of the maps
_STEPS = 12  # of each way that a series is shown in
_TOP = 12000.0  # greatest value of what is shown


class Example(NamedTuple):
    """maps, means, missing: (Z, Y, X) in steps: rounded maps, their means of 5 × 5 places, and what is to be added. error: the mean
    square of that. halvings, levels: how often slices are halved, at most, and maps within them."""

    maps: torch.Tensor
    means: torch.Tensor
    missing: torch.Tensor
    error: float
    halvings: int
    levels: int


def of(values: NDArray[np.int32], low: float, high: float, rounds: int, generator: np.random.Generator) -> Iterator[Example]:
    """values: (T, Z, Y, X). Maps that lie low to high dB from what they were, by their greatest value. rounds: ways to show it"""
    for number in range(rounds):
        analysis = fit.analyse(values if number == 0 else shown(values, generator), 1)
        top = float(analysis.first.max())
        for step in top * np.geomspace(_COARSEST, _FINEST, _STEPS) * generator.uniform(0.75, 1.33, _STEPS):
            halvings = _HALVINGS[int(generator.integers(len(_HALVINGS)))]
            example = _example(analysis, step, halvings, float(generator.uniform(0.7, 1.3)) * fit.PRICE)
            if example is not None and low <= 20 * np.log10(top / step) - 10 * np.log10(example.error) <= high:
                yield example


def _example(analysis: fit.Analysis, step: float, halvings: tuple[int, ...], price: float) -> Example | None:
    halved = fit.across_slices(analysis, halvings)
    sparse = fit.at_step(halved, max(1, round(step * (1 << series.UNIT))), price)
    if not len(sparse.times):
        return None
    with threads(torch.device("cpu")) as workers:
        maps = model.unfiltered(sparse, 1, workers)[:, 0] / (1 << series.UNIT)
    unit = sparse.step / (1 << series.UNIT)
    found = torch.from_numpy(maps / unit).float()
    mean = functional.avg_pool2d(functional.pad(found[:, None], (2, 2, 2, 2), mode="replicate"), 5, 1)[:, 0]
    missing = torch.from_numpy(analysis.first / unit).float() - found
    return Example(found, mean, missing, float(missing.square().mean()), max(sparse.slice_levels), sparse.levels)


def shown(values: NDArray[np.int32], generator: np.random.Generator) -> NDArray[np.int32]:
    """A series in another way."""
    some = _some_times(values, generator)
    if generator.random() < 0.2:
        some = some[:, :: int(generator.integers(1, 3))]
    plain = np.maximum(_resampled(some, generator), 0)
    found = plain.astype(np.float64) / max(1.0, float(plain.max()))
    if generator.random() < 0.6:
        found = found ** generator.uniform(0.6, 1.5)
    if generator.random() < 0.3:
        found = np.abs(found + generator.normal(0, 10 ** generator.uniform(-3, -1.3), found.shape))
    if generator.random() < 0.1:
        found = found[:, generator.permutation(found.shape[1])]
    y, x = generator.integers(8, size=2)
    turned = [int(generator.choice((-1, 1))) for _ in range(3)]
    found = found[:, :: turned[0], y:, x:][:, :, :: turned[1], :: turned[2]]
    if generator.random() < 0.5:
        found = found.swapaxes(2, 3)
    return np.rint(found * (_TOP / max(1e-9, float(found.max())))).astype(np.int32)


def _some_times(values: NDArray[np.int32], generator: np.random.Generator) -> NDArray[np.int32]:
    times = len(values)
    count = (times, max(1, times // 6), int(generator.integers(1, times + 1)), 1)[int(generator.integers(4))]
    start = int(generator.integers(times - count + 1))
    return values[start : start + count]


def _resampled(values: NDArray[np.int32], generator: np.random.Generator) -> NDArray[np.float32]:
    """As the scanner makes larger matrices of the same data, with zeros around it, or as it would have measured a smaller one."""
    height, width = values.shape[2:]
    chance = generator.random()
    factor = 1.0 if chance < 0.55 else generator.uniform(1.3, 2.0) if chance < 0.8 else generator.uniform(0.6, 1.0)
    sizes = [max(56, int(n * factor) // 2 * 2) for n in (height, width)]
    if factor == 1.0 or sizes == [height, width]:
        return values.astype(np.float32)
    if factor > 1.0 and values.shape[1] > 12:
        start = int(generator.integers(values.shape[1] - 11))
        values = values[:4, start : start + 12]
    spectrum = np.fft.fftshift(np.fft.fft2(values.astype(np.float32)), axes=(2, 3))
    for axis, (before, after) in enumerate(zip((height, width), sizes, strict=True), 2):
        begin = (after // 2) - (before // 2)
        if begin >= 0 and after >= before:
            around = [(0, 0)] * 4
            around[axis] = (begin, after - before - begin)
            spectrum = np.pad(spectrum, around)
        else:
            spectrum = spectrum.take(np.arange(-begin, -begin + after), axis)
    return np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(2, 3)))).astype(np.float32)
