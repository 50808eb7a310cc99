"""Lossy codecs give back something close, of the right shape; what is no image is no point."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hexdicom.bench import paper
from hexdicom.bench.coder import Layout, Unfit
from hexdicom.bench.fidelity import compare, flatness, stillness
from hexdicom.bench.lossy_videos import KINDS, LossyVideo
from hexdicom.bench.peers import Peer
from hexdicom.bench.wavelets import LossyJpeg2000, Sperr
from hexdicom.codec.profile import Profile
from hexdicom.metrics import psnr

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hexdicom.bench.coder import Coder
    from hexdicom.bench.result import Run


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed (pip install 'hexdicom[bench]')")


@pytest.fixture(scope="module")
def moving() -> NDArray[Any]:
    """(5, 3, 64, 70) int16, every frame its own, with negative values."""
    t, z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (5, 3, 64, 70)), indexing="ij")
    return (900 * np.exp(-4 * ((x - 0.3 * t) ** 2 + (y - 0.3 * z) ** 2)) - 300 + 40 * z + 20 * t).astype(np.int16)


CODERS: tuple[tuple[Coder, float], ...] = (
    (LossyVideo("hevc", "z", 20), 35),
    (LossyVideo("hevc", "t", 20), 35),
    (LossyVideo("av1", "t", 20), 35),
    (LossyVideo("av1", "z", 20), 35),
    (LossyJpeg2000(42.0), 38),
    (Sperr("t", 1.0), 35),
    (Sperr("z", 1.0), 35),
)


@pytest.mark.parametrize(("coder", "least"), CODERS, ids=lambda one: str(one))
def test_what_comes_back_is_close_and_every_frame_is_in_its_place(coder: Coder, least: float, moving: NDArray[Any]) -> None:
    needs("imageio_ffmpeg" if isinstance(coder, LossyVideo) else "imagecodecs")
    layout = Layout.of(moving)
    coder.load()
    pieces = coder.encode(moving, layout)
    back = coder.decode(pieces, layout)
    assert (back.shape, back.dtype) == (moving.shape, moving.dtype)
    found = compare(moving, back)
    assert found.psnr_db == pytest.approx(psnr(moving, back))
    assert found.psnr_db is not None
    assert found.worst_frame_db is not None
    assert found.psnr_db > least
    assert found.worst_frame_db > least - 6, "a frame in the place of another would be far off"
    assert sum(map(len, pieces)) < moving.nbytes / 4


@pytest.mark.parametrize("name", KINDS)
def test_a_video_of_an_odd_size(name: str) -> None:
    needs("imageio_ffmpeg")
    values = np.random.default_rng(1).integers(0, 4000, (2, 2, 65, 67)).astype(np.uint16)
    values[:, :, 20:40] = 100
    layout = Layout.of(values)
    coder = LossyVideo(name, "t", 12)
    assert compare(values, coder.decode(coder.encode(values, layout), layout)).psnr_db is not None


@pytest.mark.parametrize("along", ["t", "z"])
def test_a_stack_of_one_frame_is_none(along: str, moving: NDArray[Any]) -> None:
    """SPERR itself would abort."""
    needs("imagecodecs")
    flat = moving[:1] if along == "t" else moving[:, :1]
    with pytest.raises(Unfit, match=f"one along {along}"):
        Sperr(along, 1.0).encode(flat, Layout.of(flat))


def test_fidelity_has_the_range_of_the_series_as_its_peak() -> None:
    values = np.zeros((2, 2, 4, 4), np.int16)
    values[0, 0, 0, 0], values[0, 0, 0, 1] = -100, 900
    back = values.copy()
    back[1, 1, 0, 0] += 8
    found = compare(values, back)
    assert found.largest_error == 8
    assert found.psnr_db == pytest.approx(10 * math.log10(1000**2 / (64 / 64)))
    assert found.worst_frame_db == pytest.approx(10 * math.log10(1000**2 / (64 / 16)))
    assert compare(values, values).psnr_db is None
    grey = np.full_like(values, round(float(values.mean())))
    assert compare(values, grey).psnr_db == pytest.approx(flatness(values), abs=0.1)


def test_a_still_series_is_its_own_mean(moving: NDArray[Any]) -> None:
    assert stillness(np.repeat(moving[:1], 3, axis=0)) is None
    level = stillness(moving)
    assert level is not None
    assert 10 < level < 40


def test_a_run_has_points_and_a_dead_fit_has_none(heart: NDArray[Any], run_of: Callable[..., Run]) -> None:
    needs("imagecodecs")
    good = Peer("SPERR (t)", "", "sperr", {"along": "t", "rate": 2.0}, None, "2 bpv")
    dead = Peer("SIREN", "", "fit", {"model": "siren", "ratio": 20.0, "steps": 1, "device": "cpu"}, None, "20 : 1")
    settings = {"model": "planes", "ratio": 5.0, "steps": 60, "device": "cpu"}
    alive = Peer("six planes (published)", "", "fit", settings, None, "5 : 1")
    run = run_of([("heart", heart)], [good, dead, alive])
    assert not run.results
    point, fitted = run.points
    assert (fitted.codec, fitted.steps, fitted.steps_asked) == ("six planes (published)", 60, 60)
    assert (point.codec, point.setting, point.steps) == ("SPERR (t)", "2 bpv", None)
    assert point.bits_per_voxel == pytest.approx(8 * point.bytes / heart.size)
    assert point.psnr_db is not None
    assert point.psnr_db > flatness(heart) + 6
    (failure,) = run.failures
    assert (failure.codec, failure.setting, failure.step) == ("SIREN", "20 : 1", "compare")
    assert failure.error.startswith("is no better than one grey for the whole series")
    assert run.series[0].still_db is not None


def test_the_suite_is_the_papers_and_more() -> None:
    everyone = paper.peers([Profile("lossy", "lossy")], (500.0, 100.0), 80_000, 30.0, "cpu")
    names = list(dict.fromkeys(peer.name for peer in everyone))
    assert names == [
        paper.ANCHOR, "HEVC (t)", "AV1 (t)", "JPEG 2000", "SPERR (z)", "SPERR (t)", "six planes (published)", "NeRF", "SIREN",
        "hexdicom lossy",
    ]  # fmt: skip
    assert len({(peer.name, peer.setting) for peer in everyone}) == len(everyone)
    assert all(peer.max_error is None for peer in everyone)
    assert [peer.name for peer in everyone if peer.ours] == ["hexdicom lossy"] * 2
    assert {peer.how for peer in everyone if peer.name == "NeRF"} == {"10 frequencies, five layers, fp32; 80000 steps or 30 s"}
    for peer in everyone:
        peer.coder()
