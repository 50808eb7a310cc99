"""Interleaved range asymmetric numeral systems (rANS), in integers only, vectorised over lanes. Specified in docs/format.md.

State in [2^24, 2^40), 16-bit words, 16-bit frequencies (Duda 2013; interleaving after Giesen 2014). Symbols come in groups
(a group is what the decoder can decide at once); inside a group they go to lanes 0..L−1, in rows of L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hexdicom.errors import BitstreamError, Truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

PRECISION = 16
TOTAL = 1 << PRECISION
_LOW = np.int64(1 << 24)
_WORD = 16


def lanes_for(symbols: int) -> int:
    """Lanes that cost about 0.15 % of a stream of 2 bits per symbol: a power of two from 16 to 4096."""
    return 1 << min(12, max(4, (symbols // 12800).bit_length() - 1))


def encode(
    groups: Sequence[tuple[NDArray[np.uint16], NDArray[np.uint16]]], lanes: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
    """-> (final states of the lanes, words in the order in which the decoder reads them).

    groups: for each group the starts and the frequencies less one of its symbols, with start + frequency ≤ 2^16.
    """
    state = np.full(lanes, _LOW, np.int64)
    words: list[NDArray[np.uint16]] = []
    for starts, frequencies in reversed(groups):
        for row in reversed(range(0, len(starts), lanes)):
            start = starts[row : row + lanes].astype(np.int64)
            frequency = frequencies[row : row + lanes].astype(np.int64) + 1
            active = state[: len(start)]
            full = active >= frequency << 24
            words.append((active[full] & 0xFFFF).astype(np.uint16))
            active = np.where(full, active >> _WORD, active)
            quotient = active // frequency
            state[: len(start)] = (quotient << PRECISION) + (active - quotient * frequency) + start
    stream = np.concatenate(words[::-1]) if words else np.zeros(0, np.uint16)
    return state.astype(np.uint64), stream


class Decoder:
    """Takes symbols out of a stream, group by group."""

    def __init__(self, states: NDArray[np.uint64], words: NDArray[np.uint16]) -> None:
        self._state = states.astype(np.int64)
        if ((self._state < _LOW) | (self._state >= _LOW << _WORD)).any():
            raise BitstreamError("An entropy coder state is out of range.")
        self._words = words.astype(np.int64)
        self._position = 0

    def group(
        self,
        size: int,
        lookup: Callable[[slice, NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
    ) -> NDArray[np.int64]:
        """-> (size,) symbols.

        lookup(rows, slots) returns (symbol, start, frequency) for the symbols `rows` of the group, given their slots.
        Raises Truncated where the stream runs out of words.
        """
        lanes = len(self._state)
        symbols = np.empty(size, np.int64)
        for row in range(0, size, lanes):
            rows = slice(row, min(row + lanes, size))
            state = self._state[: rows.stop - row]
            slot = state & (TOTAL - 1)
            symbols[rows], start, frequency = lookup(rows, slot)
            state = frequency * (state >> PRECISION) + slot - start
            empty = np.flatnonzero(state < _LOW)
            if len(empty) > len(self._words) - self._position:
                raise Truncated("The entropy-coded stream ends before its last symbol.")
            state[empty] = (state[empty] << _WORD) | self._words[self._position : self._position + len(empty)]
            self._position += len(empty)
            self._state[: rows.stop - row] = state
        return symbols

    def end(self) -> None:
        """Raise BitstreamError unless the stream was used up and every lane is back where the encoder began."""
        if self._position != len(self._words) or (self._state != _LOW).any():
            raise BitstreamError("The entropy-coded stream does not end where its symbols do.")
