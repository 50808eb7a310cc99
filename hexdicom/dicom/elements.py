"""A data set cut into the pieces that it is written in (PS3.5 7): element headers with their values, item by item.

The pieces are contiguous and cover the range exactly, whatever the bytes are: `b"".join` of them gives the range back. What
cannot be understood becomes one last piece. This makes the walk fit for coding headers exactly, and for reading archive
objects that came from anywhere.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from hexdicom.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
REST: Final = -1  # "tag" of a piece that is not understood
UNDEFINED: Final = 0xFFFFFFFF
DEEPEST: Final = 64

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})

Path = tuple[int, ...]


class Coding(NamedTuple):
    """How the elements are written."""

    implicit: bool
    big: bool


EXPLICIT: Final = Coding(implicit=False, big=False)
IMPLICIT: Final = Coding(implicit=True, big=False)


class Piece(NamedTuple):
    """data[begin:end] is an element, or the header of a sequence or an item, or a delimiter.

    path: tags from the top level to this one; items do not count, so the same place in every item has the same path.
    value: where the value begins; equal to `end` where the piece is a header alone.
    """

    path: Path
    vr: bytes
    begin: int
    value: int
    end: int


class _Level(NamedTuple):
    path: Path
    end: int  # UNDEFINED lengths: that of the level around it
    delimited: bool  # it ends with a delimiter
    coding: Coding


def coding_of(transfer_syntax_uid: str) -> Coding:
    """How data sets of a transfer syntax are written; compressed ones are Explicit VR Little Endian (PS3.5 A.4)."""
    return Coding(implicit=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN, big=transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN)


def pieces(data: bytes | mmap.mmap, start: int, stop: int, coding: Coding, *, deep: bool = True) -> Iterator[Piece]:
    """The pieces of data[start:stop]. deep=False leaves sequences of defined length in one piece."""
    levels = [_Level((), stop, False, coding)]
    position = start
    while position < stop:
        level = levels[-1]
        if position == level.end and not level.delimited and len(levels) > 1:
            levels.pop()
            continue
        piece, inner = _piece(data, position, level, deep=deep)
        if piece is None or len(levels) > DEEPEST:
            yield Piece((*level.path, REST), b"", position, position, stop)
            return
        yield piece
        position = piece.end
        if inner is not None:
            levels.append(inner)
        elif piece.path[-1] in (ITEM_END, SEQUENCE_END) and level.delimited:
            levels.pop()


def _piece(data: bytes | mmap.mmap, position: int, level: _Level, *, deep: bool) -> tuple[Piece, _Level | None] | tuple[None, None]:
    """The piece at `position` and, where it opens a sequence or an item, what is inside. None: not understood."""
    coding, limit = level.coding, level.end
    order = ">" if coding.big else "<"
    if position + 8 > limit:
        return None, None
    group, element, length = struct.unpack_from(order + "HHI", data, position)
    tag = group << 16 | element
    path = (*level.path, tag)
    value = position + 8
    if tag in (ITEM, ITEM_END, SEQUENCE_END):
        opened = None
        if tag == ITEM:
            if length != UNDEFINED and value + length > limit:
                return None, None
            end = limit if length == UNDEFINED else value + length
            opened = _Level(level.path, end, length == UNDEFINED, coding)
        return Piece(path, b"", position, value, value), opened
    vr = b""
    if not coding.implicit:
        vr = data[position + 4 : position + 6]
        if vr in _LONG:
            if position + 12 > limit:
                return None, None
            (length,) = struct.unpack_from(order + "I", data, position + 8)
            value = position + 12
        elif vr.isalpha() and vr.isupper():
            (length,) = struct.unpack_from(order + "H", data, position + 6)
        else:
            return None, None
    if length == UNDEFINED:
        inside = IMPLICIT if vr == b"UN" else coding  # PS3.5 6.2.2, note 2
        return Piece(path, vr, position, value, value), _Level(path, limit, True, inside)
    if value + length > limit:
        return None, None
    if deep and length >= 8 and (vr == b"SQ" or (coding.implicit and _begins_item(data, value))):
        return Piece(path, vr, position, value, value), _Level(path, value + length, False, coding)
    return Piece(path, vr, position, value, value + length), None


def _begins_item(data: bytes | mmap.mmap, position: int) -> bool:
    return data[position : position + 4] == b"\xfe\xff\x00\xe0"
