"""The container, and the values of all layers (sections 1, 2 and 5)."""

from __future__ import annotations

import struct
import zlib
from math import prod

from tests.golden.reference.filtered import number, synthesise_filtered
from tests.golden.reference.linear import linear_values
from tests.golden.reference.network import Network
from tests.golden.reference.planes import synthesise
from tests.golden.reference.sparse import synthesise_sparse
from tests.golden.reference.stream import (
    Reader,
    Shape,
    check,
    check_bounds,
    inflate,
)

TYPES = (("uint8", "B", 0, 255), ("int8", "b", -128, 127), ("uint16", "H", 0, 65535), ("int16", "h", -32768, 32767))
PLANES, RESIDUAL, STORED, ATTACHMENT, SPARSE, FILTERED = range(1, 7)
NO_BOUND = 0xFFFFFFFF


def decode(bitstream: bytes) -> tuple[Shape, str, list[int]]:
    """Shape (T, Z, Y, X), name of the data type, values with x fastest (section 1)."""
    reader = Reader(bitstream)
    check(reader.take(8) == b"\x89HXD\r\n\x1a\n", "not a hexdicom bitstream")
    (version,) = reader.numbers("H", 1)
    if version == 2:
        return short(bitstream, reader)
    check(version == 1, "unknown format version")
    kind, zero = reader.numbers("B", 2)
    check(kind < len(TYPES) and zero == 0, "unknown data type")
    name, code, least, greatest = TYPES[kind]
    t, z, y, x = reader.numbers("I", 4)
    shape = (t, z, y, x)
    check(all(1 <= size <= 65535 for size in shape) and prod(shape) <= 2**28, "the volume's size")
    (bound,), (count, *zeros) = reader.numbers("I", 1), reader.numbers("B", 4)
    check(not any(zeros), "a byte that is not 0")
    entries = []
    for _ in range(count):
        layer, *zeros = reader.numbers("B", 4)
        check(not any(zeros), "a byte that is not 0")
        entries.append((layer, *reader.numbers("I", 1), *reader.numbers("Q", 1)))
    check(zlib.crc32(bitstream[: reader.at]) == reader.numbers("I", 1)[0], "the header's checksum")
    layers = {}
    for layer, checksum, length in entries:
        check(PLANES <= layer <= FILTERED and layer not in layers, "unknown layer, or one twice")
        layers[layer] = reader.take(length)
        check(zlib.crc32(layers[layer]) == checksum, "a layer's checksum")
    check(not reader.rest(), "bytes after the last layer")

    layers.pop(ATTACHMENT, None)
    if set(layers) == {STORED} and bound == 0:
        values = Reader(inflate(layers[STORED], prod(shape) * struct.calcsize(code))).numbers(code, prod(shape))
    elif set(layers) == {PLANES} and bound == NO_BOUND:
        values = synthesise(layers[PLANES], shape)
    elif set(layers) == {SPARSE} and bound == NO_BOUND:
        values = synthesise_sparse(layers[SPARSE], shape)
    elif set(layers) == {FILTERED} and bound == NO_BOUND:
        values = synthesise_filtered(layers[FILTERED], shape)
    else:
        check(set(layers) == {PLANES, RESIDUAL} and bound != NO_BOUND, "a combination of layers that is not valid")
        values = refine(layers[RESIDUAL], synthesise(layers[PLANES], shape), shape, bound)
    check(least <= min(values) and max(values) <= greatest, "a value that the data type cannot hold")
    return shape, name, values


def short(bitstream: bytes, reader: Reader) -> tuple[Shape, str, list[int]]:
    """A bitstream of version 2 (section 1)."""
    (kind,) = reader.numbers("B", 1)
    check(kind < len(TYPES), "unknown data type")
    name, _, least, greatest = TYPES[kind]
    t, z, y, x = (number(reader) for _ in range(4))
    head, (checksum,) = bitstream[: reader.at], reader.numbers("I", 1)
    data = reader.rest()
    check(zlib.crc32(head + data) == checksum, "the checksum")
    shape = (t, z, y, x)
    check(all(1 <= size <= 65535 for size in shape) and prod(shape) <= 2**28, "the volume's size")
    values = synthesise_filtered(data, shape)
    check(least <= min(values) and max(values) <= greatest, "a value that the data type cannot hold")
    return shape, name, values


def refine(data: bytes, planes: list[int], shape: Shape, bound: int) -> list[int]:
    """The values, from the six-plane values and the residual layer (section 5)."""
    reader = Reader(data)
    check(prod(shape) <= 65536 * len(data), "the layer is too short for its volume")
    predictor, low, high, length = reader.numbers("i", 4)
    check(predictor in (1, 2, 3) and length >= 0, "unknown predictor")
    check_bounds(low, high)
    if predictor > 1:
        return Network(Reader(reader.take(length)), predictor, low, high, shape, bound).slices(reader)
    return linear_values(reader, length, low, high, planes, shape, bound)
