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

    VERSION = 0x01  # UL
    PART_NUMBER = 0x02  # UL, from 1
    PART_COUNT = 0x03  # UL
    MANIFEST_LENGTH = 0x10  # UL, bytes; 0 in all parts but the first
    MANIFEST_SHA256 = 0x11  # OB, of the whole manifest; the same in every part, so it says which archive a part is of
    MANIFEST = 0x12  # OB
    HEADERS_LENGTH = 0x20  # UL; 0 in all parts but the first
    HEADERS_SHA256 = 0x21  # OB
    HEADERS = 0x22  # OB
    PAYLOAD_LENGTH = 0x30  # UL, of this part
    PAYLOAD_SHA256 = 0x31  # OB, of this part
    PAYLOAD = 0x32  # OB


VRS: Final[dict[Element, str]] = {
    element: "OB" if element.name.endswith("SHA256") or element.name in ("MANIFEST", "HEADERS", "PAYLOAD") else "UL"
    for element in Element
}


def tag(element: Element, block: int = 0x10) -> int:
    """The tag of an element in the block that the creator element (gggg,00bb) reserved."""
    return GROUP << 16 | block << 8 | element
