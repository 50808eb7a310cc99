"""Small networks that ship with the package and take from a map what rounding its coefficients added. Format, section 9.5."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from hexdicom.codec import shipped
from hexdicom.codec.compiled import convolve
from hexdicom.codec.reader import unzstd
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.parallel import Threads

NONE = 0
_FOLDER = shipped.folder(__package__, "shipped")
INPUTS = 4
STEP_UNIT, INPUT_LIMIT = 32, 512  # an input of one step, and the largest; of the fourth input, a step is half as much
HIDDEN_UNIT, HIDDEN_LIMIT = 64, 1023
SUM_BITS = 14  # bits behind the point of a sum
STRENGTH_BITS = 7  # and of a strength
MAP_LIMIT = (1 << 31) - 1
_EXACT = 1 << 24  # float32 carries every integer below


@dataclass(frozen=True, slots=True)
class Filter:
    """weights: (h, c, 3, 3) integers in float32 for each layer; biases: (h,). The last layer has one output, its sum in steps.

    Raises BitstreamError where a sum might not be exact.
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    def __post_init__(self) -> None:
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            limit = HIDDEN_LIMIT if number else INPUT_LIMIT
            reach = np.abs(weights.astype(np.int64)).sum((1, 2, 3)) * limit + np.abs(bias.astype(np.int64))
            if reach.max() >= _EXACT:
                raise BitstreamError(f"Layer {number + 1} of the filter can reach {reach.max()}; its sums would not be exact.")

    def __call__(self, maps: NDArray[np.int64], step: int, workers: Threads) -> NDArray[np.int64]:
        """-> (Z, Y, X) what to add to the maps of one channel, in 2^-14 steps. maps: in the unit of `step`, within ±MAP_LIMIT."""

        weights, biases, widths = self._filled()
        units = np.float32(STEP_UNIT), np.float32(HIDDEN_UNIT / (1 << SUM_BITS))
        limits = np.float32(INPUT_LIMIT), np.float32(HIDDEN_LIMIT)
        found = np.empty_like(maps)

        def one(z: int) -> None:
            convolve.run(maps, z, step, units, limits, weights, biases, widths, found[z])

        workers.map(one, range(len(maps)))
        return found

    def _filled(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """-> weights and biases of all layers in an array each, 0 beyond the widths of a layer, and these widths: `convolve.run`"""
        widths = np.array([INPUTS, *(len(bias) for bias in self.biases)], np.int64)
        most = int(widths.max()) + 1 & ~1
        weights = np.zeros((len(self.weights), most, most, 3, 3), self.weights[0].dtype)
        biases = np.zeros(weights.shape[:2], weights.dtype)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            weights[number, : len(bias), : weight.shape[1]] = weight
            biases[number, : len(bias)] = bias
        return weights, biases, widths


def strengthened(maps: NDArray[np.int64], change: NDArray[np.int64], step: int, strength: int) -> NDArray[np.int64]:
    """The maps with what a filter found, weighed by its strength in 1/128."""
    bits = SUM_BITS + STRENGTH_BITS
    return np.clip(maps + ((change * (step * strength) + (1 << (bits - 1))) >> bits), -MAP_LIMIT, MAP_LIMIT)


@cache
def load(number: int) -> Filter:
    """Raises UnsupportedVersion where this hexdicom has no filter of that number."""
    return from_bytes(shipped.read(_FOLDER, number, "The filtered planes layer names filter"))


@cache
def numbers() -> tuple[int, ...]:
    """Those of the shipped filters."""
    return tuple(shipped.numbers(_FOLDER))


def from_bytes(data: bytes) -> Filter:
    """A file of the folder `shipped`."""
    plain = unzstd(data, 1 << 20, "filter")
    layers = int.from_bytes(plain[:2], "little")
    widths = np.frombuffer(plain[2 : 2 + 2 * layers], "<u2").tolist()
    flat, at = np.frombuffer(plain[2 + 2 * layers :], "<i4").astype(np.float32), 0
    weights, biases = [], []
    for width, height in pairwise((INPUTS, *widths)):
        end = at + 9 * width * height
        weights.append(flat[at:end].reshape(height, width, 3, 3).copy())
        biases.append(flat[end : end + height].copy())
        at = end + height
    return Filter(tuple(weights), tuple(biases))


def to_bytes(weights: Sequence[NDArray[np.float64]], biases: Sequence[NDArray[np.float64]]) -> bytes:
    """A file for the folder `shipped`. weights, biases: those of a network of inputs and hidden units in units of 1.0."""
    parts = [np.array([len(biases), *(len(bias) for bias in biases)], "<u2").tobytes()]
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        unit = HIDDEN_UNIT if number else STEP_UNIT
        parts += [np.rint(part).astype("<i4").tobytes() for part in (weight * ((1 << SUM_BITS) / unit), bias * (1 << SUM_BITS))]
    data = zstandard.ZstdCompressor(level=19).compress(b"".join(parts))
    from_bytes(data)
    return data
