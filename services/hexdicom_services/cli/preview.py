"""`hexdicom preview`: a picture from the six planes alone."""

from __future__ import annotations

from pathlib import Path

import click

from hexdicom_services.cli import witnesses
from hexdicom_services.cli.archive_file import bitstream
from hexdicom_services.cli.files import write_whole
from hexdicom_services.cli.output import messages, screen
from hexdicom_services.cli.profile_options import device_option

CYCLE = 900  # ms in which the picture runs through all time points


@click.command()
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help=".png: the first time point; .gif or .mp4: all of them.",
)  # fmt: skip
@click.option("--slices", default=12, show_default=True, type=click.IntRange(1, 100), help="At most so many slices.")
@device_option
def preview(archive: Path, out: Path, slices: int, device: str) -> None:
    """Draw an archive from its base layer alone.

    ARCHIVE is an archive object, a folder with the parts of one, or an .hxd file. The residual is not decoded, so this is
    quick and the picture is smooth: good for recognising a series, not for reading it.
    """
    from hexdicom_services import picture

    picture.check_ending(out)
    with witnesses.of_files([archive], None) as witness:
        witness.opened([archive])
    payload = bitstream(archive)
    from hexdicom.codec import preview as decode_planes

    with messages().status("decoding the six planes"):
        times = [0] if out.suffix.lower() == ".png" else None
        volume = decode_planes(payload, times=times, device=device)
    images = picture.beating(volume.values, slices=slices)
    write_whole(out, lambda path: picture.save(images, path, milliseconds=CYCLE / len(images)))
    screen().print(str(out), soft_wrap=True)
