"""From the maps and time functions of a sparse layer to stored values: the part that both layers share. Format, section 8.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.compiled import lifting
from hexdicom.codec.sparse import bands
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.parallel import Threads
    from hexdicom.codec.reader import Reader

    Shape = tuple[int, int, int, int]

MOST_CHANNELS = 64
MOST_STEP = 1 << 29
MOST_PER_BYTE = 1 << 16  # coefficients; a few bytes must not take gigabytes of memory
UNIT = 6  # bits behind the point of steps and maps
PRECISION = 14  # bits behind the point of the finest time function
CENTRES = 3  # magnitudes 1, 2 and more have a place of their own in their step
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


def dequantised(q: NDArray[np.int32], step: int, centres: Sequence[int]) -> NDArray[np.int64]:
    """Coefficients in the unit of `step`. centres: by how many 1/256 of a step each magnitude lies above its integer."""
    size = np.abs(q).astype(np.int64)
    places = np.array([0, *centres], np.int64)
    values: NDArray[np.int64] = np.minimum((256 * size + places[np.minimum(size, CENTRES)]) * step >> 8, lifting.LIMIT) * np.sign(q)
    return values


def combined(
    maps: NDArray[np.int32], times: NDArray[np.int64], precision: NDArray[np.int64], bounds: tuple[int, int],
    wanted: Sequence[int] | None, device: torch.device, workers: Threads,
) -> NDArray[np.int32]:  # fmt: skip
    """-> (len(wanted) or T, Z, Y, X) stored values within `bounds`. maps: (Z, R, Y, X). times: (R, T) as they are in the stream."""
    slices, channels, height, width = maps.shape
    functions = np.clip(times << (PRECISION - precision)[:, None], -_TIME_LIMIT, _TIME_LIMIT)
    functions = functions[:, list(wanted)] if wanted is not None else functions
    values = np.empty((functions.shape[1], slices, height, width), np.int32)
    across = torch.from_numpy(np.ascontiguousarray(functions.T)).to(device, torch.float64)

    def synthesise(z: int) -> None:
        stack = torch.from_numpy(maps[z].reshape(channels, height * width)).to(device, torch.float64)
        sums = torch.floor((across @ stack) * (1 / (1 << (UNIT + PRECISION))) + 0.5)  # sums below 2^52 are exact in doubles
        frames = sums.clamp(*bounds).to(torch.int32).cpu().numpy()
        values[:, z] = frames.reshape(-1, height, width)

    workers.map(synthesise, range(slices))
    return values
