"""Received instances on disk. A file below `received` is complete and flushed; what lies in `incoming` never counts.

    spool/incoming/<instance>-<content>.<random>        being written
    spool/received/<series>/<instance>-<content>.dcm    names are hashes: no UID of a peer becomes a path
    spool/quarantine/<instance>-<content>.dcm.<random>  was found to be damaged: kept, never read again

Order of a receipt: write, fsync, rename, fsync of the folder, row, 0x0000. What a crash leaves is a file in `incoming` (never
acknowledged: removed) or a complete file without a row (adopted at the start). A file in `incoming` that has a row all the
same, by whatever a disk has done, gets its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from hexdicom.durable import sync_folder
from hexdicom.errors import StoreError
from hexdicom_services.part10 import read_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Spool:
    """The spool folder; made where there is none. Raises StoreError."""

    def __init__(self, root: Path, reserve_bytes: int = 0) -> None:
        self.root, self._reserve = root, reserve_bytes
        self._incoming, self._received = root / "incoming", root / "received"
        self._folders: set[Path] = set()
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._received.mkdir(exist_ok=True)
            root.chmod(0o700)
        except OSError as error:
            raise StoreError(f"The spool {root} cannot be made: {error.strerror}.") from error

    def check_space(self, coming: int) -> None:
        """Raises StoreError unless the reserve is still there after `coming` bytes more."""
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise StoreError(f"The spool is gone: {error.strerror}.") from error
        if free - coming < self._reserve:
            raise StoreError("Disk is below its reserve.", hint="Free space, or lower disk_reserve_mb in [receiver].")

    def path_for(self, series_instance_uid: str, sop_instance_uid: str, sha256: str) -> str:
        """Where an instance with this content lies, below the spool: the same for the same content."""
        return f"received/{_name(series_instance_uid, 20)}/{_name(sop_instance_uid, 16)}-{sha256[:32]}.dcm"

    def write(self, path: str, head: bytes, data: bytes) -> None:
        """Brings an instance to its path: complete and flushed, or not at all. `sync` makes its name durable."""
        self.check_space(len(head) + len(data))
        target = self.root / path
        part = self._incoming / f"{target.stem}.{uuid.uuid4().hex[:8]}"
        try:
            self._make_folder(target.parent)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write_all(handle, (head, data))
                os.fsync(handle)
            finally:
                os.close(handle)
            part.rename(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StoreError(f"The spool cannot be written: {error.strerror}.") from error

    def take(self, path: str, part: Path, handle: int) -> None:
        """As `write`, for an instance that lies in a file of `incoming`, open as `handle`, already.

        The file first gets the name by which `recover` knows it.
        """
        target = self.root / path
        try:
            self._make_folder(target.parent)
            os.fsync(handle)
            named = part.rename(self._incoming / f"{target.stem}.{uuid.uuid4().hex[:8]}")
            sync_folder(self._incoming)
            named.rename(target)
        except OSError as error:
            raise StoreError(f"The spool cannot be written: {error.strerror}.") from error

    def copy(self, path: str, handle: int) -> None:
        """As `take`, for a file that is open as `handle` and has no name any more."""
        target = self.root / path
        part = self._incoming / f"{target.stem}.{uuid.uuid4().hex[:8]}"
        try:
            self._make_folder(target.parent)
            with os.fdopen(os.dup(handle), "rb") as source, part.open("xb") as written:
                source.seek(0)
                shutil.copyfileobj(source, written)
                written.flush()
                os.fsync(written.fileno())
            part.rename(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StoreError(f"The spool cannot be written: {error.strerror}.") from error

    @property
    def incoming(self) -> Path:
        """Where files lie that are being written."""
        return self._incoming

    def remove(self, path: str) -> None:
        """Deletes the file of an original that was released; the catalog says so already. Raises StoreError."""
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"A released original cannot be deleted: {error.strerror}.") from error

    def set_aside(self, path: str) -> Path | None:
        """Moves a file that is not what it should be out of the way; None where there is none. Raises StoreError."""
        aside = self.root / "quarantine" / f"{Path(path).name}.{uuid.uuid4().hex[:8]}"
        try:
            aside.parent.mkdir(exist_ok=True)
            (self.root / path).rename(aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"A damaged file cannot be set aside: {error.strerror}.") from error
        return aside

    def sync(self, path: str) -> None:
        """Makes the name of a file durable: it is found after a power cut. Raises StoreError."""
        try:
            sync_folder((self.root / path).parent)
        except OSError as error:
            raise StoreError(f"The spool cannot be written: {error.strerror}.") from error

    def recover(self, known: Iterable[str]) -> int:
        """Puts `incoming` in order after a crash; returns how many files were given their place.

        known: the path of every catalogued instance. One whose file is missing is looked for among the leftovers, and
        taken if its content is what its name says; all other leftovers were never acknowledged and are removed.
        """
        missing = {Path(path).stem: path for path in known if not (self.root / path).is_file()}
        rescued = 0
        for part in list(self._incoming.iterdir()):
            path = missing.get(part.stem)
            if path is not None and _is_whole(part):
                self._make_folder((self.root / path).parent)
                part.rename(self.root / path)
                self.sync(path)
                rescued += 1
            else:
                part.unlink(missing_ok=True)
        return rescued

    def files(self) -> Iterator[str]:
        """Path of every complete instance, below the spool."""
        for folder in sorted(self._received.iterdir()):
            for file in sorted(folder.glob("*.dcm")):
                yield str(file.relative_to(self.root))

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._folders:
            folder.mkdir(exist_ok=True)
            sync_folder(self._received)
            self._folders.add(folder)


def _name(uid: str, length: int) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:length]


def _is_whole(part: Path) -> bool:
    """Whether the data set in a file has the hash that the name of the file gives."""
    try:
        offset = read_head(part).offset
    except (OSError, StoreError):
        return False
    return part.stem.endswith("-" + hashlib.sha256(part.read_bytes()[offset:]).hexdigest()[:32])


def _write_all(handle: int, parts: tuple[bytes, ...]) -> None:
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(handle, rest) :]
