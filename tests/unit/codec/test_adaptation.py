"""What adaptation may cost: rounding of changed weights, sizes of the field, a fit that fails."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexdicom.codec import fit, symbols
from hexdicom.codec.adam import Adam
from hexdicom.codec.network import adapt, field, prior, rounding, sampling, weights
from hexdicom.codec.network.model import CausalNetwork, Examples, load, no_field
from hexdicom.codec.network.neighbours import FIELD_CHANNELS, VALUES
from hexdicom.codec.network.prior import load as load_prior
from hexdicom.codec.network.soap import Soap
from hexdicom.codec.parallel import threads
from hexdicom.codec.planes import SixPlanes, Size
from hexdicom.codec.profile import Profile
from hexdicom.errors import ProfileError


def test_a_change_that_saves_less_than_it_costs_is_not_made() -> None:
    rng = np.random.default_rng(0)
    moved = rng.laplace(0, 30, 4000)
    context = np.repeat([0, 1], 2000)
    worth = np.repeat([1e-6, 10.0], 2000)  # the first half hardly matters, the second must be exact
    change, octaves = rounding.rounded(moved, worth, context)
    assert np.count_nonzero(change[:2000]) < 20
    assert octaves[1] == 0
    assert np.abs((change[2000:] << octaves[1]) - moved[2000:]).max() <= 1


def test_code_lengths_are_those_of_the_coder() -> None:
    rng = np.random.default_rng(1)
    for spread in (0.3, 4, 900):
        q = np.rint(rng.laplace(0, spread, 3000)).astype(np.int64)
        nothing = np.zeros_like(q)
        level, shape = symbols.best_tables([(q, nothing, nothing)], 1)
        writer = symbols.Writer()
        limit = np.full_like(q, 1 << 16)
        writer.write(q, symbols.Model(np.full_like(q, level[0]), np.full_like(q, shape[0]), nothing, -limit, limit))
        estimated = symbols.code_lengths(q, int(level[0]), int(shape[0])).sum() / 8
        assert 0 < len(writer.finish()) - estimated < 110  # head and lanes of a stream


def test_the_sensitivity_is_that_of_every_single_voxel() -> None:
    network, examples = some_network_and_examples()
    squares = np.zeros(sum(p.numel() for p in network.parameters()))
    for row in range(len(examples)):
        network.zero_grad()
        one = examples.part(slice(row, row + 1))
        network.bits(one, no_field(1)).sum().backward()
        squares += torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).double().numpy() ** 2
    expected = 0.5 * math.log(2) * squares / len(examples)
    before, behind = rounding.sensitivity(network, None, examples)
    np.testing.assert_allclose(before, expected, rtol=1e-3, atol=1e-9)
    last = -network.layers[-1].weight.numel() - len(network.layers[-1].bias)
    np.testing.assert_array_equal(before[last:], behind[last:])  # outputs are not clamped


def test_a_silent_unit_is_worth_something_behind_its_clamp() -> None:
    network, examples = some_network_and_examples()
    with torch.no_grad():
        network.layers[2].bias[5] = -1e4
        network.layers[3].weight[:, 5] = 0.3
    before, behind = rounding.sensitivity(network, None, examples)
    begin = sum(p.numel() for layer in network.layers[:2] for p in layer.parameters())
    width = network.layers[2].weight.shape[1]
    row = slice(begin + 5 * width, begin + 6 * width)
    assert not before[row].any()
    assert behind[row].max() > 0


def some_network_and_examples() -> tuple[CausalNetwork, Examples]:
    rng = np.random.default_rng(2)
    values = rng.integers(300, 700, (3, 2, 24, 24)).astype(np.int32)
    series = sampling.Series(values, values, np.full((3, 3), -1), np.zeros(VALUES))
    prior = load_prior(1)
    network = CausalNetwork(prior.hidden)
    load(network, prior.network.flat() / weights.units(prior.hidden))
    return network, sampling.sample(series, 48, 0, rng)


@pytest.mark.parametrize("seed", [417, 1894, 2178])  # on one thread, LAPACK's solver for floats fails on these
def test_soap_takes_gradients_of_low_rank(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rank = 1 + seed % 8
    gradient = torch.randn(64, rank, generator=generator) @ torch.randn(rank, 112, generator=generator) * 10.0 ** (-(seed % 5))
    gradient[:, torch.rand(112, generator=generator) < 0.3] = 0
    matrix = torch.zeros(64, 112, requires_grad=True)
    matrix.grad = gradient
    with threads(torch.device("cpu")):
        Soap([matrix]).step(0.01)
    assert torch.isfinite(matrix).all()
    assert matrix.abs().max() > 0


@pytest.mark.parametrize("raises", [False, True])
def test_a_fit_that_fails_leaves_the_prior_as_it_is(
    raises: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nowhere(self: Soap, rate: float) -> None:
        if raises:
            raise torch.linalg.LinAlgError
        with torch.no_grad():
            self._parameters[0].fill_(math.nan)

    monkeypatch.setattr(Soap, "step", nowhere)
    values = np.random.default_rng(3).integers(0, 90, (3, 1, 24, 24)).astype(np.int32)
    series = sampling.Series(values, values, np.full((3, 3), -1), np.zeros(VALUES))
    adapted = adapt.adapt(series, load_prior(1), 0, 30, "all", lambda _: None)
    assert not adapted.change.any()
    assert adapted.field is None
    assert "could not learn" in caplog.text


def test_soap_finds_what_an_ill_conditioned_problem_hides_from_adam() -> None:
    generator = torch.Generator().manual_seed(5)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=generator)).Q
    inputs = torch.randn(400, 24, generator=generator) * torch.logspace(0, -3, 24) @ turn
    wanted = inputs @ torch.randn(24, 10, generator=generator)

    def error(steps: int, soap: bool) -> float:
        matrix, bias = torch.zeros(10, 24, requires_grad=True), torch.zeros(10, requires_grad=True)
        optimiser, adam = Soap([matrix, bias]), torch.optim.Adam([matrix, bias])
        for step in range(steps):
            loss = (inputs @ matrix.T + bias - wanted).square().mean()
            matrix.grad = bias.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            rate = 0.05 * (1 - step / steps)
            if soap:
                optimiser.step(rate)
            else:
                adam.param_groups[0]["lr"] = rate
                adam.step()
        return float((inputs @ matrix.T + bias - wanted).square().mean().detach())

    assert error(200, soap=True) < 0.3 * error(200, soap=False)
    assert error(200, soap=True) == error(200, soap=True)  # encoding twice gives the same bytes


@given(st.tuples(*(st.integers(1, 600),) * 4))
def test_a_field_is_small_beside_its_series(shape: tuple[int, int, int, int]) -> None:
    nodes = field.nodes_for(shape)
    assert all(1 <= n <= size for n, size in zip(nodes, shape, strict=True))
    parameters = FIELD_CHANNELS * sum(nodes[a] * nodes[b] for a in range(4) for b in range(a))
    assert parameters * 500 <= math.prod(shape) or max(nodes[2:]) <= 2


def test_a_fit_that_fails_is_begun_again_and_the_best_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).integers(0, 100, (3, 2, 16, 16)).astype(np.int32)
    variance = float(values.var()) * (100 / 99) ** 2
    errors = iter([math.inf, 0.9 * variance, 0.8 * variance, 0.85 * variance])
    tried: list[SixPlanes] = []

    def descend(model: SixPlanes, *_: object) -> float:
        tried.append(model)
        return next(errors)

    monkeypatch.setattr(fit, "_descend", descend)
    assert fit.fit(values, Size((2, 2, 4, 4), 2, 3), 5, torch.device("cpu"), lambda step, share: None) is tried[2]
    assert len(tried) == 4


def test_a_fit_that_succeeds_is_not_repeated() -> None:
    t, z, y, x = np.indices((4, 3, 24, 24))
    values = np.rint(500 + 400 * np.sin(x / 7 + t / 3) * np.cos(y / 9 - z / 2)).astype(np.int32)
    seen: list[float] = []
    fit.fit(values, Size((4, 3, 8, 8), 4, 8), 200, torch.device("cpu"), lambda step, share: seen.append(share))
    assert len(seen) == 20


@pytest.mark.parametrize("learns", ["all", "network", "planes"])
def test_each_part_adapts_by_itself(learns: adapt.Learns) -> None:
    rng = np.random.default_rng(4)
    t, z, y, x = np.indices((6, 3, 64, 64))
    values = np.rint(800 + 600 * np.sin(x / 5 + t / 3) * np.cos(y / 7 - z / 2) + rng.normal(0, 9, t.shape)).astype(np.int32)
    series = sampling.describe(values, values, np.full((6, 3), -1), rng)
    prior = load_prior(1)
    threads, counts = torch.get_num_threads(), set()
    adapted = adapt.adapt(series, prior, 0, 40, learns, lambda share: counts.add(torch.get_num_threads()))
    assert (counts, torch.get_num_threads()) == ({1}, threads)  # more would wait for one another at each of many small operations
    if learns == "planes":
        assert not adapted.change.any()
    if learns == "network":
        assert adapted.field is None
        assert adapted.change.any()


def test_a_profile_learns_only_what_there_is() -> None:
    with pytest.raises(ProfileError, match="cannot learn"):
        Profile(learns="everything")  # type: ignore[arg-type]


def test_adam_is_the_one_of_torch() -> None:
    generator = torch.Generator().manual_seed(4)
    ours = [torch.randn(3, 5, generator=generator), torch.randn(7, generator=generator)]
    theirs = [torch.nn.Parameter(one.clone()) for one in ours]
    adam, reference = Adam(ours, (0.9, 0.99)), torch.optim.Adam(theirs, lr=0.03, betas=(0.9, 0.99))
    for _ in range(30):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        adam.step([0.03, 0.03])
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other.detach())


def test_a_narrow_prior_is_for_who_names_it() -> None:
    assert prior.load(10).hidden == (32, 32, 16)
    assert [one.number for one in prior.candidates(10)] == [10]
    assert {one.hidden for one in prior.candidates(prior.BEST)} == {(64, 64, 32)}
