"""docs/format.md suffices: a decoder written from it alone reads what the codec writes, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch

from hexdicom import codec
from hexdicom.codec import Profile, container
from hexdicom.codec.network import adapt, field, layer, references, weights
from hexdicom.codec.network.neighbours import FIELD_CHANNELS
from hexdicom.codec.network.parameters import Adapted, parts
from hexdicom.codec.planes import PLANES, Size
from hexdicom.codec.sparse import model
from hexdicom.volume import CineVolume
from tests.golden.freeze import alike
from tests.golden.reference import decoder
from tests.golden.reference.filtered import synthesise_filtered
from tests.golden.reference.stream import Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hexdicom.codec.network.prior import Prior
    from hexdicom.codec.network.sampling import Series

    Values = NDArray[np.integer[Any]]
    Kind = Literal["lossless", "near-lossless", "lossy"]

FROZEN = sorted(Path(__file__).parent.glob("*.hxd"))


def series(shape: tuple[int, int, int, int], dtype: str, middle: float, swing: float, spread: float, wild: float = 0) -> Values:
    """A moving wave under noise, limited to the type; the share `wild` of it is anywhere in the type."""
    rng = np.random.default_rng(7)
    limits = np.iinfo(dtype)
    t, z, y, x = np.indices(shape)
    wave = np.sin(x / 5 + t / 3) * np.cos(y / 7 - z / 2)
    values = np.rint(middle + swing * wave + rng.normal(0, spread, shape))
    values = np.where(rng.random(shape) < wild, rng.integers(limits.min, limits.max, shape, endpoint=True), values)
    return np.clip(values, limits.min, limits.max).astype(dtype)


def profile(kind: Kind = "lossless", max_error: int = 0, ratio: float = 2000, steps: int = 5) -> Profile:
    return Profile(kind=kind, max_error=max_error, ratio=ratio, channels=2, hidden=3, steps=steps, prior=1, adapt_steps=0)


SMALL = series((3, 2, 12, 14), "uint16", 400, 9, 20)
CASES = {  # what it is for: (values, profile, layers)
    "uint8, little noise": (series((3, 2, 27, 31), "uint8", 120, 100, 1), profile(), "planes+residual"),
    "int8": (series((4, 3, 20, 18), "int8", 0, 120, 2), profile(), "planes+residual"),
    "uint16, often at the low bound": (series((4, 3, 20, 18), "uint16", 0, 5000, 9), profile(), "planes+residual"),
    "int16, raw bits": (series((3, 2, 26, 28), "int16", 500, 28000, 150), profile(), "planes+residual"),
    "uint16, escapes": (series((3, 2, 26, 28), "uint16", 9000, 8000, 3, wild=0.01), profile(), "planes+residual"),
    "one time, one slice": (series((1, 1, 61, 70), "int16", -700, 9000, 20), profile(), "planes+residual"),
    "axes of one sample": (series((16, 1, 1, 280), "uint16", 20000, 18000, 20), profile("lossy", ratio=20), "filtered-planes"),
    "near-lossless, 2": (series((4, 3, 20, 18), "int16", 300, 900, 9), profile("near-lossless", 2), "planes+residual"),
    "near-lossless, 5, raw bits, escapes": (
        series((3, 2, 26, 28), "uint16", 30000, 25000, 3000, wild=0.01),
        profile("near-lossless", 5),
        "planes+residual",
    ),
    "lossy": (series((4, 3, 20, 18), "int16", 300, 900, 50), profile("lossy", ratio=5), "filtered-planes"),
    "lossy, wavelets across slices": (alike(), profile("lossy", ratio=12), "filtered-planes"),
    "lossy, escaped sizes": (series((4, 3, 20, 18), "uint16", 30000, 30000, 50), profile("lossy", ratio=2), "filtered-planes"),
    "lossy, one byte for 25 voxels": (series((3, 2, 12, 70), "uint8", 100, 60, 9), profile("lossy", ratio=25), "filtered-planes"),
    "constant": (np.full((3, 2, 27, 31), -7, np.int16), profile(), "stored"),
    "small": (SMALL, profile(), "stored"),
}


def compare(bitstream: bytes) -> None:
    """Both decoders give the same."""
    expected = codec.decode(bitstream, device="cpu").values
    shape, dtype, values = decoder.decode(bitstream)
    assert (shape, dtype) == (expected.shape, expected.dtype.name)
    assert values == expected.reshape(-1).tolist()


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The lengths of raw bits that the reference decoder takes."""
    seen: set[int] = set()
    take = Stream.bits

    def bits(stream: Stream, count: int) -> int:
        seen.add(count)
        return take(stream, count)

    monkeypatch.setattr(Stream, "bits", bits)
    return seen


@pytest.mark.parametrize("name", CASES)
def test_reads_what_the_codec_writes(name: str, widths: set[int]) -> None:
    values, how, layers = CASES[name]
    bitstream = codec.encode(CineVolume(values), how, device="cpu", verify=False).bitstream
    compare(bitstream)
    assert "+".join(layer.name for layer in codec.inspect(bitstream).layers) == layers
    # a case that stops exercising what it is named after proves nothing
    assert "raw bits" not in name or widths & set(range(1, 14))
    assert "escapes" not in name or 18 in widths
    if layers == "filtered-planes":
        t, z, y, x = values.shape
        found = model.from_bytes(container.unpack(bitstream).layer(container.FILTERED) or b"", (t, z, y, x))
        assert any(found.slice_levels) == ("across slices" in name)
        assert "escaped" not in name or np.abs(found.coefficients).max() > 15


@pytest.mark.parametrize("seed", range(16))
def test_reads_any_filtered_planes(seed: int) -> None:
    """Levels, sizes and numbers that no encoder of ours would choose."""
    rng = np.random.default_rng(seed)
    t, z, y, x = (int(n) for n in rng.integers(1, (6, 10, 14, 14)))
    channels = int(rng.integers(0, t + 1))
    coefficients = np.rint(rng.standard_t(1, (z, channels, y, x)) * 10.0 ** rng.integers(-2, 3)).clip(-(1 << 25), 1 << 25)
    centres, strength = rng.integers(-127, 128, 3), int(rng.integers(0, 256))
    along = tuple(int(count) for count in rng.integers(0, 4, seed % 7 + 1))
    sparse = model.Sparse(
        int(2 ** rng.uniform(0, 29)), (int(centres[0]), int(centres[1]), int(centres[2])), along, -500, 60000,
        rng.integers(0, 15, channels), rng.integers(-90, 90, (channels, t)) ** 3, coefficients.astype(np.int32),
        (0, 1, 4, 2)[seed % 4] if channels else 0, strength, seed // 3 % 2,
    )  # fmt: skip
    layer = model.to_bytes(sparse)
    parsed = model.from_bytes(layer, (t, z, y, x))
    assert np.array_equal(parsed.coefficients, sparse.coefficients)
    decoded = model.evaluate(parsed, torch.device("cpu"))
    assert synthesise_filtered(layer, (t, z, y, x)) == decoded.reshape(-1).tolist()


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_reads_a_changed_prior_a_field_and_any_references(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """As adaptation might have made them, but random: small series seldom get any."""
    rng = np.random.default_rng(steps)
    values = series((5, 2, 9, 13), "int16", -50, 900, 20).astype(np.int32)

    def adapted(series: Series, chosen: Prior, *_: object) -> Adapted:
        change = np.rint(rng.laplace(0, 2, len(chosen.network.flat()))).astype(np.int64)
        octaves = rng.integers(0, steps + 1, 8)
        network = weights.from_flat(chosen.network.flat() + (change << octaves[parts(chosen.network.sizes)]), chosen.hidden)
        size = Size((3, 2, 4, 1 + steps), FIELD_CHANNELS, 1)
        planes = tuple(np.rint(rng.normal(60, 40, (*size.plane(name), FIELD_CHANNELS))).astype(np.int64) for name in PLANES)
        return Adapted(network, change, octaves, field.Field(size.nodes, planes))

    earlier = np.array([rng.integers(-1, t, 3) if t else [-1] * 3 for t in range(5)], np.int64)
    monkeypatch.setattr(adapt, "adapt", adapted)
    monkeypatch.setattr(references, "choose", lambda _: earlier)
    data, decoded = layer.encode(values, steps, 1, 10, "all", torch.device("cpu"), lambda step, fraction: None)
    assert np.abs(decoded - values).max() <= steps
    assert decoder.refine(data, [], (5, 2, 9, 13), steps) == decoded.reshape(-1).tolist()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (9, 1, 1, 20), (4, 3, 7, 1), (1, 2, 9, 8)])
def test_reads_slices_with_axes_of_one_sample(shape: tuple[int, int, int, int]) -> None:
    values = series(shape, "uint16", 20000, 18000, 20).astype(np.int32)
    data, _ = layer.encode(values, 0, 1, 0, "all", torch.device("cpu"), lambda step, fraction: None)
    assert decoder.refine(data, [], shape, 0) == values.reshape(-1).tolist()


def test_reads_several_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    values = series((1, 1, 130, 256), "int16", 0, 900, 20).astype(np.int32)
    data, _ = layer.encode(values, 0, 1, 0, "all", torch.device("cpu"), lambda step, fraction: None)
    seen: set[int] = set()
    advance = Stream.advance

    def watched(stream: Stream, place: int, start: int, end: int) -> None:
        seen.add(stream.lanes)
        advance(stream, place, start, end)

    monkeypatch.setattr(Stream, "advance", watched)
    assert decoder.refine(data, [], (1, 1, 130, 256), 0) == values.reshape(-1).tolist()
    assert 2 in seen


@pytest.mark.parametrize("file", FROZEN, ids=lambda path: path.stem)
def test_reads_the_frozen_bitstreams(file: Path) -> None:
    compare(file.read_bytes())


@pytest.mark.parametrize("place", [0, 8, 10, 40, 60, 100, -1])
def test_refuses_a_changed_byte(place: int) -> None:
    changed = bytearray(codec.encode(CineVolume(SMALL), profile(), device="cpu").bitstream)
    changed[place] ^= 0x55
    with pytest.raises(ValueError, match=r"."):
        decoder.decode(bytes(changed))


def test_shares_nothing_with_hexdicom() -> None:
    sources = [file.read_text(encoding="utf-8") for file in Path(decoder.__file__).parent.glob("*.py")]
    lines = [line for source in sources for line in source.splitlines() if line.startswith(("import ", "from "))]
    imported = {line.split()[1].split(".")[0] for line in lines if not line.startswith("from tests.golden.reference")}
    standard = {"__future__", "bisect", "decimal", "functools", "itertools", "math", "pathlib", "struct", "zlib"}
    assert imported == standard | {"numpy", "zstandard"}
