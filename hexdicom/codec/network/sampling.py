"""Examples of a series for training: random short runs of voxels along x, every place equally likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec import compiled
from hexdicom.codec.network import tables
from hexdicom.codec.network.model import Examples
from hexdicom.codec.network.neighbours import NEIGHBOURS, OFFSETS, SCALARS, VALUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RUN = 16
_FITTED = 60_000  # examples that the linear predictor is fitted to
LINEAR_UNIT = 4096


@dataclass(frozen=True, slots=True)
class Series:
    """values, seen: (T, Z, Y, X) int32, the series and what a decoder has of it. references: (T, 3); linear: (VALUES,), 1/4096."""

    values: NDArray[np.int32]
    seen: NDArray[np.int32]
    references: NDArray[np.int64]
    linear: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        times, slices, height, width = self.values.shape
        return times, slices, height, width


def describe(
    values: NDArray[np.int32], seen: NDArray[np.int32], references: NDArray[np.int64], generator: np.random.Generator
) -> Series:
    """Fit the linear predictor, whose errors are inputs of the network: least squares, weighted by activity."""
    plain = Series(values, seen, references, np.zeros(VALUES))
    some = sample(plain, min(_FITTED, 2 * values.size), 0, generator)
    inputs = some.differences[:, :VALUES].double().numpy() / 16  # (n, VALUES)
    weighted = inputs / some.activity.double().numpy()[:, None] ** 1.5
    normal = weighted.T @ inputs
    normal[np.diag_indices(VALUES)] += 1e-4 * np.trace(normal) / VALUES + 1e-3
    solution = np.linalg.solve(normal, weighted.T @ some.target.double().numpy())
    return Series(values, seen, references, np.rint(np.clip(solution, -7.9, 7.9) * LINEAR_UNIT))


def sample(series: Series, count: int, max_error: int, generator: np.random.Generator) -> Examples:
    """-> about `count` examples"""
    values = series.values
    times, slices, height, width = values.shape
    low, high = int(values.min()), int(values.max())
    runs = max(1, count // _RUN)
    places = np.stack([np.repeat(generator.integers(0, size, runs), _RUN) for size in (times, slices, height, width)], 1)  # (n, 4)
    places[:, 3] = (places[:, 3] + np.tile(np.arange(_RUN), runs)) % width
    places = places[np.argsort(places[:, 1], kind="stable")]
    differences = np.zeros((len(places), NEIGHBOURS), np.int32)
    inputs = np.zeros((len(places), NEIGHBOURS + SCALARS), np.int16)
    local = np.zeros((len(places), 2), np.int64)
    for z in range(slices):
        rows = slice(*np.searchsorted(places[:, 1], (z, z + 1)))
        if rows.start == rows.stop:
            continue
        one = np.ascontiguousarray(series.seen[:, z])
        mean, deviation = np.zeros_like(one), np.zeros_like(one)
        errors = np.full_like(one, compiled.UNKNOWN)
        compiled.history(one, tables.recency(times), mean, deviation)
        compiled.examples(
            one, mean, deviation, errors, series.references, series.linear, np.ascontiguousarray(places[rows][:, [0, 2, 3]]),
            (low, high), OFFSETS, tables.mantissa_log(), differences[rows], inputs[rows], local[rows],
        )  # fmt: skip
    truth = values[tuple(places.T)]
    return Examples(
        torch.from_numpy(differences), torch.from_numpy(inputs), torch.from_numpy((truth - local[:, 0] / 16).astype(np.float32)),
        torch.from_numpy((local[:, 1] / 16).astype(np.float32)), torch.from_numpy(truth <= low), torch.from_numpy(truth >= high),
        torch.from_numpy(places), max_error + 0.5,
    )  # fmt: skip
