"""`hexdicom demo` as a person runs it: a real node in processes of its own; and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import cli

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A small series, a scout that is passed through, and a file that is not DICOM."""
    folder = tmp_path / "series"
    folder.mkdir()
    instances = list(beating_heart(slices=2, phases=3, rows=24, columns=20))
    for ds in instances:
        ds.save_as(folder / f"{int(ds.InstanceNumber)}.dcm", enforce_file_format=True)
    scout = instances[0]
    scout.SeriesInstanceUID += ".1"
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = scout.SOPInstanceUID + ".1"
    scout.save_as(folder / "scout.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("not DICOM")
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hexdicom_services", "demo", *map(str, arguments)]


def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(tmp_path / "tmp")}


def test_everything_comes_back(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        command(series, "--out", out), capture_output=True, text=True, env=environment(tmp_path), timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("IDENTICAL: 7 of 7 data sets restored, byte for byte by SHA-256; 1 of them")
    for word in ("bits per voxel", "ratio", "send", "encode", "restore", "planes", "picture.png"):
        assert word in done.stdout
    assert (out / "picture.png").stat().st_size > 10_000
    assert len(list((out / "restored").iterdir())) == 7
    assert "left out, not DICOM: 1 file" in done.stderr
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_behind(series: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    out, said = tmp_path / "out", tmp_path / "stderr"
    with said.open("w") as stream:
        # a run in the background of a shell ignores SIGINT, and so would its children
        process = subprocess.Popen(
            command(series, "--out", out), stderr=stream, stdout=stream, env=environment(tmp_path),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    for _ in range(1200):
        if "send" in said.read_text() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == code, said.read_text()
    assert "Traceback" not in said.read_text()
    assert not list((tmp_path / "tmp").iterdir())
    assert [path.name for path in out.iterdir()] == [".hexdicom-demo"]
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "tmp") not in left


def test_a_foreign_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "archive").mkdir()
    assert cli.run(["demo", "--out", str(tmp_path)]) == 7
    assert "is not empty" in capsys.readouterr().err
    assert (tmp_path / "archive").is_dir()
