"""Names of this implementation, and UIDs derived from what they identify.

Nothing here is random: the same input gives the same UIDs, so work that is done again after a crash makes nothing twice.
Derived UIDs have the form 2.25.<128-bit integer> (PS3.5 B.2) with the bits of an RFC 9562 version 8 UUID, which is the
version for values that a hash decides.
"""

from __future__ import annotations

import hashlib
from typing import Final

from hexdicom import __version__

IMPLEMENTATION_CLASS_UID: Final = "2.25.20267776136051258337959515734118629704"
"""Identifies hexdicom in file meta groups and association negotiation (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME: Final = f"HEXDICOM_{__version__.replace('.', '_')}"[:16]

ARCHIVE_FORMAT_UID: Final = "2.25.200071326952428110056782411192771238255"
"""Creator-Version UID (0008,9123) of archive objects of format version 1."""

MR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
RAW_DATA_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66"
LEGACY_CONVERTED_ENHANCED_MR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4.4"

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"


def uid_from(*parts: str | bytes | int) -> str:
    """A UID that is a function of `parts` alone.

    >>> uid_from("series", 1) == uid_from("series", 1) != uid_from("series", 2)
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) | (0x8 << 76)  # version 8
    number = number & ~(0x3 << 62) | (0x2 << 62)  # RFC 9562 variant
    return f"2.25.{number}"


def archive_series_uid(series_instance_uid: str) -> str:
    """The series of the archive objects of one source series; never the source series itself."""
    return uid_from("hexdicom archive series", series_instance_uid)


def archive_instance_uid(series_instance_uid: str, payload_sha256: str, manifest_sha256: str, part: int) -> str:
    """SOP Instance UID of one part (from 1) of an archive: what it holds decides it, hexadecimal digests given."""
    return uid_from("hexdicom archive instance", series_instance_uid, payload_sha256, manifest_sha256, part)


def derived_series_uid(series_instance_uid: str, archive_uid: str) -> str:
    """The series of images restored with loss from the archive whose first part is `archive_uid`."""
    return uid_from("hexdicom derived series", series_instance_uid, archive_uid)


def derived_instance_uid(sop_instance_uid: str, archive_uid: str) -> str:
    """SOP Instance UID of the image restored with loss from the source `sop_instance_uid`."""
    return uid_from("hexdicom derived instance", sop_instance_uid, archive_uid)


def enhanced_instance_uid(archive_uid: str) -> str:
    """SOP Instance UID of the multi-frame object made of everything in an archive; its series is another one of ours."""
    return uid_from("hexdicom enhanced instance", archive_uid)


def enhanced_series_uid(series_instance_uid: str) -> str:
    """The series of multi-frame objects made of one source series."""
    return uid_from("hexdicom enhanced series", series_instance_uid)
