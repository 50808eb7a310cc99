"""What the layer holds, as integers; its bytes; and what a decoder makes of it. Specified in docs/format.md, section 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.compiled import binary, coefficients, expected
from hexdicom.codec.parallel import threads
from hexdicom.codec.reader import Reader, number_bytes
from hexdicom.codec.sparse import bands, expectation, filters, series
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.parallel import Threads
    from hexdicom.codec.sparse.series import Maps

MOST_STRENGTH = 255
_NOTHING = np.zeros((0, 0, 0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Sparse:
    """The parameters in a bitstream.

    step: of the coefficients, in 1/64 stored values. centres: by how many 1/256 of a step a magnitude of 1, of 2 and of more lies
    above its integer. slice_levels: for each level of bands, the lowest first, how often it is halved across slices; a map is
    halved once less than there are of them. precision: (R,) bits behind the point of each time function. times: (R, T) time
    functions. coefficients: (Z, R, Y, X). low, high: bounds of the values. filter: number of the one that the maps of channel 0
    pass through, 0 for none. strength: of what it changes, in 1/128. expectation: number of the network that says what the
    coefficients may be, 0 for none.
    """

    step: int
    centres: tuple[int, int, int]
    slice_levels: tuple[int, ...]
    low: int
    high: int
    precision: NDArray[np.int64]
    times: NDArray[np.int64]
    coefficients: NDArray[np.int32]
    filter: int = filters.NONE
    strength: int = 0
    expectation: int = expectation.NONE

    @property
    def levels(self) -> int:
        return len(self.slice_levels) - 1

    @property
    def halved(self) -> tuple[int, int]:
        """How often maps are halved across slices, at most, and within them."""
        return max(self.slice_levels), self.levels


def to_bytes(model: Sparse, cost: NDArray[np.float64] | None = None) -> bytes:
    """The layer. cost: (Z, R, bands), to which bits are added."""
    along = sum(count << (2 * level) for level, count in enumerate(model.slice_levels))
    low = 2 * model.low if model.low >= 0 else -2 * model.low - 1
    numbers = b"".join(number_bytes(number) for number in (model.step, low, model.high - model.low, along))
    centres = np.array(model.centres, np.int8).tobytes()
    head = bytes(
        (model.levels + (model.expectation << 4), model.filter, model.strength, len(model.precision), *model.precision.tolist())
    )
    return numbers + centres + head + coded(model, _NOTHING, 0.0, cost)


def coded(model: Sparse, real: NDArray[np.float32], price: float, cost: NDArray[np.float64] | None = None) -> bytes:
    """The stream; with `real`, coefficients not worth their bits are lowered on the way, in place (see `compiled.coefficients`)."""
    slices, channels, height, width = model.coefficients.shape
    table, room = bands.table(height, width, model.levels)
    known = bands.known(slices, model.slice_levels)
    bits = np.zeros((slices, channels, len(table))) if cost is None else cost
    before = bits.copy()
    data = np.zeros(model.coefficients.size // 4 + 65536, np.uint8)
    while True:
        length = _code(model.expectation, model.coefficients, model.times, table, room, known, data, False, real, price, bits)
        if length <= len(data):
            return data[:length].tobytes().rstrip(b"\0")
        data, real = np.zeros(length + 65536, np.uint8), _NOTHING
        bits[:] = before


def from_bytes(layer: bytes, shape: tuple[int, int, int, int]) -> Sparse:
    """Parse a layer of a (T, Z, Y, X) series. Raises BitstreamError."""
    reader = Reader(layer, "filtered planes layer")
    step, folded, span, along = (reader.number() for _ in range(4))
    low = -(folded + 1 >> 1) if folded & 1 else folded >> 1
    centres = reader.fields("3b")
    packed, number, strength, channels = reader.fields("4B")
    levels, expects = packed & 15, packed >> 4
    series.check_head(step, low, low + span, centres, levels)
    if along >> (2 * levels + 2):
        raise BitstreamError("The filtered planes layer halves bands that it does not have.")
    slice_levels = tuple(along >> (2 * level) & 3 for level in range(levels + 1))
    precision = series.read_precision(reader, channels, shape, len(layer))
    if number != filters.NONE:
        filters.load(number)
        if not channels:
            raise BitstreamError("The filtered planes layer filters a channel that it does not have.")
    data = np.frombuffer(reader.rest(), np.uint8).copy()
    table, room = bands.table(shape[2], shape[3], levels)
    if channels > bands.most_channels(shape[1], room):
        raise BitstreamError("The filtered planes layer claims bands that would take more memory than the format allows.")
    known = bands.known(shape[1], slice_levels)
    times = np.zeros((channels, shape[0]), np.int64)
    q = np.zeros((shape[1], channels, *shape[2:]), np.int32)
    cost = np.zeros((shape[1], channels, len(table)))
    length = _code(expects, q, times, table, room, known, data, True, _NOTHING, 0.0, cost)
    if length < len(data) or data[-1:].any() != bool(len(data)):
        raise BitstreamError("The stream of the filtered planes does not end where its decisions do.")
    return Sparse(
        step, (centres[0], centres[1], centres[2]), slice_levels, low, low + span, precision, times, q, number, strength, expects
    )


def evaluate(model: Sparse, device: torch.device, wanted: Sequence[int] | None = None) -> NDArray[np.int32]:
    """-> (len(wanted) or T, Z, Y, X) stored values"""
    maps = synthesise(model)
    return maps.values(range(model.times.shape[1]) if wanted is None else wanted, range(len(model.coefficients)), device)


def synthesise(model: Sparse) -> Maps:
    """The maps as a decoder has them before it makes values: undone and filtered."""
    with threads(torch.device("cpu")) as workers:
        found = unfiltered(model, len(model.precision), workers)
        if model.filter:
            maps = found[:, 0].astype(np.int64)
            change = filters.load(model.filter)(maps, model.step, model.halved, workers)
            found[:, 0] = filters.strengthened(maps, change, model.step, model.strength)
    return series.opened(found, model.times, model.precision, model.low, model.high)


def _code(
    number: int, q: NDArray[np.int32], times: NDArray[np.int64], table: NDArray[np.int64], room: int, known: NDArray[np.int64],
    data: NDArray[np.uint8], reading: bool, real: NDArray[np.float32], price: float, cost: NDArray[np.float64],
) -> int:  # fmt: skip
    """`code_maps` of a layer that expects by network `number`, or by none."""
    if number == expectation.NONE:
        return int(coefficients.code_maps(q, times, table, room, known, data, reading, real, price, cost, binary.tables()))
    network = expectation.load(number).arrays()
    return int(expected.code_maps(q, times, table, room, known, data, reading, real, price, cost, binary.tables(), network))


def unfiltered(model: Sparse, channels: int, workers: Threads) -> NDArray[np.int32]:
    """-> (Z, channels, Y, X) maps in 1/64 stored values times the time function's unit, before any filter"""
    slices, _, height, width = model.coefficients.shape
    found = np.zeros((slices, channels, height, width), np.int32)
    table, _ = bands.table(height, width, model.levels)

    def invert(r: int) -> None:
        stack = series.dequantised(model.coefficients, r, model.step, model.centres)
        for level, _, top, left, height, width, *_ in table:
            part = stack[:, top : top + height, left : left + width]
            if model.slice_levels[level] and part.any():
                flat = part.reshape(len(part), -1)
                bands.inverse_along(flat, model.slice_levels[level])
                part[:] = flat.reshape(part.shape)
        bands.inverse(stack, model.levels)
        found[:, r] = np.clip(stack, -filters.MAP_LIMIT, filters.MAP_LIMIT, out=stack)

    workers.map(invert, range(channels))
    return found
