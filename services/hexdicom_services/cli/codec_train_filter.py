"""`hexdicom codec train-filter`: how a filter of the lossy profile is made; `train-expectation`: what it expects."""

from __future__ import annotations

from pathlib import Path

import click

from hexdicom.errors import VolumeError
from hexdicom_services.cli.files import read_bytes, write_whole
from hexdicom_services.cli.output import messages, screen, size

_sources = click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(path_type=Path))
_output = click.option("-o", "--output", required=True, metavar="FILE.bin", type=click.Path(path_type=Path), help="What to write.")
_seed = click.option("--seed", default=1, show_default=True, type=int, help="Seed of everything random.")
_log = click.option("--log", metavar="FILE", type=click.Path(path_type=Path), help="Where the training log goes.")


@click.command("train-filter")
@_sources
@_output
@click.option("--steps", default=7000, show_default=True, type=click.IntRange(1), help="SOAP steps.")
@click.option("--rate", default=3e-3, show_default=True, type=float, help="Of these, the largest.")
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1), help="Ways that each series is shown in.")
@click.option("--units", default=48, show_default=True, type=click.IntRange(1, 512), help="Of each hidden layer.")
@click.option("--start", metavar="FILTER.bin", type=click.Path(path_type=Path), help="Go on from this wide filter.")
@click.option("--from-psnr", "low", default=15.0, show_default=True, type=float, metavar="DB", help="Of the coarsest maps.")
@click.option("--to-psnr", "high", default=56.0, show_default=True, type=float, metavar="DB", help="Of the finest.")
@_seed
@_log
def train_filter(
    sources: tuple[Path, ...], output: Path, steps: int, rate: float, rounds: int, units: int, start: Path | None, low: float,
    high: float, seed: int, log: Path | None,
) -> None:  # fmt: skip
    """Train a network that takes from lossy planes what rounding added.

    SRC are DICOM files and folders, or arrays: .nii, .npy, and .npz with `stored_values`, axes (time, slice, row, column). The
    result is a file for hexdicom/codec/sparse/shipped, whose number, once archives name it, stays the same for ever.
    """
    import numpy as np

    from hexdicom.codec.sparse import examples, filters, pretrain
    from hexdicom_services.cli import bench_sources

    network = pretrain.Network(units, seed=seed) if start is None else pretrain.of_filter(filters.from_bytes(read_bytes(start)))
    generator = np.random.default_rng(seed)
    lines, made = [f"seed {seed}, {steps} steps, rate {rate:g}, maps of {low:g} to {high:g} dB, {rounds} rounds"], []
    for name, read in bench_sources.find(sources):
        values = read().astype(np.int32)
        found = list(examples.of(values, low, high, rounds, generator))
        made += found
        lines.append(f"{name}: {'×'.join(map(str, values.shape))}, {len(found)} examples")
    if not made:
        raise VolumeError(f"No map of these series lies within {low:g} to {high:g} dB.", hint="Widen --from-psnr and --to-psnr.")

    def say(line: str) -> None:
        lines.append(line)
        messages().print(line)

    pretrain.train(made, network, steps, seed, say, rate)
    _write(network.to_bytes(), output, lines, log)


@click.command("train-expectation")
@_sources
@_output
@click.option("--epochs", default=3.0, show_default=True, type=click.FloatRange(0.001), help="How often all is seen.")
@click.option("--rounds", default=6, show_default=True, type=click.IntRange(1), help="Ways that each series is shown in.")
@_seed
@_log
def train_expectation(sources: tuple[Path, ...], output: Path, epochs: float, rounds: int, seed: int, log: Path | None) -> None:
    """Train a network that says what the coefficients of lossy planes may be, from those around them.

    SRC as of train-filter. The result is a file for hexdicom/codec/sparse/expectations, whose number stays the same for ever.
    """
    import numpy as np

    from hexdicom.codec.sparse import pretrain_expectation
    from hexdicom_services.cli import bench_sources

    generator = np.random.default_rng(seed)
    lines, made = [f"seed {seed}, {epochs:g} epochs, {rounds} rounds"], []
    for name, read in bench_sources.find(sources):
        values = read().astype(np.int32)
        found = list(pretrain_expectation.samples_of(values, rounds, generator))
        made += found
        lines.append(f"{name}: {'×'.join(map(str, values.shape))}, {sum(len(one.counts) for one in found)} coefficients")
    if not made:
        raise VolumeError("These series are too small to learn from.", hint="Give more, or larger ones.")

    def say(line: str) -> None:
        lines.append(line)
        messages().print(line)

    _write(pretrain_expectation.train(made, epochs, seed, say).to_bytes(), output, lines, log)


def _write(data: bytes, output: Path, lines: list[str], log: Path | None) -> None:
    write_whole(output, data)
    if log is not None:
        write_whole(log, ("\n".join(lines) + "\n").encode())
    screen().print(f"{output}: {size(len(data))}")
