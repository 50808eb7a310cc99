"""A received file as an archive keeps it: the header around native pixel values, and the SHA-256 of its data set.

An uncompressed file is kept as it is, byte for byte. A losslessly compressed one is kept as Explicit VR Little Endian with
native Pixel Data (all such syntaxes are explicit little endian outside the pixels, PS3.5 A.4): every attribute stays as it
was received, only the transfer syntax in the file meta group, the header of Pixel Data and the offset tables change.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hexdicom.dicom.elements import EXPLICIT, REST, coding_of, pieces
from hexdicom.dicom.headers import Header
from hexdicom.dicom.pixels import DEFLATED_LITTLE, inflated, locate_pixel_data, read_meta
from hexdicom.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from pathlib import Path

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_GROUP_LENGTH, _TRANSFER_SYNTAX = 0x00020000, 0x00020010
_OFFSET_TABLES: Final = (0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00000)
"""Extended offset tables and pixel data value count describe the compressed stream; the group length counts it."""


@dataclass(frozen=True, slots=True)
class Received:
    """One source.

    sha256: of the data set (all bytes behind the file meta group) as a restore gives it back.
    recoded_from: the transfer syntax it came in, or "" where it is restored byte for byte.
    received_sha256: of the data set as it came.
    """

    header: Header
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    recoded_from: str
    received_sha256: str


def read_received(path: Path, pixels: bytes, *, check: bool = True) -> Received:
    """Take a source apart. pixels: its native Pixel Data value, as `disassemble` gives it, without padding.

    check: compare `pixels` with those of a native file. Raises SeriesError where they differ: then the volume does not say
    everything that the file says, and the file cannot be archived as part of it.
    """
    data = path.read_bytes()
    span = locate_pixel_data(data)
    syntax, start = span.transfer_syntax_uid, span.data_set
    received = hashlib.sha256(memoryview(data)[start:]).hexdigest()
    recoded_from = "" if span.native else syntax
    if syntax == DEFLATED_LITTLE:
        data = _meta_with_native_syntax(data[:start]) + inflated(path)
        span = locate_pixel_data(data)
    elif not span.native:
        value = _padded(pixels)
        data = _with_native_pixels(data, start, span.header, value, span.end)
        span = locate_pixel_data(data)
    end = span.start + len(pixels)
    if check and (end > span.end or data[span.start : end] != pixels):
        raise SeriesError(f"The volume does not give back the pixels of {path.name} exactly.")
    header = Header(data[: span.start], data[end:], span.data_set, span.transfer_syntax_uid)
    sop_class, instance = identity(header.before)
    return Received(
        header=header,
        sop_class_uid=sop_class,
        sop_instance_uid=instance,
        sha256=hashlib.sha256(memoryview(data)[span.data_set :]).hexdigest(),
        recoded_from=recoded_from,
        received_sha256=received,
    )


def data_set_sha256(data: bytes) -> str:
    """SHA-256 of the data set of a Part 10 file. Raises SeriesError where it is not one."""
    _, start = read_meta(data)
    return hashlib.sha256(memoryview(data)[start:]).hexdigest()


def identity(before: bytes) -> tuple[str, str]:
    """(SOP Class UID, SOP Instance UID) of a Part 10 file, "" where it does not say. Raises SeriesError."""
    syntax, start = read_meta(before)
    found: dict[int, str] = {}
    for piece in pieces(before, start, len(before), coding_of(syntax), deep=False):
        if piece.path in ((_SOP_CLASS,), (_SOP_INSTANCE,)):
            found[piece.path[0]] = before[piece.value : piece.end].decode("ascii", "replace").strip(" \0")
        if piece.path[0] > _SOP_INSTANCE:
            break
    return found.get(_SOP_CLASS, ""), found.get(_SOP_INSTANCE, "")


def _padded(value: bytes) -> bytes:
    return value + b"\0" * (len(value) % 2)


def _with_native_pixels(data: bytes, start: int, header: int, value: bytes, end: int) -> bytes:
    """A compressed file with `value` as its Pixel Data. header, end: where that element begins, and ends."""
    kept = []
    for piece in pieces(data, start, header, EXPLICIT, deep=False):
        if piece.path[0] == REST:
            raise SeriesError("The header of a compressed source is damaged.")
        if len(piece.path) > 1 or piece.path[0] not in _OFFSET_TABLES:
            kept.append(data[piece.begin : piece.end])
    # (7FE0,0010) OW: allowed for 8 and for 16 bits allocated (PS3.5 A.2)
    element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(value))
    return b"".join((_meta_with_native_syntax(data[:start]), *kept, element, value, data[end:]))


def _meta_with_native_syntax(head: bytes) -> bytes:
    """Preamble and file meta group with the transfer syntax that a restore writes."""
    parts: dict[int, bytes] = {}
    for piece in pieces(head, 132, len(head), EXPLICIT, deep=False):
        tag = piece.path[0]
        parts[tag] = head[piece.begin : piece.end]
        if tag == _TRANSFER_SYNTAX:
            uid = _padded(EXPLICIT_VR_LITTLE_ENDIAN.encode())
            parts[tag] = struct.pack("<HH2sH", 2, 0x0010, b"UI", len(uid)) + uid
    if _GROUP_LENGTH in parts:
        length = sum(len(part) for tag, part in parts.items() if tag != _GROUP_LENGTH)
        parts[_GROUP_LENGTH] = struct.pack("<HH2sHI", 2, 0, b"UL", 4, length)
    return head[:132] + b"".join(parts.values())
