"""The planes of the lossy profile: wavelets, time functions, and the promise to meet what is asked for."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hexdicom import codec
from hexdicom.codec import Profile, container
from hexdicom.codec.container import FILTERED, SPARSE, Layer
from hexdicom.codec.sparse import bands, control, fit, model
from hexdicom.codec.sparse import series as series_layer
from hexdicom.errors import BitstreamError, ProfileError, VerificationError
from hexdicom.metrics import psnr, ssim, worst_frame_psnr
from hexdicom.volume import CineVolume

CPU = torch.device("cpu")
GOLDEN = Path(__file__).parents[2] / "golden"


def beating(shape: tuple[int, int, int, int] = (8, 3, 48, 52), noise: float = 4, seed: int = 0) -> CineVolume:
    t, z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    disc = 400 / (1 + np.exp(14 * (np.hypot(y, x) - 0.5 - 0.15 * np.sin(3 * t) + 0.1 * z)))
    rng = np.random.default_rng(seed)
    return CineVolume(np.rint(np.hypot(disc + 40 + rng.normal(0, noise, shape), rng.normal(0, noise, shape))).astype(np.int16))


def layer_of(bitstream: bytes) -> bytes:
    return container.unpack(bitstream).layer(FILTERED) or b""


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 50), (64, 64), (7, 13)])
@pytest.mark.parametrize("levels", [0, 1, 4])
def test_wavelets_come_back(shape: tuple[int, int], levels: int) -> None:
    maps = np.random.default_rng(1).normal(0, 300, (2, *shape)).astype(np.float32)
    found = np.rint(bands.forward(maps, levels) * 64).astype(np.int64)
    bands.inverse(found, levels)
    assert np.abs(found / 64 - maps).max() < 0.15


def test_wavelets_across_slices_come_back() -> None:
    stack = np.random.default_rng(1).normal(0, 300, (9, 40)).astype(np.float32)
    found = np.rint(bands.forward_along(stack, 2) * 64).astype(np.int64)
    bands.inverse_along(found, 2)
    assert np.abs(found / 64 - stack).max() < 0.15


@pytest.mark.parametrize(("height", "width"), [(48, 52), (7, 90), (1, 5), (33, 33)])
def test_bands_share_out_a_map(height: int, width: int) -> None:
    found, room = bands.table(height, width, bands.levels(height, width))
    covered = np.zeros((height, width), int)
    for _, _, top, left, h, w, *_ in found:
        covered[top : top + h, left : left + w] += 1
    assert (covered == 1).all()
    assert room >= found[:, 7].max()


def test_what_is_fitted_is_what_is_decoded() -> None:
    values = beating().values.astype(np.int32)
    sparse = fit.at_step(fit.analyse(values), 40 * 64)
    parsed = model.from_bytes(model.to_bytes(sparse), (8, 3, 48, 52))
    assert np.array_equal(parsed.coefficients, sparse.coefficients)
    assert np.array_equal(parsed.times, sparse.times)
    assert np.array_equal(model.evaluate(parsed, CPU), model.evaluate(sparse, CPU))
    assert np.array_equal(model.evaluate(parsed, CPU, [5, 0]), model.evaluate(parsed, CPU)[[5, 0]])
    assert np.abs(parsed.coefficients).max() > 1


def test_sums_in_doubles_and_in_torch_are_exact() -> None:
    """Against integers, with as many and as large numbers as there may be."""
    rng = np.random.default_rng(2)
    for channels in (0, 1, 3, 4, 7, 64):
        maps = rng.integers(-(2**31) + 1, 2**31, (2, channels, 30, 41)).astype(np.int32)
        functions = rng.integers(-(2**15), 2**15 + 1, (5, channels)).astype(np.float64)
        maps[0], functions[0] = np.sign(maps[0]) * (2**31 - 1), 2**15
        maps[1, :, ::2] //= 1 << 14
        opened = series_layer.Maps(maps, functions, -32768, 65535)
        exact = np.einsum("tr,zryx->tzyx", functions.astype(np.int64), maps.astype(np.int64))
        expected = np.clip((exact + (1 << 19)) >> 20, -32768, 65535)
        assert np.array_equal(opened.values(range(5), [0, 1], CPU), expected)
        assert np.array_equal(opened.values([3], [1], CPU)[0, 0], expected[3, 1])
        for z in range(2):
            found = opened.on(CPU, maps[z].reshape(channels, 30 * 41), functions)
            assert np.array_equal(found, expected[:, z].reshape(5, -1))


def test_finer_steps_give_more_bytes_and_more_decibels() -> None:
    values = beating().values.astype(np.int32)
    analysis = fit.analyse(values)
    found = [fit.at_step(analysis, step * 64) for step in (100, 40, 16, 6, 1)]
    sizes = [len(model.to_bytes(one)) for one in found]
    levels = [psnr(values, model.evaluate(one, CPU)) for one in found]
    assert sizes == sorted(sizes)
    assert levels == sorted(levels)
    assert levels[-1] > 55  # no floor: what is not rounded away comes back


def test_a_price_on_bits_saves_more_than_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    values = beating(noise=8).values.astype(np.int32)
    analysis = fit.analyse(values)
    priced = fit.at_step(analysis, 40 * 64)
    monkeypatch.setattr(fit, "PRICE", 1e-9)
    rates = []
    for step in range(60, 34, -1):  # a coarser step without price that is as good
        plain = fit.at_step(analysis, step * 64)
        rates.append((psnr(values, model.evaluate(plain, CPU)), len(model.to_bytes(plain))))
    level = psnr(values, model.evaluate(priced, CPU))
    as_good = min(size for found, size in rates if found >= level)
    assert len(model.to_bytes(priced)) < as_good


@pytest.mark.parametrize("ratio", [12.0, 40.0, 150.0])
def test_ratio_is_met(ratio: float) -> None:
    series = beating()
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", ratio=ratio))
    assert 0.98 * series.values.nbytes / ratio <= encoded.report.bytes <= series.values.nbytes / ratio


@pytest.mark.parametrize("most", [700, 4001])
def test_max_bytes_is_met(most: int) -> None:
    encoded = codec.encode(beating(), Profile(name="lossy", kind="lossy", max_bytes=most))
    assert 0.98 * most <= len(encoded.bitstream) <= most


@pytest.mark.parametrize("level", [26.0, 33.0, 40.0])
def test_psnr_is_met(level: float) -> None:
    series = beating()
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", psnr=level))
    reached = psnr(series.values, codec.decode(encoded.bitstream).values)
    assert encoded.report.psnr_db == pytest.approx(reached)
    assert level <= reached < level + 0.1


def test_more_bytes_than_a_series_needs_are_not_used() -> None:
    series = beating(noise=0)
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", max_bytes=10_000_000))
    assert encoded.report.bytes < series.values.nbytes
    assert np.abs(codec.decode(encoded.bitstream).values - series.values).max() <= 1


def test_too_few_bytes_say_how_many_it_takes() -> None:
    with pytest.raises(ProfileError, match=r"takes \d+ bytes at least"):
        codec.encode(beating(), Profile(name="lossy", kind="lossy", max_bytes=20))


def test_decibels_out_of_reach_say_what_is_possible() -> None:
    many = beating((70, 1, 12, 13), noise=60)  # 70 times, and 64 channels at most
    with pytest.raises(ProfileError, match=r"reaches \d+\.\d dB on this series, not 90 dB"):
        codec.encode(many, Profile(name="lossy", kind="lossy", psnr=90))


def test_less_than_a_flat_grey_is_refused() -> None:
    bright = np.random.default_rng(5).integers(500, 1000, (3, 2, 30, 30)).astype(np.int16)
    bright[0, 0, 0, 0] = 0
    with pytest.raises(VerificationError, match="worse than a flat grey"):
        codec.encode(CineVolume(bright), Profile(name="lossy", kind="lossy", max_bytes=45))  # room for a header


@pytest.mark.parametrize("broken", ["raises", "nan", "not orthonormal"])
def test_singular_vectors_that_fail_are_replaced(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def eigh(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        if broken == "raises":
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        wrong = np.full_like(products, np.nan) if broken == "nan" else np.ones_like(products)
        return wrong[0], wrong

    series = beating()
    monkeypatch.setattr(np.linalg, "eigh", eigh)
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", ratio=30))
    assert encoded.report.psnr_db is not None
    assert encoded.report.psnr_db > 25


def test_functions_are_orthonormal_for_any_number_of_times() -> None:
    for t in (1, 2, 30, fit.MOST_TIMES + 1):
        values = np.random.default_rng(2).integers(0, 900, (t, 1, 3, 4)).astype(np.int32)
        functions = fit.analyse(values).functions
        assert len(functions) == min(t, series_layer.MOST_CHANNELS)
        assert np.allclose(functions @ functions.T, np.eye(len(functions)), atol=1e-9)


def test_quality_is_that_of_the_bitstream() -> None:
    series = beating()
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", ratio=60))
    decoded = codec.decode(encoded.bitstream).values
    report = encoded.report
    assert report.max_error == np.abs(decoded.astype(int) - series.values).max() > 0
    assert report.worst_frame_psnr_db == worst_frame_psnr(series.values, decoded)
    assert report.ssim == ssim(series.values, decoded)
    assert report.worst_frame_psnr_db is not None
    assert report.psnr_db is not None
    assert report.ssim is not None
    assert report.worst_frame_psnr_db < report.psnr_db
    assert 0.3 < report.ssim < 1


def test_a_frame_that_came_out_badly_shows() -> None:
    before = beating().values
    after = before.copy()
    after[3, 1] = 0
    assert worst_frame_psnr(before, after) == pytest.approx(psnr(before, after) - 10 * math.log10(8 * 3), abs=1e-9)
    assert ssim(before, after) < 0.98
    assert math.isinf(worst_frame_psnr(before, before))


def test_ssim_of_noise_falls_with_its_strength() -> None:
    before = beating(noise=0).values
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 1, before.shape)
    found = [ssim(before, np.rint(before + strength * noise).astype(np.int16)) for strength in (0, 2, 10, 50)]
    assert found[0] == 1
    assert found == sorted(found, reverse=True)


def test_threads_and_slices_do_not_change_what_is_decoded() -> None:
    bitstream = codec.encode(beating(), Profile(name="lossy", kind="lossy", ratio=30)).bitstream
    whole = codec.decode(bitstream).values
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert np.array_equal(codec.decode(bitstream).values, whole)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(codec.decode(bitstream, slices=[2, 0]).values, whole[:, [2, 0]])
    assert np.array_equal(codec.preview(bitstream, times=[4]).values, whole[[4]])
    assert not codec.open(bitstream).slices_alone


def test_a_curve_is_what_its_encodings_are() -> None:
    series = beating()
    points = codec.curve(series, (200, 10), 4)
    sizes = [point.bytes for point in points]
    assert sizes == sorted(sizes)
    assert 0.9 * series.values.nbytes / 200 <= sizes[0] <= series.values.nbytes / 200
    assert 0.9 * series.values.nbytes / 10 <= sizes[-1] <= series.values.nbytes / 10 + 100
    encoded = codec.encode(series, Profile(name="lossy", kind="lossy", max_bytes=sizes[1])).report
    assert encoded.psnr_db == pytest.approx(points[1].psnr_db, abs=0.4)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_layers_are_refused_or_decoded_within_bounds(seed: int) -> None:
    """Every third is of the first kind, whose encoder is gone."""
    kind = SPARSE if seed % 3 == 0 else FILTERED
    if kind == SPARSE:
        bitstream = (GOLDEN / "sparse-lossy.hxd").read_bytes()
    else:
        bitstream = codec.encode(beating((4, 2, 40, 30)), Profile(name="lossy", kind="lossy", ratio=20)).bitstream
    parsed = container.unpack(bitstream)
    data = bytearray(parsed.layer(kind) or b"")
    rng = np.random.default_rng(seed)
    if seed % 4 == 0:
        data = data[: rng.integers(0, len(data))]
    else:
        for place in rng.integers(0, 24 if seed % 4 == 1 else len(data), 3):
            data[place] = rng.integers(0, 256)
    damaged = container.pack(container.Container(parsed.shape, parsed.dtype, None, (Layer(kind, bytes(data)),)))
    try:
        decoded = codec.decode(damaged).values
    except BitstreamError:
        return
    assert decoded.shape == parsed.shape


def test_few_bytes_that_claim_many_maps_take_no_memory() -> None:
    layer = model.to_bytes(fit.at_step(fit.analyse(beating((4, 2, 40, 30)).values.astype(np.int32)), 6400))
    with pytest.raises(BitstreamError, match="too short"):
        model.from_bytes(layer[:60], (4, 1, 16384, 4096))


def test_bands_of_next_to_nothing_take_no_memory() -> None:
    """65535 maps of one value each, halved six times: their padded planes would be gigabytes."""
    few = np.zeros((20, 64), np.int64)
    layer = model.to_bytes(model.Sparse(64, (0, 0, 0), (0,) * 7, 0, 9, few[:, 0], few, np.zeros((1, 20, 1, 1), np.int32)))
    with pytest.raises(BitstreamError, match="more memory"):
        model.from_bytes(layer, (64, 65535, 1, 1))


def test_layers_that_do_not_go_together() -> None:
    bitstream = codec.encode(beating((4, 2, 40, 30)), Profile(name="lossy", kind="lossy", ratio=20)).bitstream
    parsed = container.unpack(bitstream)
    with pytest.raises(BitstreamError, match="contradict"):
        codec.decode(container.pack(container.Container(parsed.shape, parsed.dtype, 0, parsed.layers)))


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 5000}, {"kind": "lossy", "max_bytes": 0}, {"kind": "lossy", "max_bytes": 9, "psnr": 3}]
)
def test_profiles_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ProfileError):
        Profile(**wrong)  # type: ignore[arg-type]


def test_a_ratio_asks_for_bytes() -> None:
    assert control.most_bytes(Profile(kind="lossy", ratio=8), 1000) == 125
    assert control.most_bytes(Profile(kind="lossy", max_bytes=77), 1000) == 77
    assert control.most_bytes(Profile(kind="lossy", psnr=40), 1000) is None
