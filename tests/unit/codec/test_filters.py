"""The networks of the lossy profile's first channel: exact in float32, of use, and refused where they are unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hexdicom.codec import Profile, encode
from hexdicom.codec.parallel import threads
from hexdicom.codec.sparse import bands, examples, filters, fit, model, pretrain, refine
from hexdicom.errors import BitstreamError, UnsupportedVersion
from hexdicom.metrics import psnr
from tests.unit.codec.test_sparse import beating

CPU = torch.device("cpu")


@pytest.mark.parametrize("number", filters.numbers())
def test_sums_are_exact_on_any_maps(number: int) -> None:
    rng = np.random.default_rng(number)
    maps = np.rint(rng.standard_t(1, (3, 9, 70)) * 5000).astype(np.int64).clip(-filters.MAP_LIMIT, filters.MAP_LIMIT)
    network = filters.load(number)
    double = replace(
        network,
        weights=tuple(weights.astype(np.float64) for weights in network.weights),
        biases=tuple(bias.astype(np.float64) for bias in network.biases),
    )
    with threads(CPU) as workers:
        found = network(maps, 700, (2, 3), workers)
        assert np.array_equal(found, double(maps, 700, (2, 3), workers))
        assert np.array_equal(network(maps * 3, 2100, (2, 3), workers), found)  # steps are its unit


def test_a_filter_brings_a_coarse_series_nearer() -> None:
    values = beating((8, 6, 64, 64)).values.astype(np.int32)
    analysis = fit.analyse(values)
    plain = fit.at_step(analysis, 150 * 64)
    filtered = fit.filtered(analysis, plain)
    assert filtered.filter in filters.numbers()
    assert filtered.strength > 0
    assert psnr(values, model.evaluate(filtered, CPU)) > psnr(values, model.evaluate(plain, CPU)) + 0.1
    assert len(model.to_bytes(filtered)) == len(model.to_bytes(plain))
    assert np.array_equal(model.evaluate(replace(filtered, strength=0), CPU), model.evaluate(plain, CPU))


def test_no_filter_where_it_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    values = beating().values.astype(np.int32)
    analysis = fit.analyse(values)
    found = fit.at_step(analysis, 40 * 64)
    monkeypatch.setattr(filters, "numbers", tuple)
    assert fit.filtered(analysis, found).filter == filters.NONE
    monkeypatch.undo()
    without_the_strongest = replace(
        found, times=found.times[1:], precision=found.precision[1:], coefficients=found.coefficients[:, 1:]
    )
    assert fit.filtered(analysis, without_the_strongest).filter == filters.NONE


def test_an_unknown_filter_is_refused() -> None:
    found = fit.at_step(fit.analyse(beating().values.astype(np.int32)), 40 * 64)
    with pytest.raises(UnsupportedVersion, match="filter 99"):
        model.from_bytes(model.to_bytes(replace(found, filter=99)), (8, 3, 48, 52))


def test_a_filter_without_a_channel_is_refused() -> None:
    none = np.zeros((0, 8), np.int64)
    nothing = model.Sparse(64, (0, 0, 0), (0,), 0, 9, none[:, 0], none, np.zeros((3, 0, 48, 52), np.int32), 1, 128)
    with pytest.raises(BitstreamError, match="does not have"):
        model.from_bytes(model.to_bytes(nothing), (8, 3, 48, 52))


def test_halvings_of_bands_beyond_the_last_are_refused() -> None:
    found = fit.at_step(fit.analyse(beating().values.astype(np.int32)), 40 * 64)
    layer = bytearray(model.to_bytes(found))
    place = layer.index(bytes((found.levels + 16 * found.expectation, 0, 0, len(found.precision))))
    layer[place] &= 240
    layer[place - 4] = 64  # halvings of level 3
    with pytest.raises(BitstreamError, match="halves bands"):
        model.from_bytes(bytes(layer), (8, 3, 48, 52))


def test_weights_that_reach_too_far_are_refused() -> None:
    with pytest.raises(BitstreamError, match="would not be exact"):
        filters.to_bytes([np.full((1, filters.WIDE_INPUTS, 3, 3), 40.0)], [np.zeros(1)], [1])


@pytest.mark.parametrize(("slices", "halvings"), [(1, 3), (2, 1), (9, 0), (9, 2), (33, 3)])
def test_a_slice_knows_only_what_came_before(slices: int, halvings: int) -> None:
    (table,) = bands.known(slices, (halvings,))
    for z, (last, second, depth, third) in enumerate(table):
        assert last < z or last == slices
        assert third < z or third == slices
        assert second < z or second == slices
        assert depth <= halvings
    assert [np.count_nonzero(table[:, 2] == depth) for depth in range(halvings + 1)] == np.diff(
        [0, *bands.halves(slices, halvings)[::-1]]
    ).tolist()


def test_slices_alike_are_halved_across() -> None:
    rng = np.random.default_rng(8)
    texture = rng.normal(0, 200, (1, 1, 32, 36))
    values = np.rint(900 + texture + rng.normal(0, 4, (3, 12, 32, 36))).astype(np.int32)
    analysis = fit.analyse(values)
    assert fit.halvings_for(analysis, 60 * 64) != (0,)
    unlike = np.full((3, 12, 32, 36), 100, np.int32)
    for z, (y, x) in enumerate(rng.integers(0, 24, (12, 2))):
        unlike[:, z, y : y + 8, x : x + 8] = 900
    assert fit.halvings_for(fit.analyse(unlike), 60 * 64) == (0,)


def test_training_learns_to_lessen_the_error() -> None:
    values = beating((2, 6, 64, 64)).values.astype(np.int32)
    shown = list(examples.of(values, 0, 99, 2, np.random.default_rng(0)))
    said: list[str] = []
    network = pretrain.Network(8)
    pretrain.train(shown, network, 100, 0, said.append)
    assert said
    with torch.no_grad():
        left = [
            float(torch.square(network(pretrain.inputs_of(one, 2)[None])[0] - one.missing[2]).mean()) / one.error for one in shown
        ]
    assert np.mean(left) < 1
    shipped = filters.from_bytes(network.to_bytes())
    assert shipped.dilations == pretrain.DILATIONS
    again = pretrain.of_filter(shipped)
    for before, after in zip(network.weights, again.weights, strict=True):
        assert torch.allclose(before, after, atol=1e-2)


@pytest.mark.parametrize("number", filters.numbers())
def test_floats_say_nearly_what_integers_say(number: int) -> None:
    rng = np.random.default_rng(number)
    maps = np.rint(np.cumsum(rng.normal(0, 300, (5, 24, 30)), 2)).astype(np.int64)
    network = filters.load(number)
    with threads(CPU) as workers:
        exact = network(maps, 700, (3, 3), workers) / (1 << filters.SUM_BITS)
    found = refine.floats(network, torch.from_numpy(maps / 700).float(), (3, 3), 0, slice(0, 5)).numpy()
    assert np.abs(found - exact).mean() < 0.25 * np.abs(exact).mean()


def test_the_gradient_of_what_is_left_after_a_filter() -> None:
    analysis = fit.across_slices(fit.analyse(beating((8, 6, 64, 64)).values.astype(np.int32)), (2, 1))
    plain = fit.filtered(analysis, fit.at_step(analysis, 150 * 64))
    gradient, maps = refine.gradient(analysis, plain)
    way = np.random.default_rng(3).normal(0, 1, maps.shape).astype(np.float32) - gradient / np.abs(gradient).mean()
    network, unit = filters.load(plain.filter), 150.0

    def error(reach: float) -> float:
        moved = torch.from_numpy((maps + reach * way) / unit).float()
        change = refine.floats(network, moved, plain.halved, 0, slice(0, len(maps))).numpy() * plain.strength / 128
        return float(np.square(moved.numpy() + change - analysis.first / unit, dtype=np.float64).sum()) * unit**2 / 2

    slope = (error(0.5) - error(-0.5)) / float((gradient * way).sum())
    assert 0.9 < slope < 1.1


def test_rounding_anew_keeps_what_was_asked_for() -> None:
    analysis = fit.analyse(beating((8, 6, 64, 64)).values.astype(np.int32))
    plain, refined = fit.filtered(analysis, fit.at_step(analysis, 150 * 64)), refine.refined(analysis, 150 * 64)
    assert (refined.step, refined.centres, refined.filter) == (plain.step, plain.centres, plain.filter)
    assert not np.array_equal(refined.coefficients, plain.coefficients)


def test_a_level_is_met_with_the_filter() -> None:
    report = encode(beating((4, 6, 64, 64)), Profile(name="lossy", kind="lossy", psnr=30)).report
    assert report.psnr_db is not None
    assert 30 <= report.psnr_db < 30.25  # one coefficient of two hundred bytes may be worth a tenth of a dB
