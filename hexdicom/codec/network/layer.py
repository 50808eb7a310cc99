"""The residual layer under predictors 2 and 3: parameters, then one stream for each slice, which is decoded alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.codec import compiled, logistic
from hexdicom.codec.network import adapt, field, prior, references, sampling, stream, tables, walk
from hexdicom.codec.network.neighbours import OFFSETS
from hexdicom.codec.network.parameters import Adapted, Parameters, from_reader
from hexdicom.codec.parallel import count
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.network import weights
    from hexdicom.codec.network.field import Slice
    from hexdicom.codec.profile import Learns

IDENTIFIERS = stream.FLOORED, stream.ROUNDED
_VOXELS_PER_BYTE = 1 << 16
Shape = tuple[int, int, int, int]


def encode(
    values: NDArray[np.int32],
    max_error: int,
    prior_number: int,
    steps: int,
    learns: Learns,
    device: torch.device,
    progress: Progress,
) -> tuple[bytes, NDArray[np.int32]]:
    """(T, Z, Y, X) -> (layer, what it decodes to)"""
    shape = _shape(values)
    order = references.choose(values)
    low, high = int(values.min()), int(values.max())

    def code(
        series: sampling.Series, adapted: Adapted, number: int, step: str
    ) -> tuple[Parameters, list[bytes], NDArray[np.int32]]:
        parameters = Parameters(stream.ROUNDED, low, high, order, series.linear, adapted, number)
        share: Callable[[float], None] = partial(progress, step)
        if device.type == "cpu":
            return parameters, *_Coder(parameters, shape, max_error).encode_all(values, share)
        return parameters, *walk.encode(parameters, values, max_error, device, share)

    series = sampling.describe(values, values, order, np.random.default_rng(0))
    chosen = adapt.choose(series, prior.candidates(prior_number), max_error)
    if max_error:
        # what is decoded within a bound is smoother than the series: the network learns from what it will see
        _, _, seen = code(series, adapt.unchanged(chosen), chosen.number, "first pass")
        series = sampling.describe(values, seen, order, np.random.default_rng(0))
    adapted = adapt.adapt(series, chosen, max_error, steps, learns, partial(progress, "adapt"))
    parameters, pieces, decoded = code(series, adapted, chosen.number, "voxels")
    lengths = np.array([len(piece) for piece in pieces], "<u4").tobytes()
    block = parameters.to_bytes()
    head = np.array([parameters.predictor, parameters.low, parameters.high, len(block)], "<i4").tobytes()
    return head + block + lengths + b"".join(pieces), decoded


@dataclass(frozen=True, slots=True)
class Stream:
    """A parsed layer, not yet decoded: one piece for each slice."""

    shape: Shape
    parameters: Parameters
    pieces: tuple[bytes, ...]


def parse(reader: Reader, predictor: int, size: int, shape: Shape) -> Stream:
    """Check what can be checked before memory for a (T, Z, Y, X) volume is taken.

    predictor: one of IDENTIFIERS. reader: what follows the identifier of a layer of `size` bytes. Raises BitstreamError.
    """
    low, high, length = reader.fields("3i")
    if not -32768 <= low <= high <= 65535:
        raise BitstreamError(f"The residual layer claims values from {low} to {high}.")
    if size * _VOXELS_PER_BYTE < int(np.prod(shape)):
        raise Truncated(f"A residual layer of {size} bytes cannot hold {int(np.prod(shape))} voxels.")
    parameters = from_reader(Reader(reader.take(length), "parameter block of the residual layer"), predictor, low, high, shape)
    lengths = reader.array("<u4", shape[1]).tolist()
    pieces = tuple(reader.take(n) for n in lengths)
    reader.end()
    return Stream(shape, parameters, pieces)


def decode(
    parsed: Stream, max_error: int, device: torch.device, progress: Progress, slices: Sequence[int] | None = None
) -> NDArray[np.int32]:
    """-> (T, Z, Y, X), or only the slices that are asked for, in their order. Raises BitstreamError."""
    wanted = list(range(parsed.shape[1])) if slices is None else list(slices)
    pieces = [parsed.pieces[z] for z in wanted]
    share: Callable[[float], None] = partial(progress, "voxels")
    if device.type == "cpu":
        return _Coder(parsed.parameters, parsed.shape, max_error).decode_all(pieces, wanted, share)
    return walk.decode(parsed.parameters, pieces, wanted, parsed.shape, max_error, device, share)


class _Coder:
    """The compiled coder with everything that it shares between the slices of a series."""

    def __init__(self, parameters: Parameters, shape: Shape, max_error: int) -> None:
        times, _, height, width = shape
        self._slice = (times, height, width)
        self._references, self._linear = parameters.references, parameters.linear
        self._network = _padded(parameters.adapted.network)
        self._bounds = parameters.low, parameters.high, max_error, parameters.predictor
        one = parameters.adapted.field
        self._fields = [_by_channel(part) for part in (field.absent(shape) if one is None else one.slices(shape))]
        self._tables = (
            tables.scale(), tables.inverse_scale(), tables.decay(), logistic.knots(), tables.mantissa_log(), tables.recency(times),
        )  # fmt: skip
        self._lanes = stream.lanes(times * height * width)
        self._done: dict[int, NDArray[np.int64]] = {}

    def encode_all(self, values: NDArray[np.int32], progress: Callable[[float], None]) -> tuple[list[bytes], NDArray[np.int32]]:
        """(T, Z, Y, X) -> (streams of the slices, what they decode to)"""
        decoded = np.empty_like(values)
        pieces: list[bytes] = [b""] * values.shape[1]

        def one(z: int) -> None:
            pieces[z], decoded[:, z] = self.encode(z, np.ascontiguousarray(values[:, z]))

        self._run(one, range(len(pieces)), progress)
        return pieces, decoded

    def decode_all(self, pieces: Sequence[bytes], slices: Sequence[int], progress: Callable[[float], None]) -> NDArray[np.int32]:
        """-> (T, len(slices), Y, X)"""
        times, height, width = self._slice
        decoded = np.empty((times, len(slices), height, width), np.int32)

        def one(position: int) -> None:
            decoded[:, position] = self.decode(slices[position], pieces[position])

        self._run(one, range(len(slices)), progress)
        return decoded

    def _run(self, task: Callable[[int], None], parts: Sequence[int], progress: Callable[[float], None]) -> None:
        """Tasks on as many threads as torch would use, without the interpreter lock while a slice is coded."""
        total = len(parts) * int(np.prod(self._slice))
        pool = ThreadPoolExecutor(count())
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
        memory, view = compiled.zeros(self._slice, np.int32)
        view[:] = truth
        values, _ = self._code(z, False, memory, nothing, (start, frequency, raw, length))
        states = np.full(self._lanes, stream.LOW, np.int64)
        words = np.zeros(2 * size + self._lanes, np.uint16)
        used = compiled.rans_encode(start, frequency, stream.group_sizes(self._slice), states, words)
        return stream.pack(states, words[len(words) - used :], raw.astype(np.int64), length.astype(np.int64)), values

    def decode(self, z: int, piece: bytes) -> NDArray[np.int32]:
        """-> (T, Y, X)"""
        read = stream.unpack(piece, z, self._lanes)
        nothing = np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint8)
        source = read.states, read.words, read.raw
        values, (status, words, bits) = self._code(z, True, np.zeros(0, np.int32), source, nothing)
        if status == compiled.TRUNCATED:
            raise stream.truncated(z)
        stream.check_end(z, read, read.states, words, bits)
        return values

    def _code(
        self, z: int, decoding: bool, truth: NDArray[np.int32], source: tuple[Any, ...], record: tuple[Any, ...]
    ) -> tuple[NDArray[np.int32], tuple[int, int, int]]:
        memory, volumes = zip(*(compiled.zeros(self._slice, np.int32) for _ in range(4)), strict=True)
        done = self._done[z] = np.zeros(1, np.int64)
        outcome = compiled.code_slice(
            decoding, truth, memory, volumes, self._references, self._linear, self._fields[z], self._network,
            self._bounds, OFFSETS, self._tables, source, record, done,
        )  # fmt: skip
        return np.ascontiguousarray(volumes[0]), outcome


def _padded(network: weights.Network) -> tuple[NDArray[np.float32], ...]:
    """Matrices and biases in turn, as float32; units, and the inputs that they are, filled up with zeros."""
    parts: list[NDArray[np.float32]] = []
    width = network.sizes[0]
    for matrix, bias in zip(network.matrices, network.biases, strict=True):
        height = -(-len(bias) // compiled.ROWS) * compiled.ROWS
        padded = np.zeros((height, width), np.float32)
        padded[: matrix.shape[0], : matrix.shape[1]] = matrix
        parts += [padded, np.pad(bias.astype(np.float32), (0, height - len(bias)))]
        width = height
    return tuple(parts)


def _by_channel(field: Slice) -> tuple[NDArray[np.int16], ...]:
    """(Y, X, k), (T, X, k) and (T, Y, k) of `Field.slices`, within ±2^14 -> (k, frame), each as `compiled.fronts` lays it, ..."""
    yx, tx, ty = (np.ascontiguousarray(part.transpose(2, 0, 1)) for part in field)
    memory, channels = compiled.zeros((yx.shape[0], yx.shape[1], yx.shape[2]), np.int16)
    channels[:] = yx
    return memory[: -compiled.LANES].reshape(len(yx), -1), tx.astype(np.int16), ty.astype(np.int16)


def _shape(values: NDArray[Any]) -> Shape:
    t, z, y, x = values.shape
    return t, z, y, x
