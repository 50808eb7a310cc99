"""Damaged and malicious bitstreams: a BitstreamError, never a crash, never memory without bound, never wrong values unnoticed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexdicom import codec
from hexdicom.codec import Profile, container
from hexdicom.codec.container import PLANES, RESIDUAL, STORED, Container, Layer
from hexdicom.errors import BitstreamError
from hexdicom.volume import CineVolume

VALUES = np.random.default_rng(0).poisson(30, (4, 3, 24, 24)).astype(np.uint16)
BITSTREAM = codec.encode(CineVolume(VALUES), Profile(steps=5, channels=2, hidden=2)).bitstream
PARSED = container.unpack(BITSTREAM)


def _decodes_or_refuses(bitstream: bytes) -> None:
    """Behind a right checksum any bytes may stand; they may decode to something, but nothing else may happen."""
    try:
        decoded = codec.decode(bitstream)
    except BitstreamError:
        return
    assert decoded.shape == container.unpack(bitstream).shape


def _with(kind: int, data: bytes, shape: tuple[int, int, int, int] = PARSED.shape) -> bytes:
    layers = tuple(Layer(layer.kind, data if layer.kind == kind else layer.data) for layer in PARSED.layers)
    return container.pack(Container(shape, PARSED.dtype, PARSED.max_error, layers))


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(BitstreamError):
        codec.decode(data)
    with pytest.raises(BitstreamError):
        codec.decode(BITSTREAM[:8] + data)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([PLANES, RESIDUAL]), st.data())
def test_changed_layer_behind_a_right_checksum(kind: int, data: st.DataObject) -> None:
    layer = bytearray(PARSED.layer(kind) or b"")
    for _ in range(data.draw(st.integers(1, 4))):
        layer[data.draw(st.integers(0, min(len(layer) - 1, data.draw(st.sampled_from([40, 10**9])))))] = data.draw(
            st.integers(0, 255)
        )
    _decodes_or_refuses(_with(kind, bytes(layer)))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([PLANES, RESIDUAL]), st.data())
def test_truncated_layer_behind_a_right_checksum(kind: int, data: st.DataObject) -> None:
    layer = PARSED.layer(kind) or b""
    damaged = _with(kind, layer[: data.draw(st.integers(0, len(layer) - 1))])
    with pytest.raises(BitstreamError):
        # an exact decoding does not need the planes, so that a damaged preview costs no voxel
        codec.preview(damaged) if kind == PLANES else codec.decode(damaged)


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.integers(1, 60)] * 4))
def test_other_shape_behind_a_right_checksum(shape: tuple[int, int, int, int]) -> None:
    _decodes_or_refuses(container.pack(Container(shape, PARSED.dtype, PARSED.max_error, PARSED.layers)))


def test_small_stream_that_claims_a_large_volume_takes_no_memory() -> None:
    claims = container.pack(Container((64, 64, 256, 256), "uint16", 0, PARSED.layers))
    tracemalloc.start()
    try:
        with pytest.raises(BitstreamError):
            codec.decode(claims)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_zstd_bomb_in_a_stored_layer() -> None:
    import zstandard

    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 28))
    small = container.pack(Container((1, 1, 2, 2), "uint16", 0, (Layer(STORED, bomb),)))
    tracemalloc.start()
    try:
        with pytest.raises(BitstreamError, match="more than 8 bytes"):
            codec.decode(small)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_no_layers() -> None:
    with pytest.raises(BitstreamError):
        codec.decode(container.pack(Container((1, 1, 2, 2), "uint16", None, ())))
