"""The archive object: one Raw Data instance per part, a flat private block in it. Build, read, and put parts together.

Reading is code for hostile input: it goes by `elements`, believes no length, accepts our block wherever a PACS moved it and
whatever VR it arrives with, and raises nothing but ArchiveError. Byte layout: docs/format.md, "Archive object".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hexdicom.dicom.elements import REST, coding_of, pieces
from hexdicom.dicom.pixels import DEFLATED_LITTLE, read_meta
from hexdicom.dicom.private import CREATOR, FORMAT_VERSION, GROUP, VRS, Element, tag
from hexdicom.dicom.uids import archive_instance_uid
from hexdicom.dicom.wrapper import archive_data_set, read_template, written
from hexdicom.errors import ArchiveError, SeriesError

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hexdicom.dicom.headers import Header

LARGEST_PART: Final = 1 << 28  # bytes of payload: PACS hold objects in memory
_MOST_PARTS: Final = 1 << 16
_PLAIN: Final = {
    0x00080018: "sop_instance_uid",
    0x00080023: "content_date",
    0x00080033: "content_time",
    0x0020000E: "series_instance_uid",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One archive object, checked against its own digests. number: from 1. The bytes may be views of the file.

    manifest_sha256 is that of the whole archive's manifest, in every part; manifest and headers are in part 1 only.
    created: Content Date and Time as they stand there, YYYYMMDDhhmmss, or "".
    """

    sop_instance_uid: str
    series_instance_uid: str
    created: str
    number: int
    count: int
    manifest_sha256: bytes
    manifest: bytes
    headers: bytes
    payload: memoryview


@dataclass(frozen=True, slots=True)
class Archive:
    """All parts of one archive put together. uid: SOP Instance UID of part 1; created: as in Part."""

    uid: str
    series_instance_uid: str
    created: str
    manifest: bytes
    headers: bytes
    payload: bytes
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A part as a Part 10 file."""

    sop_instance_uid: str
    data: bytes


def build(
    template: Header,
    references: Sequence[tuple[str, str]],
    manifest: bytes,
    headers: bytes,
    payload: bytes,
    *,
    source_series_uid: str,
    now: datetime,
    largest_part: int = LARGEST_PART,
) -> Iterator[ArchiveFile]:
    """The parts of an archive, in order. template: the header of a source, for patient and study.

    references: (SOP Class UID, SOP Instance UID) of every source, listed in every part.
    """
    source = read_template(template)
    digest = hashlib.sha256(manifest)
    payload_sha256 = hashlib.sha256(payload).hexdigest()
    count = max(1, -(-len(payload) // largest_part))
    for number in range(1, count + 1):
        uid = archive_instance_uid(source_series_uid, payload_sha256, digest.hexdigest(), number)
        ds = archive_data_set(source, references, uid, number, now)
        piece = payload[(number - 1) * largest_part : number * largest_part]
        own = (manifest, headers) if number == 1 else (b"", b"")
        values: dict[Element, int | bytes] = {
            Element.VERSION: FORMAT_VERSION,
            Element.PART_NUMBER: number,
            Element.PART_COUNT: count,
            Element.MANIFEST_LENGTH: len(own[0]),
            Element.MANIFEST_SHA256: digest.digest(),
            Element.MANIFEST: own[0],
            Element.HEADERS_LENGTH: len(own[1]),
            Element.HEADERS_SHA256: hashlib.sha256(own[1]).digest(),
            Element.HEADERS: own[1],
            Element.PAYLOAD_LENGTH: len(piece),
            Element.PAYLOAD_SHA256: hashlib.sha256(piece).digest(),
            Element.PAYLOAD: piece,
        }
        ds.add_new(GROUP << 16 | 0x10, "LO", CREATOR)
        for element, value in values.items():
            ds.add_new(tag(element), VRS[element], value + b"\0" * (len(value) % 2) if isinstance(value, bytes) else value)
        yield ArchiveFile(uid, written(ds))


def read_part(data: bytes | mmap.mmap) -> Part:
    """Read one archive object, a Part 10 file. Raises ArchiveError for everything that is not one, or is damaged."""
    try:
        syntax, start = read_meta(data)
    except SeriesError as error:
        raise ArchiveError(f"The archive object cannot be read: {error.message}") from error
    if syntax == DEFLATED_LITTLE:
        raise ArchiveError("The archive object is deflated.", hint="Ask the peer for Explicit VR Little Endian.")
    plain, block = _elements(data, start, syntax)
    if block is None:
        raise ArchiveError(
            "This is not an archive object of hexdicom.",
            hint="It has no private block with our creator; perhaps a PACS removed it.",
        )
    if block.number(Element.VERSION) != FORMAT_VERSION:
        raise ArchiveError(
            f"The archive object has format version {block.number(Element.VERSION)}; this hexdicom reads {FORMAT_VERSION}.",
            hint="Use a later hexdicom.",
        )
    number, count = block.number(Element.PART_NUMBER), block.number(Element.PART_COUNT)
    if not 1 <= number <= count <= _MOST_PARTS:
        raise ArchiveError(f"The archive object says that it is part {number} of {count}.")
    manifest_sha256 = bytes(block.sized(Element.MANIFEST_SHA256, 32))
    manifest = bytes(block.sized(Element.MANIFEST, block.number(Element.MANIFEST_LENGTH)))
    if number == 1 and hashlib.sha256(manifest).digest() != manifest_sha256:
        raise ArchiveError("The manifest of the archive object does not match its SHA-256.")
    headers = block.checked(Element.HEADERS, Element.HEADERS_LENGTH, Element.HEADERS_SHA256)
    payload = block.checked(Element.PAYLOAD, Element.PAYLOAD_LENGTH, Element.PAYLOAD_SHA256)
    return Part(
        sop_instance_uid=plain.get("sop_instance_uid", ""),
        series_instance_uid=plain.get("series_instance_uid", ""),
        created=(plain.get("content_date", "") + plain.get("content_time", ""))[:14],
        number=number,
        count=count,
        manifest_sha256=manifest_sha256,
        manifest=manifest,
        headers=bytes(headers),
        payload=payload,
    )


def is_archive_object(data: bytes | mmap.mmap) -> bool:
    """A Part 10 file with our private block, sound or not."""
    try:
        syntax, start = read_meta(data)
    except SeriesError:
        return False
    return syntax != DEFLATED_LITTLE and _elements(data, start, syntax)[1] is not None


def join(parts: Sequence[Part]) -> Archive:
    """The archive that `parts` are all parts of, in any order; a part that is there twice must be the same.

    Raises ArchiveError where one is missing or belongs to another archive.
    """
    by_number: dict[int, Part] = {}
    for part in parts:
        known = by_number.setdefault(part.number, part)
        if (part.count, part.manifest_sha256) != (parts[0].count, parts[0].manifest_sha256):
            raise ArchiveError("Parts of different archives cannot be put together.")
        if known.payload != part.payload:
            raise ArchiveError(f"Part {part.number} of the archive is there twice, with different contents.")
    if not by_number:
        raise ArchiveError("There is no archive object.")
    missing = [str(k) for k in range(1, parts[0].count + 1) if k not in by_number]
    if missing:
        raise ArchiveError(
            f"Of the {parts[0].count} parts of the archive, {len(missing)} are missing: {', '.join(missing[:20])}.",
            hint="Fetch all instances of the archive's series.",
        )
    first, ordered = by_number[1], [by_number[k] for k in sorted(by_number)]
    return Archive(
        uid=first.sop_instance_uid,
        series_instance_uid=first.series_instance_uid,
        created=first.created,
        manifest=first.manifest,
        headers=first.headers,
        payload=b"".join(part.payload for part in ordered),
        sop_instance_uids=tuple(part.sop_instance_uid for part in ordered),
    )


class _Block:
    """The elements of our private block, by their last two digits."""

    def __init__(self, values: dict[int, memoryview], big: frozenset[int]) -> None:
        self._values = values
        self._big = big

    def number(self, element: Element) -> int:
        value = self._get(element)
        if len(value) != 4:
            raise ArchiveError(f"{element.name} in the archive object has {len(value)} bytes instead of 4.")
        return int.from_bytes(value, "big" if element in self._big else "little")

    def sized(self, element: Element, length: int) -> memoryview:
        """The value without the padding that DICOM or a peer added."""
        value = self._get(element)
        if length > len(value):
            raise ArchiveError(f"{element.name} in the archive object is cut off: {len(value)} of {length} bytes.")
        return value[:length]

    def checked(self, element: Element, length: Element, sha256: Element) -> memoryview:
        value = self.sized(element, self.number(length))
        if hashlib.sha256(value).digest() != bytes(self.sized(sha256, 32)):
            raise ArchiveError(f"{element.name} of the archive object does not match its SHA-256.")
        return value

    def _get(self, element: Element) -> memoryview:
        try:
            return self._values[element]
        except KeyError:
            raise ArchiveError(
                f"The archive object lacks {element.name} in its private block: it is cut off, or was changed."
            ) from None


def _elements(data: bytes | mmap.mmap, start: int, syntax: str) -> tuple[dict[str, str], _Block | None]:
    """The UIDs, and our block wherever it is: (gggg,00bb) holds the creator, (gggg,bbxx) the elements (PS3.5 7.8.1)."""
    view = memoryview(data)
    coding = coding_of(syntax)
    plain: dict[str, str] = {}
    ours: tuple[int, int] | None = None
    values: dict[int, memoryview] = {}
    big: set[int] = set()
    for piece in pieces(data, start, len(data), coding, deep=False):
        if len(piece.path) > 1 or piece.path[0] == REST:
            continue
        group, element = divmod(piece.path[0], 1 << 16)
        value = view[piece.value : piece.end]
        if piece.path[0] in _PLAIN:
            plain[_PLAIN[piece.path[0]]] = bytes(value[:64]).decode("ascii", "replace").strip(" \0")
        elif group % 2 and 0x10 <= element <= 0xFF:
            if ours is None and bytes(value[:64]).strip(b" \0") == CREATOR.encode():
                ours = group, element
        elif ours is not None and (group, element >> 8) == ours:
            values[element & 0xFF] = value
            if coding.big and piece.vr == b"UL":
                big.add(element & 0xFF)
    return plain, _Block(values, frozenset(big)) if ours else None
