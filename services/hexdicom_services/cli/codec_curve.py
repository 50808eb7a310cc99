"""`hexdicom codec curve`: what quality a series has at which size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hexdicom_services.cli.output import emit, json_option, screen, size, steps, table
from hexdicom_services.cli.profile_options import device_option

if TYPE_CHECKING:
    from hexdicom.codec import EncodeReport


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--points", default=8, show_default=True, type=click.IntRange(2, 40), help="How many sizes.")
@click.option("--from-ratio", default=3200.0, show_default=True, type=click.FloatRange(1), help="Ratio of the smallest.")
@click.option("--to-ratio", default=80.0, show_default=True, type=click.FloatRange(1), help="Ratio of the largest.")
@device_option
@json_option
def curve(
    sources: tuple[Path, ...], points: int, from_ratio: float, to_ratio: float, device: str, as_json: bool
) -> None:  # fmt: skip
    """Print sizes and qualities of the lossy profile (rate and distortion).

    SRC are DICOM files and folders, or arrays: .nii, .npy, and .npz with `stored_values`, axes (time, slice, row, column). Every
    point is encoded, decoded and compared; nothing is written.
    """
    from hexdicom import codec
    from hexdicom.volume import CineVolume
    from hexdicom_services.cli import bench_sources

    document = []
    for name, read in bench_sources.find(sources):
        with steps() as progress:
            found = codec.curve(CineVolume(read()), (from_ratio, to_ratio), points, device=device, progress=progress)
        document.append({"series": name, "points": [_fields(point) for point in found]})
        if not as_json:
            _show(name, found)
    if as_json:
        emit({"curves": document})


def _fields(point: EncodeReport) -> dict[str, float | int | None]:
    """The fields of docs/cli-json.md."""
    return {
        "bytes": point.bytes,
        "bits_per_voxel": point.bits_per_voxel,
        "psnr_db": point.psnr_db,
        "worst_frame_psnr_db": point.worst_frame_psnr_db,
        "ssim": point.ssim,
        "max_error": point.max_error,
    }


def _show(name: str, points: list[EncodeReport]) -> None:
    numbers = ["bytes", "bits/voxel", "PSNR", "worst frame", "SSIM", "largest error"]
    rows = table(*numbers, right=numbers, title=name)
    for point in points:
        rows.add_row(
            size(point.bytes),
            f"{point.bits_per_voxel:.5f}",
            _db(point.psnr_db),
            _db(point.worst_frame_psnr_db),
            "" if point.ssim is None else f"{point.ssim:.4f}",
            str(point.max_error),
        )
    screen().print(rows)


def _db(level: float | None) -> str:
    return "exact" if level is None else f"{level:.2f} dB"
