"""An opened bitstream: every frame is what decoding everything gives, on every kind of layer, and nothing else comes out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hexdicom import codec
from hexdicom.codec import container, residual
from hexdicom.codec.container import FILTERED, PLANES, RESIDUAL, SPARSE, STORED, Layer
from hexdicom.errors import BitstreamError, ProfileError

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = {
    "filtered-lossy": FILTERED, "filtered-across-slices": FILTERED, "filtered-wide-int16": FILTERED, "sparse-across-slices": SPARSE,
    "v1-lossy": PLANES, "v1-stored-uint8": STORED, "network-near-lossless-2": RESIDUAL, "rounded-lossless-masked": RESIDUAL,
    "v1-near-lossless-1": RESIDUAL,
}  # fmt: skip


def frozen(name: str) -> bytes:
    return (GOLDEN / f"{name}.hxd").read_bytes()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which slices the residual layer was asked for."""
    asked: list[object] = []
    plain = residual.decode

    def decode(*arguments: object) -> object:
        asked.append(arguments[-1])
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(residual, "decode", decode)
    return asked


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_that_of_the_series(name: str) -> None:
    bitstream = frozen(name)
    assert container.unpack(bitstream).layer(KINDS[name]) is not None
    whole = codec.decode(bitstream).values
    frames = codec.open(bitstream)
    assert (frames.shape, frames.dtype) == (whole.shape, whole.dtype)
    for t, z in reversed(list(np.ndindex(*whole.shape[:2]))):
        frame = frames.frame(t, z)
        assert frame.dtype == whole.dtype
        assert np.array_equal(frame, whole[t, z])
    assert np.array_equal(frames.values(), whole)
    some = [1, 0], [whole.shape[1] - 1, 0]
    assert np.array_equal(frames.values(*some), whole[np.ix_(*some)])
    assert np.array_equal(frames.values(slices=some[1]), whole[:, some[1]])


@pytest.mark.parametrize("name", ["network-near-lossless-2", "v1-lossless-int16", "v1-stored-uint8", "filtered-lossy"])
def test_frames_of_the_preview(name: str) -> None:
    bitstream = frozen(name)
    whole = codec.preview(bitstream).values
    frames = codec.open(bitstream, preview=True)
    for t, z in np.ndindex(*whole.shape[:2]):
        assert np.array_equal(frames.frame(t, z), whole[t, z])
    exact = codec.decode(bitstream).values
    assert np.array_equal(whole, exact) == (container.unpack(bitstream).layer(RESIDUAL) is None)


def test_a_slice_is_decoded_once_and_the_last_ones_are_kept(decoded: list[object]) -> None:
    bitstream = frozen("rounded-near-lossless-2")
    t, slices, y, x = codec.inspect(bitstream).shape
    assert slices == 3
    frames = codec.open(bitstream, keep=2 * t * y * x * 2)
    assert frames.slices_alone
    for z in (0, 1, 0, 2, 0, 1):
        for time in (0, t - 1):
            frames.frame(time, z)
    assert decoded == [[0], [1], [2], [1]]


def test_the_last_slice_is_kept_however_little_may_be(decoded: list[object]) -> None:
    frames = codec.open(frozen("rounded-near-lossless-2"), keep=0)
    frames.frame(0, 1)
    frames.frame(1, 1)
    assert decoded == [[1]]


def test_an_archive_of_predictor_1_is_decoded_once_for_its_frames(decoded: list[object]) -> None:
    frames = codec.open(frozen("v1-lossless-int16"))
    assert not frames.slices_alone
    assert decoded == []
    for t, z in ((0, 0), (3, 2), (5, 1)):
        frames.frame(t, z)
    assert decoded == [None]


@pytest.mark.parametrize("name", ["filtered-lossy", "v1-stored-uint8", "rounded-near-lossless-2"])
def test_a_frame_is_the_callers_own(name: str) -> None:
    frames = codec.open(frozen(name))
    frame = frames.frame(1, 1)
    before = frame.copy()
    frame[:] = 0
    assert np.array_equal(frames.frame(1, 1), before)


@pytest.mark.parametrize("name", ["filtered-lossy", "v1-lossy", "v1-stored-uint8", "rounded-near-lossless-2", "v1-lossless-int16"])
def test_frames_that_do_not_exist(name: str, decoded: list[object]) -> None:
    frames = codec.open(frozen(name))
    t, z = frames.shape[:2]
    with pytest.raises(ProfileError, match=f"Time {t} does not exist. The series has the times 0 to {t - 1}"):
        frames.frame(t, 0)
    with pytest.raises(ProfileError, match=f"Slice {z} does not exist. The series has the slices 0 to {z - 1}"):
        frames.frame(0, z)
    with pytest.raises(ProfileError, match="Slice -1 does not exist"):
        frames.frame(0, -1)
    with pytest.raises(ProfileError, match="Time -1 does not exist"):
        frames.values(times=[0, -1])
    assert decoded == []


@pytest.mark.parametrize("name", ["filtered-lossy", "rounded-near-lossless-2", "v1-lossy"])
def test_several_threads_at_once(name: str) -> None:
    whole = codec.decode(frozen(name)).values
    frames = codec.open(frozen(name), keep=0)
    wanted = list(np.ndindex(*whole.shape[:2])) * 2
    with ThreadPoolExecutor(4) as pool:
        for place, frame in zip(wanted, pool.map(lambda one: frames.frame(*one), wanted), strict=True):
            assert np.array_equal(frame, whole[place])


@pytest.mark.parametrize("seed", range(24))
def test_damage_is_refused_as_decode_refuses_it(seed: int) -> None:
    """What decode takes, every frame shows; what it refuses, opening or a frame refuses."""
    name = ("filtered-lossy", "sparse-lossy", "v1-lossy", "rounded-near-lossless-2")[seed % 4]
    parsed = container.unpack(frozen(name))
    rng = np.random.default_rng(seed)
    layers = []
    for layer in parsed.layers:
        data = bytearray(layer.data)
        for place in rng.integers(0, min(len(data), 60 if seed % 3 else len(data)), 2):
            data[place] = rng.integers(0, 256)
        layers.append(Layer(layer.kind, bytes(data)))
    damaged = container.pack(container.Container(parsed.shape, parsed.dtype, parsed.max_error, tuple(layers)))
    try:
        whole = codec.decode(damaged).values
    except BitstreamError:
        with pytest.raises(BitstreamError):  # noqa: PT012 some damage shows on opening, some in a slice
            frames = codec.open(damaged)
            for z in range(parsed.shape[1]):
                frames.values(slices=[z])
        return
    frames = codec.open(damaged)
    assert np.array_equal(frames.frame(1, 1), whole[1, 1])


def test_no_bitstream() -> None:
    with pytest.raises(BitstreamError, match="not a hexdicom bitstream"):
        codec.open(b"nothing")
    with pytest.raises(ProfileError, match="'tpu' is not available"):
        codec.open(frozen("v1-stored-uint8"), device="tpu")
