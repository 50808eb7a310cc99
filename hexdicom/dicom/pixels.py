"""Where the Pixel Data of a DICOM file lies: a walk over the top-level elements, which decodes nothing (PS3.5 7.1).

The walk trusts no length: a file that ends too early, or that is not in the transfer syntax it announces, is a
SeriesError.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from collections.abc import Iterator

PIXEL_DATA = 0x7FE00010
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG})

_TRANSFER_SYNTAX = 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_LARGEST_INFLATED = 1 << 29
_DEEPEST = 64  # nested sequences; real objects stay below ten


@dataclass(frozen=True, slots=True)
class PixelSpan:
    """The value of the top-level Pixel Data (7FE0,0010), counted in bytes from the start of the file.

    native: the value is the pixels themselves. Otherwise they are encapsulated, and the span holds the items with the
    Sequence Delimitation Item; for the deflated transfer syntax nothing can be pointed at: start = length = 0.
    transfer_syntax_uid: of the file meta information.
    data_set, header: where the data set begins, and where the element Pixel Data begins. vr: "" where it is implicit.
    """

    start: int
    length: int
    native: bool
    transfer_syntax_uid: str
    data_set: int
    header: int
    vr: str = ""

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def big_endian(self) -> bool:
        return self.transfer_syntax_uid == EXPLICIT_BIG


class _Element(NamedTuple):
    tag: int
    vr: bytes  # b"" where implicit
    length: int
    value: int  # offset of the value


class _Coding(NamedTuple):
    """How elements are written."""

    implicit: bool
    big: bool


_EXPLICIT = _Coding(implicit=False, big=False)
_IMPLICIT = _Coding(implicit=True, big=False)


def locate_pixel_data(source: Path | bytes) -> PixelSpan:
    """Find the top-level Pixel Data of a Part 10 file. Pixel Data inside sequences (icons) is not it.

    Raises SeriesError: not DICOM, damaged, or without Pixel Data. OSError of the file passes.
    """
    span, _ = find_pixel_data(source)
    if span is None:
        raise SeriesError("There is no Pixel Data in the file.")
    return span


def find_pixel_data(source: Path | bytes) -> tuple[PixelSpan | None, str]:
    """The span of the Pixel Data, None where a sound file has none, and the transfer syntax UID.

    Raises SeriesError: not DICOM, or damaged. OSError of the file passes.
    """
    with _opened(source) as data:
        syntax, start = read_meta(data)
        if syntax == DEFLATED_LITTLE:
            return PixelSpan(0, 0, False, syntax, start, 0), syntax
        coding = _Coding(implicit=syntax == IMPLICIT_LITTLE, big=syntax == EXPLICIT_BIG)
        try:
            found = _walk(data, start, coding)
            if found is None:
                return None, syntax
            header, element = found
            if element.length != _UNDEFINED:
                _check_inside(data, element)
                end, native = element.value + element.length, syntax in NATIVE
            elif syntax in NATIVE:
                raise SeriesError("Pixel Data has no length although the transfer syntax is not compressed.")
            else:
                end, native = _skip_items(data, element.value, coding), False
                if end > len(data):
                    raise SeriesError("The file ends too early.")
        except struct.error as error:
            raise SeriesError("The file ends too early.") from error
        return PixelSpan(element.value, end - element.value, native, syntax, start, header, element.vr.decode()), syntax


def read_meta(data: bytes | mmap.mmap) -> tuple[str, int]:
    """Transfer syntax UID and the offset of the data set, of a Part 10 file. Raises SeriesError."""
    if data[128:132] != b"DICM":
        raise SeriesError("This is not a DICOM file.")
    position, syntax = 132, ""
    try:
        while position < len(data) and struct.unpack_from("<H", data, position)[0] == 2:
            element = _read_element(data, position, _EXPLICIT)
            _check_inside(data, element)
            position = element.value + element.length
            if element.tag == _TRANSFER_SYNTAX:
                syntax = data[element.value : position].rstrip(b"\0 ").decode("ascii", "replace")
    except struct.error as error:
        raise SeriesError("The file ends too early.") from error
    if not syntax:
        raise SeriesError("The file does not say its transfer syntax.")
    return syntax, position


def pixel_value(path: Path, span: PixelSpan) -> bytes:
    """The Pixel Data value of a native or deflated file, in the byte order of the file. Raises SeriesError, OSError."""
    if span.transfer_syntax_uid == DEFLATED_LITTLE:
        data_set = inflated(path)
        try:
            found = _walk(data_set, 0, _EXPLICIT)
        except struct.error as error:
            raise SeriesError("The file ends too early.") from error
        if found is None:
            raise SeriesError("There is no Pixel Data in the file.")
        _, element = found
        _check_inside(data_set, element)
        return data_set[element.value : element.value + element.length]
    if not span.native:
        raise SeriesError("The pixels are compressed.")
    with path.open("rb") as file:
        file.seek(span.start)
        value = file.read(span.length)
    if len(value) != span.length:
        raise SeriesError("The file ends too early.")
    return value


def inflated(path: Path) -> bytes:
    """The data set of a deflated file (PS3.5 A.5), explicit little endian. Raises SeriesError, OSError."""
    data = path.read_bytes()
    _, start = read_meta(data)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        out = inflater.decompress(data[start:], _LARGEST_INFLATED)
    except zlib.error as error:
        raise SeriesError("The deflated data set is damaged.") from error
    if not inflater.eof:
        raise SeriesError(f"The deflated data set is cut off, or larger than {_LARGEST_INFLATED} bytes.")
    return out


@contextmanager
def _opened(source: Path | bytes) -> Iterator[bytes | mmap.mmap]:
    if isinstance(source, bytes):
        yield source
        return
    with Path(source).open("rb") as file:
        if file.seek(0, 2) == 0:
            raise SeriesError("The file is empty.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _walk(data: bytes | mmap.mmap, position: int, coding: _Coding) -> tuple[int, _Element] | None:
    """The element Pixel Data and where it begins."""
    while position < len(data):
        element = _read_element(data, position, coding)
        if element.tag == PIXEL_DATA:
            return position, element
        position = _after(data, element, coding)
        if element.tag > PIXEL_DATA:
            break
    return None


def _read_element(data: bytes | mmap.mmap, position: int, coding: _Coding) -> _Element:
    order = ">" if coding.big else "<"
    group, number = struct.unpack_from(order + "HH", data, position)
    tag = group << 16 | number
    if coding.implicit:
        return _Element(tag, b"", struct.unpack_from("<I", data, position + 4)[0], position + 8)
    vr = data[position + 4 : position + 6]
    if vr in _SHORT:
        return _Element(tag, vr, struct.unpack_from(order + "H", data, position + 6)[0], position + 8)
    if vr in _LONG:
        return _Element(tag, vr, struct.unpack_from(order + "I", data, position + 8)[0], position + 12)
    raise SeriesError(f"The element at byte {position} is not in the transfer syntax that the file announces.")


def _after(data: bytes | mmap.mmap, element: _Element, coding: _Coding) -> int:
    """The offset behind an element."""
    if element.length == _UNDEFINED:  # a sequence; UN of undefined length is implicit little endian inside (PS3.5 6.2.2)
        return _skip_items(data, element.value, _IMPLICIT if element.vr == b"UN" else coding)
    _check_inside(data, element)
    return element.value + element.length


def _skip_items(data: bytes | mmap.mmap, position: int, coding: _Coding) -> int:
    """The offset behind the delimiter of a sequence of undefined length that begins at `position`."""
    open_levels = [(True, coding)]  # (items are expected: else elements of an item, how they are written)
    while open_levels:
        if len(open_levels) > _DEEPEST:
            raise SeriesError(f"Sequences are nested more than {_DEEPEST} deep.")
        in_sequence, coding = open_levels[-1]
        group, number, length = struct.unpack_from(">HHI" if coding.big else "<HHI", data, position)
        tag = group << 16 | number
        if tag == (_SEQUENCE_END if in_sequence else _ITEM_END):
            open_levels.pop()
            position += 8
        elif in_sequence:
            if tag != _ITEM:
                raise SeriesError(f"A sequence is damaged at byte {position}.")
            position += 8
            if length == _UNDEFINED:
                open_levels.append((False, coding))
            else:
                position += length
        else:
            element = _read_element(data, position, coding)
            position = element.value
            if element.length == _UNDEFINED:
                open_levels.append((True, _IMPLICIT if element.vr == b"UN" else coding))
            else:
                position += element.length
    return position


def _check_inside(data: bytes | mmap.mmap, element: _Element) -> None:
    if element.value + element.length > len(data):
        raise SeriesError(
            f"The file ends too early: element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) "
            f"needs {element.length} bytes and {max(0, len(data) - element.value)} are there."
        )
