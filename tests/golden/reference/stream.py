"""Fields, checks, probability tables and entropy-coded streams (section 3), which every layer uses."""

from __future__ import annotations

import struct
from bisect import bisect_right
from decimal import Decimal, localcontext
from functools import cache

import zstandard

Shape = tuple[int, int, int, int]


def check(condition: bool, fault: str) -> None:
    """Refuse the bitstream."""
    if not condition:
        raise ValueError(fault)


def clamp(value: int, least: int, greatest: int) -> int:
    """The nearest of least..greatest."""
    return max(least, min(value, greatest))


def check_bounds(low: int, high: int) -> None:
    """The limits of low and high (sections 4 and 5)."""
    check(-32768 <= low <= high <= 65535, "bounds")


def check_tables(levels: list[int], shapes: list[int]) -> None:
    """Levels and shapes that exist (section 3.3), whether they are used or not."""
    check(max(levels) <= 80 and max(shapes) <= 2, "a table that does not exist")


def rounded(value: int, bits: int) -> int:
    """round(v, b) of the opening paragraphs."""
    return (value + (1 << bits >> 1)) >> bits


class Reader:
    """Fields of a layer one after another; none beyond the layer's end (rule 1)."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        check(count <= len(self.data) - self.at, "a field ends beyond its layer")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, code: str, count: int) -> list[int]:
        """The next numbers, of one struct code."""
        return list(struct.unpack(f"<{count}{code}", self.take(count * struct.calcsize(f"<{code}"))))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.data) - self.at)


def inflate(frame: bytes, limit: int) -> bytes:
    """One zstd frame, nothing after it, of at most `limit` bytes (sections 2 and 5)."""
    try:
        check(zstandard.frame_content_size(frame) <= limit, "a zstd frame is too long")  # −1 where it does not say
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(frame, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"a damaged zstd frame: {error}") from None


# ------------------------------------------------------------------------------------------------ section 3: entropy coding


@cache
def knots() -> list[int]:
    """K[i] of section 3.2."""
    with localcontext(prec=50):
        return [int(2**30 / (1 + (Decimal(-i) / 64).exp())) for i in range(1537)]


def sigma(u: int) -> int:
    """σ(u) of section 3.2, u in 2^-16, the result in 2^-30."""
    if u < 0:
        return 2**30 - sigma(-u)
    i, f = divmod(min(u, 24 * 2**16 - 1), 1024)
    return knots()[i] + ((knots()[i + 1] - knots()[i]) * f >> 10)


def scale(level: int) -> int:
    """S(level) of section 3.2."""
    return ((256, 304, 362, 431)[level % 4] << level // 4) >> 4


def reach(level: int) -> int:
    """R(level) of section 3.2."""
    return min(126, (16 * scale(level) + 255) // 256 + 6)


def doubled_distribution(shape: int, u: int) -> int:
    """D of section 3.2."""
    if shape == 0:
        return 2 * sigma(u)
    if shape == 1:
        return sigma(7 * u >> 2) + sigma(4 * u // 7)
    return sigma(7 * (u + 60293) >> 2) + sigma(7 * (u - 60293) >> 2)


@cache
def table(level: int, shape: int, offset: int) -> list[int]:
    """Cumulative frequencies at the lower edges of q = -127..128 (section 3.2)."""
    r = reach(level)
    edges = []
    for q in range(-127, 129):
        u = (16 * q - 8 - offset) * 2**20 // scale(level)
        inner = (doubled_distribution(shape, u) * (2**16 - (2 * r + 3)) >> 31) + q + r + 1
        edges.append(0 if q <= -r - 1 else 2**16 if q >= r + 2 else inner)
    return edges


class Stream:
    """Interleaved rANS with raw bits beside it (section 3.1)."""

    low: int = 2**24
    precision: int = 16

    def __init__(self, reader: Reader, symbols: int) -> None:
        (self.lanes,) = reader.numbers("I", 1)
        check(self.lanes == 1 << clamp((symbols // 12800).bit_length() - 1, 4, 12), "lanes")
        self.fill(reader, 5)

    def fill(self, reader: Reader, width: int) -> None:
        """All that follows the number of lanes; a state takes `width` bytes."""
        words, raw = reader.numbers("I", 2)
        self.states = [int.from_bytes(reader.take(width), "little") for _ in range(self.lanes)]
        check(all(self.low <= state < self.low << 16 for state in self.states), "a state is out of bounds")
        self.words = reader.numbers("H", words)
        self.raw = Reader(reader.take(raw))
        self.word = self.bit = 0
        check(not reader.rest(), "bytes after the stream")

    def integer(self, place: int, level: int, shape: int, offset: int, low: int, high: int) -> int:
        """The integer at this place of its group, under its model (section 3.3).

        Lanes are served one by one here; a row's lanes take their words in the same order as if they were served together.
        """
        shift = max(0, (level - 28) >> 2)
        level, offset = level - 4 * shift, ((offset + 8) >> shift) - 8
        edges, escape = table(level, shape, offset), reach(level) + 1
        a, b = max(low >> shift, -escape), min(high >> shift, escape)
        q = clamp(bisect_right(edges, self.slot(place)) - 128, a, b)
        self.advance(place, 0 if q == a else edges[q + 127], 2**16 if q == b else edges[q + 128])
        value = self.bits(18) - 2**17 if abs(q) == escape else (q << shift) + self.bits(shift)
        return clamp(value, low, high)

    def slot(self, place: int) -> int:
        """The slot of the symbol at this place of its group."""
        return self.states[place % self.lanes] & ((1 << self.precision) - 1)

    def advance(self, place: int, start: int, end: int) -> None:
        """Go on after a symbol from `start` up to, not including, `end`."""
        state = (end - start) * (self.states[place % self.lanes] >> self.precision) + self.slot(place) - start
        while state < self.low:  # under the constants of section 3 once at most
            check(self.word < len(self.words), "too few words")
            state = state << 16 | self.words[self.word]
            self.word += 1
        self.states[place % self.lanes] = state

    def bits(self, count: int) -> int:
        """The next raw bits, the most significant first."""
        value = 0
        for place in range(self.bit, self.bit + count):
            check(place >> 3 < len(self.raw.data), "too few raw bits")
            value = value << 1 | (self.raw.data[place >> 3] >> (7 - place % 8) & 1)
        self.bit += count
        return value

    def close(self) -> None:
        """What MUST hold after the last symbol (section 3.1)."""
        check(all(state == self.low for state in self.states), "a lane does not end where it began")
        check(self.word == len(self.words), "words that no lane takes")
        check(8 * len(self.raw.data) - self.bit < 8, "raw bits that no integer takes")
