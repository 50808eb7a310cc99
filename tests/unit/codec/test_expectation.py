"""What a network expects of coefficients: exact in float32, of use, trained from their surroundings, refused where unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hexdicom.codec.compiled.expectation import OUTPUTS
from hexdicom.codec.sparse import expectation, fit, model, pretrain_expectation
from hexdicom.errors import BitstreamError, UnsupportedVersion
from tests.unit.codec.test_sparse import beating


@pytest.fixture(scope="module")
def sparse() -> model.Sparse:
    analysis = fit.across_slices(fit.analyse(beating((8, 6, 64, 64)).values.astype(np.int32)), (2, 1))
    return fit.at_step(analysis, 20 * 64)


def test_the_same_comes_back_in_fewer_bytes(sparse: model.Sparse) -> None:
    assert sparse.expectation in expectation.numbers()
    layer = model.to_bytes(sparse)
    assert np.array_equal(model.from_bytes(layer, (8, 6, 64, 64)).coefficients, sparse.coefficients)
    plain = replace(sparse, expectation=expectation.NONE)
    assert np.array_equal(model.from_bytes(model.to_bytes(plain), (8, 6, 64, 64)).coefficients, sparse.coefficients)
    assert len(layer) < len(model.to_bytes(plain))


def test_large_maps_are_left_without_it() -> None:
    values = np.random.default_rng(1).integers(0, 900, (1, 5, 256, 256)).astype(np.int32)
    assert values[0].size > fit.SMALL
    assert fit.at_step(fit.analyse(values), 900 * 64).expectation == expectation.NONE


def test_an_unknown_network_is_refused(sparse: model.Sparse) -> None:
    layer = bytearray(model.to_bytes(sparse))
    place = layer.index(bytes((sparse.levels + 16 * sparse.expectation, 0, 0, len(sparse.precision))))
    layer[place] |= 240
    with pytest.raises(UnsupportedVersion, match="network 15"):
        model.from_bytes(bytes(layer), (8, 6, 64, 64))


def test_a_coefficient_may_be_beyond_all_that_was_expected(sparse: model.Sparse) -> None:
    wild = sparse.coefficients.copy()
    wild[::2, 0, 5:9, 7] = 70_000, -3, 900, -(1 << 24)
    found = replace(sparse, coefficients=wild)
    assert np.array_equal(model.from_bytes(model.to_bytes(found), (8, 6, 64, 64)).coefficients, wild)


def test_training_learns_what_to_expect() -> None:
    values = beating((2, 6, 64, 64)).values.astype(np.int32)
    samples = list(pretrain_expectation.samples_of(values, 2, np.random.default_rng(0)))
    network = pretrain_expectation.train(samples, 1, 0, lambda _: None)
    around, what, _ = (torch.cat(parts) for parts in zip(*samples, strict=True))
    with torch.no_grad():
        found = pretrain_expectation.bits(network(around, what), what[:, 0]).mean()
        before = pretrain_expectation.bits(pretrain_expectation.Network()(around, what), what[:, 0]).mean()
    assert found < before
    assert expectation.from_bytes(network.to_bytes()).third.shape == (OUTPUTS, pretrain_expectation.HIDDEN[1])


def test_weights_that_reach_too_far_are_refused() -> None:
    whole = expectation.load(1)
    with pytest.raises(BitstreamError, match="would not be exact"):
        replace(whole, third=whole.third + np.float32(3000))
