"""The beating-heart phantom: deterministic, beating, and a valid MR Image."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hexdicom.dicom.phantom import CYCLE, beating_heart, contraction

if TYPE_CHECKING:
    from pathlib import Path


def test_same_arguments_give_the_same_bytes_and_other_seeds_do_not() -> None:
    size = {"slices": 1, "phases": 2, "rows": 32, "columns": 40}
    first, again, other = (list(beating_heart(**size, seed=seed)) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert [d.to_json() for d in first] == [d.to_json() for d in again]
    assert {d.SOPInstanceUID for d in first}.isdisjoint(d.SOPInstanceUID for d in other)
    assert first[0].PixelData != other[0].PixelData
    assert first[0].pixel_array.shape == (32, 40)


def test_series_is_a_complete_rectangle_in_scanner_order() -> None:
    series = list(beating_heart(slices=3, phases=4, rows=32, columns=32))
    assert [int(d.InstanceNumber) for d in series] == list(range(1, 13))
    assert [float(d.TriggerTime) for d in series[:4]] == [0, CYCLE / 4, CYCLE / 2, 3 * CYCLE / 4]
    locations = [float(d.SliceLocation) for d in series[::4]]
    np.testing.assert_allclose(np.diff(locations), 10, atol=1e-4)
    assert len({d.SeriesInstanceUID for d in series}) == 1
    assert len({d.SOPInstanceUID for d in series}) == 12
    assert all(d.CardiacNumberOfImages == 4 for d in series)


def test_the_ventricle_beats() -> None:
    assert contraction(0) == 0
    assert contraction(0.36) == pytest.approx(1)
    relaxed, squeezed = (
        next(iter(list(beating_heart(slices=1, phases=8, rows=96, columns=96))[t : t + 1])).pixel_array for t in (0, 3)
    )
    heart = np.s_[25:55, 25:70]
    assert (relaxed[heart] > 600).sum() > 1.5 * (squeezed[heart] > 600).sum()


def test_air_is_rician() -> None:
    image = next(iter(beating_heart(slices=1, phases=1))).pixel_array
    corner = image[:12, :12].astype(float)
    assert corner.mean() > 2  # magnitude of complex noise: never negative, its mean above zero
    assert corner.std() / corner.mean() == pytest.approx(0.52, abs=0.12)  # Rayleigh


def test_twelve_bits_are_unsigned() -> None:
    ds = next(iter(beating_heart(slices=1, phases=1, rows=32, columns=32, bits_stored=12)))
    assert (ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (12, 11, 0)
    assert ds.pixel_array.max() < 4096


@pytest.mark.parametrize("bad", [{"slices": 0}, {"rows": 8}, {"bits_stored": 10}])
def test_impossible_sizes_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="phantom needs"):
        next(iter(beating_heart(**bad)))  # type: ignore[arg-type]


@pytest.mark.peer
def test_dciodvfy_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt install dicom3tools)")
    for i, ds in enumerate(beating_heart(slices=1, phases=2, rows=32, columns=32)):
        path = tmp_path / f"{i}.dcm"
        ds.save_as(path, enforce_file_format=True)
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in said.stdout + said.stderr
