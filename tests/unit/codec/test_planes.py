"""The six-plane model: its sizes by eq. 2 and 3, its value by eq. 1, and the integers that decoders compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexdicom.codec import fit, planes, synthesis
from hexdicom.errors import BitstreamError

SHAPE = (5, 3, 20, 24)
CPU = torch.device("cpu")


def _silent(step: str, fraction: float) -> None: ...


def evaluate(model: synthesis.Rounded, device: torch.device = CPU) -> np.ndarray:
    return synthesis.on_grid(model, SHAPE, device).values(range(SHAPE[0]), range(SHAPE[1]))


def _series() -> np.ndarray:
    t, z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = 0.5 + 0.2 * np.sin(3 * t) - 0.1 * z
    return np.rint(800 / (1 + np.exp(12 * (np.hypot(y, x) - radius)))).astype(np.int32)


def test_sizes_meet_the_budget_in_proportion() -> None:
    shape = (30, 10, 512, 512)
    size = planes.adaptive_size(shape, 2 * 30 * 10 * 512 * 512, 400, 16, 16)
    parameters = sum(a * b for a, b in map(size.plane, planes.PLANES)) * 16
    assert parameters == pytest.approx(2 * 30 * 10 * 512 * 512 / 400, rel=0.1)  # eq. 2, a byte each
    assert size.nodes[2] / size.nodes[0] == pytest.approx(512 / 30, rel=0.1)  # eq. 3


@given(
    st.tuples(*[st.integers(1, 300)] * 4),
    st.floats(1, 1e6),
)
def test_sizes_stay_within_the_image(shape: tuple[int, int, int, int], ratio: float) -> None:
    size = planes.adaptive_size(shape, 2 * int(np.prod(shape)), ratio, 8, 8)
    assert all(min(2, n) <= nodes <= n for nodes, n in zip(size.nodes, shape, strict=True))


@given(st.integers(1, 400), st.integers(1, 60))
def test_interpolation_weights_sum_to_one(samples: int, nodes: int) -> None:
    matrix = planes.interpolation(samples, min(samples, nodes))
    assert (matrix.sum(1) == 256).all()
    assert (matrix >= 0).all()
    assert ((matrix > 0).sum(1) <= 2).all()


def test_dense_grid_is_the_product_of_bilinear_looks() -> None:
    """Eq. 1 voxel by voxel, with torch's own bilinear sampling, against the matrix products."""
    size = planes.adaptive_size(SHAPE, 4000, 2, 4, 5)
    model = planes.SixPlanes(size, seed=3)
    weights = [torch.from_numpy(planes.interpolation(n, m)).float() / 256 for n, m in zip(SHAPE, size.nodes, strict=True)]
    with torch.no_grad():
        dense = model(weights, rounded=False)
        coordinates = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
        h = torch.ones(*SHAPE, 4)
        for name, plane in zip(planes.PLANES, model.planes, strict=True):
            row, column = (coordinates[planes.AXES.index(axis)] for axis in name)
            grid = torch.stack((column, row), -1).reshape(1, 1, -1, 2)
            looked = torch.nn.functional.grid_sample(plane.permute(2, 0, 1)[None], grid, align_corners=True)
            h = h * looked.reshape(4, *SHAPE).permute(1, 2, 3, 4, 0)
        expected = (h @ model.weight1 + model.bias1).exp() @ model.weight2 + model.bias2
    assert torch.allclose(dense, expected, atol=0.05 * float(expected.std()))


@pytest.fixture(scope="module")
def fitted() -> tuple[np.ndarray, planes.SixPlanes]:
    series = _series()
    size = planes.adaptive_size(SHAPE, 2 * series.size, 2, 6, 8)
    return series, fit.fit(series, size, 300, CPU, _silent)


def test_fit_beats_the_mean_image(fitted: tuple[np.ndarray, planes.SixPlanes]) -> None:
    series, model = fitted
    decoded = evaluate(synthesis.rounded(model, 0, 800))
    error = np.square(decoded - series).mean()
    assert error < 0.2 * np.square(series.mean(0) - series).mean() or error < 30


def test_integers_are_the_model(fitted: tuple[np.ndarray, planes.SixPlanes]) -> None:
    series, model = fitted
    low, high = int(series.min()), int(series.max())
    weights = [torch.from_numpy(planes.interpolation(n, m)).float() / 256 for n, m in zip(SHAPE, model.size.nodes, strict=True)]
    with torch.no_grad():
        grey = (model(weights, rounded=True) * (high - low) / 100 + low).clamp(low, high).numpy()
    decoded = evaluate(synthesis.rounded(model, low, high))
    assert np.abs(decoded - grey).max() <= 8  # one per cent of the range
    assert np.abs(decoded - grey).mean() <= 0.8  # of which ¼ is rounding


def test_layer_round_trip_and_random_access(fitted: tuple[np.ndarray, planes.SixPlanes]) -> None:
    model = synthesis.rounded(fitted[1], 0, 800)
    again = synthesis.from_bytes(synthesis.to_bytes(model), SHAPE)
    everything = evaluate(model)
    assert np.array_equal(evaluate(again), everything)
    assert np.array_equal(synthesis.on_grid(again, SHAPE, CPU).values([3, 0], [2]), everything[[3, 0]][:, [2]])


def test_more_nodes_than_samples_are_refused(fitted: tuple[np.ndarray, planes.SixPlanes]) -> None:
    layer = synthesis.to_bytes(synthesis.rounded(fitted[1], 0, 800))
    with pytest.raises(BitstreamError, match="nodes"):
        synthesis.from_bytes(layer, (1, 1, 2, 2))


@pytest.mark.gpu
def test_gpu_and_cpu_agree_to_the_bit(fitted: tuple[np.ndarray, planes.SixPlanes]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    model = synthesis.rounded(fitted[1], 0, 800)
    assert np.array_equal(evaluate(model), evaluate(model, torch.device("cuda")))
