"""What the layer holds, as integers; its bytes; and what a decoder makes of it. Specified in docs/format.md, section 8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec.compiled import binary, lifting, maps
from hexdicom.codec.parallel import threads
from hexdicom.codec.reader import Reader
from hexdicom.codec.sparse import bands
from hexdicom.errors import BitstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.parallel import Threads

MOST_CHANNELS = 64
UNIT = 6  # bits behind the point of steps and maps
PRECISION = 14  # bits behind the point of the finest time function
MOST_STEP = 1 << 29
MOST_PER_BYTE = 1 << 16  # coefficients; a few bytes must not take gigabytes of memory
CENTRES = 3  # magnitudes 1, 2 and more have a place of their own in their step
_MOST_CENTRE = 127
_MAP_LIMIT = (1 << 31) - 1
_TIME_LIMIT = 1 << 15
_NOTHING = np.zeros((0, 0, 0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Sparse:
    """The parameters in a bitstream.

    step: of the coefficients, in 1/64 stored values. centres: by how many 1/256 of a step a magnitude of 1, of 2 and of more lies
    above its integer. levels, slice_levels: of the wavelets in a slice and across slices. precision: (R,) bits behind the point of
    each time function. times: (R, T) time functions. coefficients: (Z, R, Y, X). low, high: bounds of the values.
    """

    step: int
    centres: tuple[int, int, int]
    levels: int
    slice_levels: int
    low: int
    high: int
    precision: NDArray[np.int64]
    times: NDArray[np.int64]
    coefficients: NDArray[np.int32]


def to_bytes(model: Sparse, cost: NDArray[np.float64] | None = None) -> bytes:
    """The layer. cost: (R,), to which the bits of each channel are added."""
    head = np.array([model.step], "<u4").tobytes() + np.array([model.low, model.high], "<i4").tobytes()
    counts = np.array([model.levels, model.slice_levels, len(model.precision)], np.uint8).tobytes()
    centres = np.array(model.centres, np.int8).tobytes()
    return head + centres + counts + model.precision.astype(np.uint8).tobytes() + coded(model, _NOTHING, 0.0, cost)


def coded(model: Sparse, real: NDArray[np.float32], price: float, cost: NDArray[np.float64] | None = None) -> bytes:
    """The stream; with `real`, coefficients not worth their bits are lowered on the way, in place (see `compiled.maps`)."""
    height, width = model.coefficients.shape[2:]
    table, room = bands.table(height, width, model.levels)
    bits = np.zeros(len(model.precision)) if cost is None else cost
    before = bits.copy()
    data = np.zeros(model.coefficients.size // 4 + 65536, np.uint8)
    while True:
        length = maps.code_maps(model.coefficients, model.times, table, room, data, False, real, price, bits, binary.tables())
        if length <= len(data):
            return data[:length].tobytes()
        data, real = np.zeros(length + 65536, np.uint8), _NOTHING
        bits[:] = before


def from_bytes(layer: bytes, shape: tuple[int, int, int, int]) -> Sparse:
    """Parse a layer of a (T, Z, Y, X) series. Raises BitstreamError."""
    reader = Reader(layer, "sparse planes layer")
    (step,) = reader.fields("I")
    low, high = reader.fields("2i")
    centres = reader.fields("3b")
    levels, slice_levels, channels = reader.fields("3B")
    if not (1 <= step <= MOST_STEP and -32768 <= low <= high <= 65535 and min(centres) >= -_MOST_CENTRE):
        raise BitstreamError("The sparse planes layer holds parameters out of range.")
    if levels > bands.MOST_LEVELS or slice_levels > bands.MOST_SLICE_LEVELS or channels > min(MOST_CHANNELS, shape[0]):
        raise BitstreamError("The sparse planes layer claims more levels or channels than the format allows.")
    if channels * shape[1] * shape[2] * shape[3] > MOST_PER_BYTE * len(layer):
        raise BitstreamError("The sparse planes layer is too short for the maps that it claims.")
    precision = reader.array("u1", channels).astype(np.int64)
    if channels and precision.max() > PRECISION:
        raise BitstreamError("The sparse planes layer holds parameters out of range.")
    data = np.frombuffer(reader.rest(), np.uint8).copy()
    table, room = bands.table(shape[2], shape[3], levels)
    times = np.zeros((channels, shape[0]), np.int64)
    coefficients = np.zeros((shape[1], channels, *shape[2:]), np.int32)
    length = maps.code_maps(coefficients, times, table, room, data, True, _NOTHING, 0.0, np.zeros(channels), binary.tables())
    if length != len(data):
        raise BitstreamError("The stream of the sparse planes does not end where its decisions do.")
    return Sparse(step, (centres[0], centres[1], centres[2]), levels, slice_levels, low, high, precision, times, coefficients)


def evaluate(model: Sparse, device: torch.device, times: Sequence[int] | None = None) -> NDArray[np.int32]:
    """-> (len(times) or T, Z, Y, X) stored values"""
    slices, channels, height, width = model.coefficients.shape
    functions = np.clip(model.times << (PRECISION - model.precision)[:, None], -_TIME_LIMIT, _TIME_LIMIT)
    wanted = functions[:, list(times)] if times is not None else functions  # (R, T)
    values = np.empty((wanted.shape[1], slices, height, width), np.int32)
    with threads(device) as workers:
        found = _maps(model, workers)
        across = torch.from_numpy(np.ascontiguousarray(wanted.T)).to(device, torch.float64)

        def synthesise(z: int) -> None:
            stack = torch.from_numpy(found[z].reshape(channels, height * width)).to(device, torch.float64)
            sums = torch.floor((across @ stack) * (1 / (1 << (UNIT + PRECISION))) + 0.5)  # sums below 2^52 are exact in doubles
            frames = sums.clamp(model.low, model.high).to(torch.int32).cpu().numpy()
            values[:, z] = frames.reshape(-1, height, width)

        workers.map(synthesise, range(slices))
    return values


def _maps(model: Sparse, workers: Threads) -> NDArray[np.int32]:
    """-> (Z, R, Y, X) in 1/64 stored values times the time function's unit"""
    found = np.zeros(model.coefficients.shape, np.int32)
    centres = np.array([0, *model.centres], np.int64)

    def invert(r: int) -> None:
        q = model.coefficients[:, r]
        size = np.abs(q).astype(np.int64)
        stack = np.minimum((256 * size + centres[np.minimum(size, CENTRES)]) * model.step >> 8, lifting.LIMIT) * np.sign(q)
        bands.inverse(stack, model.levels)
        bands.inverse_along(stack.reshape(len(stack), -1), model.slice_levels)
        found[:, r] = np.clip(stack, -_MAP_LIMIT, _MAP_LIMIT)

    workers.map(invert, range(len(model.precision)))
    return found
