"""Is what came back what went in? Data sets by their bytes, recompressed ones by attributes and pixels, volumes by error."""

from __future__ import annotations

import io
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import Dataset, dcmread

from hexdicom.dicom.attributes import UNREADABLE
from hexdicom.dicom.pixels import DEFLATED_LITTLE, read_meta
from hexdicom.dicom.received import identity
from hexdicom.errors import SeriesError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from hexdicom.dicom.restore import Restored

_OFFSET_TABLES = (0x7FE00000, 0x7FE00001, 0x7FE00002, 0x7FE00003)
_PIXEL_DATA = 0x7FE00010
_BEGINNING = 1 << 16


def check_error(original: NDArray[Any], decoded: NDArray[Any], max_error: int) -> None:
    """Raises VerificationError where a stored value is further off than max_error."""
    if original.shape != decoded.shape or original.dtype != decoded.dtype:
        raise VerificationError(f"A volume {original.shape} came back as {decoded.shape}.")
    largest = max(
        int(np.abs(one.astype(np.int32) - other.astype(np.int32)).max())
        for one, other in zip(original, decoded, strict=True)  # frame by frame: the difference needs twice the memory
    )
    if largest > max_error:
        raise VerificationError(f"A stored value came back with an error of {largest}; at most {max_error} is allowed.")


def difference(original: Path, restored: Restored) -> str:
    """What is wrong with a restored instance, in words; "" where nothing is. Reads the original; OSError passes.

    A file must be the same from its first byte to its last; one that came compressed, in attributes and pixels.
    """
    if restored.state == "damaged":
        return "its data set does not have the SHA-256 that was archived"
    data = original.read_bytes()
    if restored.state != "recoded":
        return "" if data == restored.data else "its bytes differ from the original"
    return _difference_in_meaning(data, restored.data)


def data_set_difference(original: Path, restored: Restored) -> str:
    """As `difference`, but preamble and file meta group may differ: a peer that stored the original wrote its own."""
    if restored.state == "damaged":
        return "its data set does not have the SHA-256 that was archived"
    data = original.read_bytes()
    try:
        if read_meta(data)[0] != restored.transfer_syntax_uid:
            return _difference_in_meaning(data, restored.data)
        same = data[read_meta(data)[1] :] == restored.data[read_meta(restored.data)[1] :]
    except SeriesError as error:
        return f"the original cannot be read: {error.message}"
    return "" if same else "its data set differs from the original"


def by_instance_uid(paths: Iterable[Path]) -> dict[str, Path]:
    """The DICOM files among `paths` by SOP Instance UID; of several with the same UID, the first."""
    found: dict[str, Path] = {}
    for path in paths:
        try:
            found.setdefault(identity(_beginning(path))[1], path)
        except SeriesError:
            continue
    found.pop("", None)
    return found


def _beginning(path: Path) -> bytes:
    """As much of a file as tells which instance it is."""
    with path.open("rb") as file:
        head = file.read(_BEGINNING)
    syntax, start = read_meta(head)
    if syntax != DEFLATED_LITTLE:
        return head
    try:
        return head[:start] + zlib.decompressobj(-zlib.MAX_WBITS).decompress(head[start:], _BEGINNING)
    except zlib.error as error:
        raise SeriesError("The deflated data set is damaged.") from error


def _difference_in_meaning(original: bytes, restored: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one, other = dcmread(io.BytesIO(original)), dcmread(io.BytesIO(restored))
            if not np.array_equal(one.pixel_array, other.pixel_array):
                return "its pixels differ from the original"
            for ds in (one, other):
                for tag in (*_OFFSET_TABLES, _PIXEL_DATA):
                    ds.pop(tag, None)
            return "" if Dataset(one) == Dataset(other) else "its attributes differ from the original"
        except (*UNREADABLE, RuntimeError) as error:
            return f"it cannot be compared with the original: {error}"
