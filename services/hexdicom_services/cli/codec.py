"""`hexdicom codec`: arrays to bitstreams and back, for research. No DICOM."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexdicom_services.cli.codec_curve import curve
from hexdicom_services.cli.codec_train import train
from hexdicom_services.cli.codec_train_filter import train_expectation, train_filter
from hexdicom_services.cli.files import read_bytes, write_whole
from hexdicom_services.cli.output import emit, json_option, screen, size, steps
from hexdicom_services.cli.profile_options import chosen_profile, device_option, profile_options

if TYPE_CHECKING:
    from hexdicom.codec import EncodeReport


@click.group()
def codec() -> None:
    """Code arrays (.npy, .nii) without DICOM."""


codec.add_command(train)
codec.add_command(train_filter)
codec.add_command(train_expectation)
codec.add_command(curve)


@codec.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="FILE.hxd", type=click.Path(path_type=Path), help="What to write.")
@profile_options
@json_option
def encode(
    file: Path, output: Path, profile_name: str | None, max_error: int | None, ratio: float | None, psnr: float | None,
    max_bytes: int | None, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Encode FILE (.npy, .nii or .nii.gz).

    The axes of an .npy are (time, slice, row, column); its numbers are 8- or 16-bit integers, or have such values. Type,
    header and affine of the file are kept: decoding a lossless encoding gives the same voxels and header back.
    """
    profile = chosen_profile(profile_name, max_error, ratio, psnr, max_bytes)
    from hexdicom.codec import encode as encode_volume  # imports torch
    from hexdicom_services.cli import array_file

    volume, origin = array_file.read(file)
    with steps() as progress:
        encoded = encode_volume(volume, profile, device=device, progress=progress)
    write_whole(output, array_file.attach(encoded.bitstream, origin))
    report: EncodeReport = encoded.report
    if as_json:
        emit(document(report))
        return
    t, z, y, x = report.shape
    quality = "lossless" if report.psnr_db is None else f"{report.psnr_db:.2f} dB"
    layers = ", ".join(f"{layer.name} {size(layer.bytes)}" for layer in report.layers)
    screen().print(
        f"{output}: {t}×{z}×{y}×{x} in {size(report.bytes)}, {report.bits_per_voxel:.4f} bits per voxel, {quality} ({layers}), "
        f"{report.encode_seconds:.1f} s on {report.device}"
    )


@codec.command()
@click.argument("file", metavar="FILE.hxd", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(path_type=Path), help=".npy, .nii or .nii.gz")
@click.option("--slice", "slices", multiple=True, metavar="Z", type=click.IntRange(0), help="Only this slice, from 0. Repeatable.")
@device_option
def decode(file: Path, output: Path, slices: tuple[int, ...], device: str) -> None:
    """Decode FILE.hxd to an array."""
    from hexdicom.codec import decode as decode_bitstream  # imports torch
    from hexdicom_services.cli import array_file

    if array_file.ending(output) != ".npy" and slices:
        raise click.UsageError("A NIfTI header says where all slices lie; --slice writes .npy only.")
    bitstream = read_bytes(file)
    origin = array_file.attached(bitstream)
    with steps() as progress:
        volume = decode_bitstream(bitstream, slices=slices or None, device=device, progress=progress)
    write_whole(output, lambda path: array_file.write(path, volume, origin))
    screen().print(f"{output}: {'×'.join(map(str, volume.shape))} {volume.values.dtype}")


def document(report: EncodeReport) -> dict[str, Any]:
    """The fields of docs/cli-json.md."""
    return {
        "shape": report.shape,
        "bytes": report.bytes,
        "bits_per_voxel": report.bits_per_voxel,
        "layers": [asdict(layer) for layer in report.layers],
        "profile": report.profile,
        "max_error": report.max_error,
        "psnr_db": report.psnr_db,
        "worst_frame_psnr_db": report.worst_frame_psnr_db,
        "ssim": report.ssim,
        "device": report.device,
        "fit_seconds": report.fit_seconds,
        "encode_seconds": report.encode_seconds,
        "verify_seconds": report.verify_seconds,
    }
