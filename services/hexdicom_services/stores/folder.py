"""The store in a folder: <study>/<series>/<instance>.dcm, each file written at once and read back.

A key is the path of a file below the folder. Keys are made of checked UIDs, so none leads out of the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hexdicom.durable import sync_folder
from hexdicom.errors import StoreError, VerificationError

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 20
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_INCOMING, _QUARANTINE = ".incoming", ".quarantine"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was read back: SHA-256 and bytes of the whole file."""

    sha256: str
    size: int


def key_for(study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str, distinct: str = "") -> str:
    """Where an object goes; `distinct` sets apart another content under the same UIDs."""
    parts = [_folder_name(study_instance_uid), _folder_name(series_instance_uid), _folder_name(sop_instance_uid)]
    return "/".join(parts) + (f".{distinct}" if distinct else "") + ".dcm"


class FolderStore:
    """A store in a folder; made where there is none. Raises StoreError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            (root / _INCOMING).mkdir(parents=True, exist_ok=True)
            root.chmod(0o700)
        except OSError as error:
            raise StoreError(f"The store {root} cannot be made: {error.strerror}.") from error

    def path(self, key: str) -> Path:
        """Where the file of a key is."""
        return self.root / key

    def put(self, key: str, source: Path) -> Written:
        """Copies a file to its key, flushes it, reads it back and compares. Raises StoreError, VerificationError."""
        target, part = self.path(key), self.root / _INCOMING / uuid.uuid4().hex
        try:
            expected = _copy(source, part)
            self._make_folders(target.parent)
            part.replace(target)
            sync_folder(target.parent)
            found = digest(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            hint = "Free space on its disk." if error.errno == 28 else ""
            raise StoreError(f"The store cannot be written: {error.strerror}.", hint=hint) from error
        if found != expected:
            raise VerificationError("The store gave back other bytes than it was given.", hint="Check its disk.")
        return found

    def remove(self, key: str) -> None:
        """Removes a file that was never confirmed."""
        self.path(key).unlink(missing_ok=True)

    def set_aside(self, key: str) -> Path | None:
        """Moves a damaged file out of the way, and keeps it; None where there is no file. Raises StoreError."""
        aside = self.root / _QUARANTINE / f"{key.replace('/', '_')}.{uuid.uuid4().hex[:8]}"
        try:
            aside.parent.mkdir(exist_ok=True)
            self.path(key).rename(aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"A damaged file cannot be set aside: {error.strerror}.") from error
        return aside

    def sweep(self) -> int:
        """Removes what was being written when a worker died; returns how many files that were."""
        leftovers = list((self.root / _INCOMING).iterdir())
        for file in leftovers:
            file.unlink(missing_ok=True)
        return len(leftovers)

    def _make_folders(self, folder: Path) -> None:
        missing = [place for place in (folder, *folder.parents) if not place.is_dir()]
        folder.mkdir(parents=True, exist_ok=True)
        for place in missing:
            sync_folder(place.parent)


def digest(file: Path) -> Written:
    """SHA-256 and size of a file, read from the disk and not from memory where the system allows it."""
    sha256, size = hashlib.sha256(), 0
    with file.open("rb", buffering=0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while chunk := stream.read(_CHUNK):
            sha256.update(chunk)
            size += len(chunk)
    return Written(sha256.hexdigest(), size)


def _copy(source: Path, part: Path) -> Written:
    sha256, size = hashlib.sha256(), 0
    with source.open("rb") as reading, part.open("xb") as writing:
        while chunk := reading.read(_CHUNK):
            sha256.update(chunk)
            size += writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return Written(sha256.hexdigest(), size)


def _folder_name(uid: str) -> str:
    if len(uid) <= 64 and _UID.fullmatch(uid):
        return uid
    return "x" + hashlib.sha256(uid.encode()).hexdigest()[:32]  # not a UID: never a path
