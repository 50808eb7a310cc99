"""The bitstream in a file that a person names: an .hxd file, an archive object, or a folder with all parts of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.dicom.archive import is_archive_object, read_part
from hexdicom.dicom.folder import scan
from hexdicom.dicom.restore import open_archive
from hexdicom_services.cli.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE = b"\x89HXD"


def is_bitstream(path: Path) -> bool:
    """Whether a file is a bare bitstream, as `hexdicom codec encode` writes it."""
    return path.is_file() and read_bytes(path).startswith(SIGNATURE)


def bitstream(path: Path) -> bytes:
    """Raises NotFound, ArchiveError, BitstreamError."""
    if is_bitstream(path):
        return read_bytes(path)
    return open_archive([read_part(read_bytes(part)) for part in parts(path)]).archive.payload


def parts(path: Path) -> list[Path]:
    """The file that is named, or the archive objects in a folder."""
    return [file for file in scan([path]) if not path.is_dir() or is_archive_object(read_bytes(file))]
