"""A received data set as a file: preamble and file meta group before the bytes as they came (PS3.10 section 7.1)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hexdicom.errors import StoreError
from hexdicom_services.elements import text, walk

if TYPE_CHECKING:
    from pathlib import Path

_START = 144  # 128 bytes of preamble, DICM, and the group length element
_MAX_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of its data set, which starts at `offset`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae_title: str
    offset: int


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> bytes:
    """Everything that stands in a file before the data set."""
    group = b"".join(
        (
            struct.pack("<HH2sHI2s", 2, 0x0001, b"OB", 0, 2, b"\0\1"),
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_instance_uid),
            _element(0x0010, b"UI", transfer_syntax_uid),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", source_ae_title) if source_ae_title else b"",
        )
    )
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


def read_head(file: Path) -> Head:
    """The file meta group of a file. Raises StoreError where there is none, OSError where it cannot be read."""
    with file.open("rb") as stream:
        data = stream.read(_MAX_HEAD)
    if data[128:140] != b"DICM\2\0\0\0UL\4\0" or len(data) < _START:
        raise StoreError(f"{file} does not start as a DICOM file.")
    offset = _START + int.from_bytes(data[140:144], "little")
    try:
        found = {tag: text(value) for tag, value in walk(data[:offset], _START, explicit=True, order="<")}
    except (ValueError, struct.error) as error:
        raise StoreError(f"The file meta group of {file} cannot be read: {error}.") from error
    sop_class, sop_instance, syntax, source = (found.get(0x00020000 | part, "") for part in (0x02, 0x03, 0x10, 0x16))
    return Head(sop_class, sop_instance, syntax, source, offset)


def holds(file: Path, sha256: str) -> bool:
    """Whether a file is there and its data set has that SHA-256."""
    try:
        offset = read_head(file).offset
        with file.open("rb") as stream:
            stream.seek(offset)
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except (OSError, StoreError):
        return False


def _element(number: int, vr: bytes, value: str) -> bytes:
    data = value.encode("ascii", "replace")
    data += (b"\0" if vr == b"UI" else b" ") * (len(data) % 2)
    return struct.pack("<HH2sH", 2, number, vr, len(data)) + data
