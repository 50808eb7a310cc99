"""The residual layer of predictor 1 (sections 5 and 6)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import product
from math import prod

from tests.golden.reference.stream import (
    Reader,
    Shape,
    Stream,
    check,
    check_tables,
    clamp,
    inflate,
)


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


def linear_values(reader: Reader, length: int, low: int, high: int, planes: list[int], shape: Shape, bound: int) -> list[int]:
    """All values, from the six-plane values and the rest of a layer of predictor 1 (sections 5 and 6)."""
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
