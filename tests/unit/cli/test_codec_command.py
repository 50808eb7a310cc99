"""`hexdicom codec`: files of arrays through the real codec, and clear words where that cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from hexdicom_services import cli

if TYPE_CHECKING:
    from pathlib import Path


def smooth(dtype: str = "int16") -> np.ndarray:  # type: ignore[type-arg]
    t, z, y, x = np.meshgrid(*(np.arange(n) for n in (4, 2, 12, 10)), indexing="ij")
    return (200 + 50 * np.sin(x / 3) + 30 * np.cos(y / 2 + t) + 9 * z).astype(dtype)


def test_lossless_nifti_comes_back_as_the_same_file(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(smooth().T, np.diag([2.0, 2.0, 8.0, 1.0]))
    image.header.set_slope_inter(0.5, 3)
    image.to_filename(tmp_path / "a.nii")
    assert cli.run(["codec", "encode", str(tmp_path / "a.nii"), "-o", str(tmp_path / "a.hxd")]) == 0
    assert cli.run(["codec", "decode", str(tmp_path / "a.hxd"), "-o", str(tmp_path / "b.nii")]) == 0
    assert (tmp_path / "a.nii").read_bytes() == (tmp_path / "b.nii").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hxd", "a.nii", "b.nii"]


def test_near_lossless_keeps_its_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noisy = np.random.default_rng(5).integers(0, 900, (4, 3, 32, 32)).astype(np.uint16)
    np.save(tmp_path / "a.npy", noisy)
    arguments = ["codec", "encode", str(tmp_path / "a.npy"), "-o", str(tmp_path / "a.hxd"), "--max-error", "3", "--json"]
    assert cli.run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["max_error"] == 3
    assert told["profile"] == "near-lossless"
    assert cli.run(["codec", "decode", str(tmp_path / "a.hxd"), "-o", str(tmp_path / "b.npy")]) == 0
    back = np.load(tmp_path / "b.npy")
    assert back.dtype == np.uint16
    error = np.abs(back.astype(int) - noisy.astype(int)).max()
    assert 0 < error <= 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--max-error", "1", "--ratio", "10"], 2, "Give one"),
        (["--profile", "nonsense"], 7, "Shipped profiles"),
        (["--profile", "lossy", "--max-error", "1"], 2, "cannot have max_error"),
        (["--profile", "lossless", "--psnr", "40"], 2, "Only lossy profiles"),
        (["--ratio", "0.5"], 2, "not possible"),
        (["--ratio", "20", "--max-bytes", "900"], 2, "Give one"),
        (["--psnr", "20", "--max-bytes", "900"], 2, "Give one"),
        (["--max-error", "1", "--max-bytes", "900"], 2, "Give one"),
        (["--profile", "lossless", "--max-bytes", "900"], 2, "Only lossy profiles"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    np.save(tmp_path / "a.npy", smooth())
    assert cli.run(["codec", "encode", str(tmp_path / "a.npy"), "-o", str(tmp_path / "a.hxd"), *arguments]) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.hxd").exists()


def test_what_is_no_bitstream_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.hxd").write_bytes(b"\x89HXD nonsense")
    for command in (["codec", "decode"], ["preview"]):
        ending = ["-o", str(tmp_path / "b.npy")] if command[0] == "codec" else ["--out", str(tmp_path / "b.png")]
        assert cli.run([*command, str(tmp_path / "a.hxd"), *ending]) == 5
    assert "not a hexdicom bitstream" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hxd"]


def test_preview_draws_a_picture(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", smooth())
    assert cli.run(["codec", "encode", str(tmp_path / "a.npy"), "-o", str(tmp_path / "a.hxd"), "--ratio", "20"]) == 0
    for name in ("a.png", "a.gif"):
        assert cli.run(["preview", str(tmp_path / "a.hxd"), "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 100


def test_one_slice_as_an_array_and_never_behind_a_header_of_all(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 900, (2, 3, 30, 32)).astype(np.int16)
    np.save(tmp_path / "in.npy", values)
    assert cli.run(["codec", "encode", str(tmp_path / "in.npy"), "-o", str(tmp_path / "a.hxd")]) == 0
    assert cli.run(["codec", "decode", str(tmp_path / "a.hxd"), "-o", str(tmp_path / "b.npy"), "--slice", "1"]) == 0
    assert np.array_equal(np.load(tmp_path / "b.npy"), values[:, [1]])
    assert cli.run(["codec", "decode", str(tmp_path / "a.hxd"), "-o", str(tmp_path / "b.nii"), "--slice", "1"]) == 2
    assert not (tmp_path / "b.nii").exists()
