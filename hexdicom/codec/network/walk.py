"""The network predictor in torch: wavefront by wavefront, all slices side by side, on any device.

The readable form of `compiled`, with the same integers to the last bit: for GPUs, where numba is missing, and to test it against.
The network's sums are integers below 2^24 (`weights.Network` proves it), which the float64 here carries exactly in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from hexdicom.codec.network import field, stream
from hexdicom.codec.network.inputs import Front, Surroundings, Tables
from hexdicom.codec.network.mixture import Bounds, Mixture, mixture
from hexdicom.codec.network.neighbours import FRAME_STEP, ROW_STEP
from hexdicom.codec.network.weights import HIDDEN_LIMIT
from hexdicom.codec.parallel import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hexdicom.codec.network.inputs import Seen
    from hexdicom.codec.network.parameters import Parameters

    Progress = Callable[[float], None]
    Shape = tuple[int, int, int, int]

Result = TypeVar("Result")

_TOGETHER = 1 << 18  # voxels of a wavefront, over all slices, that are worked on at once: about 2 GB
_CALL = 1 << 18, 1 << 11  # on a GPU, on a CPU: so much arithmetic takes as long as to call for it
_MOST_ENTRIES = 1 << 23


def encode(
    parameters: Parameters, truth: NDArray[np.int32], max_error: int, device: torch.device, progress: Progress
) -> tuple[list[bytes], NDArray[np.int32]]:
    """(T, Z, Y, X) -> (the piece of each slice, (T, Z, Y, X) that the pieces decode to)"""
    t, z, y, x = truth.shape
    decoded = np.empty_like(truth)

    def code(slices: Sequence[int], report: Progress) -> list[bytes]:
        walk = _Walk(parameters, (t, z, y, x), slices, max_error, device)
        pieces, values = walk.encode(np.ascontiguousarray(truth[:, slices].transpose(1, 0, 2, 3)), report)
        decoded[:, slices] = values.transpose(1, 0, 2, 3)
        return pieces

    return [piece for pieces in _run(code, range(z), (t, y, x), device, progress) for piece in pieces], decoded


def decode(
    parameters: Parameters,
    pieces: Sequence[bytes],
    slices: Sequence[int],
    shape: Shape,
    max_error: int,
    device: torch.device,
    progress: Progress,
) -> NDArray[np.int32]:
    """pieces: of the slices that are asked for; shape: of the whole series. -> (T, len(slices), Y, X). Raises BitstreamError."""
    times, _, height, width = shape
    decoded = np.empty((times, len(slices), height, width), np.int32)

    def code(part: Sequence[int], report: Progress) -> None:
        walk = _Walk(parameters, shape, [slices[i] for i in part], max_error, device)
        decoded[:, part] = walk.decode([pieces[i] for i in part], report).transpose(1, 0, 2, 3)

    _run(code, range(len(slices)), (times, height, width), device, progress)
    return decoded


def _run(
    code: Callable[[Sequence[int], Progress], Result],
    slices: Sequence[int],
    shape: tuple[int, int, int],
    device: torch.device,
    progress: Progress,
) -> list[Result]:
    """Slices in parts: as many as there are threads, and more where a wavefront of them would take too much memory."""
    widest = int(stream.group_sizes(shape).max())
    with threads(device) as workers:
        count = min(len(slices), max(workers.count, -(-len(slices) * widest // _TOGETHER)))
        parts = [part.tolist() for part in np.array_split(np.asarray(slices), count)] if count else []

        def one(number: int) -> Result:
            # parts go on at about the same pace, one from each thread: the first thread's tell how far all are
            turn, turns = number // workers.count, -(-count // workers.count)
            first = number % workers.count == 0
            return code(parts[number], lambda share: progress((turn + share) / turns) if first else None)

        return workers.map(one, range(count))


class _Walk:
    """Some slices on their way, side by side."""

    def __init__(self, parameters: Parameters, shape: Shape, slices: Sequence[int], max_error: int, device: torch.device) -> None:
        times, _, height, width = shape
        self._slices, self._shape, self._device = list(slices), (times, height, width), device
        self._bounds = Bounds(parameters.low, parameters.high, max_error, parameters.predictor)
        planes = parameters.adapted.field
        fields = field.absent(shape) if planes is None else planes.slices(shape)
        self._tables = Tables(device)
        self._surroundings = Surroundings(parameters, self._shape, [fields[z] for z in slices], device, self._tables)
        network = parameters.adapted.network
        self._layers = [
            (torch.from_numpy(matrix).to(device).double().T, torch.from_numpy(bias).to(device).double())
            for matrix, bias in zip(network.matrices, network.biases, strict=True)
        ]
        self._sizes = stream.group_sizes(self._shape).tolist()
        self._lanes = stream.lanes(times * height * width)

    def encode(self, truth: NDArray[np.int32], progress: Progress) -> tuple[list[bytes], NDArray[np.int32]]:
        """(Z, T, Y, X) -> (pieces, (Z, T, Y, X) that they decode to)"""
        wanted = torch.from_numpy(truth.reshape(len(truth), -1)).to(self._device)
        # start, frequency, raw bits, their number: (Z, T·Y·X) in the order of coding
        record = [torch.zeros_like(wanted) for _ in range(4)]
        begin = 0
        for front in self._fronts(progress):
            seen, chances = self._look(front)
            gap = wanted[:, front.place] - chances.centre
            q = gap.sign() * ((gap.abs() + self._bounds.max_error) // chances.step)
            symbol = chances.symbol(q)
            start, end = chances.below(symbol), chances.below(symbol + 1)
            raw, length = chances.raw_bits(symbol, q), chances.raw_length(symbol)
            for kept, part in zip(record, (start, end - start, raw, length), strict=True):
                kept[:, begin : begin + len(front.place)] = part
            begin += len(front.place)
            self._take(front, seen, chances, q)
        starts, frequencies, raws, lengths = (kept.cpu().numpy() for kept in record)
        states, words, used = _rans(starts, frequencies, self._sizes, self._lanes)
        pieces = [
            stream.pack(states[z], words[z][used[z]], raws[z].astype(np.int64), lengths[z].astype(np.int64))
            for z in range(len(truth))
        ]
        return pieces, self._decoded()

    def decode(self, pieces: Sequence[bytes], progress: Progress) -> NDArray[np.int32]:
        """-> (Z, T, Y, X)"""
        source = _Source(pieces, self._slices, self._lanes, self._device)
        for front in self._fronts(progress):
            seen, chances = self._look(front)
            self._take(front, seen, chances, source.read(chances))
        source.end()
        return self._decoded()

    def _fronts(self, progress: Progress) -> Iterator[Front]:
        times, height, width = self._shape
        t, y = np.repeat(np.arange(times), height), np.tile(np.arange(height), times)  # every row, in the order of coding
        for number in range(len(self._sizes)):
            x = number - ROW_STEP * y - FRAME_STEP * t
            rows = np.flatnonzero((x >= 0) & (x < width))
            if len(rows):  # rows of fewer voxels than ROW_STEP leave wavefronts empty
                at = torch.from_numpy(np.stack((t[rows], y[rows], x[rows]))).to(self._device)
                yield Front(at[0], at[1], at[2], (at[0] * height + at[1]) * width + at[2])
            progress((number + 1) / len(self._sizes))

    def _look(self, front: Front) -> tuple[Seen, Mixture]:
        seen = self._surroundings.see(front)
        x = seen.inputs.double()
        for matrix, bias in self._layers[:-1]:
            x = torch.floor((x @ matrix + bias) / 512).clamp(0, HIDDEN_LIMIT)
        matrix, bias = self._layers[-1]
        return seen, mixture(x @ matrix + bias, seen, self._bounds, self._tables)

    def _take(self, front: Front, seen: Seen, chances: Mixture, q: torch.Tensor) -> None:
        value = (chances.centre + q * chances.step).clamp(self._bounds.low, self._bounds.high)
        self._surroundings.put(front, seen, value)

    def _decoded(self) -> NDArray[np.int32]:
        values: NDArray[np.int32] = self._surroundings.values.cpu().numpy().reshape(-1, *self._shape)
        return values


class _Source:
    """The symbols and raw bits of some slices, read side by side."""

    def __init__(self, pieces: Sequence[bytes], slices: Sequence[int], lanes: int, device: torch.device) -> None:
        self._slices, self._lanes, self._call = slices, lanes, _CALL[device.type == "cpu"]
        self._pieces = [stream.unpack(piece, z, lanes) for piece, z in zip(pieces, slices, strict=True)]
        self._states = torch.from_numpy(np.stack([piece.states for piece in self._pieces])).to(device)  # (Z, lanes)
        # one after the other, so that slices of very different length take no more memory than their bytes
        words, raw = [piece.words for piece in self._pieces], [piece.raw for piece in self._pieces]
        self._words = torch.from_numpy(np.concatenate([*words, np.zeros(2, np.uint16)]).astype(np.int32)).to(device)
        self._raw = torch.from_numpy(np.concatenate([*raw, np.zeros(4, np.uint8)])).to(device)
        self._first_word, self._word, self._last_word = _cursor([len(part) for part in words], device)
        self._first_bit, self._bit, self._last_bit = _cursor([8 * len(part) for part in raw], device)

    def read(self, chances: Mixture) -> torch.Tensor:
        """One group -> (Z, n) q"""
        window = int((chances.greatest - chances.least).max()) + 1
        slices, size = chances.centre.shape
        rows = [slice(begin, min(begin + self._lanes, size)) for begin in range(0, size, self._lanes)]
        steps = (window - 1).bit_length()
        # few voxels in many rows: rather all frequencies of the group at once than a search in every row
        entries = slices * size * window
        at_once = entries <= min(self._call * steps * len(rows), _MOST_ENTRIES)
        table = chances.table(window) if at_once else chances.least  # (Z, n, window + 1), or of no use
        symbols = []
        for row in rows:
            slot = self._states[:, : row.stop - row.start] & (stream.TOTAL - 1)  # (Z, row)
            part = chances.part(row)
            symbol, start, end = _looked_up(table[:, row], part.least, slot) if at_once else part.find(slot, steps)
            self._advance(slot, start, end)
            symbols.append(symbol)
        symbol = torch.cat(symbols, 1)  # (Z, n)
        q = chances.quantised(symbol, self._bits(chances.raw_length(symbol)))
        missing = (self._word > self._last_word) | (self._bit > self._last_bit)  # (Z,)
        if missing.any():
            raise stream.truncated(self._slices[int(missing.nonzero()[0])])
        return q

    def end(self) -> None:
        """Raise BitstreamError unless every stream was used up and every lane is back where the encoder began."""
        states, words, bits = (
            part.cpu().numpy() for part in (self._states, self._word - self._first_word, self._bit - self._first_bit)
        )
        for z, piece, lanes, word, bit in zip(self._slices, self._pieces, states, words.tolist(), bits.tolist(), strict=True):
            stream.check_end(z, piece, lanes, word, bit)

    def _advance(self, slot: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> None:
        """The first lanes go on by one symbol each, and take the words that they then need. All (Z, row)."""
        size = slot.shape[1]
        state = (end - start) * (self._states[:, :size] >> stream.PRECISION) + slot - start
        need = (state < stream.LOW).long() + (state < stream.LOW >> stream.WORD)  # words, 0 to 2
        last = self._word[:, None] + need.cumsum(1)
        for number in (0, 1):
            word = self._words[(last - need + number).clamp(max=len(self._words) - 1)]
            state = torch.where(need > number, state << stream.WORD | word, state)
        self._word = last[:, -1]
        self._states[:, :size] = state

    def _bits(self, lengths: torch.Tensor) -> torch.Tensor:
        """-> (Z, n) numbers of so many raw bits"""
        ends = self._bit[:, None] + lengths.cumsum(1)
        begins = ends - lengths
        self._bit = ends[:, -1]
        byte = begins >> 3
        window = torch.zeros_like(byte)
        for following in range(4):
            window = window << 8 | self._raw[(byte + following).clamp(max=len(self._raw) - 1)]
        return (window >> (32 - (begins & 7) - lengths)) & ((1 << lengths) - 1)


def _looked_up(table: torch.Tensor, least: torch.Tensor, slot: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`Mixture.find` from a `Mixture.table`"""
    place = (table <= slot[..., None]).sum(-1) - 1
    both = table.gather(-1, torch.stack((place, place + 1), -1))  # (Z, n, 2)
    return place + least, both[..., 0], both[..., 1]


def _cursor(lengths: list[int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """-> where each of the parts begins in their sequence, twice, and where it ends. All (Z,)."""
    ends = torch.tensor(lengths, dtype=torch.int64, device=device).cumsum(0)
    begins = ends - torch.tensor(lengths, dtype=torch.int64, device=device)
    return begins, begins, ends


def _rans(
    starts: NDArray[np.int32], frequencies: NDArray[np.int32], sizes: Sequence[int], lanes: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.bool_]]:
    """(Z, n) symbols in groups -> (Z, lanes) states, (Z, n, 2) words in the order of the decoder, and which of them there are.

    The last symbol goes first; a symbol moves up to two words out of its lane, the decoder's second before its first.
    """
    states = np.full((len(starts), lanes), stream.LOW, np.int64)
    words = np.zeros((*starts.shape, 2), np.uint16)
    used = np.zeros(words.shape, np.bool_)
    end = starts.shape[1]
    for size in reversed(sizes):
        begin = end - size
        for row in reversed(range(begin, end, lanes)):
            rows = slice(row, min(row + lanes, end))
            state, frequency = states[:, : rows.stop - row], frequencies[:, rows].astype(np.int64)
            limit = frequency << (32 + stream.WORD - stream.PRECISION)
            for place in (1, 0):
                used[:, rows, place] = full = state >= limit
                words[:, rows, place] = state & 0xFFFF
                state = np.where(full, state >> stream.WORD, state)
            quotient = state // frequency
            states[:, : rows.stop - row] = (quotient << stream.PRECISION) + (state - quotient * frequency) + starts[:, rows]
        end = begin
    return states, words, used
