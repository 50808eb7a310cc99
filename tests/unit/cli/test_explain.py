"""`hexdicom explain`: the fields of its JSON, and what a person reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import cli

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def write_phantom(folder: Path) -> None:
    for ds in beating_heart(slices=2, phases=3, rows=32, columns=24):
        ds.save_as(folder / f"{int(ds.InstanceNumber)}.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("not DICOM")


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_phantom(tmp_path)
    assert cli.run(["explain", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (series,) = told["series"]
    assert series["shape"] == [3, 2, 32, 24]
    assert series["instances"] == 6
    assert series["time_key"] == "TriggerTime"
    assert series["series_description"] == "Cine short axis"
    (passed,) = told["passed_through"]
    assert passed["path"].endswith("notes.txt")
    assert passed["reason"]


def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_phantom(tmp_path)
    assert cli.run(["explain", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "3 time points × 2 slices × 32 rows × 24 columns" in told
    assert "by TriggerTime" in told
    assert "1 4-D group of 6 files; 1 file archived untouched." in told
