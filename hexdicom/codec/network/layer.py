"""The residual layer under predictor 2: parameters, then one stream for each slice, which is decoded alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hexdicom.codec import logistic, symbols
from hexdicom.codec.network import adapt, compiled, field, prior, references, sampling, tables, weights
from hexdicom.codec.network.neighbours import (
    FRAME_STEP,
    OFFSETS,
    REFERENCES,
    ROW_STEP,
    VALUES,
)
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.network.field import Slice

IDENTIFIER = 2
_CHANGE_LIMIT = 1 << 17  # what 18 raw bits of an escape can say
_VOXELS_PER_BYTE = 1 << 16
Shape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Parameters:
    """All that slices share. references: (T, 3); linear: (VALUES,) in 1/4096."""

    low: int
    high: int
    references: NDArray[np.int64]
    linear: NDArray[np.float64]
    adapted: adapt.Adapted
    prior: int


def encode(
    values: NDArray[np.int32], max_error: int, prior_number: int, steps: int, progress: Progress
) -> tuple[bytes, NDArray[np.int32]]:
    """(T, Z, Y, X) -> (layer, what it decodes to)"""
    shape = _shape(values)
    chosen = prior.load(prior_number)
    series = sampling.describe(values, references.choose(values), np.random.default_rng(0))
    adapted = adapt.adapt(series, chosen, max_error, steps, lambda share: progress("adapt", share))
    parameters = Parameters(int(values.min()), int(values.max()), series.references, series.linear, adapted, prior_number)
    decoded = np.empty_like(values)
    coder = _Coder(parameters, shape, max_error)
    pieces: list[bytes] = [b""] * shape[1]

    def one(z: int) -> None:
        pieces[z], decoded[:, z] = coder.encode(z, np.ascontiguousarray(values[:, z]))

    coder.run(one, range(shape[1]), lambda share: progress("voxels", share))
    lengths = np.array([len(piece) for piece in pieces], "<u4").tobytes()
    block = _parameter_bytes(parameters, chosen.hidden)
    head = np.array([IDENTIFIER, parameters.low, parameters.high, len(block)], "<i4").tobytes()
    return head + block + lengths + b"".join(pieces), decoded


@dataclass(frozen=True, slots=True)
class Stream:
    """A parsed layer, not yet decoded: one piece for each slice."""

    shape: Shape
    parameters: Parameters
    pieces: tuple[bytes, ...]


def parse(reader: Reader, size: int, shape: Shape) -> Stream:
    """Check what can be checked before memory for a (T, Z, Y, X) volume is taken. reader: after the identifier. Raises BitstreamError."""
    low, high, length = reader.fields("3i")
    if not -32768 <= low <= high <= 65535:
        raise BitstreamError(f"The residual layer claims values from {low} to {high}.")
    if size * _VOXELS_PER_BYTE < int(np.prod(shape)):
        raise Truncated(f"A residual layer of {size} bytes cannot hold {int(np.prod(shape))} voxels.")
    parameters = _parameters(Reader(reader.take(length), "parameter block of the residual layer"), low, high, shape)
    lengths = reader.array("<u4", shape[1]).tolist()
    pieces = tuple(reader.take(n) for n in lengths)
    reader.end()
    return Stream(shape, parameters, pieces)


def decode(stream: Stream, max_error: int, progress: Progress, slices: Sequence[int] | None = None) -> NDArray[np.int32]:
    """-> (T, Z, Y, X), or only the slices that are asked for, in their order. Raises BitstreamError."""
    wanted = list(range(stream.shape[1])) if slices is None else list(slices)
    coder = _Coder(stream.parameters, stream.shape, max_error)
    times, _, height, width = stream.shape
    decoded = np.empty((times, len(wanted), height, width), np.int32)

    def one(position: int) -> None:
        decoded[:, position] = coder.decode(wanted[position], stream.pieces[wanted[position]])

    coder.run(one, range(len(wanted)), lambda share: progress("voxels", share))
    return decoded


class _Coder:
    """The compiled coder with everything that it shares between the slices of a series."""

    def __init__(self, parameters: Parameters, shape: Shape, max_error: int) -> None:
        times, _, height, width = shape
        self._slice = (times, height, width)
        self._references, self._linear = parameters.references, parameters.linear
        self._network = _padded(parameters.adapted.network)
        self._bounds = parameters.low, parameters.high, max_error
        one = parameters.adapted.field
        self._fields: list[Slice] = field.absent(shape) if one is None else one.slices(shape)
        self._tables = (
            tables.scale(), tables.inverse_scale(), tables.decay(), logistic.knots(), tables.mantissa_log(), tables.recency(times),
        )  # fmt: skip
        self._lanes = lanes(times * height * width)
        self._done: dict[int, NDArray[np.int64]] = {}

    def run(self, task: Callable[[int], None], parts: Sequence[int], progress: Callable[[float], None]) -> None:
        """Tasks on as many threads as torch would use, without the interpreter lock while a slice is coded."""
        total = len(parts) * int(np.prod(self._slice))
        pool = ThreadPoolExecutor(torch.get_num_threads())
        try:
            futures = [pool.submit(task, part) for part in parts]
            waiting = set(futures)
            while waiting:
                finished, waiting = wait(waiting, timeout=0.25, return_when="FIRST_EXCEPTION")
                for future in finished:
                    future.result()
                progress(sum(int(done[0]) for done in list(self._done.values())) / total)
        finally:
            pool.shutdown(cancel_futures=True)

    def encode(self, z: int, truth: NDArray[np.int32]) -> tuple[bytes, NDArray[np.int32]]:
        """One (T, Y, X) slice -> (its stream, what it decodes to)"""
        size = truth.size
        start, frequency, raw = (np.zeros(size, np.uint32) for _ in range(3))
        length = np.zeros(size, np.uint8)
        nothing = np.zeros(1, np.int64), np.zeros(0, np.uint16), np.zeros(0, np.uint8)
        values, _ = self._code(z, False, truth, nothing, (start, frequency, raw, length))
        states = np.full(self._lanes, compiled.LOW, np.int64)
        words = np.zeros(2 * size + self._lanes, np.uint16)
        used = compiled.rans_encode(start, frequency, group_sizes(self._slice), states, words)
        some = length > 0
        bits = np.packbits(symbols.bits(raw[some].astype(np.int64), length[some].astype(np.int64))).tobytes() if some.any() else b""
        head = np.array([used, len(bits)], "<u4").tobytes()
        low = states.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :6].tobytes()
        return head + low + words[len(words) - used :].astype("<u2").tobytes() + bits, values

    def decode(self, z: int, piece: bytes) -> NDArray[np.int32]:
        """-> (T, Y, X)"""
        reader = Reader(piece, f"stream of slice {z}")
        used, raw = reader.fields("2I")
        states = np.zeros((self._lanes, 8), np.uint8)
        states[:, :6] = reader.array("u1", 6 * self._lanes).reshape(-1, 6)
        words, bits = reader.array("<u2", used).astype(np.uint16), reader.array("u1", raw).copy()
        reader.end()
        lane = states.view("<u8").reshape(-1).astype(np.int64)
        if ((lane < compiled.LOW) | (lane >= compiled.LOW << 16)).any():
            raise BitstreamError(f"An entropy coder state of slice {z} is out of range.")
        nothing = np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint8)
        values, (status, position, bit) = self._code(z, True, np.zeros((0, 0, 0), np.int32), (lane, words, bits), nothing)
        if status == compiled.TRUNCATED:
            raise Truncated(f"The stream of slice {z} ends before its last voxel.")
        if position != len(words) or (lane != compiled.LOW).any() or 8 * len(bits) - bit >= 8:
            raise BitstreamError(f"The stream of slice {z} does not end where its voxels do.")
        return values

    def _code(
        self, z: int, decoding: bool, truth: NDArray[np.int32], stream: tuple[Any, ...], record: tuple[Any, ...]
    ) -> tuple[NDArray[np.int32], tuple[int, int, int]]:
        values, mean, deviation, errors = (np.zeros(self._slice, np.int32) for _ in range(4))
        done = self._done[z] = np.zeros(1, np.int64)
        outcome = compiled.code_slice(
            decoding, truth, values, mean, deviation, errors, self._references, self._linear, self._fields[z], self._network,
            self._bounds, OFFSETS, self._tables, stream, record, done,
        )  # fmt: skip
        return values, outcome


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


def _padded(network: weights.Network) -> tuple[NDArray[np.float32], ...]:
    """Matrices and biases in turn, as float32; inputs filled up to a multiple of 16, units to a multiple of 4, with zeros."""
    parts: list[NDArray[np.float32]] = []
    width = -(-network.sizes[0] // 16) * 16
    for matrix, bias in zip(network.matrices, network.biases, strict=True):
        height = -(-len(bias) // 16) * 16
        padded = np.zeros((height, width), np.float32)
        padded[: matrix.shape[0], : matrix.shape[1]] = matrix
        parts += [padded, np.pad(bias.astype(np.float32), (0, height - len(bias)))]
        width = height
    return tuple(parts)


def _parameter_bytes(parameters: Parameters, hidden: Sequence[int]) -> bytes:
    """prior, changes of its weights, references, linear predictor, field"""
    change = parameters.adapted.change
    context = np.repeat(np.arange(2 * weights.LAYERS), _parts(hidden))
    level, kind = symbols.best_tables([(change, np.zeros_like(change), context)], 2 * weights.LAYERS)
    writer = symbols.Writer()
    writer.write(change, _change_model(level, kind, context))
    stream = writer.finish() if change.any() else b""
    times = np.arange(len(parameters.references))[:, None]
    behind = np.where(parameters.references < 0, 0, times - parameters.references).astype("<u2").tobytes()
    one = parameters.adapted.field
    return b"".join(
        (
            np.array([parameters.prior, parameters.adapted.step, len(stream)], "<u4").tobytes(),
            np.stack((level, kind)).astype(np.uint8).tobytes(),
            stream,
            behind,
            parameters.linear.astype("<i2").tobytes(),
            b"" if one is None else one.to_bytes(),
        )
    )


def _parameters(reader: Reader, low: int, high: int, shape: Shape) -> Parameters:
    number, step, length = reader.fields("3I")
    chosen = prior.load(number)
    level, kind = (reader.array("u1", 2 * weights.LAYERS).astype(np.int64) for _ in range(2))
    if step > 16 or level.max() > logistic.TOP_LEVEL or kind.max() >= logistic.SHAPES:
        raise BitstreamError("The residual layer names a rounding step or a probability table that does not exist.")
    data = reader.take(length)
    context = np.repeat(np.arange(2 * weights.LAYERS), _parts(chosen.hidden))
    change = np.zeros(len(context), np.int64)
    if data:
        source = symbols.Source(data, len(context))
        change = source.read(_change_model(level, kind, context))
        source.end()
    network = weights.from_flat(chosen.network.flat() + (change << step), chosen.hidden)
    behind = reader.array("<u2", shape[0] * REFERENCES).astype(np.int64).reshape(-1, REFERENCES)
    times = np.arange(shape[0])[:, None]
    if (behind > times).any():
        raise BitstreamError("The residual layer predicts a frame from one that does not come before it.")
    order = np.where(behind == 0, -1, times - behind)
    linear = reader.array("<i2", VALUES).astype(np.float64)
    one = field.from_reader(reader, shape) if reader.left else None
    return Parameters(low, high, np.ascontiguousarray(order), linear, adapt.Adapted(network, change, step, one), number)


def _parts(hidden: Sequence[int]) -> list[int]:
    sizes = (weights.INPUTS, *hidden, weights.OUTPUTS)
    return [n for width, height in zip(sizes, sizes[1:], strict=False) for n in (width * height, height)]


def _change_model(level: NDArray[np.int64], kind: NDArray[np.int64], context: NDArray[np.int64]) -> symbols.Model:
    limit = np.full(len(context), _CHANGE_LIMIT - 1)
    return symbols.Model(level[context], kind[context], np.zeros_like(limit), -limit, limit)


def _shape(values: NDArray[Any]) -> Shape:
    t, z, y, x = values.shape
    return t, z, y, x
