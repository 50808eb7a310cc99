"""The container refuses whatever its checks can see."""

from __future__ import annotations

import struct
import zlib

import pytest

from hexdicom.codec.container import ATTACHMENT, FILTERED, PLANES, RESIDUAL, Container, Layer, pack, short_overhead, unpack
from hexdicom.errors import BadChecksum, BitstreamError, Truncated, UnsupportedVersion, VolumeError

SHORT = Container((20, 300, 4, 5), "int16", None, (Layer(FILTERED, b"planes"),), 2)
SIMPLE = Container((2, 3, 4, 5), "int16", 0, (Layer(PLANES, b"planes"), Layer(RESIDUAL, b"residual!")))


def _resealed(bitstream: bytes, position: int, value: bytes) -> bytes:
    """The bitstream with some header bytes replaced and the header's checksum made right again."""
    count = bitstream[32]
    end = 36 + count * 16
    changed = bitstream[:position] + value + bitstream[position + len(value) : end]
    return changed + struct.pack("<I", zlib.crc32(changed)) + bitstream[end + 4 :]


@pytest.mark.parametrize("container", [SIMPLE, SHORT])
def test_round_trip(container: Container) -> None:
    assert unpack(pack(container)) == container


def test_filtered_planes_alone_are_short() -> None:
    assert len(pack(SHORT)) == short_overhead(SHORT.shape) + 6
    attached = Container(SHORT.shape, "int16", None, (*SHORT.layers, Layer(ATTACHMENT, b"")))
    assert unpack(pack(attached)) == attached
    assert attached.version == 1


def test_a_short_header_is_checked() -> None:
    for body, message in ((b"\x09\1\1\1\1", "contradicts"), (b"\0\1\0\1\1", "contradicts"), (b"\0" + b"\xff\xff\3" * 4, "beyond")):
        head = pack(SHORT)[:10] + body
        with pytest.raises(BitstreamError, match=message):
            unpack(head + struct.pack("<I", zlib.crc32(head + b"x")) + b"x")
    with pytest.raises(BitstreamError, match="does not end"):
        unpack(pack(SHORT)[:11] + b"\xff" * 20)


def test_lossy_has_no_bound() -> None:
    lossy = Container((1, 1, 1, 1), "uint8", None, (Layer(PLANES, b""),))
    assert unpack(pack(lossy)).max_error is None


@pytest.mark.parametrize("container", [SIMPLE, SHORT])
def test_every_truncation_is_noticed(container: Container) -> None:
    bitstream = pack(container)
    for length in range(len(bitstream)):
        with pytest.raises(BitstreamError):
            unpack(bitstream[:length])


@pytest.mark.parametrize("container", [SIMPLE, SHORT])
def test_every_flipped_bit_is_noticed(container: Container) -> None:
    bitstream = pack(container)
    for position in range(len(bitstream)):
        for bit in range(8):
            damaged = bytearray(bitstream)
            damaged[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                unpack(bytes(damaged))


def test_later_version() -> None:
    with pytest.raises(UnsupportedVersion, match="Update hexdicom"):
        unpack(_resealed(pack(SIMPLE), 8, b"\x03\x00"))


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
