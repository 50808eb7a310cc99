"""The planes layer (section 4)."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from itertools import product

from tests.golden.reference.stream import (
    Reader,
    Shape,
    Stream,
    check,
    check_bounds,
    check_tables,
    clamp,
    rounded,
)


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
