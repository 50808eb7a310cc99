"""Six planes of integers as bytes: every channel of every plane under its own table. Specified in docs/format.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec import logistic, symbols
from hexdicom.codec.planes import PLANES, Size
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.reader import Reader


def to_bytes(planes: Sequence[NDArray[np.int64]], limit: int) -> bytes:
    """planes: six (rows, columns, k), every value in −limit..limit."""
    columns = [plane.shape[0] * plane.shape[1] for plane in planes for _ in range(plane.shape[2])]
    values = np.concatenate([np.moveaxis(plane, 2, 0).reshape(-1) for plane in planes])
    context = np.repeat(np.arange(len(columns)), columns)
    centre = np.array([np.median(part) for part in np.split(values, np.cumsum(columns)[:-1])]).astype(np.int64)
    q = values - centre[context]
    level, kind = symbols.best_tables([(q, np.zeros_like(q), context)], len(columns))
    writer = symbols.Writer()
    writer.write(q, _model(level, kind, centre, context, limit))
    return np.stack((level, kind)).astype(np.uint8).tobytes() + centre.astype("<i2").tobytes() + writer.finish()


def checked_size(nodes: tuple[int, int, int, int], shape: tuple[int, int, int, int], channels: int, hidden: int) -> Size:
    """A size that the format allows for a (T, Z, Y, X) series. Raises BitstreamError."""
    if not all(1 <= n <= most for n, most in zip(nodes, shape, strict=True)) or not (1 <= channels <= 64 and 1 <= hidden <= 64):
        raise BitstreamError(f"Planes of {nodes} nodes and {channels} channels are claimed, which the format does not allow.")
    return Size(nodes, channels, hidden)


def from_bytes(reader: Reader, size: Size, limit: int) -> tuple[NDArray[np.int64], ...]:
    """The six (rows, columns, k) planes that `to_bytes` wrote, up to the end of the stream. Raises BitstreamError."""
    columns = [rows * width for rows, width in map(size.plane, PLANES) for _ in range(size.channels)]
    level, kind = (reader.array("u1", len(columns)).astype(np.int64) for _ in range(2))
    centre = reader.array("<i2", len(columns)).astype(np.int64)
    if level.max() > logistic.TOP_LEVEL or kind.max() >= logistic.SHAPES or np.abs(centre).max() > limit:
        raise BitstreamError("The planes name a probability table that does not exist.")
    context = np.repeat(np.arange(len(columns)), columns)
    source = symbols.Source(reader.rest(), len(context))
    values = source.read(_model(level, kind, centre, context, limit)) + centre[context]
    source.end()
    arrays, position = [], 0
    for name in PLANES:
        rows, width = size.plane(name)
        count = rows * width * size.channels
        arrays.append(np.moveaxis(values[position : position + count].reshape(size.channels, rows, width), 0, 2))
        position += count
    return tuple(arrays)


def _model(
    level: NDArray[np.int64], kind: NDArray[np.int64], centre: NDArray[np.int64], context: NDArray[np.int64], limit: int
) -> symbols.Model:
    middle = centre[context]
    return symbols.Model(level[context], kind[context], np.zeros_like(middle), -limit - middle, limit - middle)
