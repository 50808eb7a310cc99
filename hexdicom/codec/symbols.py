"""Integers to symbols and raw bits, under a named logistic table and known bounds; the entropy coder does the rest.

An integer q under (level, shape, offset) becomes the symbol q >> shift, `shift` raw low bits, and, where the symbol is beyond the
table's reach, an escape followed by q itself. Symbols that the bounds exclude give their probability to the outermost allowed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.codec import logistic, rans
from hexdicom.codec.reader import Reader
from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.signedinteger[Any]]

RAW_BITS = 18  # an escaped integer: 18 bits hold the difference of any two 16-bit values, with its sign
_BIAS = 1 << (RAW_BITS - 1)


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of each of n integers before they are read. All arrays (n,), int64.

    level 0..80, shape 0..2, offset −8..7: see `logistic`. low ≤ 0 ≤ high: bounds of the integer.
    """

    level: Ints
    shape: Ints
    offset: Ints
    low: Ints
    high: Ints

    def part(self, rows: slice) -> Model:
        return Model(self.level[rows], self.shape[rows], self.offset[rows], self.low[rows], self.high[rows])


@dataclass(frozen=True, slots=True)
class _Tables:
    """A model in terms of symbols: row of the table, raw bits, allowed symbol indices, escape indices."""

    row: Ints
    shift: Ints
    low: Ints
    high: Ints
    below: Ints
    above: Ints


def _tables(model: Model) -> _Tables:
    level, shift = logistic.split(model.level)
    offset = ((model.offset + 8) >> shift) - 8
    row = logistic.row(level, model.shape, offset)
    reach = logistic.reach()[level]
    below, above = logistic.CENTRE - reach - 1, logistic.CENTRE + reach + 1
    low = np.maximum((model.low >> shift) + logistic.CENTRE, below)
    high = np.minimum((model.high >> shift) + logistic.CENTRE, above)
    return _Tables(row, shift, low, high, below, above)


def intervals(q: Ints, model: Model) -> tuple[Ints, Ints, Ints, Ints]:
    """-> (start, frequency) for the entropy coder and (value, length) of the raw bits of each integer. All (n,)."""
    tables = _tables(model)
    index = np.clip((q >> tables.shift) + logistic.CENTRE, tables.below, tables.above)
    start, end = _interval(tables, index)
    escape = (index == tables.below) | (index == tables.above)
    raw = np.where(escape, q + _BIAS, q & ((1 << tables.shift) - 1))
    return start, end - start, raw, np.where(escape, RAW_BITS, tables.shift)


def _interval(tables: _Tables, index: Ints) -> tuple[Ints, Ints]:
    flat = logistic.cumulative().reshape(-1)
    at = tables.row * (logistic.SYMBOLS + 1) + index
    start = np.where(index <= tables.low, 0, flat[at])
    end = np.where(index >= tables.high, rans.TOTAL, flat[at + 1])
    return start, end


class Writer:
    """Collects integers group by group; `finish` gives the bytes."""

    def __init__(self) -> None:
        self._groups: list[tuple[NDArray[np.uint16], NDArray[np.uint16]]] = []
        self._bits: list[NDArray[np.uint8]] = [np.zeros(0, np.uint8)]

    def write(self, q: Ints, model: Model) -> None:
        """One group: (n,) integers within the bounds of their model."""
        start, frequency, raw, length = intervals(q, model)
        self._groups.append((start.astype(np.uint16), (frequency - 1).astype(np.uint16)))
        some = length > 0
        if some.any():
            self._bits.append(bits(raw[some], length[some]))

    def finish(self) -> bytes:
        lanes = rans.lanes_for(sum(len(starts) for starts, _ in self._groups))
        states, words = rans.encode(self._groups, lanes)
        raw = np.packbits(np.concatenate(self._bits)).tobytes()
        head = np.array([lanes, len(words), len(raw)], "<u4").tobytes()
        low = states.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :5].tobytes()
        return head + low + words.astype("<u2").tobytes() + raw


def bits(values: Ints, lengths: Ints) -> NDArray[np.uint8]:
    """The low bits of each value, most significant first, one after the other. -> (sum of lengths,) of 0 and 1"""
    ends = np.cumsum(lengths)
    place = np.repeat(ends, lengths) - 1 - np.arange(ends[-1] if len(ends) else 0)
    return ((np.repeat(values, lengths) >> place) & 1).astype(np.uint8)


class Source:
    """Reads back what a Writer wrote, asked in the same groups under the same models."""

    def __init__(self, data: bytes, symbols: int) -> None:
        reader = Reader(data, "entropy-coded stream")
        lanes, words, raw = reader.fields("3I")
        if lanes != rans.lanes_for(symbols):
            raise BitstreamError(f"A stream of {symbols} symbols cannot have {lanes} lanes.")
        states = np.zeros((lanes, 8), np.uint8)
        states[:, :5] = reader.array("u1", lanes * 5).reshape(lanes, 5)
        self._coder = rans.Decoder(states.view("<u8").reshape(-1), reader.array("<u2", words))
        self._raw = np.concatenate((reader.array("u1", raw), np.zeros(4, np.uint8))).astype(np.int64)
        self._bits, self._bit = raw * 8, 0
        reader.end()
        self._keys = (logistic.cumulative() + 2 * rans.TOTAL * np.arange(len(logistic.cumulative()))[:, None]).reshape(-1)

    def read(self, model: Model) -> Ints:
        """One group: (n,) integers, within the bounds of their model."""
        tables = _tables(model)

        def lookup(rows: slice, slot: Ints) -> tuple[Ints, Ints, Ints]:
            row = tables.row[rows]
            found = np.searchsorted(self._keys, slot + 2 * rans.TOTAL * row, side="right") - 1
            found -= row * (logistic.SYMBOLS + 1)
            part = _Tables(row, tables.shift[rows], tables.low[rows], tables.high[rows], row, row)
            index = np.clip(found, part.low, part.high)
            start, end = _interval(part, index)
            return index, start, end - start

        index = self._coder.group(len(model.level), lookup)
        escape = (index == tables.below) | (index == tables.above)
        length = np.where(escape, RAW_BITS, tables.shift)
        q = (index - logistic.CENTRE) << tables.shift
        some = np.flatnonzero(length)
        if len(some):
            raw = self._take(length[some])
            q[some] = np.where(escape[some], raw - _BIAS, q[some] | raw)
        # a damaged stream may escape the bounds; the predictor must never see such a value
        bounded: Ints = np.clip(q, model.low, model.high)
        return bounded

    def _take(self, lengths: Ints) -> Ints:
        ends = self._bit + np.cumsum(lengths)
        if ends[-1] > self._bits:
            raise Truncated("The raw bits end before the last of them.")
        begins = ends - lengths
        byte = begins >> 3
        window = self._raw[byte] << 24 | self._raw[byte + 1] << 16 | self._raw[byte + 2] << 8 | self._raw[byte + 3]
        self._bit = int(ends[-1])
        raw: Ints = (window >> (32 - (begins & 7) - lengths)) & ((1 << lengths) - 1)
        return raw

    def end(self) -> None:
        """Raise BitstreamError unless everything was read."""
        self._coder.end()
        if self._bits - self._bit >= 8:
            raise BitstreamError("Raw bits are left over at the end of the stream.")


def best_tables(parts: Sequence[tuple[Ints, Ints, Ints]], contexts: int) -> tuple[Ints, Ints]:
    """The cheapest (level, shape) for each context, by the sum of code lengths without regard to bounds. Each (contexts,).

    parts: any number of (q, offset, context), each (n,). Contexts that do not occur get level 0, shape 0.
    """
    largest = max((int(np.abs(q).max()) for q, _, _ in parts), default=0)
    best_cost = np.full(contexts, np.inf)
    level, shape = np.zeros(contexts, np.int64), np.zeros(contexts, np.int64)
    costs = _costs()  # (LEVELS, SHAPES, OFFSETS · SYMBOLS)
    size = logistic.OFFSETS * logistic.SYMBOLS
    for shift in range((logistic.TOP_LEVEL - 28) // 4 + 1):
        histogram = np.zeros(contexts * size)
        for q, offset, context in parts:
            symbol = np.clip(q >> shift, -logistic.CENTRE, logistic.CENTRE) + logistic.CENTRE
            place = context.astype(np.int64) * size + ((offset + 8) >> shift) * logistic.SYMBOLS + symbol
            histogram += np.bincount(place, minlength=contexts * size)
        table = histogram.reshape(contexts, size)
        first = 0 if shift == 0 else 28
        cost = table @ costs[first:].reshape(-1, size).T + shift * table.sum(1, keepdims=True)  # (contexts, levels · SHAPES)
        least = cost.argmin(1)
        better = (lowest := cost[np.arange(contexts), least]) < best_cost
        best_cost[better] = lowest[better]
        level[better], shape[better] = (least // logistic.SHAPES + first + 4 * shift)[better], (least % logistic.SHAPES)[better]
        if largest >> shift < 16:
            break
    return level, shape


def code_lengths(q: Ints, level: int, shape: int) -> NDArray[np.float64]:
    """Bits of each integer under one table of offset 0, without regard to bounds"""
    table_level, shift = (int(found[0]) for found in logistic.split(np.array([level])))
    costs = _costs()[table_level, shape].reshape(logistic.OFFSETS, logistic.SYMBOLS)[8 >> shift]
    found: NDArray[np.float64] = costs[np.clip(q >> shift, -logistic.CENTRE, logistic.CENTRE) + logistic.CENTRE] + shift
    return found


@cache
def _costs() -> NDArray[np.float64]:
    """(LEVELS, SHAPES, OFFSETS · SYMBOLS) bits of each symbol under each table; symbols out of reach cost an escape."""
    frequency = np.diff(logistic.cumulative(), axis=1).reshape(logistic.LEVELS, logistic.SHAPES, logistic.OFFSETS, logistic.SYMBOLS)
    bits = 16 - np.log2(np.maximum(frequency, 1))
    index = np.abs(np.arange(logistic.SYMBOLS) - logistic.CENTRE)
    escape = index[None] > logistic.reach()[:, None]
    cost: NDArray[np.float64] = (bits + RAW_BITS * escape[:, None, None, :]).reshape(logistic.LEVELS, logistic.SHAPES, -1)
    return cost
