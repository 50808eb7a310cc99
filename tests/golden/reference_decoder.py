"""A second decoder of the bitstream, written from docs/format.md alone: plain integers, slow, nothing shared with hexdicom.

That it agrees with hexdicom.codec shows that the specification suffices to read an archive without our code. Section numbers
below are those of docs/format.md. It checks what the specification demands and raises ValueError.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from decimal import Decimal, localcontext
from functools import cache
from itertools import pairwise, product
from math import isqrt, prod
from pathlib import Path

import numpy as np
import zstandard

Shape = tuple[int, int, int, int]
TYPES = (("uint8", "B", 0, 255), ("int8", "b", -128, 127), ("uint16", "H", 0, 65535), ("int16", "h", -32768, 32767))
PLANES, RESIDUAL, STORED, ATTACHMENT = 1, 2, 3, 4
NO_BOUND = 0xFFFFFFFF
PRIORS = Path(__file__).parents[2] / "hexdicom" / "codec" / "network" / "priors"


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


# ------------------------------------------------------------------------------------------------ section 4: the planes layer


@cache
def exponentials() -> tuple[list[int], list[int]]:
    """E and G of section 4."""
    with localcontext(prec=50):
        coarse = [int(4096 * (Decimal(i - 512) / 64).exp()) for i in range(1024)]
        return coarse, [int(65536 * (Decimal(i) / 4096).exp()) for i in range(64)]


def interpolate(values: list[int], n: int) -> list[int]:
    """Samples along one axis between nodes, 256 times as large (section 4)."""
    nodes, samples = len(values), []
    for i in range(n):
        p = i * (nodes - 1) * 256 // max(1, n - 1)
        j = min(p >> 8, max(0, nodes - 2))
        weight = p - 256 * j
        samples.append((256 - weight) * values[j] + weight * values[min(j + 1, nodes - 1)])
    return samples


def read_planes(reader: Reader, nodes: list[int], k: int, shape: Shape, limit: int, bits: int) -> list[list[list[list[int]]]]:
    """Six planes up to the end of their layer, interpolated: F of each plane, channel, row, column (sections 4 and 7.4)."""
    levels, kinds, centres = reader.numbers("B", 6 * k), reader.numbers("B", 6 * k), reader.numbers("h", 6 * k)
    check_tables(levels, kinds)
    check(all(abs(centre) <= limit for centre in centres), "a centre is out of bounds")
    t, z, y, x = range(4)
    pairs = ((y, x), (z, x), (z, y), (t, x), (t, y), (t, z))
    stream = Stream(reader, sum(k * nodes[u] * nodes[v] for u, v in pairs))
    grids: list[list[list[list[int]]]] = []
    place = 0
    for plane, (u, v) in enumerate(pairs):
        grids.append([])
        for model in range(plane * k, (plane + 1) * k):
            level, kind, centre = levels[model], kinds[model], centres[model]
            rows = []
            for _ in range(nodes[u]):
                row = []
                for _ in range(nodes[v]):
                    row.append(centre + stream.integer(place, level, kind, 0, -limit - centre, limit - centre))
                    place += 1
                rows.append(interpolate(row, shape[v]))
            columns = [interpolate(list(column), shape[u]) for column in zip(*rows, strict=True)]
            grids[plane].append([[rounded(value, bits) for value in row] for row in zip(*columns, strict=True)])
    stream.close()
    return grids


def synthesise(data: bytes, shape: Shape) -> list[int]:
    """The six-plane value of each voxel (section 4)."""
    reader = Reader(data)
    *nodes, k, m = reader.numbers("H", 6)
    check(all(1 <= n <= size for n, size in zip(nodes, shape, strict=True)) and 1 <= k <= 64 and 1 <= m <= 64, "the model's size")
    low, high = reader.numbers("i", 2)
    check_bounds(low, high)
    (b2,) = reader.numbers("q", 1)
    w1, b1, w2 = reader.numbers("i", k * m), reader.numbers("i", m), reader.numbers("i", m)
    for weights, bits in (([b2], 36), (w1, 16), (b1, 20), (w2, 24)):
        check(all(abs(weight) <= 2**bits for weight in weights), "a weight is out of bounds")
    grids = read_planes(reader, nodes, k, shape, 512, 10)
    coarse, fine = exponentials()
    values = []
    for it, iz, iy, ix in product(*map(range, shape)):
        h = []
        for yx, zx, zy, tx, ty, tz in zip(*grids, strict=True):
            a = rounded(zx[iz][ix] * tx[it][ix], 12)
            b = rounded(rounded(zy[iz][iy] * ty[it][iy], 12) * tz[it][iz], 12)
            h.append(rounded(rounded(yx[iy][ix] * a, 12) * b, 12))
        total = b2
        for unit in range(m):
            weighted = sum(h[channel] * w1[channel * m + unit] for channel in range(k))
            e = clamp(rounded(weighted + b1[unit] * 4096, 12), -32768, 32767) + 32768
            total += (coarse[e >> 6] * fine[e % 64] >> 16) * w2[unit]
        values.append(clamp(rounded(total, 20), low, high))
    return values


# ------------------------------------------------------------------------------- sections 5 and 6: the residual layer, linear


def neighbourhood() -> list[Shape]:
    """The 61 neighbours in their order (section 5)."""
    plane = [(0, 0, dy, dx) for dy in range(-3, 1) for dx in range(-3, 4) if (dy, dx) < (0, 0) and abs(dy) + abs(dx) <= 4]
    squares = ((-1, 0, 2), (-2, 0, 1), (0, -1, 1))
    return plane + [(dt, dz, dy, dx) for dt, dz, s in squares for dy in range(-s, s + 1) for dx in range(-s, s + 1)]


NEIGHBOURS = neighbourhood()
NEAR = [i for i, (_, _, dy, dx) in enumerate(NEIGHBOURS) if abs(dy) <= 1 and abs(dx) <= 1]
LEFT, UP, BEFORE, BEFORE_2, BELOW = map(
    NEIGHBOURS.index, ((0, 0, 0, -1), (0, 0, -1, 0), (-1, 0, 0, 0), (-2, 0, 0, 0), (0, -1, 0, 0))
)
CONTEXT = [LEFT, UP, BEFORE] * 2 + [BEFORE_2, BELOW]
CONTEXT += map(NEIGHBOURS.index, ((0, 0, -1, -1), (0, 0, -1, 1), (0, 0, 0, -2), (0, 0, -2, 0)))
CONTEXT += map(NEIGHBOURS.index, ((-1, 0, 0, 1), (-1, 0, 1, 0), (-1, 0, 0, -1), (-1, 0, -1, 0)))
CONTEXT_EDGES = [((1024, 1149, 1290, 1448, 1625, 1825)[i % 6] << i // 6) >> 8 for i in range(143)]


class Linear:
    """Predictor 1 (section 6)."""

    def __init__(self, reader: Reader, low: int, high: int) -> None:
        (count,) = reader.numbers("H", 1)
        check(1 <= count <= 72, "classes")
        self.edges = reader.numbers("q", count)
        check(self.edges[0] >= 0 and self.edges == sorted(self.edges), "the classes' edges do not ascend")
        weights = reader.numbers("h", 65 * count)
        self.weights = [weights[each::count] for each in range(count)]  # by class
        self.low, self.high = low, high

    def mean(self, here: int, sites: list[int | None], values: list[int], planes: list[int]) -> int:
        """μ in 1/16 of voxel `here`. sites: the places of its neighbours, None outside of the volume."""
        present = [(values[i], share) for i, share in ((sites[LEFT], 1), (sites[UP], 1), (sites[BEFORE], 2)) if i is not None]
        r = sum(value * share for value, share in present) // max(1, sum(share for _, share in present))
        inputs = [0 if i is None else values[i] - r for i in sites]
        activity = sum(abs(inputs[i]) for i in NEAR)
        p = planes[here]
        inputs += [p - r, *(0 if i is None else p - planes[i] for i in (sites[LEFT], sites[UP], sites[BEFORE]))]
        before, before_2, below = (sites[i] is not None for i in (BEFORE, BEFORE_2, BELOW))
        key = (2 * (before + before_2) + below) * 2**30 + activity
        chosen = self.weights[max(0, bisect_right(self.edges, key) - 1)]
        weighted = sum(weight * value for weight, value in zip(chosen, inputs, strict=True))
        return clamp((4096 * r + weighted + 128) // 256, 16 * self.low, 16 * self.high)


def refine(data: bytes, planes: list[int], shape: Shape, bound: int) -> list[int]:
    """The values, from the six-plane values and the residual layer (section 5)."""
    reader = Reader(data)
    check(prod(shape) <= 65536 * len(data), "the layer is too short for its volume")
    predictor, low, high, length = reader.numbers("i", 4)
    check(predictor in (1, 2) and length >= 0, "unknown predictor")
    check_bounds(low, high)
    if predictor == 2:
        return Network(Reader(reader.take(length)), low, high, shape, bound).slices(reader)
    parameters = Reader(inflate(reader.take(length), 2**20))
    linear = Linear(parameters, low, high)
    levels, kinds = parameters.numbers("B", 288), parameters.numbers("B", 288)
    check_tables(levels, kinds)
    check(not parameters.rest(), "bytes after the parameters")
    stream = Stream(reader, prod(shape))

    waves: dict[int, list[Shape]] = {}
    for t, z, y, x in product(*map(range, shape)):
        waves.setdefault(x + 4 * y + 6 * z + 11 * t, []).append((t, z, y, x))
    _, zs, ys, xs = shape
    values, errors = [0] * len(planes), [0] * len(planes)
    step = 2 * bound + 1
    for _, wave in sorted(waves.items()):
        for place, (t, z, y, x) in enumerate(sorted(wave, key=lambda v: (4 * v[2] + 6 * v[1] + 11 * v[0], v))):
            here = ((t * zs + z) * ys + y) * xs + x
            sites = [
                here + ((dt * zs + dz) * ys + dy) * xs + dx
                if t + dt >= 0 and z + dz >= 0 and 0 <= y + dy < ys and 0 <= x + dx < xs
                else None
                for dt, dz, dy, dx in NEIGHBOURS
            ]
            mu = linear.mean(here, sites, values, planes)
            weighted = sum(errors[i] for i in map(sites.__getitem__, CONTEXT) if i is not None)
            context = bisect_right(CONTEXT_EDGES, weighted) + (144 if sites[BEFORE] is None else 0)
            c = (mu + 8) >> 4
            offset, least, greatest = (mu - 16 * c) // step, -((c - low + bound) // step), (high - c + bound) // step
            q = stream.integer(place, levels[context], kinds[context], offset, least, greatest)
            values[here] = clamp(c + step * q, low, high)
            errors[here] = min(abs(16 * values[here] - mu), 2**20)
    stream.close()
    return values


# ----------------------------------------------------------------------------------------------------- section 7: the network


def power(sixteenths: int) -> int:
    """⌊2^(sixteenths / 16)⌋: the floor of a root of a floor is the floor of the root."""
    return isqrt(isqrt(isqrt(isqrt(2**sixteenths))))


SCALE, INVERSE, SHARE = ([power(base + sign * i) for i in range(256)] for base, sign in ((0, 1), (576, -1), (256, -1)))
FRACTION = [max(j for j in range(32) if 2**j * 128**32 <= m**32) for m in range(128, 256)]  # ⌊32 log2(m / 128)⌋


def lg(value: int) -> int:
    """lg of section 7."""
    e = value.bit_length() - 1
    return 32 * e + FRACTION[(value << 7 >> e) - 128]


def square(size: int) -> list[tuple[int, int]]:
    """(dy, dx) of a square, rows before columns."""
    return list(product(range(-size, size + 1), range(-size, size + 1)))


IN_FRAME = [(dy, dx) for dy in range(-5, 1) for dx in range(-5, 6) if (dy, dx) < (0, 0) and abs(dy) + abs(dx) <= 6]
NEAR_ERRORS = [(0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0)]
Frame = list[list[int]]


def around(frame: Frame, y: int, x: int, size: int) -> list[int]:
    """A square of a frame, its coordinates clamped to it (section 7.2)."""
    return [frame[clamp(y + dy, 0, len(frame) - 1)][clamp(x + dx, 0, len(frame[0]) - 1)] for dy, dx in square(size)]


class SliceStream(Stream):
    """Of one slice (section 7.8)."""

    low: int = 2**32
    precision: int = 20

    def __init__(self, reader: Reader, symbols: int) -> None:
        self.lanes = 1 << clamp((symbols >> 14).bit_length() - 1, 0, 10)
        self.fill(reader, 6)


class Network:
    """Predictor 2 (section 7)."""

    def __init__(self, reader: Reader, low: int, high: int, shape: Shape, bound: int) -> None:
        self.low, self.high, self.shape, self.bound = low, high, shape, bound
        number, length = reader.numbers("I", 2)
        steps, levels, kinds = (reader.numbers("B", 8) for _ in range(3))
        check_tables(levels, kinds)
        check(max(steps) <= 16, "a step is out of range")
        check((PRIORS / f"{number}.bin").is_file(), "unknown prior")
        prior = Reader(inflate((PRIORS / f"{number}.bin").read_bytes(), 2**24))
        sizes = [112, *prior.numbers("H", 3), 106]
        counts = [n for width, units in pairwise(sizes) for n in (width * units, units)]
        changes = Reader(reader.take(length))
        stream = Stream(changes, sum(counts)) if length else None
        parts, place = [], 0
        for step, level, kind, count in zip(steps, levels, kinds, counts, strict=True):
            weights = prior.numbers("i", count)
            if stream:
                for i in range(count):
                    weights[i] += stream.integer(place + i, level, kind, 0, 1 - 2**17, 2**17 - 1) << step
            place += count
            parts.append(np.array(weights, np.int64))
        if stream:
            stream.close()
        self.layers = [(parts[2 * i].reshape(-1, sizes[i]), parts[2 * i + 1]) for i in range(4)]
        for i, (matrix, bias) in enumerate(self.layers):
            limits = np.array([256] * 97 + [512] * 15 if i == 0 else [1023] * sizes[i])
            check((abs(matrix) @ limits + abs(bias) < 2**24).all(), "a sum may reach 2^24")
        behind = reader.numbers("H", 3 * shape[0])
        check(all(n <= place // 3 for place, n in enumerate(behind)), "a reference to a later frame")
        self.references = [[t - n if n else None for n in behind[3 * t : 3 * t + 3]] for t in range(shape[0])]
        self.linear = np.array(reader.numbers("h", 92), np.int64)
        self.grids: list[list[list[list[int]]]] = []
        if reader.at < len(reader.data):
            nodes = reader.numbers("H", 4)
            check(all(1 <= n <= size for n, size in zip(nodes, shape, strict=True)), "the field's nodes")
            self.grids = read_planes(reader, nodes, 6, shape, 256, 14)

    def slices(self, reader: Reader) -> list[int]:
        """All values, from what follows the parameter block."""
        lengths = reader.numbers("I", self.shape[1])
        decoded = [self.slice(Reader(reader.take(length)), z) for z, length in enumerate(lengths)]
        check(not reader.rest(), "bytes after the last slice")
        return [value for t in range(self.shape[0]) for frames in decoded for row in frames[t] for value in row]

    def slice(self, reader: Reader, z: int) -> list[Frame]:
        """The frames of slice z."""
        ts, _, ys, xs = self.shape
        stream = SliceStream(reader, ts * ys * xs)
        self.values, self.errors, self.mean, self.spread = (
            [[[0] * xs for _ in range(ys)] for _ in range(ts + 1)] for _ in range(4)
        )
        waves: dict[int, list[tuple[int, int, int]]] = {}
        for t, y, x in product(range(ts), range(ys), range(xs)):
            waves.setdefault(x + 6 * y + 15 * t, []).append((t, y, x))
        for _, wave in sorted(waves.items()):
            for place, (t, y, x) in enumerate(sorted(wave)):
                r, d, a, inputs = self.look(t, z, y, x)
                v = self.values[t][y][x] = self.voxel(stream, place, r, d, a, self.outputs(inputs))
                linear = r + (int(self.linear @ d[:92]) >> 12)
                self.errors[t][y][x] = 16 * v - clamp(linear, 16 * self.low, 16 * self.high)
                if t == 0:
                    self.mean[1][y][x] = 16 * v
                else:
                    m, s = self.mean[t][y][x], self.spread[t][y][x]
                    self.mean[t + 1][y][x] = m + ((16 * v - m) * (2**16 // (t + 1)) >> 16)
                    self.spread[t + 1][y][x] = s + ((abs(16 * v - m) - s) * (2**16 // t) >> 16)
        stream.close()
        return self.values[:ts]

    def look(self, t: int, z: int, y: int, x: int) -> tuple[int, list[int], int, list[int]]:
        """r, the 97 differences, a, and the 112 inputs of a voxel (sections 7.3 and 7.4)."""
        here, errors, references = self.values[t], self.errors[t], self.references[t]
        first = references[0]

        def inside(dy: int, dx: int) -> bool:
            return y + dy >= 0 and 0 <= x + dx < len(here[0])

        some = [(here[y + dy][x + dx], 1) for dy, dx in ((0, -1), (-1, 0)) if inside(dy, dx)]
        some += [] if first is None else [(self.values[first][y][x], 2)]
        r = 16 * sum(v * share for v, share in some) // sum(share for _, share in some) if some else 16 * self.low
        in_frame = [16 * here[y + dy][x + dx] - r if inside(dy, dx) else None for dy, dx in IN_FRAME]
        d = list(in_frame)
        for frame, size in zip(references, (2, 1, 1), strict=True):
            d += [None] * (2 * size + 1) ** 2 if frame is None else [16 * v - r for v in around(self.values[frame], y, x, size)]
        d += [m - r for m in around(self.mean[t], y, x, 1)] if t else [None] * 9
        a, f = (
            sum(map(abs, one)) // max(1, len(one)) + 8 for one in ([v for v in part if v is not None] for part in (d, in_frame))
        )
        near = [errors[y + dy][x + dx] if inside(dy, dx) else 0 for dy, dx in NEAR_ERRORS]
        d += [*near[:4], 0 if first is None else self.errors[first][y][x]]
        differences = [0 if v is None else v for v in d]

        inputs = []
        for v in differences:
            u = clamp(clamp(v, -5 * a, 5 * a) * (465920 // a) >> 14, -128, 128)
            inputs.append(u * (49152 - u * u) >> 14)
        rest = [lg(a) - 224, lg(r - 16 * self.low + 16) - 320]
        rest += [lg(sum(around(self.spread[t], y, x, 1)) + 9) - lg(9 * a) if t >= 2 else 0, lg(f) - lg(a)]
        rest += [0 if frame is None else 128 for frame in references]
        rest += [lg(sum(map(abs, near)) + 6) - lg(a) - 83]
        rest += [0 if first is None else lg(sum(map(abs, around(self.errors[first], y, x, 1))) + 9) - lg(a) - 101]
        for yx, zx, zy, tx, ty, tz in zip(*self.grids, strict=True) if self.grids else ():
            b = rounded(rounded(zy[z][y] * ty[t][y], 8) * tz[t][z], 8)
            rest.append(rounded(rounded(yx[y][x] * rounded(zx[z][x] * tx[t][x], 8), 8) * b, 8))
        rest += [0] * (15 - len(rest))
        return r, differences, a, inputs + [clamp(value, -512, 511) for value in rest]

    def outputs(self, inputs: list[int]) -> list[int]:
        """The 106 outputs of the network (section 7.5)."""
        x = np.array(inputs, np.int64)
        for matrix, bias in self.layers[:3]:
            x = np.clip((matrix @ x + bias) // 512, 0, 1023)
        outputs: list[int] = (self.layers[3][0] @ x + self.layers[3][1]).tolist()
        return outputs

    def voxel(self, stream: SliceStream, place: int, r: int, d: list[int], a: int, o: list[int]) -> int:
        """The voxel at this place of its group (sections 7.6 and 7.7)."""
        least, most = 16 * self.low, 16 * self.high
        mu = clamp(r + (sum(o[i] * d[i] for i in range(97)) >> 18), least, most)
        means = [clamp(mu + (o[100 + k] * a >> 15), least, most) for k in range(3)]
        levels = [clamp((o[103 + k] >> 11) + (lg(a) >> 1), 0, 255) for k in range(3)]
        logits = [o[97 + k] >> 11 for k in range(3)]
        shares = [SHARE[min(255, max(logits) - logit)] for logit in logits]
        weights = [4096 * share // sum(shares) for share in shares]
        weights[weights.index(max(weights))] += 4096 - sum(weights)

        step, c = 2 * self.bound + 1, (mu + 8) >> 4
        low, high = -((c - self.low + self.bound) // step), (self.high - c + self.bound) // step
        finest = min(level for level, weight in zip(levels, weights, strict=True) if weight >= 256)
        shift = max(0, (finest >> 4) - 8 - (step.bit_length() - 1))
        widest = max(12 * SCALE[level] + abs(mean - mu) for level, mean in zip(levels, means, strict=True))
        escape = min(2046, (widest // (16 * step) >> shift) + 2) + 1
        under, over = max(low >> shift, -escape), min(high >> shift, escape)

        def below(j: int) -> int:
            """Cumulative frequency below symbol j, `under` < j <= `over`."""
            edge, total = 16 * (c + (j << shift) * step) - 8 * step, 0
            for mean, level, weight in zip(means, levels, weights, strict=True):
                total += weight * sigma(clamp(edge - mean, -(2**22), 2**22) * INVERSE[level] >> 20)
            return ((total >> 12) * (2**20 - 2 * escape - 1) >> 30) + j + escape

        slot = stream.slot(place)
        j = under + bisect_right(range(under + 1, over + 1), slot, key=below)
        stream.advance(place, 0 if j == under else below(j), 2**20 if j == over else below(j + 1))
        q = stream.bits(18) - 2**17 if abs(j) == escape else (j << shift) + stream.bits(shift)
        return clamp(c + step * clamp(q, low, high), self.low, self.high)


# ------------------------------------------------------------------------------------- sections 1 and 2: container and stored


def decode(bitstream: bytes) -> tuple[Shape, str, list[int]]:
    """Shape (T, Z, Y, X), name of the data type, values with x fastest (section 1)."""
    reader = Reader(bitstream)
    check(reader.take(8) == b"\x89HXD\r\n\x1a\n", "not a hexdicom bitstream")
    check(reader.numbers("H", 1) == [1], "unknown format version")
    kind, zero = reader.numbers("B", 2)
    check(kind < len(TYPES) and zero == 0, "unknown data type")
    name, code, least, greatest = TYPES[kind]
    t, z, y, x = reader.numbers("I", 4)
    shape = (t, z, y, x)
    check(all(1 <= size <= 65535 for size in shape) and prod(shape) <= 2**28, "the volume's size")
    (bound,), (count, *zeros) = reader.numbers("I", 1), reader.numbers("B", 4)
    check(not any(zeros), "a byte that is not 0")
    entries = []
    for _ in range(count):
        layer, *zeros = reader.numbers("B", 4)
        check(not any(zeros), "a byte that is not 0")
        entries.append((layer, *reader.numbers("I", 1), *reader.numbers("Q", 1)))
    check(zlib.crc32(bitstream[: reader.at]) == reader.numbers("I", 1)[0], "the header's checksum")
    layers = {}
    for layer, checksum, length in entries:
        check(layer in (PLANES, RESIDUAL, STORED, ATTACHMENT) and layer not in layers, "unknown layer, or one twice")
        layers[layer] = reader.take(length)
        check(zlib.crc32(layers[layer]) == checksum, "a layer's checksum")
    check(not reader.rest(), "bytes after the last layer")

    layers.pop(ATTACHMENT, None)
    if set(layers) == {STORED} and bound == 0:
        values = Reader(inflate(layers[STORED], prod(shape) * struct.calcsize(code))).numbers(code, prod(shape))
    elif set(layers) == {PLANES} and bound == NO_BOUND:
        values = synthesise(layers[PLANES], shape)
    else:
        check(set(layers) == {PLANES, RESIDUAL} and bound != NO_BOUND, "a combination of layers that is not valid")
        values = refine(layers[RESIDUAL], synthesise(layers[PLANES], shape), shape, bound)
    check(least <= min(values) and max(values) <= greatest, "a value that the data type cannot hold")
    return shape, name, values
