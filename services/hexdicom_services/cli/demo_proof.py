"""The proof of the demo: data sets before and after, compared without a word from what is being proved."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom.dsutils import split_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NOT_DICOM = (InvalidDicomError, AttributeError, KeyError, ValueError, EOFError, NotImplementedError, struct.error)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set in a file, told by its SHA-256 (preamble and file meta information not included)."""

    path: Path
    uid: str
    compressed: bool
    sha256: str


@dataclass(slots=True)
class Proof:
    """identical: by SHA-256. recoded: of a compressed original, with the same attributes and pixels. wrong: UID -> what."""

    total: int
    identical: int = 0
    recoded: int = 0
    wrong: dict[str, str] = field(default_factory=dict)


def data_sets(paths: Iterable[Path]) -> dict[Path, DataSet]:
    """Every file that is DICOM with file meta information."""
    found = {}
    for path in paths:
        try:
            meta, offset = split_dataset(path)
            uid, syntax = str(meta.MediaStorageSOPInstanceUID), meta.TransferSyntaxUID
        except _NOT_DICOM:
            continue
        digest = hashlib.sha256(memoryview(path.read_bytes())[offset:]).hexdigest()
        found[path] = DataSet(path, uid, bool(syntax.is_compressed), digest)
    return found


def prove(sent: dict[str, list[DataSet]], restored: Path) -> Proof:
    """Compare every data set that was sent with the one of the same UID that was restored."""
    back = {one.uid: one for one in data_sets(sorted(restored.rglob("*.dcm"))).values()}
    proof = Proof(total=len(sent))
    for uid, originals in sent.items():
        one = back.get(uid)
        if one is None:
            proof.wrong[uid] = "missing"
        elif one.sha256 in {original.sha256 for original in originals}:
            proof.identical += 1
        elif any(original.compressed and _same_content(original.path, one.path) for original in originals):
            proof.recoded += 1
        else:
            proof.wrong[uid] = "changed"
    return proof


def _same_content(original: Path, restored: Path) -> bool:
    """Same pixels, and the same attributes but for how the pixels are coded."""
    one, other = dcmread(original), dcmread(restored)
    if not np.array_equal(one.pixel_array, other.pixel_array):
        return False
    for ds in (one, other):
        del ds.PixelData
    return bool(one == other)
