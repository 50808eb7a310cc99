"""Siemens mosaics: all slices of a volume as tiles of one picture, in a square grid, row by row from the upper left.

How many tiles hold slices stands in private attributes only: (0019,xx0A), or the CSA image header (0029,xx10).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from hexdicom.dicom.attributes import private_value
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from pydicom import Dataset

_CSA_TAG = b"NumberOfImagesInMosaic\0"


def images_in_mosaic(data_set: Dataset, image_type: tuple[str, ...]) -> int:
    """How many slices a mosaic holds; 0 if the picture is not a mosaic.

    Raises SeriesError for a mosaic that does not say it.
    """
    if "MOSAIC" not in image_type:
        return 0
    plain = private_value(data_set, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if isinstance(plain, bytes) and len(plain) == 2:  # UN, after an implicit hop
        plain = struct.unpack("<H", plain)[0]
    count = plain if isinstance(plain, int) else None
    if count is None:
        header = private_value(data_set, 0x0029, "SIEMENS CSA HEADER", 0x10)
        count = _from_csa(header) if isinstance(header, bytes) else None
    if count is None or count < 1:
        raise SeriesError("This mosaic does not say how many slices it holds.")
    return count


def grid(images: int, rows: int, columns: int) -> tuple[int, int]:
    """(tile rows, tile columns) of a mosaic. Raises SeriesError where the picture cannot be divided."""
    side = math.isqrt(images - 1) + 1
    if rows % side or columns % side:
        raise SeriesError(f"A mosaic of {images} slices does not fit into {columns} × {rows} pixels.")
    return side, side


def _from_csa(header: bytes) -> int | None:
    """A CSA element: 64 bytes name, VM, VR, type, number of items, mark; then items: four lengths, padded text."""
    start = header.find(_CSA_TAG)
    if start < 0:
        return None
    try:
        (items,) = struct.unpack_from("<i", header, start + 76)
        position = start + 84
        for _ in range(min(items, 16)):
            length = struct.unpack_from("<4i", header, position)[1]
            position += 16
            if length < 0:
                return None
            shown = header[position : position + length].split(b"\0")[0].strip()
            if shown.isdigit() and len(shown) < 9:
                return int(shown)
            position += (length + 3) // 4 * 4
    except struct.error:
        return None
    return None
