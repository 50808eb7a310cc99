"""What a run of the bench says while it runs, and its tables when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom_services.cli.output import screen, size, table

if TYPE_CHECKING:
    from hexdicom.bench.point import Point
    from hexdicom.bench.result import Codec, Failure, Measurement, Run, Series, Skip


def line(found: Series | Codec | Measurement | Point | Skip | Failure) -> str:
    """One finding; "" for what only names who takes part."""
    from hexdicom.bench.point import Point
    from hexdicom.bench.result import Failure, Measurement, Skip

    if isinstance(found, Measurement):
        return f"{found.series}  {found.codec}: {found.bits_per_voxel:.4f} bits per voxel"
    if isinstance(found, Point):
        level = "exact" if found.psnr_db is None else f"{found.psnr_db:.2f} dB"
        steps = "" if found.steps is None else f", {found.steps} of {found.steps_asked} steps"
        return f"{found.series}  {found.codec} {found.setting}: {found.bits_per_voxel:.4f} bits per voxel, {level}{steps}"
    if isinstance(found, Failure):
        return f"{found.series}  {f'{found.codec} {found.setting}'.rstrip()}: failed to {found.step}: {found.error}"
    if isinstance(found, Skip):
        return f"{found.series or 'all series'}  {found.codec or 'all codecs'}: skipped: {found.reason}"
    return ""


def show(run: Run) -> None:
    """The tables of a run. Raises ConfigError where points are to be compared without scipy."""
    if run.results:
        _measurements(run)
    if run.points:
        _curves(run)


def _curves(run: Run) -> None:
    """The paper's Table I, the rates at fixed PSNR, and which fits were cut short."""
    from hexdicom.bench import curve_findings, curve_tables

    for shown in curve_tables.tables(run):
        if shown.long:
            continue
        rows = table(*shown.head, right=list(shown.head[shown.words :]))
        for row in shown.rows:
            rows.add_row(*(cell.text for cell in row))
        screen().print(shown.title)
        screen().print(rows)
        screen().print(shown.note)
        screen().print()
    for sentence in curve_findings.shortened(run):
        screen().print(sentence)


def _measurements(run: Run) -> None:
    rows = table(
        "series",
        "codec",
        "bits/voxel",
        "bytes",
        "encode",
        "decode",
        "memory",
        right=["bits/voxel", "bytes", "encode", "decode", "memory"],
    )
    for one in run.results:
        peak = max(one.encode_peak_bytes or 0, one.decode_peak_bytes or 0)
        rows.add_row(
            one.series, one.codec, f"{one.bits_per_voxel:.4f}", size(one.bytes), f"{one.encode_seconds:.2f} s",
            f"{one.decode_seconds:.2f} s", size(peak) if peak else "?",
        )  # fmt: skip
    screen().print(rows)
    if run.means():
        means = table("mean", "against", "series", "bytes", "encode", "decode", right=["series", "bytes", "encode", "decode"])
        for mean in run.means():
            times = f"× {mean.encode_seconds:.2f}", f"× {mean.decode_seconds:.2f}"
            means.add_row(mean.codec, mean.against, str(mean.series), f"{100 * (mean.bytes - 1):+.1f} %", *times)
        screen().print()
        screen().print(means)
