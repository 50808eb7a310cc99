"""The sparse planes layer (section 8)."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from itertools import product

from tests.golden.reference.stream import Reader, Shape, check, check_bounds, clamp, knots, rounded

Band = dict[tuple[int, int], int]  # magnitudes of what is not 0, by row and column
LIMIT = 2**38


@cache
def squash() -> list[int]:
    """σ(i / 256) in 1/65536 for i = −3072..3072 (8.3)."""
    half = []
    for i in range(3073):
        k = knots()
        upper = k[i >> 2] + ((k[(i >> 2) + 1] - k[i >> 2]) * (i & 3) >> 2)
        half.append(clamp(upper >> 14, 1, 65535))
    return [65536 - value for value in half[:0:-1]] + half


@cache
def stretch() -> list[int]:
    """Of a probability p / 4096 (8.3)."""
    return [bisect_left(squash(), 16 * p + 8) - 3072 for p in range(4096)]


class Decisions:
    """The binary decoder (8.3)."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        self.low, self.high = 0, 2**32 - 1
        self.value = int.from_bytes((data + bytes(4))[:4], "big")
        self.seen: dict[object, tuple[int, int]] = {}
        self.weights: dict[object, list[int]] = {}

    def decide(self, p: int) -> int:
        """One decision that is 1 with probability p / 65536."""
        span = self.high - self.low
        middle = self.low + (span >> 16) * p + ((span & 0xFFFF) * p >> 16)
        bit = int(self.value <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            following = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.value = (self.value << 8 & 0xFFFFFFFF) | following
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = (self.high << 8 & 0xFFFFFFFF) | 255
        return bit

    def state(self, context: object) -> tuple[int, int]:
        """Probability in 2^-22 and count of a context."""
        return self.seen.get(context, (2**21, 0))

    def adapt(self, context: object, bit: int) -> None:
        """A context learns what was decided."""
        p, count = self.state(context)
        rate = 2**17 // (2 * count + 3)
        self.seen[context] = (p + (((2**22 - 1 if bit else 0) - p) * rate >> 16), min(count + 1, 255))

    def alone(self, context: object) -> int:
        """A decision under one context."""
        bit = self.decide(clamp(self.state(context)[0] >> 6, 64, 65472))
        self.adapt(context, bit)
        return bit

    def mixed(self, contexts: list[object], mixer: object, start: int) -> int:
        """A decision under several."""
        weights = self.weights.setdefault(mixer, [start] * len(contexts))
        logits = [stretch()[self.state(context)[0] >> 10] for context in contexts]
        total = sum(weight * logit for weight, logit in zip(weights, logits, strict=True)) >> 16
        p = squash()[clamp(total, -3071, 3071) + 3072]
        bit = self.decide(p)
        error = (bit * 65536 - p) * 24
        for i, logit in enumerate(logits):
            weights[i] += (logit * error + 2**19) >> 20
        for context in contexts:
            self.adapt(context, bit)
        return bit

    def escape(self, context: object) -> int:
        """An integer from 0 on."""
        exponent = 0
        while exponent < 24 and self.alone((context, exponent)):
            exponent += 1
        value = 1
        for _ in range(exponent):
            value = 2 * value + self.decide(32768)
        return value - 1


def rough(n: int) -> int:
    """rough of 8.4."""
    return sum(n >= edge for edge in (1, 2, 3, 5, 9))


def fine(n: int) -> int:
    """fine of 8.4."""
    return sum(n >= edge for edge in (1, 2, 3, 4, 5, 7, 9, 12, 16, 23, 33))


def octave(n: int) -> int:
    """octave of 8.4."""
    if n < 6:
        return n
    e = n.bit_length() - 1
    return min(2 * e + 1 + (n >> (e - 1) & 1), 19)


def around(band: Band, y: int, x: int) -> int:
    """around of 8.4."""
    get = band.get
    return 2 * get((y, x), 0) + get((y, x - 1), 0) + get((y, x + 1), 0) + get((y - 1, x), 0) + get((y + 1, x), 0)


def halves(n: int, levels: int) -> list[int]:
    """Samples of the low half of each level, the whole first (8.2)."""
    sizes = [n]
    for _ in range(levels):
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def bands_of(height: int, width: int, levels: int) -> list[tuple[int, int, int, int, int, int]]:
    """Level, kind, first row and column, height and width of each band in order (8.2)."""
    heights, widths = halves(height, levels), halves(width, levels)
    found = [(0, 0, 0, 0, heights[-1], widths[-1])]
    for level in range(1, levels + 1):
        h, w = heights[levels - level + 1], widths[levels - level + 1]
        high, wide = heights[levels - level] - h, widths[levels - level] - w
        found += [(level, 0, 0, w, h, wide), (level, 1, h, 0, high, w), (level, 2, h, w, high, wide)]
    return found


class Maps:
    """All coefficients (8.4)."""

    def __init__(self, decisions: Decisions, channels: int, shape: Shape, levels: int) -> None:
        self.coder = decisions
        self.bands = bands_of(shape[2], shape[3], levels)
        self.maps = [[[[0] * shape[3] for _ in range(shape[2])] for _ in range(channels)] for _ in range(shape[1])]
        # magnitudes and signs of slice, channel, band; what does not exist is empty
        self.sizes: dict[tuple[int, int, int], Band] = {}
        self.signs: dict[tuple[int, int, int], Band] = {}
        self.filled: dict[tuple[int, int, int], int] = {}
        for z, r, b in product(range(shape[1]), range(channels), range(len(self.bands))):
            if self.bands[b][4] and self.bands[b][5]:
                self.band(z, r, b)

    def band(self, z: int, r: int, b: int) -> None:
        level, kind, top, left, height, width = self.bands[b]
        order = min(r, 2)
        here, sign = self.sizes.setdefault((z, r, b), {}), self.signs.setdefault((z, r, b), {})
        beside_filled = self.filled.get((z, r - 1, b), 0) if r else 1
        context = ("empty", level, kind, order, self.filled.get((z - 1, r, b), 0), beside_filled)
        self.filled[z, r, b] = self.coder.alone(context)
        if not self.filled[z, r, b]:
            return
        for y, x in product(range(height), range(width)):
            value = self.value(z, r, b, y, x)
            if value:
                here[y, x], sign[y, x] = min(abs(value), 255), 1 if value > 0 else -1
                self.maps[z][r][top + y][left + x] = value

    def value(self, z: int, r: int, b: int, y: int, x: int) -> int:
        level, kind, *_ = self.bands[b]
        here, last = self.sizes[z, r, b], self.sizes.get((z - 1, r, b), {})
        get = here.get
        causal = 2 * (get((y, x - 1), 0) + get((y - 1, x), 0)) + get((y - 1, x - 1), 0) + get((y - 1, x + 1), 0)
        causal += get((y, x - 2), 0) + get((y - 2, x), 0)
        above = 0
        if level:
            p = b - 3 if level > 1 else 0
            row, column = min(y >> 1, self.bands[p][4] - 1), min(x >> 1, self.bands[p][5] - 1)
            above = around(self.sizes.get((z, r, p), {}), row, column)
        sisters = sum(around(self.sizes.get((z, r, b - 1 - k), {}), y, x) for k in range(kind))
        beside = around(self.sizes.get((z, r - 1, b), {}), y, x)
        behind = around(self.sizes.get((z, r - 2, b), {}), y, x)
        below = around(last, y, x)
        order, few = min(r, 2), min(r, 1)
        everything = min((2 * (causal + above + beside) + sisters + behind + below + 1) >> 1, 90)
        step = everything if everything < 12 else min(12 + ((everything - 12) >> 2), 23)
        contexts: list[object] = [
            ("z0", fine(causal), level, kind, order),
            ("z1", rough(causal), rough(above), rough(sisters), few, kind == 2),
            ("z2", rough(beside), rough(causal), min(behind, 2), level),
            ("z3", rough(below), rough(causal), min(beside, 2), order),
            ("z4", r, level, kind),
            ("z5", step, level),
        ]
        if not self.coder.mixed(contexts, ("zero", level, order, rough(causal)), 22937):
            return 0
        before = self.signs.get((z - 1, r, b), {}).get((y, x), 0)
        negative = self.coder.alone(("sign", before, min(last.get((y, x), 0), 3), level, order, kind))
        total = octave((2 * (causal + above + beside) + sisters + below + 3) >> 2)
        size = 1
        while size < 15:
            contexts = [
                ("m0", size, octave(causal), few),
                ("m1", size, octave(above + beside), octave(below)),
                ("m2", size, level, few, kind, octave(sisters)),
                ("m3", size, total, level),
            ]
            if not self.coder.mixed(contexts, ("size", min(size, 3), order), 26214):
                break
            size += 1
        if size == 15:
            size += self.coder.escape(("escape", total))
        return -size if negative else size


def unwave(line: list[int], half: int) -> list[int]:
    """One line of 8.5: `half` low coefficients, then the high ones."""
    n = len(line)
    if n < 2:
        return line
    out = [0] * n
    for i, value in enumerate(line):
        out[2 * i if i < half else 2 * (i - half) + 1] = rounded(value * (57007 if i < half else 75340), 16)
    for step, factor in enumerate((29066, 57862, -3472, -103949)):
        for i in range(step & 1, n, 2):
            left, right = out[i - 1] if i else out[1], out[i + 1] if i + 1 < n else out[n - 2]
            out[i] -= rounded((left + right) * factor, 16)
    return out


def unwave_map(plane: list[list[int]], levels: int) -> None:
    """All levels of a map, in place (8.5)."""
    heights, widths = halves(len(plane), levels), halves(len(plane[0]), levels)
    for level in range(levels, 0, -1):
        for x in range(widths[level - 1]):
            column = unwave([plane[y][x] for y in range(heights[level - 1])], heights[level])
            for y, value in enumerate(column):
                plane[y][x] = value
        for y in range(heights[level - 1]):
            row = unwave(plane[y][: widths[level - 1]], widths[level])
            plane[y][: len(row)] = [clamp(value, -LIMIT, LIMIT) for value in row]


def unwave_slices(maps: list[list[list[int]]], levels: int) -> None:
    """The same across slices: maps of one channel by slice."""
    lengths = halves(len(maps), levels)
    for level in range(levels, 0, -1):
        if lengths[level - 1] < 2:
            continue
        for y, x in product(range(len(maps[0])), range(len(maps[0][0]))):
            line = unwave([maps[z][y][x] for z in range(lengths[level - 1])], lengths[level])
            for z, value in enumerate(line):
                maps[z][y][x] = clamp(value, -LIMIT, LIMIT)


def read_times(coder: Decisions, precision: list[int], times: int) -> list[list[int]]:
    """Section 8.4: the time functions, in 2^-14."""
    functions = []
    for r, bits in enumerate(precision):
        before, row = 0, []
        for _ in range(times):
            size = coder.escape(("times", r))
            value = -size if size and coder.decide(32768) else size
            value += before
            before = value if r == 0 else 0
            row.append(clamp(value << (14 - bits), -(2**15), 2**15))
        functions.append(row)
    return functions


def dequantise(plane: list[list[int]], step: int, centres: list[int]) -> None:
    """Section 8.5: what a coefficient stands for."""
    for row in plane:
        for x, q in enumerate(row):
            size = min((256 * abs(q) + centres[min(abs(q), 3)]) * step >> 8, LIMIT)
            row[x] = -size if q < 0 else size


def synthesise_sparse(data: bytes, shape: Shape) -> list[int]:
    """The value of each voxel (section 8)."""
    reader = Reader(data)
    (step,), (low, high), centres = reader.numbers("I", 1), reader.numbers("i", 2), [0, *reader.numbers("b", 3)]
    levels, slice_levels, channels = reader.numbers("B", 3)
    check(1 <= step <= 2**29 and min(centres) >= -127, "the step")
    check_bounds(low, high)
    check(levels <= 6 and slice_levels <= 3 and channels <= min(64, shape[0]), "levels or channels")
    check(channels * shape[1] * shape[2] * shape[3] <= 65536 * len(data), "the layer is too short for its maps")
    precision = reader.numbers("B", channels)
    check(all(bits <= 14 for bits in precision), "the precision")
    stream = reader.rest()
    coder = Decisions(stream)
    functions = read_times(coder, precision, shape[0])
    maps = Maps(coder, channels, shape, levels).maps
    check(coder.at == len(stream), "the stream's length")
    for r in range(channels):
        stack = [maps[z][r] for z in range(shape[1])]
        for plane in stack:
            dequantise(plane, step, centres)
            unwave_map(plane, levels)
        unwave_slices(stack, slice_levels)
    values = []
    for t, z, y, x in product(*map(range, shape)):
        total = sum(functions[r][t] * clamp(maps[z][r][y][x], -(2**31 - 1), 2**31 - 1) for r in range(channels))
        values.append(clamp(rounded(total, 20), low, high))
    return values
