"""The charts of a report, as SVG: bits per voxel of every codec on every series, and what a better rate costs in time; of lossy
codecs their curves.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from hexdicom.bench import curve_chart
from hexdicom.bench.drawing import BAR, OTHERS, OURS, RULE, SOFT, WIDTH, figure, svg
from hexdicom.bench.means import geometric
from hexdicom.bench.tables import of, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hexdicom.bench.result import Codec, Measurement, Run


def draw(run: Run) -> dict[str, str]:
    """Names and SVG documents; only those that there is something to draw for. Raises ConfigError without matplotlib."""
    drawn = {"bits-per-voxel": _bars(run, 0), "rate-and-time": _trade(run), "rate-distortion": curve_chart.draw(run)}
    for max_error in sorted({one.max_error for one in run.results} - {0}):
        drawn[f"bits-per-voxel-within-{max_error}"] = _bars(run, max_error)
    return {name: svg for name, svg in drawn.items() if svg}


def _bars(run: Run, max_error: int) -> str:
    """A panel per series, a bar per codec, the same order in each."""
    codecs = ranked(run, max_error)
    names = {one.series for one in run.results if one.max_error == max_error}
    series = [one for one in run.series if one.name in names]
    if not codecs or not series:
        return ""
    colours = _colours(codecs)
    columns = 2 if len(series) == 4 else min(3, len(series))
    rows = math.ceil(len(series) / columns)
    drawing, panels = figure((WIDTH, rows * (0.62 + 0.235 * len(codecs))), rows, columns)
    for number, panel in enumerate(panels):
        if number >= len(series):
            panel.set_axis_off()
            continue
        one = series[number]
        rates = {result.codec: result.bits_per_voxel for result in run.results if result.series == one.name}
        widest = max(rate for codec, rate in rates.items() if run.codec(codec).max_error == max_error)
        for place, codec in enumerate(codecs):
            rate = rates.get(codec.name)
            if rate is None:
                panel.text(
                    widest * 0.012,
                    place,
                    _why_not(run, codec.name, one.name),
                    va="center",
                    color=SOFT,
                    fontsize=7.5,
                    style="italic",
                )
                continue
            panel.barh(place, rate, height=0.72, color=colours[codec.name] if codec.ours else BAR)
            weight = "bold" if codec.ours else "normal"
            panel.text(rate + widest * 0.015, place, f"{rate:.3f}", va="center", fontsize=8, weight=weight)
        panel.set_xlim(0, widest * 1.2)
        panel.set_ylim(len(codecs) - 0.45, -0.55)
        panel.set_yticks(range(len(codecs)), [codec.name for codec in codecs] if number % columns == 0 else [""] * len(codecs))
        for label, codec in zip(panel.get_yticklabels(), codecs, strict=True):
            label.set_weight("bold" if codec.ours else "normal")
        panel.tick_params(length=0)
        panel.set_xticks([])
        panel.spines["bottom"].set_visible(False)
        t, z, y, x = one.shape
        panel.set_title(f"{_short(one.name, 32 if columns == 3 else 50)}\n", loc="left", fontsize=9.5, weight="bold", pad=1)
        panel.text(
            0,
            1.015,
            f"{t} × {z} × {y} × {x}, values {one.lowest} … {one.highest}",
            transform=panel.transAxes,
            fontsize=7.5,
            color=SOFT,
        )
    return svg(drawing)


def _short(name: str, letters: int) -> str:
    """The name without its middle where it is longer than its panel."""
    return name if len(name) <= letters else f"{name[: letters // 2 - 1]}…{name[-letters // 2 :]}"


def _why_not(run: Run, codec: str, series: str) -> str:
    if any(one.codec == codec and one.series == series for one in run.failures):
        return "failed"
    return (
        "not made for these values" if any(one.codec == codec and one.series == series for one in run.skipped) else "not measured"
    )


def _trade(run: Run) -> str:
    """Size against time, both relative to JPEG XL (else to the first other codec): encoding left, decoding right."""
    codecs = ranked(run, 0)
    anchor = next((codec.name for codec in codecs if codec.name == "JPEG XL"), None)
    anchor = anchor or next((codec.name for codec in codecs if not codec.ours), None)
    if anchor is None or len(codecs) < 2:
        return ""
    base = {one.series: one for one in of(run, anchor)}
    colours = _colours(codecs)
    drawing, panels = figure((WIDTH, 4.9), 1, 2, sharey=True)
    steps: tuple[tuple[str, Callable[[Measurement], float]], ...] = (
        ("Encoding", lambda one: one.encode_seconds),
        ("Decoding", lambda one: one.decode_seconds),
    )
    for panel, (title, took) in zip(panels, steps, strict=True):
        labels = []
        panel.set_xscale("log")
        panel.axhline(0, color=RULE, lw=1, zorder=0)
        panel.axvline(1, color=RULE, lw=1, zorder=0)
        for codec in codecs:
            pairs = [(one, base[one.series]) for one in of(run, codec.name) if one.series in base]
            if not pairs:
                continue
            ratios = [(took(one) / took(other), one.bytes / other.bytes) for one, other in pairs]
            x, y = geometric([ratio for ratio, _ in ratios]), 100 * (geometric([ratio for _, ratio in ratios]) - 1)
            colour = colours[codec.name]
            if codec.name != anchor:
                panel.scatter([a for a, _ in ratios], [100 * (b - 1) for _, b in ratios], s=11, color=colour, alpha=0.35, lw=0)
            panel.scatter(x, y, s=95 if codec.ours else 60, color=colour, zorder=3, edgecolor="white", lw=1)
            part = "" if len(pairs) == len(base) else f" ({len(pairs)} of {len(base)})"
            labels.append((x, y, f"{codec.name}{part}", colour, codec.ours))
        panel.set_title(title, loc="left", fontsize=11, weight="bold", pad=12)
        panel.set_xlabel(f"time, {anchor} = 1   (further right: slower)")
        panel.xaxis.set_major_formatter(lambda value, _: f"× {value:g}")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %".replace("-", "−").replace("+0 ", "0 "))
        panel.tick_params(axis="both", colors=SOFT, length=3)
        panel.minorticks_off()
        panel.margins(x=0.16, y=0.08)
        low, high = panel.get_xlim()
        ticker = importlib.import_module("matplotlib.ticker")
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
        _label(drawing, panel, labels)
    panels[0].set_ylabel(f"bytes against {anchor}   (lower: smaller)")
    return svg(drawing)


def _label(drawing: Any, panel: Any, labels: Sequence[tuple[float, float, str, str, bool]]) -> None:
    """A name beside each point: to the right, else left, above or below, where it covers no point and no other name."""
    drawing.draw_without_rendering()
    points = [panel.transData.transform((x, y)) for x, y, *_ in labels]
    frame = panel.get_window_extent()
    places = [(9, 0, "left", "center"), (-9, 0, "right", "center")]
    places += [(0, sign * (9 + 9 * n), "center", "bottom" if sign > 0 else "top") for n in range(5) for sign in (1, -1)]
    taken: list[Any] = []
    for x, y, name, colour, ours in sorted(labels, key=lambda label: not label[4]):
        tried: list[Any] = []
        for dx, dy, across, along in places:
            text = panel.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", ha=across, va=along, fontsize=8.5, color=colour,
                weight="bold" if ours else "normal", zorder=4, in_layout=False,
            )  # fmt: skip
            box = text.get_window_extent()
            covered = sum(box.overlaps(other) for other in taken)
            covered += sum(box.x0 - 2 < px < box.x1 + 2 and box.y0 - 2 < py < box.y1 + 2 for px, py in points)
            tried.append((covered + (box.x0 < frame.x0) + (box.x1 > frame.x1 + 8), len(tried), text, box))
            if tried[-1][0] == 0:
                break
        _, _, text, box = best = min(tried, key=lambda one: one[:2])
        taken.append(box)
        for other in tried:
            if other is not best:
                other[2].remove()


def _colours(codecs: Sequence[Codec]) -> dict[str, str]:
    ours = [codec.name for codec in codecs if codec.ours]
    others = sorted(codec.name for codec in codecs if not codec.ours)
    return {name: OURS[n % len(OURS)] for n, name in enumerate(ours)} | {
        name: OTHERS[n % len(OTHERS)] for n, name in enumerate(others)
    }
