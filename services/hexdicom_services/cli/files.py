"""Files that commands read and write whole: errors in words, and nothing half-written is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.errors import NotFound, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def read_bytes(path: Path) -> bytes:
    """Raises NotFound, StoreError."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error


def write_whole(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write bytes, or let a function write, to a file beside `path` that then takes its name. Raises StoreError."""
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            unfinished.write_bytes(content)
        else:
            content(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
