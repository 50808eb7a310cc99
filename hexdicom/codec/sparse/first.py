"""The first sparse planes layers: only their decoder is left, and that stays. Specified in docs/format.md, section 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.compiled import binary, maps
from hexdicom.codec.parallel import threads
from hexdicom.codec.reader import Reader
from hexdicom.codec.sparse import bands, filters, series
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from hexdicom.codec.sparse.series import Maps


def from_bytes(layer: bytes, shape: tuple[int, int, int, int]) -> Maps:
    """Parse a layer of a (T, Z, Y, X) series. Raises BitstreamError."""
    reader = Reader(layer, "sparse planes layer")
    (step,) = reader.fields("I")
    low, high = reader.fields("2i")
    centres = reader.fields("3b")
    levels, slice_levels, channels = reader.fields("3B")
    series.check_head(step, low, high, centres, levels)
    if slice_levels > bands.MOST_SLICE_LEVELS:
        raise BitstreamError("The sparse planes layer claims more levels than the format allows.")
    precision = series.read_precision(reader, channels, shape, len(layer))
    data = np.frombuffer(reader.rest(), np.uint8).copy()
    table, room = bands.table(shape[2], shape[3], levels)
    times = np.zeros((channels, shape[0]), np.int64)
    coefficients = np.zeros((shape[1], channels, *shape[2:]), np.int32)
    if maps.read_maps(coefficients, times, table, room, data, binary.tables()) != len(data):
        raise BitstreamError("The stream of the sparse planes does not end where its decisions do.")
    found = np.zeros(coefficients.shape, np.int32)

    def invert(r: int) -> None:
        stack = series.dequantised(coefficients, r, step, centres)
        bands.inverse(stack, levels)
        bands.inverse_along(stack.reshape(len(stack), -1), slice_levels)
        found[:, r] = np.clip(stack, -filters.MAP_LIMIT, filters.MAP_LIMIT, out=stack)

    with threads(torch.device("cpu")) as workers:
        workers.map(invert, range(channels))
    return series.opened(found, times, precision, low, high)
