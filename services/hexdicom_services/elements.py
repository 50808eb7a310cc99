"""The first elements of an encoded data set, read without decoding it: enough to know which series it belongs to.

Received bytes are hostile: every length is checked, nesting is bounded, and nothing is allocated from a length.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hexdicom.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

GE_IMPLICIT: Final = "1.2.840.113619.5.2"  # implicit VR little endian but for the pixels
_LONG_NAMES = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
_SHORT_NAMES = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI")
_LONG_VRS: Final = frozenset(name.encode() for name in _LONG_NAMES)
_SHORT_VRS: Final = frozenset(name.encode() for name in (*_SHORT_NAMES, "UL", "US"))
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET, _PATIENT_ID = 0x00080005, 0x00100020
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_MAX_DEPTH: Final = 32
_SHORTEST: Final = 8  # bytes of an element without a value
_MAX_INFLATED: Final = 4 << 20  # bytes of a deflated data set that are looked at


@dataclass(frozen=True, slots=True)
class Identity:
    """What a data set says it is; "" where it does not say, or cannot be read up to there.

    patient_id: as it is encoded by character_set; for the audit trail, and never for a log.
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    patient_id: bytes = b""
    character_set: str = ""


class CutOffError(ValueError):
    """The bytes end within an element."""


def identify(data: bytes | mmap.mmap, transfer_syntax_uid: str, start: int = 0) -> Identity:
    """The UIDs of an encoded data set, which begins at `start`. Never raises for what the bytes are."""
    found: dict[int, str] = {}
    patient_id = b""
    try:
        if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            packed = data[start : start + _MAX_INFLATED]
            data, start = zlib.decompressobj(-15).decompress(packed, _MAX_INFLATED), 0
        explicit = transfer_syntax_uid not in (IMPLICIT_VR_LITTLE_ENDIAN, GE_IMPLICIT)
        order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
        for tag, value in walk(data, start, explicit=explicit, order=order):
            if tag in (_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES, _CHARACTER_SET):
                found[tag] = text(value)
            elif tag == _PATIENT_ID:
                patient_id = value.strip(b" \0")
            if tag >= _SERIES:
                break
    except (ValueError, struct.error, zlib.error):
        pass  # found holds what could be read; the caller keeps the instance in any case
    sop_class, sop_instance, study, series = (found.get(tag, "") for tag in (_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES))
    return Identity(sop_class, sop_instance, study, series, patient_id, found.get(_CHARACTER_SET, ""))


def what_is_missing(data: bytes, transfer_syntax_uid: str) -> str:
    """Why an encoded data set cannot be all of one: it is empty, or ends within an element; "" where neither is seen.

    What is odd in another way is not judged, and a data set that ends between two elements looks whole.
    """
    if not data:
        return "it is empty"
    explicit = transfer_syntax_uid not in (IMPLICIT_VR_LITTLE_ENDIAN, GE_IMPLICIT)
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    end = 0  # of the last element that is there
    try:
        if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            return "" if _inflates_to_its_end(data) else "it is cut off"
        for *_, after in _elements(data, 0, explicit=explicit, order=order):
            end = after
    except CutOffError:
        return "it is cut off"
    except struct.error:
        padding = end and len(data) - end < _SHORTEST and not any(data[end:])  # no element, but no loss either
        return "" if padding else "it is cut off"
    except (ValueError, zlib.error):
        return ""
    return ""


def _inflates_to_its_end(data: bytes) -> bool:
    inflater = zlib.decompressobj(-15)
    while data and not inflater.eof:
        inflater.decompress(data, _MAX_INFLATED)
        data = inflater.unconsumed_tail
    return inflater.eof


def text(value: bytes) -> str:
    """A UID or AE value without its padding."""
    return value.decode("ascii", "replace").strip(" \0")


def walk(data: bytes | mmap.mmap, position: int, *, explicit: bool, order: str) -> Iterator[tuple[int, bytes]]:
    """Tag and value of the elements from `position` on; sequences come with an empty value.

    Raises ValueError or struct.error where the bytes are not elements.
    """
    for tag, start, length, _ in _elements(data, position, explicit=explicit, order=order):
        yield tag, data[start : start + length] if length <= 128 else b""


def _elements(data: bytes | mmap.mmap, position: int, *, explicit: bool, order: str) -> Iterator[tuple[int, int, int, int]]:
    """Tag, where the value starts, its length (0 of undefined ones), where the element ends. Raises as `walk`."""
    while position < len(data):
        tag, length, start = _header(data, position, explicit=explicit, order=order)
        if length == _UNDEFINED:
            inner = explicit and data[position + 4 : position + 6] != b"UN"  # PS3.5 6.2.2: content of UN is implicit
            position = _skip_items(data, start, explicit=inner, order=order, depth=0)
            yield tag, start, 0, position
            continue
        if start + length > len(data):
            raise CutOffError("an element is longer than the data set")
        position = start + length
        yield tag, start, length, position


def _header(data: bytes | mmap.mmap, position: int, *, explicit: bool, order: str) -> tuple[int, int, int]:
    """(tag, length, where the value starts)"""
    group, element, _ = struct.unpack_from(order + "HHI", data, position)
    tag = group << 16 | element
    if not explicit or group == 0xFFFE:
        (length,) = struct.unpack_from(order + "I", data, position + 4)
        return tag, length, position + 8
    vr = data[position + 4 : position + 6]
    if vr in _LONG_VRS:
        (length,) = struct.unpack_from(order + "I", data, position + 8)
        return tag, length, position + 12
    if vr not in _SHORT_VRS:
        raise ValueError("not a value representation")
    (length,) = struct.unpack_from(order + "H", data, position + 6)
    return tag, length, position + 8


def _skip_items(data: bytes | mmap.mmap, position: int, *, explicit: bool, order: str, depth: int) -> int:
    """Where the elements go on after a sequence, or an item, of undefined length."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    while True:
        tag, length, start = _header(data, position, explicit=explicit, order=order)
        if tag in (_SEQUENCE_END, _ITEM_END):
            return start
        if length == _UNDEFINED:
            inner = explicit and (tag == _ITEM or data[position + 4 : position + 6] != b"UN")
            position = _skip_items(data, start, explicit=inner, order=order, depth=depth + 1)
        else:
            position = start + length
