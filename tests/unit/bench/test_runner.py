"""Every codec gives back what it got, or the run says what happened instead."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hexdicom.bench.coder import Layout
from hexdicom.bench.peers import LOSSLESS, Peer, chosen, near, own
from hexdicom.bench.result import Measurement, Skip
from hexdicom.bench.runner import measure
from hexdicom.bench.videos import Video
from hexdicom.codec.profile import Profile
from hexdicom.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hexdicom.bench.result import Run

INSTALLED = {"imagecodecs": "imagecodecs", "jpeg-ls": "jpeg_ls", "tomoz": "tomoz", "video": "imageio_ffmpeg"}


def needs(peer: Peer) -> None:
    if importlib.util.find_spec(INSTALLED[peer.kind]) is None:
        pytest.skip(f"{INSTALLED[peer.kind]} is not installed (pip install 'hexdicom[bench]')")


@pytest.mark.parametrize("peer", LOSSLESS, ids=lambda peer: peer.name)
def test_each_peer_is_exact(peer: Peer, everyone: Run) -> None:
    needs(peer)
    one = next(one for one in everyone.results if (one.codec, one.series) == (peer.name, "heart"))
    assert one.largest_error == 0
    assert one.bits_per_voxel == pytest.approx(8 * one.bytes / (3 * 2 * 32 * 40))
    assert 1 < one.bits_per_voxel < 16
    assert one.encode_seconds > 0
    assert one.decode_seconds > 0
    if sys.platform == "linux":
        assert one.encode_peak_bytes is not None
        assert one.encode_peak_bytes > 20e6  # an interpreter with numpy
    assert everyone.codec(peer.name).version


@pytest.mark.parametrize("peer", LOSSLESS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_each_peer_takes_every_type_and_few_values(peer: Peer, dtype: str) -> None:
    needs(peer)
    coder = peer.coder()
    coder.load()
    limits = np.iinfo(dtype)
    low = max(limits.min, -300)
    for high in (low + 1, min(low + 4000, limits.max)):  # one bit, and twelve where the type has them
        values = np.random.default_rng(3).integers(low, high, (2, 2, 20, 24), dtype, endpoint=True)
        layout = Layout.of(values)
        back = coder.decode(coder.encode(values, layout), layout)
        assert back.dtype == values.dtype
        assert np.array_equal(back, values)


def test_everyone_is_named_with_what_became_of_him(everyone: Run) -> None:
    named = {(one.codec, one.series) for found in (everyone.results, everyone.failures, everyone.skipped) for one in found}
    for name in [*(peer.name for peer in LOSSLESS), "JPEG-LS ±2", "breaks", "lies", "absent"]:
        assert {(name, ""), (name, "heart")} & named


def test_values_beyond_a_codec_are_skipped_with_the_reason(everyone: Run) -> None:
    needs(next(peer for peer in LOSSLESS if peer.name == "x265"))
    assert Skip("x265", "deep", "x265 has 12 bits at most; these values need 16") in everyone.skipped


def test_a_peer_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tomoz", "jpeg_ls", "imagecodecs", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PATH", "")
    found = list(measure([], LOSSLESS, 1, lambda _: None))
    assert {one.codec for one in found if isinstance(one, Skip)} == {peer.name for peer in LOSSLESS}
    assert all(isinstance(one, Skip) and "hexdicom[bench]" in one.reason for one in found)


def test_a_peer_that_breaks_is_recorded_and_the_run_goes_on(everyone: Run) -> None:
    needs(Peer("", "", "imagecodecs"))
    broken = [one for one in everyone.failures if one.codec == "breaks"]
    assert [(one.series, one.step) for one in broken] == [("heart", "encode")]
    assert "KeyError" in broken[0].error


def test_a_peer_that_gives_something_else_back_is_a_failure(everyone: Run) -> None:
    needs(near(2))
    lies = next(one for one in everyone.failures if one.codec == "lies")
    assert lies.step == "compare"
    assert lies.error == "values differ by up to 3; none is allowed"


def test_the_bound_of_a_near_lossless_peer_is_checked(everyone: Run) -> None:
    needs(near(2))
    for one in everyone.results:
        assert (one.max_error, one.largest_error) == ((2, 2) if one.codec == "JPEG-LS ±2" else (0, 0))


def test_a_bound_that_jpeg_ls_does_not_have(heart: NDArray[Any], run_of: Callable[..., Run]) -> None:
    needs(near(2))
    run = run_of([("heart", heart)], [near(300)])
    assert [one.reason for one in run.skipped] == ["JPEG-LS has no NEAR of 300 for 10 bits: 255 at most"]


def test_ours_is_exact_and_keeps_its_bound(heart: NDArray[Any]) -> None:
    layout = Layout.of(heart)
    for profile in (Profile(channels=2, hidden=4, steps=3), Profile("n", "near-lossless", 2, channels=2, hidden=4, steps=3)):
        peer = own(profile, "cpu")
        coder = peer.coder()
        coder.load()
        back = coder.decode(coder.encode(heart, layout), layout)
        assert np.abs(back.astype(int) - heart).max() == peer.max_error


def test_a_series_that_cannot_be_read_is_named_and_the_next_one_is_measured(heart: NDArray[Any]) -> None:
    def broken() -> NDArray[Any]:
        raise VolumeError("It cannot be read.")

    peer = LOSSLESS[0]
    needs(peer)
    found = list(measure([("a", broken), ("b", partial(np.copy, heart))], [peer], 2, lambda _: None))
    assert Skip("", "a", "It cannot be read.") in found
    assert [one.series for one in found if isinstance(one, Measurement)] == ["b"]


def test_videos_take_the_fewest_bits_that_hold_the_values(heart: NDArray[Any]) -> None:
    needs(Peer("", "", "video"))
    layout = Layout.of(heart)
    coder = Video("ffv1")
    assert np.array_equal(coder.decode(coder.encode(heart, layout), layout), heart)
    assert Layout.of(np.clip(heart, 0, 255)).bits == 8


def test_chosen_by_name() -> None:
    everyone = [own(Profile(), "cpu"), own(Profile("fast"), "cpu"), *LOSSLESS, near(2)]
    assert len(chosen(everyone, ())) == len(everyone)
    assert [peer.name for peer in chosen(everyone, ["hexdicom"])] == ["hexdicom lossless", "hexdicom fast"]
    assert [peer.name for peer in chosen(everyone, ["jpeg-ls", "hexdicom FAST"])] == ["hexdicom fast", "JPEG-LS", "JPEG-LS ±2"]
    with pytest.raises(KeyError, match="nobody"):
        chosen(everyone, ["JPEG XL", "nobody"])
