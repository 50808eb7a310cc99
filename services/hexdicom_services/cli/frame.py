"""`hexdicom frame`: one slice at one time, as a picture, an array or the original that holds it."""

from __future__ import annotations

from pathlib import Path

import click

from hexdicom.errors import ConfigError
from hexdicom_services.cli import archive_file, witnesses
from hexdicom_services.cli.files import write_whole
from hexdicom_services.cli.output import screen
from hexdicom_services.cli.profile_options import device_option

ENDINGS = (".png", ".npy", ".dcm")


@click.command()
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@click.option("--time", required=True, metavar="T", type=click.IntRange(0), help="Which time point, from 0.")
@click.option("--slice", "slice_", required=True, metavar="Z", type=click.IntRange(0), help="Which slice, from 0.")
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help=".png: a picture; .npy: the stored values; .dcm: the original that holds the frame.",
)  # fmt: skip
@click.option("--preview", is_flag=True, help="From the base layer alone: sooner, and smooth. Not for .dcm.")
@device_option
def frame(archive: Path, time: int, slice_: int, out: Path, preview: bool, device: str) -> None:
    """Get a single frame out of an archive.

    ARCHIVE is an archive object, a folder with the parts of one, or an .hxd file. Of an exact archive one slice is decoded,
    with all its times. An original is proved by its SHA-256; an archive with loss holds none.
    """
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{out.name} has no known ending.", hint=f"Give a file that ends in {', '.join(ENDINGS)}.")
    if ending == ".dcm" and preview:
        raise click.UsageError("--preview shows an archive from its base layer alone; no original comes of that.")
    with witnesses.of_files([archive], None) as witness:
        witness.opened([archive])
        if ending == ".dcm":
            _original(archive, time, slice_, out, device)
            witness.written(out.parent, [out])
        else:
            _values(archive, time, slice_, out, preview, device)
    screen().print(str(out), soft_wrap=True)


def _values(archive: Path, time: int, slice_: int, out: Path, preview: bool, device: str) -> None:
    import numpy as np
    from PIL import Image

    from hexdicom import codec
    from hexdicom_services.picture import Window

    found = codec.open(archive_file.bitstream(archive), preview=preview, device=device).frame(time, slice_)
    if out.suffix.lower() == ".npy":

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.save(file, found, allow_pickle=False)

    else:

        def write(path: Path) -> None:
            Image.fromarray(Window.of(found).grey(found)).save(path, format="PNG", optimize=True)

    write_whole(out, write)


def _original(archive: Path, time: int, slice_: int, out: Path, device: str) -> None:
    from hexdicom.access import Access

    write_whole(out, Access(archive_file.parts(archive), device=device).original(time, slice_).data)
