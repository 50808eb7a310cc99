"""Small networks that ship with the package and say, from what lies around a coefficient, what it may be. Format, section 9.6."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from hexdicom.codec import shipped
from hexdicom.codec.compiled.expectation import DEPTHS, KINDS, LEVELS, ORDERS, OUTPUTS, PLACES, POSITIONS
from hexdicom.codec.reader import unzstd
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Layers = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    Arrays = tuple[NDArray[np.float32], NDArray[np.float32], Layers, NDArray[np.float32]]

NONE = 0
_FOLDER = shipped.folder(__package__, "expectations")
INPUT_BITS, WEIGHT_BITS, SUM_BITS = 4, 8, 14  # behind the point: of what a size counts, of the later weights, of a sum
HIDDEN_LIMIT = 1023  # of a hidden unit, in 1/64
GRADES = np.rint(np.log2(1 + np.arange(256)) * (1 << INPUT_BITS)).astype(np.float32)
_POSITION_PARTS = LEVELS * KINDS, DEPTHS, ORDERS, 2  # biases that a position is the sum of; of the last, for odd rows and columns
_EXACT = 1 << 24  # float32 carries every integer below


@dataclass(frozen=True, slots=True)
class Expectation:
    """Integers in float32. first: (2 · PLACES, H), for a negative and a positive value of each place. positions: (POSITIONS, H).
    second: (H, H'), third: (OUTPUTS, H'), each with biases. Raises BitstreamError where a sum might not be exact."""

    first: NDArray[np.float32]
    positions: NDArray[np.float32]
    second: NDArray[np.float32]
    second_bias: NDArray[np.float32]
    third: NDArray[np.float32]
    third_bias: NDArray[np.float32]

    def __post_init__(self) -> None:
        sizes = np.abs(self.first).astype(np.int64).reshape(PLACES, 2, -1).max(1).sum(0) * int(GRADES.max())
        reaches = (
            sizes + np.abs(self.positions).astype(np.int64).max(0),
            np.abs(self.second).astype(np.int64).sum(0) * HIDDEN_LIMIT + np.abs(self.second_bias).astype(np.int64),
            np.abs(self.third).astype(np.int64).sum(1) * HIDDEN_LIMIT + np.abs(self.third_bias).astype(np.int64),
        )
        for number, reach in enumerate(reaches, 1):
            if reach.max() >= _EXACT:
                raise BitstreamError(f"Layer {number} of the network can reach {reach.max()}; its sums would not be exact.")

    def arrays(self) -> Arrays:
        """What `compiled.expected.code_maps` takes."""
        return self.first, self.positions, (self.second, self.second_bias, self.third, self.third_bias), GRADES


@cache
def load(number: int) -> Expectation:
    """Raises UnsupportedVersion where this hexdicom has no network of that number."""
    return from_bytes(shipped.read(_FOLDER, number, "The filtered planes layer expects by network"))


@cache
def numbers() -> tuple[int, ...]:
    """Those of the shipped networks."""
    return tuple(shipped.numbers(_FOLDER))


def from_bytes(data: bytes) -> Expectation:
    """A file of the folder `expectations`."""
    plain = unzstd(data, 1 << 20, "network")
    height, width = np.frombuffer(plain[:4], "<u2").tolist()
    flat, at = np.frombuffer(plain[4:], "<i4"), 0
    parts = []
    for shape in (
        (2 * PLACES, height),
        *((n, height) for n in _POSITION_PARTS),
        (height, width),
        (width,),
        (OUTPUTS, width),
        (OUTPUTS,),
    ):
        size = int(np.prod(shape))
        parts.append(flat[at : at + size].reshape(shape))
        at += size
    first, of_level, of_depth, of_order, of_parity, *later = parts
    positions = of_level.reshape(LEVELS, KINDS, 1, 1, 1, 1, height) + of_depth[:, None, None, None] + of_order[:, None, None]
    odd = np.arange(2)[:, None]
    positions = positions + (odd * of_parity[0])[:, None] + odd * of_parity[1]
    whole = (first, positions.reshape(POSITIONS, height), *later)
    return Expectation(*(np.ascontiguousarray(part.astype(np.float32)) for part in whole))


def to_bytes(parts: list[NDArray[np.float64]]) -> bytes:
    """A file for the folder `expectations`. parts: (2 · PLACES, H), biases of level and kind, depth, order, odd row and column,
    (H, H'), (H',), (OUTPUTS, H'), (OUTPUTS,), of a network of units of 1.0 whose last layer has logits."""
    units = (SUM_BITS - INPUT_BITS, *[SUM_BITS] * 4, WEIGHT_BITS, SUM_BITS, WEIGHT_BITS, SUM_BITS)
    integers = [np.rint(part * (1 << bits)).astype("<i4") for part, bits in zip(parts, units, strict=True)]
    head = np.array(parts[5].shape, "<u2").tobytes()
    data = zstandard.ZstdCompressor(level=19).compress(head + b"".join(part.tobytes() for part in integers))
    from_bytes(data)
    return data
