"""Small networks that ship with the package and take from a map what rounding its coefficients added. Format, section 9.5."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import zstandard

from hexdicom.codec import shipped
from hexdicom.codec.compiled import convolve, wide
from hexdicom.codec.reader import unzstd
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.parallel import Threads

NONE = 0
_FOLDER = shipped.folder(__package__, "shipped")
INPUTS = 4
NEIGHBOURS = 0, -1, 1, -2, 2  # slices that a wide filter sees
WIDE_INPUTS = len(NEIGHBOURS) + 1 + 3 * wide.PHASES
STEP_UNIT, INPUT_LIMIT = 32, 512  # an input of one step, and the largest; of the fourth input, a step is half as much
HIDDEN_UNIT, HIDDEN_LIMIT = 64, 1023
HIDDEN_BITS = 6
SUM_BITS = 14  # bits behind the point of a sum
MORE_BITS = 4  # and more, in the last layer of a wide filter
_ROUND = 1 << (SUM_BITS - HIDDEN_BITS - 1)  # in a bias of a wide filter, so that a hidden unit is rounded and not cut off
STRENGTH_BITS = 7  # and of a strength
MAP_LIMIT = (1 << 31) - 1
_EXACT = 1 << 24  # float32 carries every integer below


@dataclass(frozen=True, slots=True)
class Filter:
    """weights: (h, c, 3, 3) integers in float32 for each layer; biases: (h,); dilations: how far apart the inputs of a layer lie.

    The last layer has one output, its sum in steps. The first has INPUTS inputs, or WIDE_INPUTS. Raises BitstreamError where a sum
    might not be exact.
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    dilations: tuple[int, ...]

    def __post_init__(self) -> None:
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            limit = HIDDEN_LIMIT if number else INPUT_LIMIT
            reach = np.abs(weights.astype(np.int64)).sum((1, 2, 3)) * limit + np.abs(bias.astype(np.int64))
            if reach.max() >= _EXACT:
                raise BitstreamError(f"Layer {number + 1} of the filter can reach {reach.max()}; its sums would not be exact.")

    @property
    def wide(self) -> bool:
        return len(self.weights[0][0]) == WIDE_INPUTS

    def floats(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Weights and biases of each layer, of inputs and hidden units in units of 1.0; what is found, in steps."""
        found = []
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            last = number == len(self.biases) - 1
            one = 1 << (SUM_BITS + MORE_BITS * (last and self.wide))
            more = np.float32(0 if last or not self.wide else _ROUND)
            found.append((weights * np.float32((HIDDEN_UNIT if number else STEP_UNIT) / one), (bias - more) / np.float32(one)))
        return found

    def __call__(self, maps: NDArray[np.int64], step: int, halved: tuple[int, int], workers: Threads) -> NDArray[np.int64]:
        """-> (Z, Y, X) what to add to the maps of one channel, in 2^-14 steps.

        maps: in the unit of `step`, within ±MAP_LIMIT. halved: how often they are halved across slices, at most, and within them.
        """
        found = np.empty_like(maps)
        if self.wide:

            def one(z: int) -> None:
                found[z] = self._wide(maps, z, step, halved)

        else:
            weights, biases, widths = self._filled()
            units = np.float32(STEP_UNIT), np.float32(HIDDEN_UNIT / (1 << SUM_BITS))
            limits = np.float32(INPUT_LIMIT), np.float32(HIDDEN_LIMIT)

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

    def _wide(self, maps: NDArray[np.int64], z: int, step: int, halved: tuple[int, int]) -> NDArray[np.int64]:
        found = np.zeros((WIDE_INPUTS, *maps.shape[1:]), self.weights[0].dtype)
        wide.describe(maps, z, step, STEP_UNIT, INPUT_LIMIT, halved, found)
        for number, (weights, bias, dilation) in enumerate(zip(self.weights, self.biases, self.dilations, strict=True)):
            if number:
                found = np.clip(np.floor(found * np.float32(HIDDEN_UNIT / (1 << SUM_BITS))), 0, HIDDEN_LIMIT)
            found = _convolved(found, weights, bias, dilation)
        sums: NDArray[np.int64] = found[0].astype(np.int64)
        return sums + (1 << MORE_BITS >> 1) >> MORE_BITS


def _convolved(
    planes: NDArray[np.float32], weights: NDArray[np.float32], bias: NDArray[np.float32], dilation: int
) -> NDArray[np.float32]:
    """(H, Y, X) sums of (C, Y, X) planes, 0 around them: as one product of matrices, exact in whatever order it adds."""
    count, height, width = planes.shape
    around = np.pad(planes, ((0, 0), (dilation, dilation), (dilation, dilation)))
    shifted = np.empty((count, 9, height, width), planes.dtype)
    for k in range(9):
        y, x = k // 3 * dilation, k % 3 * dilation
        shifted[:, k] = around[:, y : y + height, x : x + width]
    sums: NDArray[np.float32] = weights.reshape(len(bias), -1) @ shifted.reshape(9 * count, -1) + bias[:, None]
    return sums.reshape(len(bias), height, width)


def strengthened(maps: NDArray[np.int64], change: NDArray[np.int64], step: int, strength: int) -> NDArray[np.int64]:
    """The maps with what a filter found, weighed by its strength in 1/128."""
    bits = SUM_BITS + STRENGTH_BITS
    return np.clip(maps + ((change * (step * strength) + (1 << (bits - 1))) >> bits), -MAP_LIMIT, MAP_LIMIT)


def phases(slices: torch.Tensor, shape: tuple[int, int], halved: tuple[int, int]) -> list[torch.Tensor]:
    """For some slices of maps of this shape: in which half of each wavelet their places are, 0 or 1: (Z, 1, 1), (Y, 1) and (X,)."""
    axes = ((slices[:, None, None], halved[0]), (torch.arange(shape[0])[:, None], halved[1]), (torch.arange(shape[1]), halved[1]))
    return [(places >> d & 1).float() * (d < times) for places, times in axes for d in range(wide.PHASES)]


@cache
def load(number: int) -> Filter:
    """Raises UnsupportedVersion where this hexdicom has no filter of that number."""
    return from_bytes(shipped.read(_FOLDER, number, "The filtered planes layer names filter"))


@cache
def numbers() -> tuple[int, ...]:
    """Those of the shipped filters."""
    return tuple(shipped.numbers(_FOLDER))


def from_bytes(data: bytes) -> Filter:
    """A file of the folder `shipped`. One that begins with 0 is wide."""
    plain = unzstd(data, 1 << 20, "filter")
    numbers = np.frombuffer(plain[: 2 * (len(plain) // 2)], "<u2")
    wide = int(numbers[0] == 0)
    layers = int(numbers[wide])
    widths = numbers[wide + 1 : wide + 1 + layers].tolist()
    dilations = numbers[2 + layers : 2 + 2 * layers].tolist() if wide else [1] * layers
    flat = np.frombuffer(plain[2 * (wide + 1 + layers * (1 + wide)) :], "<i4").astype(np.float32)
    at, weights, biases = 0, [], []
    for width, height in pairwise((WIDE_INPUTS if wide else INPUTS, *widths)):
        end = at + 9 * width * height
        weights.append(flat[at:end].reshape(height, width, 3, 3).copy())
        biases.append(flat[end : end + height].copy())
        at = end + height
    return Filter(tuple(weights), tuple(biases), tuple(dilations))


def to_bytes(weights: Sequence[NDArray[np.float64]], biases: Sequence[NDArray[np.float64]], dilations: Sequence[int]) -> bytes:
    """A file of a wide filter for the folder `shipped`, of a network of inputs and hidden units in units of 1.0."""
    parts = [np.array([0, len(biases), *(len(bias) for bias in biases), *dilations], "<u2").tobytes()]
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        last = number == len(biases) - 1
        unit, one = HIDDEN_UNIT if number else STEP_UNIT, 1 << (SUM_BITS + MORE_BITS * last)
        integers = weight * (one / unit), bias * one + (0 if last else _ROUND)
        parts += [np.rint(part).astype("<i4").tobytes() for part in integers]
    data = zstandard.ZstdCompressor(level=19).compress(b"".join(parts))
    from_bytes(data)
    return data
