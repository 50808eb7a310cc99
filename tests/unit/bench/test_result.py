"""A result is data: it comes back from its JSON as it was, and its means are those of its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hexdicom.bench.means import means
from hexdicom.bench.result import Measurement, from_json
from hexdicom.errors import HexdicomError

if TYPE_CHECKING:
    from hexdicom.bench.result import Run


def one(series: str, codec: str, size: int, encode: float, max_error: int = 0) -> Measurement:
    return Measurement(series, codec, max_error, size, size / 100, encode, 2 * encode, 0.1, 0.1, None, None, max_error)


def test_there_and_back(everyone: Run) -> None:
    document = json.loads(json.dumps(everyone.to_json()))
    assert from_json(document) == everyone
    assert len(document["means"]) == len(everyone.means())


def test_a_result_of_format_1_is_read(everyone: Run) -> None:
    document = json.loads(json.dumps(everyone.to_json() | {"format": 1}))
    del document["points"], document["comparisons"]
    for one in document["series"]:
        del one["still_db"]
    for one in document["failures"]:
        del one["setting"]
    assert from_json(document) == everyone


@pytest.mark.parametrize("document", [{}, [], 3, {"format": 1}, {"format": 99}, {"format": 1, "results": [{"series": 3}]}])
def test_anything_else_is_refused(document: object) -> None:
    with pytest.raises(HexdicomError, match="result"):
        from_json(document)


def test_what_is_found_twice_stands_once(everyone: Run) -> None:
    assert everyone.with_one(everyone.series[0]) == everyone
    assert len(everyone.with_one(replace(everyone.series[0], name="other")).series) == len(everyone.series) + 1


def test_means_are_geometric_and_over_what_both_coded() -> None:
    results = [
        one("a", "JPEG XL", 100, 1), one("b", "JPEG XL", 400, 1),
        one("a", "ours", 50, 2), one("b", "ours", 100, 8), one("c", "ours", 1, 1),
    ]  # fmt: skip
    (mean,) = means(results, ["JPEG XL"])
    assert (mean.codec, mean.against, mean.series) == ("ours", "JPEG XL", 2)
    assert mean.bytes == pytest.approx((0.5 * 0.25) ** 0.5)
    assert mean.encode_seconds == pytest.approx(4)
    assert mean.decode_seconds == pytest.approx(4)


def test_a_bound_is_compared_with_the_same_bound_only() -> None:
    results = [one("a", "JPEG-LS", 100, 1), one("a", "JPEG-LS ±2", 50, 1, 2), one("a", "ours ±2", 40, 1, 2)]
    assert [(mean.codec, mean.against) for mean in means(results, ["JPEG-LS"])] == [("ours ±2", "JPEG-LS ±2")]
