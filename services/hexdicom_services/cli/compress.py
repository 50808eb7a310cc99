"""`hexdicom compress`: files and folders to archive objects."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexdicom import pipeline
from hexdicom_services.cli.output import emit, json_option, many, messages, screen, size, steps, table
from hexdicom_services.cli.profile_options import chosen_profile, profile_options

if TYPE_CHECKING:
    from hexdicom.report import CompressReport


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path, file_okay=False), help="Where to write.")
@profile_options
@json_option
def compress(
    sources: tuple[Path, ...], out: Path, profile_name: str | None, max_error: int | None, ratio: float | None,
    psnr: float | None, max_bytes: int | None, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Archive the 4-D series of files and folders.

    Every 4-D series below SRC becomes one archive object in DIR, proved by decoding it; every other file is copied untouched
    to DIR/passed-through. The sources stay as they are.
    """
    profile = chosen_profile(profile_name, max_error, ratio, psnr, max_bytes)
    with steps() as progress:
        report = pipeline.compress(sources, out, profile, now=datetime.now(UTC), device=device, progress=progress)
    if as_json:
        emit(report.to_json())
    else:
        _show(report)


def _show(report: CompressReport) -> None:
    numbers = ["instances", "files", "archive", "ratio", "bits/voxel", "headers", "fit", "encode", "verify"]
    rows = table("series", *numbers, "quality", right=numbers)
    for group in report.series:
        one = group.encoding
        rows.add_row(
            group.archives[0].name,
            str(group.instances),
            size(group.source_bytes),
            size(group.archive_bytes),
            f"{group.source_bytes / group.archive_bytes:.2f}",
            f"{one.bits_per_voxel:.4f}",
            size(group.header_bytes),
            f"{one.fit_seconds:.1f} s",
            f"{one.encode_seconds:.1f} s",
            f"{group.verify_seconds:.1f} s",
            "lossless" if one.psnr_db is None else f"{one.psnr_db:.2f} dB",
        )
    if report.series:
        screen().print(rows)
    for item in report.passed_through:
        messages().print(f"untouched: {item.path}: {item.reason}", soft_wrap=True)
    screen().print(f"{len(report.series)} archived and proved, {many(len(report.passed_through), 'file')} copied untouched.")
