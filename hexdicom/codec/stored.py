"""The stored layer: the values themselves under zstd, for what is too small or too odd for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from hexdicom.codec.reader import unzstd
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encode(values: NDArray[Any]) -> bytes:
    """The layer of an integer array of any shape."""
    little = values.astype(values.dtype.newbyteorder("<"), order="C")
    layer: bytes = zstandard.ZstdCompressor(level=19).compress(little.tobytes())
    return layer


def decode(layer: bytes, shape: tuple[int, int, int, int], dtype: str) -> NDArray[Any]:
    """-> (T, Z, Y, X). Raises BitstreamError."""
    little = np.dtype(dtype).newbyteorder("<")
    size = int(np.prod(shape)) * little.itemsize
    plain = unzstd(layer, size, "stored layer")
    if len(plain) != size:
        raise BitstreamError(f"The stored layer holds {len(plain)} bytes where {size} are due.")
    return np.frombuffer(plain, little).astype(dtype).reshape(shape)
