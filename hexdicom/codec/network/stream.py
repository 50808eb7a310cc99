"""One slice in the layer: interleaved rANS of symbols, raw bits beside it. The coders are `compiled` and `walk`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec import symbols
from hexdicom.codec.network.neighbours import FRAME_STEP, ROW_STEP
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRECISION = 20
TOTAL = 1 << PRECISION
LOW = 1 << 32  # a lane's state lies in LOW..LOW · 2^16
WORD = 16
ESCAPE_BITS = 18
REACH_LIMIT = 2046
FLOORED, ROUNDED = 2, 3  # identifiers of this predictor in its two forms, which differ in how outputs become frequencies


@dataclass(frozen=True, slots=True)
class Piece:
    """states: (lanes,), words in the order in which a decoder reads them, bytes of raw bits."""

    states: NDArray[np.int64]
    words: NDArray[np.uint16]
    raw: NDArray[np.uint8]


def lanes(voxels: int) -> int:
    """Lanes of the entropy coder for a slice of so many voxels: a power of two from 1 to 1024, which cost about 0.05 %."""
    return 1 << min(10, max(0, (voxels >> 14).bit_length() - 1))


def group_sizes(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """(fronts,) voxels in each wavefront of a (T, Y, X) slice"""
    times, height, width = shape
    first = (FRAME_STEP * np.arange(times)[:, None] + ROW_STEP * np.arange(height)).reshape(-1)
    fronts = int(first[-1]) + width
    begin = np.bincount(first, minlength=fronts + width)
    end = np.bincount(first + width, minlength=fronts + width)
    sizes: NDArray[np.int64] = np.cumsum(begin - end)[:fronts].astype(np.int64)
    return sizes


def pack(states: NDArray[np.int64], words: NDArray[np.uint16], values: NDArray[np.int64], lengths: NDArray[np.int64]) -> bytes:
    """values, lengths: of the raw bits, in the order of the voxels."""
    some = lengths > 0
    bits = np.packbits(symbols.bits(values[some], lengths[some])).tobytes()
    head = np.array([len(words), len(bits)], "<u4").tobytes()
    low = states.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :6].tobytes()
    return head + low + words.astype("<u2").tobytes() + bits


def unpack(data: bytes, z: int, count: int) -> Piece:
    """Of slice z, with `count` lanes. Raises BitstreamError."""
    reader = Reader(data, f"stream of slice {z}")
    used, length = reader.fields("2I")
    states = np.zeros((count, 8), np.uint8)
    states[:, :6] = reader.array("u1", 6 * count).reshape(-1, 6)
    words, raw = reader.array("<u2", used).astype(np.uint16), reader.array("u1", length).copy()
    reader.end()
    lane = states.view("<u8").reshape(-1).astype(np.int64)
    if (lane < LOW).any():  # 48 bits are below LOW · 2^16
        raise BitstreamError(f"An entropy coder state of slice {z} is out of range.")
    return Piece(lane, words, raw)


def truncated(z: int) -> Truncated:
    return Truncated(f"The stream of slice {z} ends before its last voxel.")


def check_end(z: int, piece: Piece, states: NDArray[np.int64], words: int, bits: int) -> None:
    """After the last voxel, with the lanes' states and the numbers of words and bits read. Raises BitstreamError."""
    if words != len(piece.words) or (states != LOW).any() or 8 * len(piece.raw) - bits >= 8:
        raise BitstreamError(f"The stream of slice {z} does not end where its voxels do.")
