"""The residual layer of predictors 2 and 3, the network (section 7)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise, product
from math import isqrt
from pathlib import Path

import numpy as np

from tests.golden.reference.planes import read_planes
from tests.golden.reference.stream import (
    Reader,
    Shape,
    Stream,
    check,
    check_tables,
    clamp,
    inflate,
    rounded,
    sigma,
)

PRIORS = Path(__file__).parents[3] / "hexdicom" / "codec" / "network" / "priors"


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
    """Predictors 2 and 3 (section 7)."""

    def __init__(self, reader: Reader, predictor: int, low: int, high: int, shape: Shape, bound: int) -> None:
        self.third = predictor == 3
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
        margin = self.high - self.low + 1 if self.third else 0
        least, most = 16 * (self.low - margin), 16 * (self.high + margin)

        def by(value: int, bits: int) -> int:
            """value / 2^bits: predictor 3 rounds, predictor 2 rounds down."""
            return rounded(value, bits) if self.third else value >> bits

        unbound = clamp(r + by(sum(o[i] * d[i] for i in range(97)), 18), least, most)
        means = [clamp(unbound + by(o[100 + k] * a, 15), least, most) for k in range(3)]
        mu = clamp(unbound, 16 * self.low, 16 * self.high)
        levels = [clamp(by(o[103 + k], 11) + by(lg(a), 1), 0, 255) for k in range(3)]
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
        origin = (low + 1) % 2**shift if self.third else 0
        under, over = max(low - origin >> shift, -escape), min(high - origin >> shift, escape)
        alone = under if self.third and under > -escape else None
        first, last = (under, over) if self.third else (-escape, escape)

        def below(j: int) -> int:
            """Cumulative frequency below symbol j, `under` < j <= `over`."""
            edge, total = 16 * (c + ((j << shift) + origin) * step) - 8 * step, 0
            for mean, level, weight in zip(means, levels, weights, strict=True):
                total += weight * sigma(clamp(edge - mean, -(2**22), 2**22) * INVERSE[level] >> 20)
            return ((total >> 12) * (2**20 - (last - first + 1)) >> 30) + j - first

        slot = stream.slot(place)
        j = under + bisect_right(range(under + 1, over + 1), slot, key=below)
        stream.advance(place, 0 if j == under else below(j), 2**20 if j == over else below(j + 1))
        q = (j << shift) + origin
        if j == alone:
            q = low
        elif abs(j) == escape:
            q = stream.bits(18) - 2**17
        else:
            q += stream.bits(shift)
        return clamp(c + step * clamp(q, low, high), self.low, self.high)
