"""`hexdicom bench run` and `bench report`: every kind of source, and clear words where something cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import cli

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.random.default_rng(2).integers(0, 90, (3, 2, 20, 24)).astype(np.int16)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same array in three forms, a file without one, and a DICOM series in study/heart."""
    folder = tmp_path_factory.mktemp("sources")
    np.save(folder / "a.npy", VALUES)
    np.savez(folder / "a.npz", stored_values=VALUES)
    nibabel.Nifti1Image(VALUES.T, np.eye(4)).to_filename(folder / "b.nii.gz")
    np.savez(folder / "c.npz", something_else=VALUES)
    heart = folder / "study" / "heart"
    heart.mkdir(parents=True)
    for ds in beating_heart(slices=2, phases=3, rows=20, columns=24):
        ds.save_as(heart / f"{int(ds.InstanceNumber)}.dcm", enforce_file_format=True)
    return folder


def bench(*arguments: object) -> int:
    return cli.run(["bench", *map(str, arguments)])


def test_every_kind_of_source(sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jpeg_ls", reason="pyjpegls is not installed (pip install 'hexdicom[bench]')")
    given = [sources / name for name in ("a.npy", "a.npz", "b.nii.gz", "c.npz", "study")]
    assert bench("run", *given, "--only", "JPEG-LS", "--max-error", 1, "-o", tmp_path / "r.json") == 0
    said = capsys.readouterr()
    assert "c  all codecs: skipped: c.npz has no array `stored_values`." in said.err
    made: dict[str, Any] = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert [one["name"] for one in made["series"]] == ["a", "a (2)", "b", "study/heart"]
    assert len({one["sha256"] for one in made["series"][:3]}) == 1
    assert [one["shape"] for one in made["series"]] == [[3, 2, 20, 24]] * 4
    assert {one["codec"] for one in made["results"]} == {"JPEG-LS", "JPEG-LS ±1"}
    assert len(made["results"]) == 8

    assert bench("report", tmp_path / "r.json", "-o", tmp_path / "r.md") == 0
    assert "| study/heart | JPEG-LS |" in (tmp_path / "r.md").read_text("utf-8")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install 'hexdicom[bench]')")
    assert bench("report", tmp_path / "r.json", "-o", tmp_path / "report") == 0
    written = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert written == ["bits-per-voxel-within-1.svg", "bits-per-voxel.svg", "report.html", "report.md"]


def test_the_suite_of_the_paper(
    sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From DICOM and NIfTI alike: Table I on the screen, every point in the result, curves in the report."""
    for module in ("imagecodecs", "scipy", "matplotlib"):
        pytest.importorskip(module, reason=f"{module} is not installed (pip install 'hexdicom[bench]')")
    from hexdicom.bench import paper

    monkeypatch.setattr(paper, "_LEVELS", (20.0, 25.0, 30.0, 35.0))
    only = ("--only", "JPEG 2000", "--against", "JPEG 2000")
    assert bench("run", "--suite", "paper", sources / "b.nii.gz", sources / "study", *only, "-o", tmp_path / "r.json") == 0
    said = capsys.readouterr()
    assert "Table I: BD-rate against JPEG 2000" in said.out
    made: dict[str, Any] = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert (made["results"], made["failures"]) == ([], [])
    assert [one["series"] for one in made["points"]] == ["b"] * 4 + ["study/heart"] * 4
    assert [one["bd_rate"] for one in made["comparisons"]] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert all(f"{one['codec']} {one['setting']}: {one['bits_per_voxel']:.4f}" in said.err for one in made["points"])

    assert bench("report", tmp_path / "r.json", "-o", tmp_path / "report") == 0
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["rate-distortion.svg", "report.html", "report.md"]
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert text.startswith("# Lossy codecs on 4-D MR")
    assert "| b | JPEG 2000 | 20 dB |" in text


def test_a_codec_that_fails_ends_with_4(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imagecodecs", reason="imagecodecs is not installed (pip install 'hexdicom[bench]')")
    from hexdicom.bench import peers

    monkeypatch.setattr(peers, "LOSSLESS", (peers.Peer("breaks", "", "imagecodecs", {"name": "png"}),))
    assert bench("run", sources / "a.npy", "--only", "breaks", "-o", tmp_path / "r.json") == 4
    (failure,) = json.loads((tmp_path / "r.json").read_text("utf-8"))["failures"]
    assert (failure["codec"], failure["series"], failure["step"]) == ("breaks", "a", "encode")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.npy", "--only", "nobody"], 2, "Known: hexdicom"),
        (["a.npy", "--against", "nobody"], 2, "Known: hexdicom"),
        (["a.npy", "--profile", "lossy"], 2, "the suite is lossless"),
        (["a.npy", "--profile", "nonsense"], 7, "Shipped profiles"),
        (["a.npy", "--ratio", "100"], 2, "belong to the suite paper"),
        (["a.npy", "--suite", "paper", "--profile", "lossless"], 2, "the suite is lossy"),
        (["a.npy", "--suite", "paper", "--max-error", "2"], 2, "belongs to the suite lossless"),
        (["a.npy", "--suite", "paper", "--only", "nobody"], 2, "Known: HEVC (z), HEVC (t), AV1 (t)"),
        (["empty", "--only", "JPEG-LS"], 3, "no 4-D series and no array"),
    ],
)
def test_what_cannot_be_measured(
    sources: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    (sources / "empty").mkdir(exist_ok=True)
    assert bench("run", sources / arguments[0], *arguments[1:]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{}", "not JSON", '{"format": 2}'])
def test_what_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    assert bench("report", tmp_path / "r.json", "-o", tmp_path / "out.md") == 1
    assert "hexdicom bench run -o" in capsys.readouterr().err
