"""Byte strings in an archive: compressed by whichever general compressor makes them smallest, read back within a bound.

Nothing is believed before it is checked: a stream declares its length, the reader knows the largest length it allows, and
no decompressor is asked for more than that. Numbers are unsigned LEB128 varints.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Final

import zstandard

from hexdicom.errors import ArchiveError

_RAW, _ZSTD, _LZMA, _BZIP2 = range(4)
_LZMA_WINDOW: Final = 1 << 24
_ZSTD_LEVEL: Final = 19
_ZSTD_WINDOW: Final = 1 << 27


class Writer:
    """Collects numbers and byte strings."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def number(self, value: int) -> None:
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        self._parts.append(bytes(out))

    def raw(self, value: bytes) -> None:
        self._parts.append(value)

    def string(self, value: bytes) -> None:
        self.number(len(value))
        self.raw(value)

    def stream(self, value: bytes) -> None:
        """A compressed byte string: coder, length, coded length, coded bytes."""
        coder, coded = min(_coded(value), key=lambda pair: len(pair[1]))
        self.number(coder)
        self.number(len(value))
        self.string(coded)

    def bytes(self) -> bytes:
        return b"".join(self._parts)


class Reader:
    """Reads what a Writer wrote, from bytes that nobody vouches for. Raises ArchiveError."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def number(self, most: int) -> int:
        """A number; more than `most` is an error."""
        value = shift = 0
        while True:
            if not self.left or shift > 63:
                raise ArchiveError("A number in the archive object is damaged.")
            byte = self._data[self._position]
            self._position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if value > most:
            raise ArchiveError(f"The archive object declares {value} where at most {most} is possible.")
        return value

    def raw(self, length: int) -> bytes:
        if length > self.left:
            raise ArchiveError(f"The archive object ends too early: {length} bytes needed, {self.left} there.")
        self._position += length
        return bytes(self._data[self._position - length : self._position])

    def string(self) -> bytes:
        return self.raw(self.number(self.left))

    def stream(self, most: int) -> bytes:
        """A compressed byte string of at most `most` bytes."""
        coder = self.number(_BZIP2)
        length = self.number(most)
        coded = self.string()
        try:
            value = _decoded(coder, coded, length)
        except (zstandard.ZstdError, lzma.LZMAError, OSError, EOFError, ValueError, zlib.error) as error:
            raise ArchiveError("A compressed part of the archive object is damaged.") from error
        if len(value) != length:
            raise ArchiveError("A compressed part of the archive object does not have the length that it declares.")
        return value

    def end(self) -> None:
        if self.left:
            raise ArchiveError(f"{self.left} bytes too many at the end of a part of the archive object.")


def _coded(value: bytes) -> list[tuple[int, bytes]]:
    return [
        (_RAW, value),
        (_ZSTD, zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=False).compress(value)),
        (_LZMA, lzma.compress(value, format=lzma.FORMAT_RAW, filters=_lzma_filters(len(value)))),
        (_BZIP2, bz2.compress(value)),
    ]


def _lzma_filters(length: int) -> list[dict[str, Any]]:
    """The encoder takes memory by its window, so a short value gets a small one; the decoder takes the largest."""
    window = min(_LZMA_WINDOW, max(1 << 12, 1 << length.bit_length()))
    return [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": window}]


def _decoded(coder: int, coded: bytes, length: int) -> bytes:
    """At most length + 1 bytes; the memory taken grows with what really comes out."""
    if coder == _RAW:
        return coded
    if coder == _ZSTD:
        # never decompress() at once: it allocates what the frame declares
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        return _read_up_to(decompressor.stream_reader(coded), length + 1)
    if coder == _LZMA:
        return lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_lzma_filters(_LZMA_WINDOW)).decompress(coded, length + 1)
    return bz2.BZ2Decompressor().decompress(coded, length + 1)


def _read_up_to(reader: zstandard.ZstdDecompressionReader, most: int) -> bytes:
    out = bytearray()
    while len(out) < most:
        block = reader.read(min(1 << 20, most - len(out)))
        if not block:
            break
        out += block
    return bytes(out)
