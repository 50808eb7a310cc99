"""Which files there are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hexdicom import durable
from hexdicom.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable


def scan(paths: Iterable[Path]) -> list[Path]:
    """All regular files at or below the paths, each once, sorted. Links to folders are not followed.

    Raises NotFound for a path that does not exist.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            for folder, _, names in os.walk(path):
                for name in names:
                    file = Path(folder, name)
                    if file.is_file():
                        found.setdefault(os.path.realpath(file), file)
        elif path.is_file():
            found.setdefault(os.path.realpath(path), path)
        else:
            raise NotFound(f"There is no file or folder {path}.")
    return sorted(found.values())


def require_dicom(files: Iterable[Path], paths: Iterable[Path]) -> None:
    """Raises NotFound where none of the files, found at these paths, begins as PS3.10 section 7.1 says."""
    if not any(map(_is_dicom, files)):
        raise NotFound(f"There is no DICOM file at {', '.join(map(str, paths))}.", hint="Check the path.")


def _is_dicom(path: Path) -> bool:
    with durable.on_disk(path), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
