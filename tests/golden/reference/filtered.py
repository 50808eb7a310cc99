"""The filtered planes layer (section 9)."""

from __future__ import annotations

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

FILTERS = Path(__file__).parents[3] / "hexdicom" / "codec" / "sparse" / "shipped"
Along = list[tuple[int, int, int]]  # of each slice: the slice before, the second one (none: −1), the depth


class Mixed(Decisions):
    """Decisions under several sets of weights (9.3)."""

    def under(self, contexts: list[object], mixers: list[object], start: int) -> int:
        sets = [self.weights.setdefault(mixer, [start] * len(contexts)) for mixer in mixers]
        logits = [stretch()[self.state(context)[0] >> 10] for context in contexts]
        total = sum(sum(weights[i] for weights in sets) * logit for i, logit in enumerate(logits)) >> 16
        p = squash()[clamp(total, -3071, 3071) + 3072]
        bit = self.decide(p)
        error = (bit * 65536 - p) * 24
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
            found.append((z - 1 if n else second, second, depth))
    return found


class Maps:
    """All coefficients (9.4)."""

    def __init__(self, coder: Mixed, channels: int, shape: Shape, halvings: list[int]) -> None:
        self.coder = coder
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
        last, _, depth = self.along[level][z]
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
        before, second, depth = self.along[level][z]
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
        if not self.coder.under(contexts, mixers, 5461):
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
        negative = self.coder.under(contexts, [("sign", level, order)], 16384)
        size = 1
        while size < 15:
            contexts = [
                ("m0", size, grade(4 * causal), level, later),
                ("m1", size, grade(4 * (above + beside)), grade(4 * below)),
                ("m2", size, grade(4 * sisters), level, kind, later),
                ("m3", size, total, level),
                ("m4", size, whole, level),
            ]
            if not self.coder.under(contexts, [("size", min(size, 3), order), ("whole", whole)], 10486):
                break
            size += 1
        if size == 15:
            size += self.coder.escape(("escape", total))
        return -size if negative else size


Plane = list[list[int]]


@cache
def layers_of(number: int) -> list[tuple[list[list[list[int]]], list[int]]]:
    """Weights, by output and input, and biases of each layer of a filter (9.5)."""
    path = FILTERS / f"{number}.bin"
    check(path.is_file(), "an unknown filter")
    reader = Reader(inflate(path.read_bytes(), 2**20))
    (count,) = reader.numbers("H", 1)
    found = []
    for width, height in pairwise([4, *reader.numbers("H", count)]):
        weights = [[reader.numbers("i", 9) for _ in range(width)] for _ in range(height)]
        found.append((weights, reader.numbers("i", height)))
    return found


def shifted(plane: np.ndarray, i: int, j: int) -> np.ndarray:  # type: ignore[type-arg]
    """plane[y + i − 1, x + j − 1], 0 outside."""
    height, width = plane.shape
    return np.pad(plane, 1)[i : i + height, j : j + width]


def changes(stack: list[Plane], step: int, number: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    """What the filter finds in each map of a channel, in 2^-14 steps (9.5)."""
    found = []
    for z, plane in enumerate(stack):
        rows, columns = len(plane), len(plane[0])
        inputs = np.zeros((4, rows, columns), np.int64)
        for y, x in product(range(rows), range(columns)):
            mean = sum(
                plane[clamp(y + i, 0, rows - 1)][clamp(x + j, 0, columns - 1)] for i, j in product(range(-2, 3), range(-2, 3))
            )
            for k, at in enumerate((z, max(z - 1, 0), min(z + 1, len(stack) - 1))):
                inputs[k, y, x] = clamp((25 * stack[at][y][x] - mean) * 32 // (25 * step), -512, 512)
            inputs[3, y, x] = min(abs(mean) * 32 // (50 * step), 512)
        values = list(inputs)
        for n, (weights, biases) in enumerate(layers_of(number)):
            if n:
                values = [np.clip(value >> 8, 0, 1023) for value in values]
            values = [
                bias + sum(w * shifted(v, k // 3, k % 3) for row, v in zip(rows_, values, strict=True) for k, w in enumerate(row))
                for rows_, bias in zip(weights, biases, strict=True)
            ]
        found.append(values[0])
    return found


def synthesise_filtered(data: bytes, shape: Shape) -> list[int]:
    """The value of each voxel (section 9)."""
    reader = Reader(data)
    step, folded, span, packed = (number(reader) for _ in range(4))
    low = -(folded + 1) // 2 if folded % 2 else folded // 2
    high = low + span
    centres = [0, *reader.numbers("b", 3)]
    levels, named, strength, channels = reader.numbers("B", 4)
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
    found = Maps(coder, channels, shape, halvings)
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
            for plane, change in zip(stack, changes(stack, step, named), strict=True):
                for y, x in product(range(shape[2]), range(shape[3])):
                    more = rounded(int(change[y, x]) * step * strength, 21)
                    plane[y][x] = clamp(plane[y][x] + more, -(2**31 - 1), 2**31 - 1)
    values = []
    for t, z, y, x in product(*map(range, shape)):
        total = sum(functions[r][t] * maps[z][r][y][x] for r in range(channels))
        values.append(clamp(rounded(total, 20), low, high))
    return values
