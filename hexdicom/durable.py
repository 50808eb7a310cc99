"""Files that are there completely or not at all, and that survive a power cut once a function here has returned."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hexdicom.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARTIAL = ".partial"


def write(path: Path, data: bytes) -> None:
    """Write or replace a file. Raises StoreError."""
    with on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}{_PARTIAL}")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def place(folder: Path, name: str, data: bytes) -> Path:
    """Put a file into a folder without replacing another one: the name gets a number where it is taken by other bytes.

    A file that is there already, with the same bytes, is left as it is. Returns where it is. Raises StoreError.
    """
    stem, dot, suffix = name.rpartition(".")
    number = 1
    while True:
        numbered = f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}"
        path = folder / (numbered if number > 1 else name)
        with on_disk(path):
            if not path.exists():
                break
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                return path
        number += 1
    write(path, data)
    return path


def is_partial(path: Path) -> bool:
    """A file that is being written, or that a crash left behind: it may be deleted."""
    return path.name.startswith(".") and path.name.endswith(_PARTIAL)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """OSError of what is done to `path` becomes StoreError, or MemoryError where memory is short."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"There was no memory for {path}.") from error
        raise StoreError(
            f"{path} failed: {error.strerror or error}.", hint="Check the disk, its free space and the permissions."
        ) from error
