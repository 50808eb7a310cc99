"""Reading fields from bytes that nobody vouches for: every length is checked before it is used."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Reader:
    """Takes fields from the front of `data`; raises Truncated where they are not there."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self._position = data, what, 0

    def take(self, length: int) -> bytes:
        if length < 0 or length > len(self._data) - self._position:
            raise Truncated(f"The {self._what} ends early: {length} bytes are missing at {self._position}.")
        self._position += length
        return self._data[self._position - length : self._position]

    def fields(self, layout: str) -> tuple[int, ...]:
        """Integers by a struct layout, little-endian."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        """`count` numbers of a little-endian numpy dtype."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def number(self) -> int:
        """An integer from 0 on, 7 bits a byte, the lowest first; a bit 7 says that more follow, 4 at most."""
        found = 0
        for shift in range(0, 35, 7):
            (byte,) = self.take(1)
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise BitstreamError(f"A number of the {self._what} does not end.")

    @property
    def left(self) -> int:
        """Bytes not yet taken"""
        return len(self._data) - self._position

    def rest(self) -> bytes:
        return self.take(self.left)

    def end(self) -> None:
        if self.left:
            raise BitstreamError(f"{self.left} bytes too many at the end of the {self._what}.")


def number_bytes(number: int) -> bytes:
    """What `Reader.number` reads."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes((*found, number))


def unzstd(data: bytes, limit: int, what: str) -> bytes:
    """Decompress one zstd frame; raises BitstreamError where it is damaged or holds more than `limit` bytes."""
    try:
        # a frame's own statement of its size is not to be believed, so it is read as a stream; what follows it is an error
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data, read_across_frames=True) as stream:
            plain: bytes = stream.read(limit + 1)
    except zstandard.ZstdError as error:
        raise BitstreamError(f"The {what} cannot be decompressed: {error}.") from None
    if len(plain) > limit:
        raise BitstreamError(f"The {what} holds more than {limit} bytes.")
    return plain
