"""The paper's Table I: each lossy codec against an anchor, series by series, with the time that it takes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hexdicom.bench.rates import Rated, delta, rate_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hexdicom.bench.point import Point

LEVELS: Final = (30.0, 34.0, 38.0, 40.0, 42.0)  # dB


@dataclass(frozen=True, slots=True)
class Comparison:
    """A codec on a series against the anchor.

    bd_rate: −0.8 is 80 % fewer bits at the same PSNR, in the mean over low_db … high_db; None where that cannot be said.
    points: of the curve. rates: bits per voxel at each of LEVELS; None outside the curve.
    encode_seconds, decode_seconds: mean over the points.
    """

    series: str
    codec: str
    against: str
    bd_rate: float | None
    low_db: float | None
    high_db: float | None
    points: int
    rates: tuple[float | None, ...]
    encode_seconds: float
    decode_seconds: float


def comparisons(points: Sequence[Point], against: Sequence[str]) -> tuple[Comparison, ...]:
    """Every codec on every series against the first of the names that was measured there. Raises ConfigError without scipy."""
    found = []
    for series in _each(point.series for point in points):
        there = [point for point in points if point.series == series]
        anchor = next((name for name in against if any(point.codec == name for point in there)), "")
        for codec in _each(point.codec for point in there):
            own = [point for point in there if point.codec == codec]
            found.append(_compared(own, curve(there, anchor), anchor))
    return tuple(found)


def curve(points: Sequence[Point], codec: str) -> list[Rated]:
    """Of a codec on the series of the points. One that gave everything back has no PSNR, and no place on a curve."""
    return [(point.bits_per_voxel, point.psnr_db) for point in points if point.codec == codec and point.psnr_db is not None]


def _compared(points: Sequence[Point], anchor: Sequence[Rated], against: str) -> Comparison:
    own = curve(points, points[0].codec)
    change = delta(own, anchor)
    shared = change.low <= change.high
    return Comparison(
        series=points[0].series,
        codec=points[0].codec,
        against=against,
        bd_rate=None if change.ratio is None else change.ratio - 1,
        low_db=change.low if shared else None,
        high_db=change.high if shared else None,
        points=len(points),
        rates=tuple(rate_at(own, level) for level in LEVELS),
        encode_seconds=statistics.fmean(point.encode_seconds for point in points),
        decode_seconds=statistics.fmean(point.decode_seconds for point in points),
    )


def _each(names: Iterable[str]) -> list[str]:
    """Each once, in order of appearance."""
    return list(dict.fromkeys(names))
