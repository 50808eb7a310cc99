"""`hexdicom frame`: the frame that was asked for, as a picture, as an array and as the original."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from hexdicom import codec, pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import cli

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 6, tzinfo=UTC)
PROFILES = {"exact": Profile(steps=5, adapt_steps=5), "lossy": Profile(name="lossy", kind="lossy", ratio=20)}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the originals and two folders with an archive of them each."""
    folder = tmp_path_factory.mktemp("frames")
    (folder / "originals").mkdir()
    for number, ds in enumerate(beating_heart(slices=3, phases=5, rows=48, columns=40)):
        ds.save_as(folder / "originals" / f"{number}.dcm", enforce_file_format=True)
    for name, profile in PROFILES.items():
        pipeline.compress([folder / "originals"], folder / name, profile, now=NOW)
    return folder


def taken(archive: Path, out: Path, *more: str) -> int:
    return cli.run(["frame", str(archive), "--time", "3", "--slice", "1", "--out", str(out), *more])


def test_a_picture_and_an_array(archives: Path, tmp_path: Path) -> None:
    (file,) = (archives / "lossy").glob("*.dcm")
    for archive in (file, archives / "lossy", archives / "exact"):
        assert taken(archive, tmp_path / "a.png") == 0
        assert taken(archive, tmp_path / "a.npy") == 0
        with Image.open(tmp_path / "a.png") as picture:
            assert (picture.size, picture.mode) == ((40, 48), "L")
            assert np.ptp(np.asarray(picture)) == 255
        assert np.load(tmp_path / "a.npy").shape == (48, 40)


def test_the_original_is_the_file_that_was_archived(archives: Path, tmp_path: Path) -> None:
    assert taken(archives / "exact", tmp_path / "a.dcm") == 0
    assert taken(archives / "exact", tmp_path / "a.npy") == 0
    data = (tmp_path / "a.dcm").read_bytes()
    assert data in [path.read_bytes() for path in (archives / "originals").iterdir()]
    assert np.array_equal(dcmread(tmp_path / "a.dcm").pixel_array, np.load(tmp_path / "a.npy"))


def test_the_preview_is_not_the_frame(archives: Path, tmp_path: Path) -> None:
    assert taken(archives / "exact", tmp_path / "a.npy") == 0
    assert taken(archives / "exact", tmp_path / "b.npy", "--preview") == 0
    assert not np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_a_bare_bitstream(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 900, (4, 2, 12, 10)).astype(np.int16)
    np.save(tmp_path / "in.npy", values)
    assert cli.run(["codec", "encode", str(tmp_path / "in.npy"), "-o", str(tmp_path / "a.hxd")]) == 0
    assert taken(tmp_path / "a.hxd", tmp_path / "b.npy") == 0
    assert np.array_equal(np.load(tmp_path / "b.npy"), values[3, 1])
    assert taken(tmp_path / "a.hxd", tmp_path / "b.dcm") == 5
    assert not (tmp_path / "b.dcm").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--time", "5", "--slice", "0", "--out", "a.npy"], 2, "Time 5 does not exist"),
        (["--time", "0", "--slice", "3", "--out", "a.npy"], 2, "Slice 3 does not exist"),
        (["--time", "0", "--slice", "3", "--out", "a.dcm"], 2, "Slice 3 does not exist"),
        (["--time", "-1", "--slice", "0", "--out", "a.npy"], 2, "not in the range"),
        (["--time", "0", "--slice", "0", "--out", "a.txt"], 7, "no known ending"),
        (["--time", "0", "--slice", "0", "--out", "a.dcm", "--preview"], 2, "no original comes of that"),
    ],
)
def test_what_cannot_be(archives: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    assert cli.run(["frame", str(archives / "exact"), *arguments]) == code
    assert words in capsys.readouterr().err


def test_an_archive_with_loss_holds_no_original(archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert taken(archives / "lossy", tmp_path / "a.dcm") == 5
    assert "no original comes out of it" in capsys.readouterr().err


def test_no_archive(tmp_path: Path) -> None:
    assert taken(tmp_path / "none", tmp_path / "a.npy") == 3


def test_a_frame_of_an_archive_is_that_of_its_payload(archives: Path, tmp_path: Path) -> None:
    from hexdicom_services.cli.archive_file import bitstream

    assert taken(archives / "lossy", tmp_path / "a.npy") == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), codec.decode(bitstream(archives / "lossy")).values[3, 1])
