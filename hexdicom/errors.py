"""Every error that hexdicom raises on purpose.

    HexdicomError
    ├── ProfileError            an encoding request that cannot be met
    ├── VolumeError             an array that is not a 4-D stack of integers
    ├── BitstreamError          bytes that are not a bitstream of ours
    │   ├── Truncated           it ends too early
    │   ├── BadChecksum         it was damaged
    │   └── UnsupportedVersion  it was written by a later hexdicom
    ├── SeriesError             instances that do not make a 4-D series
    ├── ArchiveError            an archive object that cannot be read
    ├── VerificationError       what came back is not what went in
    ├── NotFound                nothing matches what was asked for
    ├── PeerError               a DICOM peer refused, failed or went away
    ├── StoreError              a folder or a disk failed
    └── ConfigError             the configuration is wrong

The message is one sentence that names what and where; `hint` says what to do next. `exit_code` is what the command line
returns; `dimse_status` is what a DIMSE service answers where the error reaches a peer (PS3.7 Annex C, PS3.4 B.2.3).
"""

from __future__ import annotations

from typing import ClassVar


class HexdicomError(Exception):
    """Something that hexdicom can explain."""

    exit_code: ClassVar[int] = 1
    dimse_status: ClassVar[int] = 0xC000

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class ProfileError(HexdicomError):
    """The encoding that was asked for is contradictory or cannot be reached."""

    exit_code = 2


class VolumeError(HexdicomError):
    """The array is not a non-empty 4-D stack of 8- or 16-bit integers."""


class BitstreamError(HexdicomError):
    """The bytes are not a hexdicom bitstream, or are damaged."""

    exit_code = 5


class Truncated(BitstreamError):
    """The bitstream ends before what its header announces."""


class BadChecksum(BitstreamError):
    """A section of the bitstream does not match its checksum."""


class UnsupportedVersion(BitstreamError):
    """The bitstream was written by a later version of hexdicom."""


class SeriesError(HexdicomError):
    """The instances do not form a clean 4-D series."""

    dimse_status = 0xA900


class ArchiveError(HexdicomError):
    """The archive object is incomplete, damaged, or not one of ours."""

    exit_code = 5


class VerificationError(HexdicomError):
    """What was restored differs from what was received."""

    exit_code = 5


class NotFound(HexdicomError):
    """Nothing matches."""

    exit_code = 3


class PeerError(HexdicomError):
    """A DICOM peer refused the association, failed an operation, or went away."""

    exit_code = 6


class StoreError(HexdicomError):
    """A folder, a file or a disk did not do what was asked."""

    dimse_status = 0xA700


class ConfigError(HexdicomError):
    """The configuration is missing or wrong."""

    exit_code = 7
