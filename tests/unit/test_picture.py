"""Pictures: sizes, endings, and that the beating slice and phase are found."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from hexdicom.dicom.phantom import beating_heart
from hexdicom.errors import ConfigError
from hexdicom_services import picture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def values() -> np.ndarray:  # type: ignore[type-arg]
    frames = [ds.pixel_array for ds in beating_heart(slices=3, phases=8, rows=64, columns=48)]
    return np.stack(frames).reshape(3, 8, 64, 48).transpose(1, 0, 2, 3)


def test_the_end_of_systole_is_found(values: np.ndarray) -> None:  # type: ignore[type-arg]
    z = picture.moving_slice(values)
    assert picture.two_phases(values[:, z]) == (0, 3)


def test_comparison_shows_three_panels_for_two_phases(values: np.ndarray) -> None:  # type: ignore[type-arg]
    stack = values[[0, 3], 0]
    sheet = picture.comparison(stack, stack, title="t", names=("a", "b"))
    assert sheet.width > 3 * picture.PANEL * 48 / 64
    assert sheet.height > 2 * picture.PANEL
    middle = np.asarray(sheet)[200:300, sheet.width - 200 : sheet.width - 100]
    assert middle.max() < 40  # no difference: the panel is black


def test_save_by_ending(values: np.ndarray, tmp_path: Path) -> None:  # type: ignore[type-arg]
    images = picture.beating(values, slices=2)
    assert len(images) == 8
    picture.save(images, tmp_path / "a.png", milliseconds=50)
    picture.save(images, tmp_path / "a.gif", milliseconds=50)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 8  # type: ignore[attr-defined]
    if shutil.which("ffmpeg") is None:
        with pytest.raises(ConfigError, match="ffmpeg"):
            picture.save(images, tmp_path / "a.mp4", milliseconds=50)
    with pytest.raises(ConfigError, match="no known ending"):
        picture.save(images, tmp_path / "a.bmp", milliseconds=50)


def test_a_constant_image_is_no_trouble() -> None:
    flat = np.zeros((2, 1, 16, 16), np.int16)
    assert picture.two_phases(flat[:, 0]) == (0, 0)
    picture.comparison(flat[:, 0], flat[:, 0], title="", names=("a", "b"))
