"""The rate-distortion curves of lossy codecs, as SVG: a panel per series."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hexdicom.bench.comparisons import curve
from hexdicom.bench.drawing import INK, OTHERS, OURS, RULE, SOFT, WIDTH, figure, svg
from hexdicom.bench.rates import front

if TYPE_CHECKING:
    from hexdicom.bench.result import Run

_MARKS = "osD^vPX*<>"


def draw(run: Run) -> str:
    """ "" without points. Raises ConfigError without matplotlib."""
    codecs = [codec for codec in run.codecs if any(point.codec == codec.name for point in run.points)]
    series = [one for one in run.series if any(point.series == one.name for point in run.points)]
    if not codecs:
        return ""
    columns = min(2, len(series))
    rows = math.ceil(len(series) / columns)
    drawing, panels = figure((WIDTH, 4.6 * rows + 0.6), rows, columns)
    others = [codec.name for codec in codecs if not codec.ours]
    for panel, one in zip(panels, series, strict=False):
        there = [point for point in run.points if point.series == one.name]
        for codec in codecs:
            points = curve(there, codec.name)
            if not points:
                continue
            colour = OURS[0] if codec.ours else OTHERS[others.index(codec.name) % len(OTHERS)]
            mark = "o" if codec.ours else _MARKS[others.index(codec.name) % len(_MARKS)]
            best = front(points)
            panel.plot(
                [rate for rate, _ in best], [level for _, level in best], color=colour, lw=2.4 if codec.ours else 1.3, marker=mark,
                ms=5 if codec.ours else 4, label=codec.name, zorder=3 if codec.ours else 2,
            )  # fmt: skip
            beaten = [point for point in points if point not in best]
            panel.scatter([rate for rate, _ in beaten], [level for _, level in beaten], color=colour, marker=mark, s=9, alpha=0.4)
        if one.still_db is not None:
            panel.axhline(one.still_db, color=SOFT, lw=0.9, ls="--", zorder=1)
        panel.set_xscale("log")
        panel.set_title(one.name, loc="left", fontsize=10.5, weight="bold", color=INK)
        panel.set_xlabel("bits per voxel")
        panel.set_ylabel("PSNR, dB")
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.grid(visible=True, color=RULE, lw=0.6)
        panel.tick_params(axis="both", which="both", colors=SOFT, length=3)
    for panel in panels[len(series) :]:
        panel.set_axis_off()
    drawing.legend(*panels[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside lower center", ncols=5)
    return svg(drawing)
