"""A series to time functions, maps and coefficients at a given step. Encoder only, float.

Time functions come from the singular values of the series, one row for each time (Karhunen-Loève): no other R maps of a slice leave
a smaller squared error. Nothing is descended, so nothing fails to converge; what a step costs and gives is known after one look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.parallel import threads
from hexdicom.codec.sparse import bands, expectation, filters, model, series
from hexdicom.codec.sparse.model import Sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PRICE = 0.08  # squared steps that a bit may cost
_FINE = 0.004  # share of the squared error that rounding a time function may add
MOST_TIMES = 2048  # beyond, the products of all pairs of times outgrow the series; cosines take the place of singular vectors
_MOST_COEFFICIENT = (1 << 24) - 1
_HALVINGS = (0,), (3, 2, 1), (2,)  # across slices, by level of bands; each is tried only where the one before was of use
SMALL = 1 << 18  # places of all maps of a channel up to which networks may take their time: a wide filter, and what is expected
_FUNCTION_BITS = 5.0  # of a time function, for each time, about


@dataclass(frozen=True, slots=True)
class Analysis:
    """A series in its own terms.

    functions: (R, T) orthonormal. coefficients: (Z, R, Y, X) float32 of unit norm. rest: squared error that R functions leave.
    low, high: least and greatest value. voxels: how many. first: (Z, Y, X) maps of channel 0.
    """

    functions: NDArray[np.float64]
    coefficients: NDArray[np.float32]
    slice_levels: tuple[int, ...]
    rest: float
    low: int
    high: int
    voxels: int
    first: NDArray[np.float32]


def analyse(values: NDArray[np.int32], most_channels: int = series.MOST_CHANNELS) -> Analysis:
    """values: (T, Z, Y, X)."""
    t, z, y, x = values.shape
    count = bands.levels(y, x)
    _, room = bands.table(y, x, count)
    functions = _functions(values)[: min(most_channels, series.MOST_CHANNELS, bands.most_channels(z, room))]
    maps = np.empty((z, len(functions), y, x), np.float32)
    energy = 0.0
    for at in range(z):
        slice_values = values[:, at].reshape(t, -1).astype(np.float32)
        energy += float(np.square(slice_values, dtype=np.float64).sum())
        maps[at] = (functions.astype(np.float32) @ slice_values).reshape(-1, y, x)
    rest = max(0.0, energy - float(np.square(maps, dtype=np.float64).sum())) if len(functions) < t else 0.0
    first = maps[:, 0].copy()
    for at in range(z):
        maps[at] = bands.forward(maps[at], count)
    return Analysis(functions, maps, (0,) * (count + 1), rest, int(values.min()), int(values.max()), values.size, first)


def across_slices(analysis: Analysis, halvings: Sequence[int]) -> Analysis:
    """The same with wavelets across slices too. halvings: for each level of bands; the last holds for those beyond."""
    count = len(analysis.slice_levels)
    along = (*halvings, *[halvings[-1]] * count)[:count]
    found = analysis.coefficients.copy()
    table, _ = bands.table(found.shape[2], found.shape[3], count - 1)
    for level, _, top, left, height, width, *_ in table:
        part = found[..., top : top + height, left : left + width]
        part[:] = bands.forward_along(part, along[level])
    return replace(analysis, coefficients=found, slice_levels=along)


def at_step(analysis: Analysis, step: int, price: float | None = None) -> Sparse:
    """The series at a step in 1/64 stored values; how far it is from the original only its decoded values tell.

    price: squared steps that a bit may cost.
    """
    q, real, kept = _chosen(analysis, step, PRICE if price is None else price)
    functions, unit = analysis.functions[kept], step / (1 << series.UNIT)
    centres = _centres(q, real)
    precision, times = _rounded(functions, q, real, analysis, unit)
    return Sparse(
        step, centres, analysis.slice_levels, analysis.low, analysis.high, precision, times, q, expectation=_network(analysis)
    )


def filtered(analysis: Analysis, sparse: Sparse, number: int | None = None) -> Sparse:
    """The same, its first channel through the filter that brings it nearest, or that of a number; through none where none does."""
    if not len(sparse.times) or abs(sparse.times[0] @ analysis.functions[0]) < 0.9 * np.exp2(sparse.precision[0]):
        return sparse  # the strongest channel was left out
    best, most = sparse, 0.0
    with threads(torch.device("cpu")) as workers:
        maps = model.unfiltered(sparse, 1, workers)[:, 0].astype(np.int64)
        error = (analysis.first * float(1 << series.UNIT) - maps) / sparse.step
        for one in filters.numbers() if number is None else (number,):
            filter_ = filters.load(one)
            if filter_.wide and maps.size > SMALL:
                continue
            change = filter_(maps, sparse.step, sparse.halved, workers) / (1 << filters.SUM_BITS)
            energy, along = float(np.square(change).sum()), float((change * error).sum())
            strength = min(max(round(along / max(energy, 1e-9) * (1 << filters.STRENGTH_BITS)), 0), model.MOST_STRENGTH)
            share = strength / (1 << filters.STRENGTH_BITS)
            saved = share * (2 * along - share * energy)
            if saved > most:
                best, most = replace(sparse, filter=one, strength=strength), saved
    return best


def _chosen(analysis: Analysis, step: int, price: float) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """-> (coefficients, their magnitudes before rounding, the channels of the analysis that are worth their bits)"""
    unit = step / (1 << series.UNIT)
    largest = np.abs(analysis.coefficients).max(axis=(0, 2, 3))
    channels = int(np.flatnonzero(largest >= unit / 2).max(initial=-1)) + 1
    real = analysis.coefficients[:, :channels] * np.float32(1 / unit)
    q = np.clip(np.rint(real), -_MOST_COEFFICIENT, _MOST_COEFFICIENT).astype(np.int32)
    real = np.abs(real, out=real)
    plain = np.zeros(channels, np.int64), np.zeros((channels, analysis.functions.shape[1]), np.int64)
    first = Sparse(step, (0, 0, 0), analysis.slice_levels, analysis.low, analysis.high, *plain, q, expectation=_network(analysis))
    table, _ = bands.table(q.shape[2], q.shape[3], len(analysis.slice_levels) - 1)
    cost = np.zeros((len(q), channels, len(table)))
    model.coded(first, real, price, cost)
    _empty(q, real, price * cost, table)
    kept = _worth(q, real, price * (cost.sum((0, 2)) + _FUNCTION_BITS * analysis.functions.shape[1]))
    if len(kept) < channels:
        q, real = np.ascontiguousarray(q[:, kept]), real[:, kept]
    return q, real, kept


def _network(analysis: Analysis) -> int:
    """The network that says what coefficients may be."""
    return max(expectation.numbers(), default=expectation.NONE) if analysis.first.size <= SMALL else expectation.NONE


def highest_step(analysis: Analysis) -> int:
    """The least step at which nothing is left, in 1/64 stored values."""
    return min(series.MOST_STEP, int(2.1 * float(np.abs(analysis.coefficients).max()) * (1 << series.UNIT)) + 2)


def halvings_for(analysis: Analysis, step: int) -> tuple[int, ...]:
    """Which wavelets across slices make the layer smallest at a step."""
    best: tuple[int, ...] = _HALVINGS[0]
    if analysis.coefficients.shape[0] < 4:
        return best
    least = _cost(analysis, step)
    for halvings in _HALVINGS[1:]:
        found = _cost(across_slices(analysis, halvings), step)
        if found >= least:
            break
        best, least = halvings, found
    return best


def _cost(analysis: Analysis, step: int) -> float:
    """Squared error and bits in one number, in squared steps"""
    q, real, _ = _chosen(analysis, step, PRICE)
    unit = step / (1 << series.UNIT)
    error = float(np.square(analysis.coefficients, dtype=np.float64).sum()) / unit**2
    for size, before in _by_channel(q, real):
        error -= float((size * (2 * before - size)).sum(dtype=np.float64))
    return error + PRICE * 8 * len(model.to_bytes(at_step(analysis, step)))


def _functions(values: NDArray[np.int32]) -> NDArray[np.float64]:
    """(R, T) orthonormal rows, the strongest first; cosines where singular vectors are too dear, or came out wrong."""
    t = len(values)
    if t <= MOST_TIMES:
        rows = _singular(values)
        if rows is not None and np.allclose(rows @ rows.T, np.eye(t), atol=1e-6):  # false of what is not a number
            return rows
    order = np.arange(min(t, series.MOST_CHANNELS))[:, None]
    cosines: NDArray[np.float64] = np.cos(np.pi / t * (np.arange(t) + 0.5) * order) * np.sqrt(np.where(order, 2, 1) / t)
    return cosines


def _singular(values: NDArray[np.int32]) -> NDArray[np.float64] | None:
    """(T, T) left singular vectors of the series as rows; the largest value of each is positive. None: they did not converge."""
    t = len(values)
    products = np.zeros((t, t))
    for z in range(values.shape[1]):
        rows = values[:, z].reshape(t, -1).astype(np.float64)
        products += rows @ rows.T
    try:
        _, vectors = np.linalg.eigh(products)
    except np.linalg.LinAlgError:
        return None
    rows = vectors[:, ::-1].T
    largest = rows[np.arange(t), np.abs(rows).argmax(1)]
    return np.ascontiguousarray(rows * np.sign(largest)[:, None])


def _empty(q: NDArray[np.int32], real: NDArray[np.float32], cost: NDArray[np.float64], table: NDArray[np.int64]) -> None:
    """Empty every band that saves less error than its bits cost, and set these to 0. cost: (Z, R, bands) squared steps"""
    for b, (_, _, top, left, height, width, *_) in enumerate(table):
        part = q[..., top : top + height, left : left + width]
        size = np.abs(part).astype(np.float32)
        saved = (size * (2 * real[..., top : top + height, left : left + width] - size)).sum((2, 3), dtype=np.float64)
        poor = saved < cost[..., b]
        part[poor] = 0
        cost[poor, b] = 0


def _worth(q: NDArray[np.int32], real: NDArray[np.float32], cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The channels whose coefficients save more error than they cost. real: magnitudes before rounding. cost: (R,) squared steps"""
    saved = np.array([(size * (2 * before - size)).sum(dtype=np.float64) for size, before in _by_channel(q, real)])
    return np.flatnonzero(saved > cost)


def _by_channel(q: NDArray[np.int32], real: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Magnitudes of what is not 0, rounded and before, channel by channel."""
    for r in range(q.shape[1]):
        some = q[:, r] != 0
        yield np.abs(q[:, r][some]).astype(np.float32), real[:, r][some]


def _centres(q: NDArray[np.int32], real: NDArray[np.float32]) -> tuple[int, int, int]:
    """The mean place of what was rounded to a magnitude of 1, of 2 and of more, in 1/256 of a step from the integer."""
    some, places = q != 0, []
    size, before = np.abs(q[some]), real[some]
    for chosen in (size == 1, size == 2, size > 2):
        lies = before[chosen] - size[chosen]
        places.append(int(np.clip(np.rint(256 * lies.mean()), -127, 127)) if lies.size else 0)
    return places[0], places[1], places[2]


def _rounded(
    functions: NDArray[np.float64], q: NDArray[np.int32], real: NDArray[np.float32], analysis: Analysis, unit: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """-> (precision, time functions): so fine that rounding adds little to the error that there is"""
    error = analysis.rest + float(np.square(np.abs(q) - real).sum(dtype=np.float64)) * unit**2
    allowed = _FINE * max(error, analysis.voxels / 12) / max(1, len(functions))
    energy = np.array([np.square(size, dtype=np.float64).sum() for size, _ in _by_channel(q, real)]) * unit**2
    # an error of a²/12 in each of T values, a = 2^-precision, adds energy · T · a² / 12
    finest = 0.5 * np.log2(np.maximum(energy * functions.shape[1] / (12 * allowed), 1))
    precision = np.clip(np.ceil(finest), 2, series.PRECISION).astype(np.int64)
    return precision, np.rint(functions * np.exp2(precision)[:, None]).astype(np.int64)
