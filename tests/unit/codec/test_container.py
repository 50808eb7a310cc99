"""The container refuses whatever its checks can see."""

from __future__ import annotations

import struct
import zlib

import pytest

from hexdicom.codec.container import PLANES, RESIDUAL, Container, Layer, pack, unpack
from hexdicom.errors import BadChecksum, BitstreamError, Truncated, UnsupportedVersion, VolumeError

SIMPLE = Container((2, 3, 4, 5), "int16", 0, (Layer(PLANES, b"planes"), Layer(RESIDUAL, b"residual!")))


def _resealed(bitstream: bytes, position: int, value: bytes) -> bytes:
    """The bitstream with some header bytes replaced and the header's checksum made right again."""
    count = bitstream[32]
    end = 36 + count * 16
    changed = bitstream[:position] + value + bitstream[position + len(value) : end]
    return changed + struct.pack("<I", zlib.crc32(changed)) + bitstream[end + 4 :]


def test_round_trip() -> None:
    assert unpack(pack(SIMPLE)) == SIMPLE


def test_lossy_has_no_bound() -> None:
    lossy = Container((1, 1, 1, 1), "uint8", None, (Layer(PLANES, b""),))
    assert unpack(pack(lossy)).max_error is None


def test_every_truncation_is_noticed() -> None:
    bitstream = pack(SIMPLE)
    for length in range(len(bitstream)):
        with pytest.raises(BitstreamError):
            unpack(bitstream[:length])


def test_every_flipped_bit_is_noticed() -> None:
    bitstream = pack(SIMPLE)
    for position in range(len(bitstream)):
        for bit in range(8):
            damaged = bytearray(bitstream)
            damaged[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                unpack(bytes(damaged))


def test_later_version() -> None:
    with pytest.raises(UnsupportedVersion, match="Update hexdicom"):
        unpack(_resealed(pack(SIMPLE), 8, b"\x02\x00"))


def test_absurd_shape_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(BitstreamError, match="beyond what a bitstream holds"):
        unpack(_resealed(pack(SIMPLE), 12, struct.pack("<4I", 60000, 60000, 60000, 60000)))


def test_layer_twice() -> None:
    with pytest.raises(BitstreamError, match="Layer 1 has kind 1"):
        unpack(_resealed(pack(SIMPLE), 36 + 16, b"\x01"))


def test_length_beyond_the_end() -> None:
    with pytest.raises(Truncated, match="announces"):
        unpack(_resealed(pack(SIMPLE), 36 + 8, struct.pack("<Q", 1 << 60)))


def test_damaged_layer() -> None:
    damaged = bytearray(pack(SIMPLE))
    damaged[-1] ^= 1
    with pytest.raises(BadChecksum, match="residual"):
        unpack(bytes(damaged))


def test_bytes_after_the_end() -> None:
    with pytest.raises(BitstreamError, match="follow the last layer"):
        unpack(pack(SIMPLE) + b"x")


def test_volume_too_large_to_pack() -> None:
    with pytest.raises(VolumeError):
        pack(Container((1, 1, 1, 70000), "int16", 0, ()))
