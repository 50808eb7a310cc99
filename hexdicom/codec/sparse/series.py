"""From the maps and time functions of a sparse layer to stored values: the part that both layers share. Format, section 8.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec import parallel
from hexdicom.codec.compiled import lifting, sums
from hexdicom.codec.sparse import bands
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.reader import Reader

    Shape = tuple[int, int, int, int]

MOST_CHANNELS = 64
MOST_STEP = 1 << 29
MOST_PER_BYTE = 1 << 16  # coefficients; a few bytes must not take gigabytes of memory
UNIT = 6  # bits behind the point of steps and maps
PRECISION = 14  # bits behind the point of the finest time function
_TIME_LIMIT = 1 << 15
_MOST_CENTRE = 127


def check_head(step: int, low: int, high: int, centres: Sequence[int], levels: int) -> None:
    """Raise BitstreamError where the parameters with which a layer begins are out of range."""
    if not (1 <= step <= MOST_STEP and -32768 <= low <= high <= 65535 and min(centres) >= -_MOST_CENTRE):
        raise BitstreamError("The layer of maps holds parameters out of range.")
    if levels > bands.MOST_LEVELS:
        raise BitstreamError("The layer of maps claims more levels than the format allows.")


def read_precision(reader: Reader, channels: int, shape: Shape, length: int) -> NDArray[np.int64]:
    """-> (R,) bits behind the point of each time function; raises BitstreamError where the claim outgrows the layer's length"""
    if channels > min(MOST_CHANNELS, shape[0]):
        raise BitstreamError("The layer of maps claims more channels than the format allows.")
    if channels * shape[1] * shape[2] * shape[3] > MOST_PER_BYTE * length:
        raise BitstreamError("The layer of maps is too short for the maps that it claims.")
    precision = reader.array("u1", channels).astype(np.int64)
    if channels and precision.max() > PRECISION:
        raise BitstreamError("The layer of maps holds parameters out of range.")
    return precision


def dequantised(q: NDArray[np.int32], r: int, step: int, centres: Sequence[int]) -> NDArray[np.int64]:
    """-> (Z, Y, X) coefficients of channel r in the unit of `step`. q: (Z, R, Y, X).

    centres: by how many 1/256 of a step each magnitude lies above its integer.
    """
    found = np.empty((len(q), *q.shape[2:]), np.int64)
    lifting.dequantise(q, r, step, np.array([0, *centres], np.int64), found)
    return found


@dataclass(frozen=True, slots=True)
class Maps:
    """All that stored values follow from: any of them is a small sum.

    maps: (Z, R, Y, X) in 1/64 stored values. functions: (T, R) of time, in 2^-14. low, high: bounds of the values.
    """

    maps: NDArray[np.int32]
    functions: NDArray[np.float64]
    low: int
    high: int

    def values(self, times: Sequence[int], slices: Sequence[int], device: torch.device) -> NDArray[np.int32]:
        """-> (len(times), len(slices), Y, X) stored values"""
        _, channels, height, width = self.maps.shape
        functions = self.functions[list(times)]
        found = np.empty((len(times), len(slices), height * width), np.int32)

        def synthesise(place: int) -> None:
            maps = self.maps[slices[place]].reshape(channels, height * width)
            if device.type == "cpu":
                sums.combine(maps, functions, UNIT + PRECISION, self.low, self.high, place, found)
            else:
                found[:, place] = self.on(device, maps, functions)

        parallel.over(device, synthesise, range(len(slices)))
        return found.reshape(len(times), len(slices), height, width)

    def on(self, device: torch.device, maps: NDArray[np.int32], functions: NDArray[np.float64]) -> NDArray[np.int32]:
        """`compiled.sums.combine` in torch, for any device: (R, n) maps and (T, R) functions -> (T, n)"""
        products = torch.from_numpy(functions).to(device) @ torch.from_numpy(maps).to(device, torch.float64)
        rounded = products.mul_(1 / (1 << (UNIT + PRECISION))).add_(0.5).floor_()
        found: NDArray[np.int32] = rounded.clamp_(self.low, self.high).to(torch.int32).cpu().numpy()
        return found


def opened(maps: NDArray[np.int32], times: NDArray[np.int64], precision: NDArray[np.int64], low: int, high: int) -> Maps:
    """times: (R, T) as they are in the stream. precision: (R,) bits behind their point."""
    functions = np.clip(times << (PRECISION - precision)[:, None], -_TIME_LIMIT, _TIME_LIMIT)
    return Maps(maps, np.ascontiguousarray(functions.T, np.float64), low, high)
