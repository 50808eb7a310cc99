"""The byte layout that every bitstream shares: a header, a table of layers, the layers. Specified in docs/format.md.

The container knows lengths and checksums; what a layer means is the business of the module that wrote it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.codec.reader import Reader, number_bytes
from hexdicom.errors import BadChecksum, BitstreamError, Truncated, UnsupportedVersion, VolumeError
from hexdicom.volume import DTYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC = b"\x89HXD\r\n\x1a\n"
VERSION = 2
PLANES, RESIDUAL, STORED, ATTACHMENT, SPARSE, FILTERED = range(1, 7)
LAYER_NAMES = {
    PLANES: "planes", RESIDUAL: "residual", STORED: "stored", ATTACHMENT: "attachment", SPARSE: "sparse-planes",
    FILTERED: "filtered-planes",
}  # fmt: skip
UNBOUNDED = 0xFFFFFFFF
MAX_VOXELS = 1 << 28  # decoding needs memory in proportion to it; the largest MR series we know has a fifth of this

_HEADER = struct.Struct("<8sHBB4IIBxxx")  # magic, version, dtype, reserved, T, Z, Y, X, max error, number of layers
_LAYER = struct.Struct("<B3xIQ")  # kind, CRC-32, length
_CRC = struct.Struct("<I")
# Of version 2: magic, version, dtype; then T, Z, Y, X as numbers, the CRC-32 of all else, the layer.
_SHORT = struct.Struct("<8sHB")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its kind and its bytes."""

    kind: int
    data: bytes

    @property
    def name(self) -> str:
        return LAYER_NAMES[self.kind]


@dataclass(frozen=True, slots=True)
class Container:
    """A parsed bitstream.

    shape: (T, Z, Y, X). dtype: one of volume.DTYPES. max_error: None where only planes were kept (lossy).
    """

    shape: tuple[int, int, int, int]
    dtype: str
    max_error: int | None
    layers: tuple[Layer, ...]
    version: int = 1

    def layer(self, kind: int) -> bytes | None:
        return next((layer.data for layer in self.layers if layer.kind == kind), None)


def overhead(layers: int) -> int:
    """Bytes that a bitstream of so many layers has beside them."""
    return _HEADER.size + layers * _LAYER.size + _CRC.size


def short_overhead(shape: Sequence[int]) -> int:
    """The same for filtered planes alone."""
    return _SHORT.size + sum(len(number_bytes(size)) for size in shape) + _CRC.size


def check_shape(shape: Sequence[int]) -> None:
    """Raise VolumeError for a volume that a bitstream cannot hold."""
    t, z, y, x = shape
    if t * z * y * x > MAX_VOXELS or max(shape) > 0xFFFF:
        raise VolumeError(
            f"A volume of {t}×{z}×{y}×{x} voxels is beyond what a bitstream holds.",
            hint=f"At most {MAX_VOXELS} voxels and 65535 along an axis.",
        )


def pack(container: Container) -> bytes:
    """The bitstream: of version 2 where it is filtered planes alone, so that a few hundred bytes are not a fifth header."""
    check_shape(container.shape)
    if container.max_error is None and [layer.kind for layer in container.layers] == [FILTERED]:
        head = _SHORT.pack(MAGIC, 2, DTYPES.index(container.dtype)) + b"".join(number_bytes(size) for size in container.shape)
        data = container.layers[0].data
        return b"".join((head, _CRC.pack(zlib.crc32(head + data)), data))
    bound = UNBOUNDED if container.max_error is None else container.max_error
    head = _HEADER.pack(MAGIC, 1, DTYPES.index(container.dtype), 0, *container.shape, bound, len(container.layers))
    table = b"".join(_LAYER.pack(item.kind, zlib.crc32(item.data), len(item.data)) for item in container.layers)
    return b"".join((head, table, _CRC.pack(zlib.crc32(head + table)), *(item.data for item in container.layers)))


def unpack(bitstream: bytes) -> Container:
    """Parse and check every length and checksum. Raises BitstreamError (Truncated, BadChecksum, UnsupportedVersion)."""
    if bitstream[: len(MAGIC)] != MAGIC[: len(bitstream)] or not bitstream:
        raise BitstreamError("This is not a hexdicom bitstream: its first bytes are not the signature.")
    if bitstream[len(MAGIC) : len(MAGIC) + 2] == b"\2\0":
        return _unpack_short(bitstream)
    if len(bitstream) < _HEADER.size:
        raise Truncated(f"The bitstream ends inside its header, after {len(bitstream)} bytes.")
    _, version, dtype, reserved, t, z, y, x, bound, count = _HEADER.unpack_from(bitstream)
    if version != 1:
        raise UnsupportedVersion(
            f"The bitstream has format version {version}; this hexdicom reads versions 1 to {VERSION}.",
            hint="Update hexdicom." if version > VERSION else "",
        )
    table_end = _HEADER.size + count * _LAYER.size
    if len(bitstream) < table_end + _CRC.size:
        raise Truncated("The bitstream ends inside its table of layers.")
    if _CRC.unpack_from(bitstream, table_end)[0] != zlib.crc32(bitstream[:table_end]):
        raise BadChecksum("The header of the bitstream is damaged: its checksum does not match.")
    _check_header(dtype, reserved, (t, z, y, x))
    layers, kinds, position = [], set(), table_end + _CRC.size
    for index in range(count):
        kind, checksum, length = _LAYER.unpack_from(bitstream, _HEADER.size + index * _LAYER.size)
        if kind not in LAYER_NAMES or kind in kinds:
            raise BitstreamError(f"Layer {index} has kind {kind}, which the format does not allow there.")
        if length > len(bitstream) - position:
            raise Truncated(f"Layer {LAYER_NAMES[kind]} announces {length} bytes; {len(bitstream) - position} are left.")
        data = bitstream[position : position + length]
        if zlib.crc32(data) != checksum:
            raise BadChecksum(f"Layer {LAYER_NAMES[kind]} is damaged: its checksum does not match.")
        layers.append(Layer(kind, data))
        kinds.add(kind)
        position += length
    if position != len(bitstream):
        raise BitstreamError(f"{len(bitstream) - position} bytes follow the last layer.")
    return Container((t, z, y, x), DTYPES[dtype], None if bound == UNBOUNDED else bound, tuple(layers), version)


def _unpack_short(bitstream: bytes) -> Container:
    reader = Reader(bitstream, "bitstream's header")
    _, version, dtype = _SHORT.unpack(reader.take(_SHORT.size))
    t, z, y, x = (reader.number() for _ in range(4))
    head = bitstream[: len(bitstream) - reader.left]
    (checksum,) = reader.fields("I")
    data = reader.rest()
    if zlib.crc32(head + data) != checksum:
        raise BadChecksum("The bitstream is damaged: its checksum does not match.")
    _check_header(dtype, 0, (t, z, y, x))
    return Container((t, z, y, x), DTYPES[dtype], None, (Layer(FILTERED, data),), version)


def _check_header(dtype: int, reserved: int, shape: tuple[int, int, int, int]) -> None:
    if dtype >= len(DTYPES) or reserved or 0 in shape:
        raise BitstreamError("The header of the bitstream contradicts the format.")
    try:
        check_shape(shape)
    except VolumeError as error:
        raise BitstreamError(error.message) from None
