"""BD-rates are those of curves whose answer is known, and are not given where curves hardly meet."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hexdicom.bench.comparisons import LEVELS, comparisons
from hexdicom.bench.curve_findings import shortened
from hexdicom.bench.curve_tables import bd_rate
from hexdicom.bench.point import Point
from hexdicom.bench.rates import delta, front, rate_at

pytest.importorskip("scipy", reason="scipy is not installed (pip install 'hexdicom[bench]')")

if TYPE_CHECKING:
    from hexdicom.bench.result import Run

LEVELS_DB = (30.0, 33.0, 36.0, 39.0, 42.0)


def curve(scale: float, up: float = 0.0) -> list[tuple[float, float]]:
    """Ten times the bits for 12 dB."""
    return [(scale * 10 ** ((level - 30) / 12), level + up) for level in LEVELS_DB]


def point(codec: str, rate: float, level: float | None, series: str = "a") -> Point:
    return Point(series, codec, "", 1000, rate, level, level, 3, 2.0, 0.5, 2.0, 0.5, None, None)


@pytest.mark.parametrize("ratio", [0.25, 0.8, 1.0, 3.0])
def test_a_curve_at_a_multiple_of_the_rate(ratio: float) -> None:
    found = delta(curve(0.01 * ratio), curve(0.01))
    assert found.ratio == pytest.approx(ratio)
    assert (found.low, found.high) == (30.0, 42.0)


def test_a_curve_that_is_better_by_some_decibels() -> None:
    """3 dB on a line of 12 dB for a factor of ten are a factor of 10^(3/12), wherever the line is looked at."""
    found = delta(curve(0.01, up=3.0), curve(0.01))
    assert found.ratio == pytest.approx(10 ** (-3 / 12))
    assert (found.low, found.high) == (33.0, 42.0)


def test_as_the_package_bjontegaard_has_it() -> None:
    """Its example, and a cine series; figures of bjontegaard 1.3.0 with method pchip."""
    anchor = [(9487.76, 40.037), (4593.60, 38.615), (2486.44, 36.845), (1358.24, 34.851)]
    other = [(9787.80, 40.121), (4469.00, 38.651), (2451.52, 36.970), (1356.24, 34.987)]
    assert delta(other, anchor).ratio == pytest.approx(1 - 0.04417485350589045)
    anchor = [(0.0174, 35.2), (0.0342, 38.0), (0.0725, 40.8), (0.1662, 43.2)]
    other = [(0.0100, 35.9), (0.0151, 38.8), (0.0301, 41.4), (0.0866, 43.6)]
    assert delta(other, anchor).ratio == pytest.approx(1 - 0.62377992977863805)


def test_no_figure_where_curves_hardly_meet() -> None:
    assert delta(curve(0.01, up=11.0), curve(0.01)).ratio is None
    apart = delta(curve(0.01, up=20.0), curve(0.01))
    assert apart.ratio is None
    assert apart.low > apart.high
    assert delta([], curve(0.01)).ratio is None


def test_no_figure_of_few_points() -> None:
    assert delta(curve(0.01)[:3], curve(0.01)).ratio is None


def test_points_that_another_beats_do_not_count() -> None:
    assert front([(0.3, 37.0), (0.1, 35.0), (0.2, 38.0), (0.2, 36.0)]) == [(0.1, 35.0), (0.2, 38.0)]
    assert delta([*curve(0.02), (5.0, 31.0)], curve(0.01)).ratio == pytest.approx(2.0)


def test_rates_between_points_and_not_beyond() -> None:
    assert rate_at(curve(0.01), 36.0) == pytest.approx(0.01 * math.sqrt(10))
    assert rate_at(curve(0.01), 34.0) == pytest.approx(0.01 * 10 ** (4 / 12))
    assert rate_at(curve(0.01), 29.9) is None
    assert rate_at(curve(0.01), 42.1) is None


def test_each_codec_against_the_anchor_on_its_own_series() -> None:
    points = [point("anchor", rate, level) for rate, level in curve(0.01)]
    points += [point("half", rate, level) for rate, level in curve(0.005)] + [point("half", 2.0, None)]
    points += [point("half", rate, level, "b") for rate, level in curve(0.005)]
    anchor, half, alone = comparisons(points, ["anchor"])
    assert (anchor.codec, anchor.bd_rate, anchor.against) == ("anchor", pytest.approx(0.0, abs=1e-12), "anchor")
    assert half.bd_rate == pytest.approx(-0.5)
    assert half.points == 6, "one that gave everything back is on no curve, but it was measured"
    assert half.rates[LEVELS.index(34.0)] == pytest.approx(0.005 * 10 ** (4 / 12))
    assert (alone.series, alone.against, alone.bd_rate) == ("b", "", None)


def test_a_table_says_why_there_is_no_figure() -> None:
    points = [point("anchor", rate, level) for rate, level in curve(0.01)]
    points += [point("far", rate, level) for rate, level in curve(0.01, up=20.0)]
    points += [point("near", rate, level) for rate, level in curve(0.01, up=11.0)]
    points += [point("few", rate, level) for rate, level in curve(0.01)[:3]]
    points += [point("twice", rate, level) for rate, level in curve(0.02)]
    said = {one.codec: bd_rate(one) for one in comparisons(points, ["anchor"])}
    assert said == {
        "anchor": "anchor",
        "far": "— (no overlap)",
        "near": "— (too little overlap)",
        "few": "— (few points)",
        "twice": "+100.0 %",
    }


def test_a_run_says_which_fits_the_clock_stopped(everyone: Run) -> None:
    whole = replace(point("planes", 0.01, 30.0), steps=500, steps_asked=500)
    short = [replace(point("SIREN", 0.01, 30.0), steps=steps, steps_asked=500) for steps in (90, 500, 200)]
    run = replace(everyone, points=(point("video", 0.01, 30.0), whole, *short))
    assert shortened(run) == ["SIREN: 2 of 3 fits were stopped by the clock after 90 to 200 of 500 steps."]
