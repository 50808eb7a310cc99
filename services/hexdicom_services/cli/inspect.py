"""`hexdicom inspect`: what an archive says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexdicom import pipeline
from hexdicom_services.cli.archive_file import bitstream, is_bitstream
from hexdicom_services.cli.output import emit, json_option, screen, size, table

if TYPE_CHECKING:
    from hexdicom.codec import Info


@click.command()
@click.argument("archive", metavar="ARCHIVE", type=click.Path(path_type=Path))
@json_option
def inspect(archive: Path, as_json: bool) -> None:
    """Show what an archive or a bitstream holds, without decoding it.

    ARCHIVE is an archive object, a folder with the parts of one, or an .hxd file.
    """
    if is_bitstream(archive):
        from hexdicom.codec import inspect as inspect_bitstream

        content = bitstream(archive)
        facts = _bare(inspect_bitstream(content), len(content))
    else:
        facts = pipeline.describe(archive).to_json()
    if as_json:
        emit(facts)
        return
    rows = table("", "")
    rows.show_header = False
    for name, value in facts.items():
        rows.add_row(name.replace("_", " "), _words(name, value))
    screen().print(rows)


def _bare(info: Info, length: int) -> dict[str, Any]:
    t, z, y, x = info.shape
    return {
        "version": info.version,
        "shape": list(info.shape),
        "dtype": info.dtype,
        "lossless": info.lossless,
        "max_error": info.max_error,
        "bytes": length,
        "bits_per_voxel": 8 * length / (t * z * y * x),
        "layers": [{"name": layer.name, "bytes": layer.bytes} for layer in info.layers],
    }


def _words(name: str, value: Any) -> str:
    if name == "layers":
        return ", ".join(f"{layer['name']} {size(layer['bytes'])}" for layer in value)
    if name == "shape":
        return " × ".join(map(str, value)) + " (time, slice, row, column)"
    if name.endswith("bytes"):
        return size(value)
    if name == "bits_per_voxel":
        return f"{value:.4f}"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
