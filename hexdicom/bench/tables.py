"""The tables of a report, as data: the page and the Markdown text show the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.bench import curve_tables
from hexdicom.bench.means import geometric
from hexdicom.bench.table import Cell, Table, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hexdicom.bench.result import Codec, Measurement, Run


def tables(run: Run) -> tuple[Table, ...]:
    """All that have a row. Every measurement, skip and failure of the run stands in one."""
    found = []
    for max_error in sorted({one.max_error for one in run.results}):
        codecs = ranked(run, max_error)
        if codecs:
            found += [_overview(run, codecs, max_error), _rates(run, codecs, max_error)]
    found += curve_tables.tables(run)
    return tuple(table for table in (*found, _costs(run), _failures(run), _skips(run)) if table.rows)


def ranked(run: Run, max_error: int) -> list[Codec]:
    """The codecs with this bound that coded something, the smallest first by their mean against a codec that coded most."""
    results = {codec.name: of(run, codec.name) for codec in run.codecs if codec.max_error == max_error}
    there = {name: rates for name, rates in results.items() if rates}
    if not there:
        return []
    anchor = {one.series: one for one in there[max(there, key=lambda name: len(there[name]))]}

    def mean(name: str) -> float:
        shared = [one.bytes / anchor[one.series].bytes for one in there[name] if one.series in anchor]
        return geometric(shared) if shared else float("inf")

    return [run.codec(name) for name in sorted(there, key=mean)]


def of(run: Run, codec: str) -> list[Measurement]:
    """What was measured of one codec, in the order of the series."""
    order = {series.name: number for number, series in enumerate(run.series)}
    return sorted((one for one in run.results if one.codec == codec), key=lambda one: order[one.series])


def _kind(max_error: int) -> str:
    return f"Near-lossless, every value within ±{max_error}" if max_error else "Lossless"


def _overview(run: Run, codecs: Sequence[Codec], max_error: int) -> Table:
    """One row per codec: means over the series."""
    means = {(mean.codec, mean.against): mean for mean in run.means()}
    names = {codec.name for codec in codecs}
    against = [other for other in (f"{name} ±{max_error}" if max_error else name for name in run.against) if other in names]
    most = max(len(of(run, codec.name)) for codec in codecs)
    rows = []
    for codec in codecs:
        results = of(run, codec.name)
        ratios = [means.get((codec.name, other)) for other in against]
        sizes = ["—" if ratio is None else percent(ratio.bytes) for ratio in ratios]
        peaks = [peak for one in results for peak in (one.encode_peak_bytes, one.decode_peak_bytes) if peak]
        cells = [
            codec.how, f"{len(results)}" if len(results) == most else f"only {len(results)} of {most}", *sizes,
            _speed(run, results, lambda one: one.encode_seconds), _speed(run, results, lambda one: one.decode_seconds),
            f"{max(peaks) / 1e6:.0f}" if peaks else "?",
        ]  # fmt: skip
        rows.append((Cell(codec.name, ours=codec.ours), *(Cell(text, ours=codec.ours) for text in cells)))
    head = ("codec", "what it is given", "series", *(f"bytes against {other}" for other in against))
    note = (
        "Geometric means over the series that both codecs coded. Speed: million voxels per second of wall clock, geometric mean; "
        "memory: the most of any series, encoding or decoding."
    )
    title = f"{_kind(max_error)}: codec against codec"
    return Table(title, note, (*head, "encode, Mvoxel/s", "decode, Mvoxel/s", "memory, MB"), tuple(rows), words=2)


def _speed(run: Run, results: Sequence[Measurement], took: Callable[[Measurement], float]) -> str:
    voxels = {one.name: one.shape[0] * one.shape[1] * one.shape[2] * one.shape[3] for one in run.series}
    return f"{geometric([voxels[one.series] / took(one) / 1e6 for one in results]):.3g}"


def _rates(run: Run, codecs: Sequence[Codec], max_error: int) -> Table:
    """One row per series, one column per codec."""
    rows = []
    for series in run.series:
        rates = {one.codec: one for one in run.results if one.series == series.name and one.max_error == max_error}
        if not rates:
            continue
        best = min(one.bytes for one in rates.values())
        shape = " × ".join(map(str, series.shape))
        cells = [Cell(series.name), Cell(f"{shape}, {series.lowest} … {series.highest}")]
        for codec in codecs:
            one = rates.get(codec.name)
            cells.append(Cell("—" if one is None else _rate(one), one is not None and one.bytes == best, codec.ours))
        rows.append(tuple(cells))
    note = "All bytes of all bitstreams, divided by the number of stored values; the smallest is bold. Size: t × z × y × x, range."
    if max_error:
        note += " In brackets the largest error of a value."
    return Table(
        f"{_kind(max_error)}: bits per voxel", note, ("series", "size", *(one.name for one in codecs)), tuple(rows), words=2
    )


def _rate(one: Measurement) -> str:
    return f"{one.bits_per_voxel:.3f} ({one.largest_error})" if one.max_error else f"{one.bits_per_voxel:.3f}"


def _costs(run: Run) -> Table:
    """Every measurement by itself."""
    rows = []
    for one in run.results:
        figures = [
            f"{one.bytes:,}".replace(",", " "), f"{one.bits_per_voxel:.4f}",
            seconds(one.encode_seconds), seconds(one.encode_cpu_seconds), _megabytes(one.encode_peak_bytes),
            seconds(one.decode_seconds), seconds(one.decode_cpu_seconds), _megabytes(one.decode_peak_bytes),
        ]  # fmt: skip
        ours = run.codec(one.codec).ours
        rows.append((Cell(one.series), Cell(one.codec, ours=ours), *(Cell(text, ours=ours) for text in figures)))
    note = f"Median of {run.rounds} rounds. " if run.rounds > 1 else "One round. "
    note += "s: wall clock; CPU s: of all threads and programs together; MB: the most memory of the process with what it started."
    head = ("series", "codec", "bytes", "bits per voxel", "encode, s", "CPU s", "MB", "decode, s", "CPU s", "MB")
    return Table("Every measurement", note, head, tuple(rows), words=2, long=True)


def _megabytes(value: int | None) -> str:
    return "?" if value is None else f"{value / 1e6:.0f}"


def _failures(run: Run) -> Table:
    rows = tuple(
        (Cell(one.series), Cell(f"{one.codec} {one.setting}".rstrip()), Cell(one.step), Cell(one.error)) for one in run.failures
    )
    return Table("Failed", "A codec that broke, or gave something else back.", ("series", "codec", "step", "error"), rows, words=4)


def _skips(run: Run) -> Table:
    rows = tuple((Cell(one.series or "all"), Cell(one.codec or "all"), Cell(one.reason)) for one in run.skipped)
    return Table("Not run", "", ("series", "codec", "reason"), rows, words=3)
