"""The models of the paper are as it says, and cost what they claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hexdicom.bench.coder import Layout
from hexdicom.bench.fits import Fit
from hexdicom.bench.fitted.descent import MODELS
from hexdicom.bench.fitted.model import from_bytes, to_bytes
from hexdicom.bench.fitted.network import LAYERS, Nerf, Siren, widest
from hexdicom.bench.fitted.published import CHANNELS, HIDDEN, Published
from hexdicom.metrics import psnr

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

SHAPE = (8, 5, 48, 40)
BYTES = 2 * 8 * 5 * 48 * 40


@pytest.fixture(scope="module")
def smooth() -> NDArray[Any]:
    """A beating disc that any of the models can follow, with negative values."""
    t, z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = 0.5 + 0.15 * np.sin(3 * t) + 0.1 * z
    return (1000 / (1 + np.exp((np.hypot(x, y) - radius) * 12)) - 200).astype(np.int16)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ratio", [4.0, 20.0, 60.0])
def test_a_model_is_as_large_as_its_parameters(name: str, ratio: float) -> None:
    model = MODELS[name](SHAPE, BYTES, ratio, 0)
    data = to_bytes(model)
    assert len(data) == 4 * sum(parameter.numel() for parameter in model.parameters())
    other = MODELS[name](SHAPE, BYTES, ratio, 1)
    from_bytes(other, data)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", ["nerf", "siren"])
@pytest.mark.parametrize("ratio", [4.0, 20.0, 60.0])
def test_a_network_is_as_wide_as_its_bytes_allow(name: str, ratio: float) -> None:
    model = MODELS[name](SHAPE, BYTES, ratio, 0)
    inputs, width = {"nerf": 4 + 4 * 2 * 10, "siren": 4}[name], model.layers[0].out_features
    assert len(model.layers) == LAYERS == 5

    def parameters(units: int) -> int:
        return (inputs + 1) * units + 3 * (units + 1) * units + units + 1

    assert sum(parameter.numel() for parameter in model.parameters()) == parameters(width)
    assert 4 * parameters(width) <= BYTES / ratio < 4 * parameters(width + 1)


@pytest.mark.parametrize("shape", [(30, 10, 216, 256), (180, 36, 64, 64)])
@pytest.mark.parametrize("ratio", [100.0, 296.0])
def test_planes_take_what_eq_2_gives_them_in_the_proportions_of_eq_3(shape: tuple[int, int, int, int], ratio: float) -> None:
    source = 2 * int(np.prod(shape))
    model = Published(shape, source, ratio, 0)
    assert 4 * sum(plane.numel() for plane in model.six.planes) == pytest.approx(source / ratio, rel=0.06)
    assert len(to_bytes(model)) == 4 * (sum(plane.numel() for plane in model.six.planes) + CHANNELS * HIDDEN + 2 * HIDDEN + 1)
    shares = np.array(model.six.size.nodes) / np.array(shape)
    assert np.abs(shares / shares[2] - 1).max() < 0.35  # whole nodes: the shortest axis has few


def test_a_voxel_of_the_planes_is_eq_1() -> None:
    """Six bilinear look-ups, their product, exp of a linear layer, a linear layer, ReLU; computed here for single voxels."""
    model = Published(SHAPE, BYTES, 20.0, 3)
    frame = model.frame(5).detach().numpy()
    six, nodes = model.six, model.six.size.nodes
    for place in ((5, 0, 0, 0), (5, 3, 17, 22), (5, 4, 47, 39)):
        h = np.ones(CHANNELS)
        for name, plane in zip(("yx", "zx", "zy", "tx", "ty", "tz"), six.planes, strict=True):
            values = plane.detach().numpy()
            for axis in name:  # along rows, then along columns
                number = "tzyx".index(axis)
                position = place[number] * (nodes[number] - 1) / (SHAPE[number] - 1)
                low = min(int(position), nodes[number] - 2)
                values = values[low] * (1 - position + low) + values[low + 1] * (position - low)
            h = h * values
        hidden = np.exp(h @ six.weight1.detach().numpy() + six.bias1.detach().numpy())
        grey = max(0.0, float(hidden @ six.weight2.detach().numpy() + six.bias2.item()))
        assert frame[place[1:]] == pytest.approx(grey, rel=0.02, abs=0.05)  # weights of interpolation are multiples of 1/256


def test_a_network_sees_each_voxel_where_it_is() -> None:
    siren = Siren(SHAPE, BYTES, 20.0, 0)
    place = torch.tensor([[-1 + 2 * 5 / 7, -1 + 2 * 3 / 4, -1 + 2 * 17 / 47, -1 + 2 * 22 / 39]])
    values = {tuple(sorted(row.tolist())) for row in [place[0]]}
    assert len(values) == 1
    value = place[:, [3, 2, 1, 0]]  # told x first
    for layer in siren.layers[:-1]:
        value = torch.sin(20 * layer(value))
    assert siren.frame(5)[3, 17, 22].item() == pytest.approx(siren.layers[-1](value).item(), abs=1e-4)


def test_nerf_tells_ten_octaves() -> None:
    nerf = Nerf(SHAPE, BYTES, 20.0, 0)
    table = nerf.get_buffer("table3")
    x = -1 + 2 * 22 / 39
    assert table.shape == (40, 21)
    expected = [x, *(np.sin(2.0**n * np.pi * x) for n in range(10)), *(np.cos(2.0**n * np.pi * x) for n in range(10))]
    assert table[22].tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_shows_more_than_one_grey(name: str, smooth: NDArray[Any]) -> None:
    layout = Layout.of(smooth)
    coder = Fit(name, 5.0, 300, 0.0, "cpu")
    pieces = coder.encode(smooth, layout)
    back = coder.decode(pieces, layout)
    assert coder.steps_done() == (300, 300)
    assert (back.shape, back.dtype) == (smooth.shape, smooth.dtype)
    assert layout.lowest <= back.min() <= back.max() <= layout.highest
    flat = 20 * np.log10((layout.highest - layout.lowest) / smooth.std())
    assert psnr(smooth, back) > flat + 6


def test_a_fit_ends_when_its_seconds_are_over(smooth: NDArray[Any]) -> None:
    coder = Fit("siren", 60.0, 10_000_000, 0.2, "cpu")
    coder.encode(smooth, Layout.of(smooth))
    done, asked = coder.steps_done()
    assert 0 < done < asked == 10_000_000


def test_a_width_of_nothing_is_one() -> None:
    assert widest(84, 3) == 1
