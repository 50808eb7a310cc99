"""The filtered planes layer (section 9)."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numpy as np

from tests.golden.reference.sparse import (
    LIMIT,
    Band,
    Decisions,
    around,
    bands_of,
    dequantise,
    halves,
    read_times,
    squash,
    stretch,
    unwave,
    unwave_map,
)
from tests.golden.reference.stream import Reader, Shape, check, check_bounds, clamp, inflate, rounded

SPARSE = Path(__file__).parents[3] / "hexdicom" / "codec" / "sparse"
FILTERS, NETWORKS = SPARSE / "shipped", SPARSE / "expectations"
Along = list[tuple[int, int, int, int]]  # of each slice: the slice before, the second one, the third (none: −1), the depth


GRADES = [round(16 * math.log2(1 + size)) for size in range(256)]
ZERO, SIGN, SIZE = (0, 2000, 20000), (0, 4000, 60000), (0, 2000, 30000)  # weights at first where there is a network (9.6)
LEARNING = 8


class Mixed(Decisions):
    """Decisions under several sets of weights (9.3)."""

    def under(self, contexts: list[object], mixers: list[object], starts: list[int], known: int | None = None) -> int:
        """known: a logit beside those of the contexts (9.6)."""
        sets = [self.weights.setdefault(mixer, list(starts)) for mixer in mixers]
        logits = [stretch()[self.state(context)[0] >> 10] for context in contexts] + ([] if known is None else [known])
        total = sum(sum(weights[i] for weights in sets) * logit for i, logit in enumerate(logits)) >> 16
        p = squash()[clamp(total, -3071, 3071) + 3072]
        bit = self.decide(p)
        error = (bit * 65536 - p) * (24 if known is None else LEARNING)
        for i, logit in enumerate(logits):
            for weights in sets:
                weights[i] += (logit * error + 2**19) >> 20
        for context in contexts:
            self.adapt(context, bit)
        return bit


def number(reader: Reader) -> int:
    """A number of 9.1."""
    found = 0
    for i in range(5):
        (byte,) = reader.numbers("B", 1)
        found += (byte & 127) << 7 * i
        if byte < 128:
            return found
    raise ValueError("a number that does not end")


def rough(n: int) -> int:
    """rough of 9.4."""
    return sum(n >= edge for edge in (1, 2, 3, 6, 14))


def grade(n: int) -> int:
    """grade of 9.4."""
    return sum(n >= edge for edge in (1, 3, 6, 10, 14, 20, 28, 40, 56, 80, 112, 160, 256, 400, 720))


def along(slices: int, halvings: int) -> Along:
    """What the slices are to each other in the bands of one level (9.2)."""
    ends = halves(slices, halvings)[::-1]
    starts = [0, *ends]
    found: Along = []
    for depth, end in enumerate(ends):
        for n in range(end - starts[depth]):
            z = starts[depth] + n
            if depth == 0:
                second = z - 2 if n > 1 else -1
            else:
                first = starts[depth - 1] if depth > 1 else 0
                parents = starts[depth] - first
                second = first + min(n >> 1 if depth > 1 else n, parents - 1) if parents else -1
            if depth == 1:
                third = min(n + 1, starts[1] - 1)
            else:
                third = z - (2 if depth else 3)
                third = third if third >= starts[depth] else -1
            found.append((z - 1 if n else second, second, third, depth))
    return found


class Maps:
    """All coefficients (9.4)."""

    def __init__(self, coder: Mixed, channels: int, shape: Shape, halvings: list[int], network: int) -> None:
        self.coder = coder
        self.network = network_of(network) if network else None
        self.levels = len(halvings) - 1
        self.bands = bands_of(shape[2], shape[3], len(halvings) - 1)
        self.along = [along(shape[1], count) for count in halvings]
        self.maps = [[[[0] * shape[3] for _ in range(shape[2])] for _ in range(channels)] for _ in range(shape[1])]
        self.sizes: dict[tuple[int, int, int], Band] = {}
        self.signs: dict[tuple[int, int, int], Band] = {}
        self.filled: dict[tuple[int, int, int], int] = {}
        for z, r, b in product(range(shape[1]), range(channels), range(len(self.bands))):
            if self.bands[b][4] and self.bands[b][5]:
                self.band(z, r, b)

    def band(self, z: int, r: int, b: int) -> None:
        level, kind, top, left, height, width = self.bands[b]
        last, _, _, depth = self.along[level][z]
        here, sign = self.sizes.setdefault((z, r, b), {}), self.signs.setdefault((z, r, b), {})
        context = (
            "empty", depth, level, kind, min(r, 2), self.filled.get((last, r, b), 0), self.filled.get((z, r - 1, b), 0) if r else 1
        )  # fmt: skip
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
        before, second, _, depth = self.along[level][z]
        logits = self.expected(z, r, b, y, x) if self.network else None
        here = self.sizes[z, r, b]
        last, other = self.sizes.get((before, r, b), {}), self.sizes.get((second, r, b), {})
        get = here.get
        causal = 2 * (get((y, x - 1), 0) + get((y - 1, x), 0)) + get((y - 1, x - 1), 0) + get((y - 1, x + 1), 0)
        causal += get((y, x - 2), 0) + get((y - 2, x), 0)
        above, ahead = 0, 0
        if level:
            p = b - 3 if level > 1 else 0
            _, _, _, _, rows, columns = self.bands[p]
            if rows and columns:
                place = min(y >> 1, rows - 1), min(x >> 1, columns - 1)
                above = around(self.sizes.get((z, r, p), {}), *place)
                ahead = self.signs.get((z, r, p), {}).get(place, 0)
        sisters = sum(around(self.sizes.get((z, r, b - 1 - k), {}), y, x) for k in range(kind))
        beside = around(self.sizes.get((z, r - 1, b), {}), y, x)
        behind = around(self.sizes.get((z, r - 2, b), {}), y, x)
        below = around(last, y, x) + around(other, y, x)
        order, later = min(r, 2), min(r, 1)
        total = grade(2 * (causal + above + beside) + sisters + behind + below)
        sums = 2 * (causal + below) + above + sisters + beside
        whole = grade(sums)
        contexts: list[object] = [
            ("z0", grade(4 * causal), level, kind, order),
            ("z1", rough(causal), rough(above), rough(sisters), later, kind),
            ("z2", rough(beside), rough(causal), min(behind, 2), level),
            ("z3", grade(4 * below), rough(causal), min(beside, 2), level),
            ("z4", min(r, 10), depth, level, kind),
            ("z5", total, level, kind, depth),
            ("z6", whole, level, kind, order),
            ("z7", rough(sums + 2 >> 2), rough(get((y, x - 1), 0)), rough(get((y - 1, x), 0)), level),
        ]
        mixers: list[object] = [
            ("zero", level, order, rough(causal)), ("around", rough(below), rough(above)), ("band", level, kind, order, depth)
        ]  # fmt: skip
        if not self.decision(contexts, mixers, 5461, ZERO, logits and logits[0], ("expected", level, kind)):
            return 0
        sign = self.signs[z, r, b].get
        one, two = (self.signs.get((at, r, b), {}).get((y, x), 0) for at in (before, second))
        left, up = sign((y, x - 1), 0), sign((y - 1, x), 0)
        contexts = [
            ("s0", one, two, min(last.get((y, x), 0), 3), level, order),
            ("s1", left, up, level, kind),
            ("s2", ahead, y & 1, x & 1, level, kind),
            ("s3", one, left, up, level, kind),
        ]
        known = ("expected sign", level)
        negative = self.decision(contexts, [("sign", level, order)], 16384, SIGN, logits and logits[1], known, 2)
        size = 1
        while size < 15:
            contexts = [
                ("m0", size, grade(4 * causal), level, later),
                ("m1", size, grade(4 * (above + beside)), grade(4 * below)),
                ("m2", size, grade(4 * sisters), level, kind, later),
                ("m3", size, total, level),
                ("m4", size, whole, level),
            ]
            mixers = [("size", min(size, 3), order), ("whole", whole)]
            known = ("expected size", size, level)
            if not self.decision(contexts, mixers, 10486, SIZE, logits and logits[min(size, 6) + 1], known):
                break
            size += 1
        if size == 15:
            size += self.coder.escape(("escape", total))
        return -size if negative else size

    def decision(
        self, contexts: list[object], mixers: list[object], start: int, starts: tuple[int, int, int], logit: int | None,
        name: tuple[object, ...], finer: int = 1,
    ) -> int:  # fmt: skip
        """A mixed decision; where there is a network, also under what it says (9.6)."""
        if logit is None:
            return self.coder.under(contexts, mixers, [start] * len(contexts))
        share = clamp((finer * logit + 64) >> 7, -12, 12)
        weights = [starts[0]] * len(contexts) + [starts[1], starts[2]]
        return self.coder.under([*contexts, (*name, share)], mixers, weights, clamp(logit, -2047, 2047))

    def expected(self, z: int, r: int, b: int, y: int, x: int) -> list[int]:
        """The logits of a network for a coefficient (9.6)."""
        assert self.network
        level, kind, *_ = self.bands[b]
        last, second, third, depth = self.along[level][z]
        own = [(0, -1), (0, -2), (-1, -2), (-1, -1), (-1, 0), (-1, 1), (-1, 2), (-2, -1), (-2, 0), (-2, 1)]
        around_it = list(product((-1, 0, 1), (-1, 0, 1)))
        p = (b - 3 if level > 1 else 0) if level else -1
        rows, columns = self.bands[p][4:] if level else (0, 0)
        windows: list[tuple[tuple[int, int, int], int, int, list[tuple[int, int]]]] = [((z, r, b), y, x, own)]
        windows.append(((z, r, p), min(y >> 1, rows - 1), min(x >> 1, columns - 1), around_it if rows and columns else []))
        windows += [((z, r, b - kind + k if k < kind else -1), y, x, around_it) for k in range(2)]
        windows += [((at, r, b), y, x, around_it) for at in (last, second, third)]
        windows += [((z, r - k, b), y, x, around_it) for k in (1, 2)]
        fine = 5 if level == 0 else min(self.levels - level, 4)
        sums = list(self.network.position(fine, kind, depth, min(r, 2), y & 1, x & 1))
        for w, (key, v, u, offsets) in enumerate(windows):
            sizes, signs = self.sizes.get(key, {}), self.signs.get(key, {})
            for k, (i, j) in enumerate(offsets):
                size = sizes.get((v + i, u + j), 0)
                if size:
                    n = k if w == 0 else 10 + 9 * (w - 1) + k
                    row = self.network.first[2 * n + (signs[v + i, u + j] > 0)]
                    sums = [total + weight * GRADES[size] for total, weight in zip(sums, row, strict=True)]
        hidden = [clamp(total >> 8, 0, 1023) for total in sums]
        columns_ = zip(self.network.second_bias, zip(*self.network.second, strict=True), strict=True)
        sums = [bias + sum(h * w for h, w in zip(hidden, column, strict=True)) for bias, column in columns_]
        hidden = [clamp(total >> 8, 0, 1023) for total in sums]
        found = zip(self.network.third_bias, self.network.third, strict=True)
        return [(bias + sum(h * w for h, w in zip(hidden, row, strict=True))) >> 6 for bias, row in found]


class Network:
    """A shipped network (9.6)."""

    def __init__(self, reader: Reader) -> None:
        units, more = reader.numbers("H", 2)

        def rows(count: int, width: int) -> list[list[int]]:
            return [reader.numbers("i", width) for _ in range(count)]

        self.first = rows(2 * 82, units)
        self.levels, self.depths, self.orders, self.odd = (rows(count, units) for count in (18, 4, 3, 2))
        self.second = rows(units, more)
        self.second_bias = reader.numbers("i", more)
        self.third = rows(8, more)
        self.third_bias = reader.numbers("i", 8)

    def position(self, fine: int, kind: int, depth: int, order: int, y: int, x: int) -> list[int]:
        """The sums before anything is seen."""
        parts = self.levels[3 * fine + kind], self.depths[depth], self.orders[order], self.odd[0], self.odd[1]
        return [a + b + c + y * d + x * e for a, b, c, d, e in zip(*parts, strict=True)]


@cache
def network_of(number: int) -> Network:
    """Of 9.6."""
    path = NETWORKS / f"{number}.bin"
    check(path.is_file(), "an unknown network")
    return Network(Reader(inflate(path.read_bytes(), 2**20)))


Plane = list[list[int]]


@cache
def layers_of(number: int) -> list[tuple[list[list[list[int]]], list[int], int]]:
    """Weights, by output and input, biases and dilation of each layer of a filter (9.5)."""
    path = FILTERS / f"{number}.bin"
    check(path.is_file(), "an unknown filter")
    reader = Reader(inflate(path.read_bytes(), 2**20))
    (count,) = reader.numbers("H", 1)
    wide = count == 0
    if wide:
        (count,) = reader.numbers("H", 1)
    widths = reader.numbers("H", count)
    dilations = reader.numbers("H", count) if wide else [1] * count
    found = []
    for (width, height), dilation in zip(pairwise([15 if wide else 4, *widths]), dilations, strict=True):
        weights = [[reader.numbers("i", 9) for _ in range(width)] for _ in range(height)]
        found.append((weights, reader.numbers("i", height), dilation))
    return found


def shifted(plane: np.ndarray, i: int, j: int, dilation: int) -> np.ndarray:  # type: ignore[type-arg]
    """plane[y + (i − 1) · dilation, x + (j − 1) · dilation], 0 outside."""
    height, width = plane.shape
    return np.pad(plane, dilation)[i * dilation :, j * dilation :][:height, :width]


def changes(stack: list[Plane], step: int, number: int, halvings: list[int]) -> list[np.ndarray]:  # type: ignore[type-arg]
    """What the filter finds in each map of a channel, in 2^-14 steps (9.5)."""
    found = []
    for z, plane in enumerate(stack):
        rows, columns = len(plane), len(plane[0])
        wide = len(layers_of(number)[0][0][0]) == 15
        inputs = np.zeros((15 if wide else 4, rows, columns), np.int64)
        for y, x in product(range(rows), range(columns)):
            mean = sum(
                plane[clamp(y + i, 0, rows - 1)][clamp(x + j, 0, columns - 1)] for i, j in product(range(-2, 3), range(-2, 3))
            )
            for k, at in ((0, z), (1, z - 1), (2, z + 1), *(((4, z - 2), (5, z + 2)) if wide else ())):
                value = stack[clamp(at, 0, len(stack) - 1)][y][x]
                half = 25 * step if wide else 0
                inputs[k, y, x] = clamp((64 * (25 * value - mean) + half) // (50 * step), -512, 512)
            inputs[3, y, x] = min((64 * abs(mean) + 2 * half) // (100 * step), 512)
            if wide:
                levels = len(halvings) - 1
                for n, (place, times) in enumerate(((z, max(halvings)), (y, levels), (x, levels))):
                    for d in range(min(times, 3)):
                        inputs[6 + 3 * n + d, y, x] = 32 * (place >> d & 1)
        values = list(inputs)
        for n, (weights, biases, dilation) in enumerate(layers_of(number)):
            if n:
                values = [np.clip(value >> 8, 0, 1023) for value in values]
            values = [
                bias
                + sum(
                    w * shifted(v, k // 3, k % 3, dilation) for row, v in zip(rows_, values, strict=True) for k, w in enumerate(row)
                )
                for rows_, bias in zip(weights, biases, strict=True)
            ]
        found.append(values[0] + 8 >> 4 if wide else values[0])
    return found


def synthesise_filtered(data: bytes, shape: Shape) -> list[int]:
    """The value of each voxel (section 9)."""
    reader = Reader(data)
    step, folded, span, packed = (number(reader) for _ in range(4))
    low = -(folded + 1) // 2 if folded % 2 else folded // 2
    high = low + span
    centres = [0, *reader.numbers("b", 3)]
    shared, named, strength, channels = reader.numbers("B", 4)
    levels, network = shared & 15, shared >> 4
    check(1 <= step <= 2**29 and min(centres) >= -127, "the step")
    check_bounds(low, high)
    check(levels <= 6 and packed < 4 ** (levels + 1) and channels <= min(64, shape[0]), "levels or channels")
    check(channels * shape[1] * shape[2] * shape[3] <= 65536 * len(data), "the layer is too short for its maps")
    room = [(h + 4) * (w + 4) for h, w in zip(halves(shape[2], levels), halves(shape[3], levels), strict=True)]
    check(channels <= 2**29 // ((shape[1] + 1) * (room[-1] + 3 * sum(room[1:]))), "room around the bands")
    check(named == 0 or channels > 0, "a filter without a channel")
    halvings = [packed >> 2 * level & 3 for level in range(levels + 1)]
    precision = reader.numbers("B", channels)
    check(all(bits <= 14 for bits in precision), "the precision")
    stream = reader.rest()
    coder = Mixed(stream)
    functions = read_times(coder, precision, shape[0])
    found = Maps(coder, channels, shape, halvings, network)
    check(coder.at >= len(stream) and stream[-1:] != b"\0", "the stream's length")
    maps = found.maps
    for r in range(channels):
        stack = [maps[z][r] for z in range(shape[1])]
        for plane in stack:
            dequantise(plane, step, centres)
        for level, _, top, left, height, width in found.bands:
            lengths = halves(shape[1], halvings[level])
            for j, y, x in product(range(halvings[level], 0, -1), range(top, top + height), range(left, left + width)):
                if lengths[j - 1] > 1:
                    for z, value in enumerate(unwave([stack[z][y][x] for z in range(lengths[j - 1])], lengths[j])):
                        stack[z][y][x] = clamp(value, -LIMIT, LIMIT)
        for plane in stack:
            unwave_map(plane, levels)
            for row in plane:
                row[:] = [clamp(value, -(2**31 - 1), 2**31 - 1) for value in row]
        if r == 0 and named:
            for plane, change in zip(stack, changes(stack, step, named, halvings), strict=True):
                for y, x in product(range(shape[2]), range(shape[3])):
                    more = rounded(int(change[y, x]) * step * strength, 21)
                    plane[y][x] = clamp(plane[y][x] + more, -(2**31 - 1), 2**31 - 1)
    values = []
    for t, z, y, x in product(*map(range, shape)):
        total = sum(functions[r][t] * maps[z][r][y][x] for r in range(channels))
        values.append(clamp(rounded(total, 20), low, high))
    return values
