"""The tables of lossy codecs, as data: the paper's Table I, the rates at fixed PSNR, and every point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.bench.comparisons import LEVELS
from hexdicom.bench.rates import LEAST_POINTS, LEAST_SPAN
from hexdicom.bench.table import Cell, Table, percent, seconds

if TYPE_CHECKING:
    from hexdicom.bench.comparisons import Comparison
    from hexdicom.bench.point import Point
    from hexdicom.bench.result import Run


def tables(run: Run) -> list[Table]:
    """None of them for a run without points. Raises ConfigError without scipy."""
    compared = run.comparisons()
    return [_rates(run, compared), _levels(run, compared), _points(run)] if compared else []


def bd_rate(one: Comparison) -> str:
    """A figure, or why there is none."""
    if one.codec == one.against:
        return "anchor"
    if one.bd_rate is not None:
        return percent(1 + one.bd_rate)
    if one.low_db is None or one.high_db is None:
        return "— (no overlap)"
    return "— (too little overlap)" if one.high_db - one.low_db < LEAST_SPAN else "— (few points)"


def _rates(run: Run, compared: tuple[Comparison, ...]) -> Table:
    rows = []
    for one in compared:
        ours = run.codec(one.codec).ours
        span = f"{one.low_db:.1f} … {one.high_db:.1f}" if one.low_db is not None and one.high_db is not None else "—"
        figures = [f"{one.points}", bd_rate(one), span, seconds(one.encode_seconds), seconds(one.decode_seconds)]
        rows.append((Cell(one.series), Cell(one.codec, ours=ours), *(Cell(text, ours=ours) for text in figures)))
    against = next((one.against for one in compared if one.against), "nobody")
    note = (
        "BD-rate: mean change of bits at the same PSNR, where both curves reach; none where they share less than "
        f"{LEAST_SPAN:g} dB or one has fewer than {LEAST_POINTS} points that no other of its own beats. Seconds: mean over the "
        "points."
    )
    head = ("series", "codec", "points", f"BD-rate against {against}", "over, dB", "encode, s", "decode, s")
    return Table(f"Table I: BD-rate against {against}, and time", note, head, tuple(rows), words=2)


def _levels(run: Run, compared: tuple[Comparison, ...]) -> Table:
    rows = []
    for one in compared:
        ours = run.codec(one.codec).ours
        best = [
            min((r for other in compared if other.series == one.series and (r := other.rates[n])), default=None)
            for n in range(len(LEVELS))
        ]
        cells = [
            Cell("—" if rate is None else f"{rate:.4f}", rate is not None and rate == least, ours)
            for rate, least in zip(one.rates, best, strict=True)
        ]
        rows.append((Cell(one.series), Cell(one.codec, ours=ours), *cells))
    note = "Interpolated on the curve, never beyond its ends: — is outside of what was measured. The smallest of a series is bold."
    head = ("series", "codec", *(f"{level:g} dB" for level in LEVELS))
    return Table("Bits per voxel at fixed PSNR", note, head, tuple(rows), words=2)


def _points(run: Run) -> Table:
    rows = []
    for one in run.points:
        figures = [
            f"{one.bytes:,}".replace(",", " "), f"{one.bits_per_voxel:.4f}", _level(one.psnr_db), _level(one.worst_frame_db),
            f"{one.largest_error}", _steps(one), seconds(one.encode_seconds), seconds(one.decode_seconds),
        ]  # fmt: skip
        ours = run.codec(one.codec).ours
        words = (Cell(one.series), Cell(one.codec, ours=ours), Cell(one.setting, ours=ours))
        rows.append((*words, *(Cell(text, ours=ours) for text in figures)))
    head = (
        "series", "codec", "setting", "bytes", "bits per voxel", "PSNR, dB", "worst frame, dB", "largest error", "steps",
        "encode, s", "decode, s",
    )  # fmt: skip
    return Table("Every point", "Steps: of a fit, done and asked for.", head, tuple(rows), words=3, long=True)


def _level(level: float | None) -> str:
    return "exact" if level is None else f"{level:.2f}"


def _steps(one: Point) -> str:
    return "" if one.steps is None else f"{one.steps} of {one.steps_asked}"
