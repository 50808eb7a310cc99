"""Codec against codec over many series: geometric means of ratios, which no large series dominates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.bench.result import Measurement


@dataclass(frozen=True, slots=True)
class Mean:
    """A codec against another, over the `series` (a number) that both coded: geometric means of codec / against.

    bytes 0.9: ten per cent smaller. encode_seconds 3: takes three times as long.
    """

    codec: str
    against: str
    series: int
    bytes: float
    encode_seconds: float
    decode_seconds: float


def means(results: Sequence[Measurement], against: Sequence[str]) -> tuple[Mean, ...]:
    """Every codec against every one of the names that was measured with the same bound on the error."""
    codecs = {result.codec: result.max_error for result in results}  # in order of appearance
    found = []
    for codec, max_error in codecs.items():
        for name in against:
            other = f"{name} ±{max_error}" if max_error else name
            if other != codec and codecs.get(other) == max_error:
                found += _mean(results, codec, other)
    return tuple(found)


def geometric(values: Sequence[float]) -> float:
    """
    >>> round(geometric([0.5, 2.0, 1.0]), 6)
    1.0
    """
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def _mean(results: Sequence[Measurement], codec: str, against: str) -> list[Mean]:
    """One, or none where no series was coded by both."""
    others = {result.series: result for result in results if result.codec == against}
    pairs = [(result, others[result.series]) for result in results if result.codec == codec and result.series in others]
    if not pairs:
        return []
    size = geometric([one.bytes / other.bytes for one, other in pairs])
    encode = geometric([one.encode_seconds / other.encode_seconds for one, other in pairs])
    decode = geometric([one.decode_seconds / other.decode_seconds for one, other in pairs])
    return [Mean(codec, against, len(pairs), size, encode, decode)]
