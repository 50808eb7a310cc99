"""`hexdicom codec train-filter`: how a filter of the lossy profile is made."""

from __future__ import annotations

from pathlib import Path

import click

from hexdicom.errors import VolumeError
from hexdicom_services.cli.files import write_whole
from hexdicom_services.cli.output import messages, screen, size


@click.command("train-filter")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="FILTER.bin", type=click.Path(path_type=Path), help="What to write.")
@click.option("--steps", default=4000, show_default=True, type=click.IntRange(1), help="Adam steps.")
@click.option("--from-psnr", "low", default=0.0, show_default=True, type=float, metavar="DB", help="Of the coarsest maps.")
@click.option("--to-psnr", "high", default=37.5, show_default=True, type=float, metavar="DB", help="Of the finest.")
@click.option("--seed", default=1, show_default=True, type=int, help="Seed of everything random.")
@click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="Where the training log goes.")
def train_filter(sources: tuple[Path, ...], output: Path, steps: int, low: float, high: float, seed: int, log: Path | None) -> None:
    """Train a network that takes from lossy planes what rounding added.

    SRC are DICOM files and folders, or arrays: .nii, .npy, and .npz with `stored_values`, axes (time, slice, row, column). The
    result is a file for hexdicom/codec/sparse/shipped, whose number, once archives name it, stays the same for ever.
    """
    import numpy as np

    from hexdicom.codec.sparse import pretrain
    from hexdicom_services.cli import bench_sources

    generator = np.random.default_rng(seed)
    lines, examples = [f"seed {seed}, {steps} steps, maps of {low:g} to {high:g} dB"], []
    for name, read in bench_sources.find(sources):
        values = read().astype(np.int32)
        made = list(pretrain.examples_of(values, low, high, generator))
        examples += made
        lines.append(f"{name}: {'×'.join(map(str, values.shape))}, {len(made)} examples")
    if not examples:
        raise VolumeError(f"No map of these series lies within {low:g} to {high:g} dB.", hint="Widen --from-psnr and --to-psnr.")

    def say(line: str) -> None:
        lines.append(line)
        messages().print(line)

    data = pretrain.train(examples, steps, seed, say).to_bytes()
    write_whole(output, data)
    if log is not None:
        write_whole(log, ("\n".join(lines) + "\n").encode())
    screen().print(f"{output}: {size(len(data))}")
