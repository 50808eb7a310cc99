"""The integers of the network: four dense layers, and the proof that float32 carries their sums exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec.network.neighbours import COMPONENTS, INPUTS, NEIGHBOURS
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OUTPUTS = NEIGHBOURS + 3 * COMPONENTS
LAYERS = 4
MAX_HIDDEN = 128
INPUT_LIMIT, HIDDEN_LIMIT = 512, 1023
# what an input, a sum before its activation or an output of 1.0 is, in integers
INPUT_UNIT, HIDDEN_UNIT, SUM_UNIT = 128, 256, 1 << 17
COMBINATION_UNIT, MIXTURE_UNIT = 1 << 18, 1 << 15  # outputs: weights of the differences, parameters of the mixture
EXACT = 1 << 24  # float32 carries every integer below


@dataclass(frozen=True, slots=True)
class Network:
    """matrices: (h, i) int32 for each of the four layers; biases: (h,) int32. Raises BitstreamError where a sum might not be exact.

    A hidden unit is clamp(⌊sum / 512⌋, 0, 1023).
    """

    matrices: tuple[NDArray[np.int32], ...]
    biases: tuple[NDArray[np.int32], ...]

    def __post_init__(self) -> None:
        sizes = self.sizes
        if len(self.matrices) != LAYERS or sizes[0] != INPUTS or sizes[-1] != OUTPUTS or max(sizes[1:-1]) > MAX_HIDDEN:
            raise BitstreamError(f"A network of sizes {sizes} does not fit its inputs and outputs.")
        for number, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            reach = np.abs(matrix.astype(np.int64)) @ input_limits(number, matrix.shape[1]) + np.abs(bias.astype(np.int64))
            if reach.max() >= EXACT:
                raise BitstreamError(f"Layer {number + 1} of the network can reach {reach.max()}; its sums would not be exact.")

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.matrices[0].shape[1], *(len(bias) for bias in self.biases))

    def flat(self) -> NDArray[np.int32]:
        """All weights, layer by layer, each matrix row by row before its bias."""
        return np.concatenate([part.reshape(-1) for pair in zip(self.matrices, self.biases, strict=True) for part in pair])


def input_limits(layer: int, width: int) -> NDArray[np.int64]:
    """(width,) the largest magnitude of each input of a layer"""
    if layer:
        return np.full(width, HIDDEN_LIMIT, np.int64)
    limits = np.full(width, INPUT_LIMIT, np.int64)
    limits[:NEIGHBOURS] = 256
    return limits


def from_flat(flat: NDArray[np.integer], hidden: Sequence[int]) -> Network:
    """The inverse of `Network.flat` for three hidden layers of the given widths."""
    sizes = (INPUTS, *hidden, OUTPUTS)
    if np.abs(flat).max(initial=0) >= EXACT:  # 32 bits might wrap it to something that passes
        raise BitstreamError("A weight of the network is so large that sums would not be exact.")
    matrices, biases, at = [], [], 0
    for width, height in pairwise(sizes):
        matrices.append(flat[at : at + width * height].reshape(height, width).astype(np.int32))
        biases.append(flat[at + width * height : at + (width + 1) * height].astype(np.int32))
        at += (width + 1) * height
    if at != len(flat):
        raise BitstreamError(f"A network of sizes {sizes} has {at} weights, not {len(flat)}.")
    return Network(tuple(matrices), tuple(biases))


def units(hidden: Sequence[int]) -> NDArray[np.float64]:
    """(count,) what a weight of 1.0 is, in the order of `Network.flat`"""
    sizes = (INPUTS, *hidden, OUTPUTS)
    parts = []
    for layer, (width, height) in enumerate(pairwise(sizes)):
        target = target_units(layer, height)
        parts += [np.repeat(target / (HIDDEN_UNIT if layer else INPUT_UNIT), width), target]
    return np.concatenate(parts)


def target_units(layer: int, height: int) -> NDArray[np.float64]:
    """(height,) what a sum of 1.0 is in each row of a layer"""
    target = np.full(height, float(SUM_UNIT))
    if layer == LAYERS - 1:
        target[:NEIGHBOURS], target[NEIGHBOURS:] = COMBINATION_UNIT, MIXTURE_UNIT
    return target
