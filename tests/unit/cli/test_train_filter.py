"""`hexdicom codec train-filter` and `train-expectation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hexdicom.codec.compiled.expectation import PLACES
from hexdicom.codec.sparse import expectation, filters, pretrain_expectation
from hexdicom_services.cli import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def series(folder: Path) -> Path:
    """Six times of three slices of 48×48: blobs that swell, and noise."""
    generator = np.random.default_rng(1)
    t, z, y, x = np.ogrid[:6, :3, :48, :48]
    values = 800 * np.exp(-((y - 20) ** 2 + (x - 24 - z) ** 2) / (90 + 12 * t)) + generator.normal(100, 9, (6, 3, 48, 48))
    np.save(folder / "series.npy", values.astype(np.int16))
    return folder / "series.npy"


def test_a_filter_that_a_decoder_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, log = tmp_path / "1.bin", tmp_path / "1.log"
    assert (
        run(
            [
                "codec",
                "train-filter",
                str(series(tmp_path)),
                "-o",
                str(out),
                "--steps",
                "100",
                "--rounds",
                "2",
                "--units",
                "6",
                "--log",
                str(log),
            ]
        )
        == 0
    )
    assert [len(bias) for bias in filters.from_bytes(out.read_bytes()).biases] == [6, 6, 6, 6, 6, 1]
    assert "6×3×48×48" in log.read_text()
    assert "step 100 of 100" in log.read_text()
    assert str(out) in capsys.readouterr().out.replace("\n", "")


def test_no_map_between_these_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["codec", "train-filter", str(series(tmp_path)), "-o", str(tmp_path / "f"), "--from-psnr", "90"]) != 0
    assert "No map" in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_a_filter_is_trained_on(tmp_path: Path) -> None:
    first, second = tmp_path / "1.bin", tmp_path / "2.bin"
    small = ["codec", "train-filter", str(series(tmp_path)), "--steps", "2", "--rounds", "1", "-o"]
    assert run([*small, str(first), "--units", "6"]) == 0
    assert run([*small, str(second), "--start", str(first)]) == 0
    assert [len(bias) for bias in filters.from_bytes(second.read_bytes()).biases] == [6, 6, 6, 6, 6, 1]


def test_a_network_that_a_decoder_takes(tmp_path: Path) -> None:
    out, log = tmp_path / "1.bin", tmp_path / "1.log"
    small = ["--rounds", "1", "--epochs", "0.5"]
    assert run(["codec", "train-expectation", str(series(tmp_path)), "-o", str(out), *small, "--log", str(log)]) == 0
    assert expectation.from_bytes(out.read_bytes()).first.shape == (2 * PLACES, pretrain_expectation.HIDDEN[0])
    assert "6×3×48×48" in log.read_text()
