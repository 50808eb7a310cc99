"""`hexdicom bench`: measure on this machine. Medians of several rounds; compare within one run, machines are noisy."""

from __future__ import annotations

from pathlib import Path

import click

from hexdicom_services.cli.output import emit, json_option, messages, screen, size, table
from hexdicom_services.cli.profile_options import device_option


@click.group()
def bench() -> None:
    """Measure on this machine."""


@bench.command()
@click.option("--instances", default=300, show_default=True, type=click.IntRange(1), help="Instances of 131 kB to send.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Rounds; the median counts.")
@json_option
def receive(instances: int, rounds: int, as_json: bool) -> None:
    """Instances per second that the node takes on one association.

    DCMTK's storescu sends to the node, to DCMTK's storescp and to Orthanc in turn, with TCP_NODELAY on both ends. The node
    answers only after its bytes are on disk; the others do not promise that.
    """
    from hexdicom_services.cli.bench_receive import measure

    with messages().status("starting") as line:
        results = measure(instances, rounds, say=line.update)
    if as_json:
        emit({"instances": instances, "rounds": rounds, "receivers": results})
        return
    rows = table("receiver", "instances/s", "MB/s", "rounds", right=["instances/s", "MB/s"])
    for one in results:
        rounds_text = ", ".join(f"{value:.0f}" for value in one["rounds"])
        rows.add_row(one["receiver"], f"{one['instances_per_second']:.0f}", f"{one['megabytes_per_second']:.1f}", rounds_text)
    screen().print(rows)


@bench.command("codec")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="Only this codec; may be given several times.")
@device_option
@json_option
def codec_(sources: tuple[Path, ...], only: tuple[str, ...], device: str, as_json: bool) -> None:
    """Lossless size and time of our codec and of others, on the same values.

    SRC are DICOM files and folders, or arrays (.npy, .nii). The others are those of imagecodecs, frame by frame, as a PACS
    stores them, and tomoz; `pip install 'hexdicom[bench]'` brings them. Every result is decoded and compared.
    """
    from hexdicom_services.cli.bench_codec import measure

    results = []
    with messages().status("reading") as line:
        for one in measure(sources, set(only), device, say=line.update):
            results.append(one)
            if not as_json:
                messages().print(f"{one['series']}  {one['codec']}: {one['bits_per_voxel']:.4f} bits per voxel")
    if as_json:
        emit({"results": results})
        return
    rows = table("series", "codec", "bits/voxel", "bytes", "encode", "decode", right=["bits/voxel", "bytes", "encode", "decode"])
    for one in results:
        rows.add_row(
            one["series"], one["codec"], f"{one['bits_per_voxel']:.4f}", size(one["bytes"]),
            f"{one['encode_seconds']:.1f} s", f"{one['decode_seconds']:.1f} s",
        )  # fmt: skip
    screen().print(rows)
