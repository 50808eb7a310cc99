"""The codec as its users see it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
import torch

from hexdicom import codec
from hexdicom.codec import Profile, container, fit, planes
from hexdicom.errors import BitstreamError, ProfileError, VolumeError
from hexdicom.metrics import psnr
from hexdicom.volume import CineVolume

if TYPE_CHECKING:
    from hexdicom.codec import Progress

QUICK = Profile(steps=20, channels=4, hidden=4)


def _beating(shape: tuple[int, int, int, int] = (6, 2, 40, 44), noise: float = 5, seed: int = 0) -> CineVolume:
    t, z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    disc = 400 / (1 + np.exp(14 * (np.hypot(y, x) - 0.5 - 0.15 * np.sin(3 * t) + 0.1 * z)))
    rng = np.random.default_rng(seed)
    noisy = np.hypot(disc + 40 + rng.normal(0, noise, shape), rng.normal(0, noise, shape))
    return CineVolume(np.rint(noisy).astype(np.int16))


def test_lossless_is_exact_and_small() -> None:
    series = _beating()
    encoded = codec.encode(series, QUICK)
    decoded = codec.decode(encoded.bitstream)
    assert decoded.values.dtype == np.int16
    assert np.array_equal(decoded.values, series.values)
    assert encoded.report.psnr_db is None
    assert encoded.report.max_error == 0
    # Gaussian noise of deviation 5 cannot be coded in less than 4.37 bits per voxel
    assert 4.3 < encoded.report.bits_per_voxel < 6.2


@pytest.mark.parametrize("bound", [1, 2, 7])
def test_near_lossless_keeps_its_bound(bound: int) -> None:
    series = _beating(noise=9)
    profile = Profile(name="near", kind="near-lossless", max_error=bound, steps=20, channels=4, hidden=4)
    encoded = codec.encode(series, profile)
    decoded = codec.decode(encoded.bitstream).values.astype(int)
    assert np.abs(decoded - series.values).max() == encoded.report.max_error == bound
    assert codec.inspect(encoded.bitstream).max_error == bound
    assert encoded.report.bytes < codec.encode(series, QUICK).report.bytes


def test_lossy_is_filtered_planes_alone() -> None:
    series = _beating()
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", ratio=20))
    assert [layer.name for layer in encoded.report.layers] == ["filtered-planes"]
    decoded = codec.decode(encoded.bitstream).values
    assert np.array_equal(decoded, codec.preview(encoded.bitstream).values)
    assert encoded.report.psnr_db == pytest.approx(psnr(series.values, decoded))
    assert encoded.report.psnr_db is not None
    assert encoded.report.psnr_db > 30
    assert encoded.report.bytes < 2 * series.voxels / 20


def test_exact_ones_need_no_good_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "fit", lambda values, size, *_: planes.SixPlanes(size, seed=0))
    series = _beating()
    assert np.array_equal(codec.decode(codec.encode(series, QUICK).bitstream).values, series.values)


def test_preview_of_single_times() -> None:
    bitstream = codec.encode(_beating(), QUICK).bitstream
    everything = codec.preview(bitstream).values
    assert np.array_equal(codec.preview(bitstream, times=[4]).values, everything[[4]])
    with pytest.raises(ProfileError, match="Time 6 does not exist"):
        codec.preview(bitstream, times=[6])


def test_same_input_same_bitstream() -> None:
    assert codec.encode(_beating(), QUICK).bitstream == codec.encode(_beating(), QUICK).bitstream


def test_number_of_threads_does_not_change_what_is_decoded() -> None:
    series = _beating()
    bitstream = codec.encode(series, QUICK).bitstream
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert np.array_equal(codec.decode(bitstream).values, series.values)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.gpu
def test_gpu_and_cpu_decode_each_other() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    series = _beating()
    for one, other in (("cpu", "cuda"), ("cuda", "cpu")):
        bitstream = codec.encode(series, QUICK, device=one).bitstream
        assert np.array_equal(codec.decode(bitstream, device=other).values, series.values)


def test_constant_series() -> None:
    series = CineVolume(np.full((4, 4, 64, 64), 7, np.uint16))
    encoded = codec.encode(series, QUICK)
    assert encoded.report.bytes < 150
    assert np.array_equal(codec.decode(encoded.bitstream).values, series.values)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_noise_over_the_whole_range(dtype: str) -> None:
    limits = np.iinfo(dtype)
    values = np.random.default_rng(4).integers(limits.min, limits.max + 1, (3, 3, 30, 30)).astype(dtype)
    encoded = codec.encode(CineVolume(values), QUICK)
    assert np.array_equal(codec.decode(encoded.bitstream).values, values)
    assert encoded.report.bytes < values.nbytes * 1.01 + 200


def test_too_large_a_series() -> None:
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.int16), (300, 100, 128, 128), (0, 0, 0, 0))
    with pytest.raises(VolumeError, match="beyond"):
        codec.encode(CineVolume(huge), QUICK)


def test_unknown_device() -> None:
    with pytest.raises(ProfileError, match="'tpu' is not available"):
        codec.encode(_beating(), QUICK, device="tpu")


def test_error_bound_and_layers_must_agree() -> None:
    parsed = container.unpack(codec.encode(_beating(), QUICK).bitstream)
    lying = container.Container(parsed.shape, parsed.dtype, None, parsed.layers)
    with pytest.raises(BitstreamError, match="contradict"):
        codec.decode(container.pack(lying))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "lossless", "max_error": 1},
        {"kind": "near-lossless"},
        {"ratio": 0.5},
        {"ratio": float("nan")},
        {"psnr": 40.0},
        {"channels": 0},
    ],
)
def test_profiles_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ProfileError):
        Profile(**wrong)  # type: ignore[arg-type]


def test_a_failed_encoding_does_not_wait_for_the_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def endless(values: object, size: object, steps: int, device: object, progress: Progress) -> NoReturn:
        try:
            while True:
                time.sleep(0.01)
                progress("planes", 0.5)
        finally:
            ended.set()

    def failing(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("hexdicom.codec.fit.fit", endless)
    monkeypatch.setattr("hexdicom.codec.residual.encode", failing)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            codec.encode(CineVolume(np.arange(4 * 2 * 32 * 32, dtype=np.int16).reshape(4, 2, 32, 32)), Profile())
    finally:
        torch.set_num_threads(before)
    assert ended.is_set()


@pytest.mark.parametrize("profile", [QUICK, Profile(kind="lossy", ratio=20)])
def test_the_time_of_encoding_holds_that_of_the_fit(profile: Profile) -> None:
    report = codec.encode(_beating(), profile, verify=False).report
    assert report.encode_seconds >= report.fit_seconds > 0
    assert report.verify_seconds < report.encode_seconds
