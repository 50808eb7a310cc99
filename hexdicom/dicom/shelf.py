"""Archive objects in files and folders: put there durably, found again by what they are and not by their names."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom import durable
from hexdicom.dicom.archive import ArchiveFile, Part, is_archive_object, read_part
from hexdicom.dicom.folder import require_dicom, scan
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_PLAIN_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class Found:
    """groups: archive objects, those of one archive together. damaged: those that cannot be read. others: other files."""

    groups: list[list[Path]]
    damaged: list[tuple[Path, ArchiveError]]
    others: list[Path]


def found(archives: Sequence[Path]) -> Found:
    """What is at these paths. A file that is named itself, not found in a folder, must be an archive object.

    Raises NotFound for a path that does not exist, and where no DICOM file is.
    """
    named = {path.resolve() for path in archives}
    groups: dict[bytes, list[Path]] = {}
    shelf = Found([], [], [])
    for path in scan(archives):
        if durable.is_partial(path):
            continue
        with durable.on_disk(path):
            data = path.read_bytes()
        if path.resolve() not in named and not is_archive_object(data):
            shelf.others.append(path)
            continue
        try:
            groups.setdefault(read_part(data).manifest_sha256, []).append(path)
        except ArchiveError as error:
            shelf.damaged.append((path, ArchiveError(f"{path.name}: {error.message}", hint=error.hint)))
    shelf.groups.extend(groups.values())
    if not shelf.groups and not shelf.damaged:
        require_dicom(shelf.others, archives)
    return shelf


def is_archive(path: Path) -> bool:
    """An archive object, sound or not."""
    with durable.on_disk(path):
        return is_archive_object(path.read_bytes())


def store(part: ArchiveFile, out: Path) -> Path:
    """Write a part, unless the same one is there."""
    path = out / f"{part.sop_instance_uid}.dcm"
    if path.exists():
        try:
            there, ours = read(path), read_part(part.data)
            if (there.manifest_sha256, there.payload) == (ours.manifest_sha256, ours.payload):
                return path
        except ArchiveError:
            log.warning("%s is damaged and written again", path.name, extra={"event": "archive.rewritten"})
    durable.write(path, part.data)
    return path


def read(path: Path) -> Part:
    with durable.on_disk(path):
        return read_part(path.read_bytes())


def file_name(sop_instance_uid: str, data: bytes) -> str:
    """Never a name that a hostile UID chose."""
    plain = _PLAIN_UID.fullmatch(sop_instance_uid)
    return f"{sop_instance_uid if plain else hashlib.sha256(data).hexdigest()}.dcm"
