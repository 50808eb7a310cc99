"""The wavelet bands of a map: where each lies, and in which order they are coded. Specified in docs/format.md, section 8.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec.compiled import lifting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_LEVELS = 6  # within a slice
MOST_SLICE_LEVELS = 3  # across slices
MOST_PLACES = 1 << 29
_SMALLEST = 6  # samples that the lowest band keeps along an axis, at least


def levels(height: int, width: int) -> int:
    """How often a map of this size is halved."""
    return min(MOST_LEVELS, max(0, (min(height, width) // _SMALLEST).bit_length() - 1))


def halves(samples: int, count: int) -> list[int]:
    """Samples of the lowest band along an axis, before any level and after each."""
    found = [samples]
    for _ in range(count):
        found.append((found[-1] + 1) // 2)
    return found


def table(height: int, width: int, count: int) -> tuple[NDArray[np.int64], int]:
    """(the bands of a map in the order of the stream, integers that a padded plane of all of them takes).

    Columns: level 0..6 (0 the lowest band, 1 the coarsest details), kind (0 details along x, 1 along y, 2 both), first row and
    column, height, width, the parent's row of this table (−1: none), place in the padded plane, its stride. Sisters share a stride.
    """
    heights, widths = halves(height, count), halves(width, count)
    rows = [(0, 0, 0, 0, heights[-1], widths[-1], -1, heights[-1], widths[-1])]
    for level in range(count, 0, -1):
        h, w = heights[level], widths[level]
        high, wide = heights[level - 1] - h, widths[level - 1] - w
        parent = len(rows) - 3
        for kind, place in enumerate(((0, w, h, wide), (h, 0, high, w), (h, w, high, wide))):
            rows.append((count - level + 1, kind, *place, parent + kind if level < count else 0, h, w))
    bands, room = [], 0
    for *row, h, w in rows:
        stride = w + 4
        bands.append((*row, room + 2 * stride + 2, stride))
        room += (h + 4) * stride
    return np.array(bands, np.int64), room


def known(slices: int, along: Sequence[int]) -> NDArray[np.int64]:
    """(levels, Z, 4): for each level of bands and each slice, the two slices that its contexts look at (Z: none), its depth, and a
    third slice, which only a network looks at.

    along: for each level of bands, how often they are halved across slices. A slice then is one of a band across slices: of the
    lowest, depth 0, or of the details of a level. It knows the slice before it there, and a second one: where depth is 0, the one
    before that; else its parent, in the band across slices that is next lower. The third is the one before those of its own depth,
    or, of depth 1, the slice after its parent.
    """
    table = np.full((len(along), slices, 4), slices, np.int64)
    for level, count in enumerate(along):
        ends = halves(slices, count)[::-1]
        for depth, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            for z in range(start, end):
                n, parents = z - start, start - (ends[depth - 2] if depth > 1 else 0)
                if depth == 0:
                    second = z - 2 if n > 1 else slices
                elif parents > 0:
                    second = start - parents + min(n >> 1 if depth > 1 else n, parents - 1)
                else:
                    second = slices
                back = 2 if depth else 3
                third = min(n + 1, parents - 1) if depth == 1 else z - back if n >= back else slices
                table[level, z] = z - 1 if n else second, second, depth, third
    return table


def most_channels(slices: int, room: int) -> int:
    """How many channels a decoder takes memory for: one of 2^29 places in padded planes."""
    return MOST_PLACES // ((slices + 1) * room)


def forward(maps: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(…, Y, X) maps to wavelet coefficients of unit norm (nearly), low ones first along each axis. Float, encoder only."""
    found = maps.copy()
    height, width = maps.shape[-2:]
    for h, w in list(zip(halves(height, count), halves(width, count), strict=True))[:-1]:
        found[..., :h, :w] = _line(_line(found[..., :h, :w], -1), -2)
    return found


def forward_along(stack: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The same along the first axis."""
    found = stack.copy()
    for n in halves(len(stack), count)[:-1]:
        found[:n] = _line(found[:n], 0)
    return found


def inverse(maps: NDArray[np.int64], count: int) -> None:
    """Undo `forward` in place, in integers: (n, Y, X)."""
    heights, widths = (np.array(halves(n, count)) for n in maps.shape[1:])
    for plane in maps:
        if plane.any():
            lifting.inverse(plane, heights, widths)


def inverse_along(stack: NDArray[np.int64], count: int) -> None:
    """Undo `forward_along` in place, in integers: (Z, n)."""
    lifting.inverse_along(stack, np.array(halves(len(stack), count)))


def _line(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    n = values.shape[axis]
    if n < 2:
        return values
    moved = np.moveaxis(values, axis, 0)
    low, high = moved[0::2].copy(), moved[1::2].copy()
    for step, factor in reversed(list(enumerate(lifting.LIFTING))):
        share = np.float32(factor / 65536)
        if step & 1:  # high ones, from the low ones beside them
            right = np.concatenate((low[1:], low[-1:])) if n % 2 == 0 else low[1:]
            high += share * (low[: len(high)] + right)
        else:
            left = np.concatenate((high[:1], high))[: len(low)]
            right = np.concatenate((high, high[-1:]))[: len(low)]
            low += share * (left + right)
    gains = np.float32(65536 / lifting.LOW_GAIN), np.float32(65536 / lifting.HIGH_GAIN)
    return np.moveaxis(np.concatenate((low * gains[0], high * gains[1])), 0, axis)
