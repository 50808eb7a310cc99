"""The private block of an archive object: the only place with private tags of ours.

The block is flat (sequences turn into UN on an implicit hop) and its creator is looked up, never its place: a PACS may move
it (PS3.5 7.8.1). `docs/format.md`, section "Archive object", specifies every element.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

GROUP: Final = 0x0099
CREATOR: Final = "HEXDICOM ARCHIVE"
FORMAT_VERSION: Final = 1


class Element(IntEnum):
    """The last two digits of the element number; the first two are those of the block that the creator reserved."""

    VERSION = 0x01
    PART_NUMBER = 0x02
    PART_COUNT = 0x03
    MANIFEST_LENGTH = 0x10
    MANIFEST_SHA256 = 0x11
    MANIFEST = 0x12
    HEADERS_LENGTH = 0x20
    HEADERS_SHA256 = 0x21
    HEADERS = 0x22
    PAYLOAD_LENGTH = 0x30
    PAYLOAD_SHA256 = 0x31
    PAYLOAD = 0x32


VRS: Final[dict[Element, str]] = {
    element: "OB" if element.name.endswith("SHA256") or element.name in ("MANIFEST", "HEADERS", "PAYLOAD") else "UL"
    for element in Element
}


MEANINGS: Final[dict[Element, str]] = {
    Element.VERSION: f"format version: {FORMAT_VERSION}",
    Element.PART_NUMBER: "number of this part, from 1",
    Element.PART_COUNT: "number of parts",
    Element.MANIFEST_LENGTH: "bytes of the manifest; 0 in all parts but the first",
    Element.MANIFEST_SHA256: "SHA-256 of the whole manifest; the same in every part, so it says which archive a part is of",
    Element.MANIFEST: "what the archive says of itself; in the first part",
    Element.HEADERS_LENGTH: "bytes of the headers; 0 in all parts but the first",
    Element.HEADERS_SHA256: "SHA-256 of the headers of this part",
    Element.HEADERS: "everything of the source files but the pixel values; in the first part",
    Element.PAYLOAD_LENGTH: "bytes of the payload of this part",
    Element.PAYLOAD_SHA256: "SHA-256 of the payload of this part",
    Element.PAYLOAD: "the coded pixel values, or this part of them",
}
"""What each element holds: the data dictionary of docs/conformance.md."""


def tag(element: Element, block: int = 0x10) -> int:
    """The tag of an element in the block that the creator element (gggg,00bb) reserved."""
    return GROUP << 16 | block << 8 | element
