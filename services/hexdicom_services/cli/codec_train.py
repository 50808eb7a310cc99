"""`hexdicom codec train`: how the shipped prior is made."""

from __future__ import annotations

from pathlib import Path

import click

from hexdicom_services.cli.files import read_bytes, write_whole
from hexdicom_services.cli.output import messages, screen, size


@click.command()
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="PRIOR.bin", type=click.Path(path_type=Path), help="What to write.")
@click.option("--steps", default=10000, show_default=True, type=click.IntRange(1), help="Adam steps.")
@click.option(
    "--hidden", default=(64, 64, 32), show_default=True, type=click.Tuple([click.IntRange(1, 128)] * 3), help="Hidden units."
)
@click.option("--seed", default=1, show_default=True, type=int, help="Seed of everything random.")
@click.option("--from", "start", metavar="PRIOR.bin", type=click.Path(path_type=Path), help="Go on from these weights.")
@click.option("--variety", default=1.0, show_default=True, type=click.FloatRange(0, 1), help="How much the series are varied.")
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="Where the training log goes.")
def train(
    sources: tuple[Path, ...], output: Path, steps: int, hidden: tuple[int, int, int], seed: int,
    start: Path | None, variety: float, log: Path | None,
) -> None:  # fmt: skip
    """Train a network that predicts MR series it has not seen.

    SRC are DICOM files and folders, or arrays: .nii, .npy, and .npz with `stored_values`, axes (time, slice, row, column). The
    result is a file for hexdicom/codec/network/priors, whose number, once archives name it, stays the same for ever.
    """
    import numpy as np

    from hexdicom.codec.network import pretrain, prior
    from hexdicom_services.cli import bench_sources

    found = bench_sources.find(sources)
    widths: tuple[int, ...] = hidden
    before = None
    if start is not None:
        widths, before = prior.from_bytes(read_bytes(start))
    origin = "" if start is None else f", from {start.name}"
    lines = [f"seed {seed}, {steps} steps, hidden units {widths}, variety {variety:g}{origin}"]
    series = []
    for name, read in found:
        values = read().astype(np.int32)
        series.append(values)
        lines.append(f"{name}: {'×'.join(map(str, values.shape))}, {values.min()}..{values.max()}")

    def say(line: str) -> None:
        lines.append(line)
        messages().print(line)

    network = pretrain.train(series, widths, steps, seed, say, before, variety)
    data = prior.to_bytes(pretrain.flat(network), widths)
    write_whole(output, data)
    if log is not None:
        write_whole(log, ("\n".join(lines) + "\n").encode())
    screen().print(f"{output}: {size(len(data))}")
