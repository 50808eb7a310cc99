"""The 4-D stack of stored values that codec and DICOM code exchange. Knows nothing of DICOM, files or torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = ("uint8", "int8", "uint16", "int16")


@dataclass(frozen=True, slots=True)
class CineVolume:
    """Stored values of one 4-D series.

    values: (T, Z, Y, X) integers of dtype uint8, int8, uint16 or int16 in native byte order; every axis at least 1.
    spacing: (dz, dy, dx) in millimetres, where known. It describes the picture; the codec does not use it.

    Raises VolumeError for anything else.
    """

    values: NDArray[Any]
    spacing: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or 0 in self.values.shape:
            raise VolumeError(
                f"An array of shape {self.values.shape} is not a 4-D series.",
                hint="Expected (time, slice, row, column), each at least 1.",
            )
        if self.values.dtype.name not in DTYPES or not self.values.dtype.isnative:
            raise VolumeError(f"Values of type {self.values.dtype} cannot be coded.", hint=f"Expected one of {', '.join(DTYPES)}.")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, Z, Y, X)"""
        t, z, y, x = self.values.shape
        return t, z, y, x

    @property
    def voxels(self) -> int:
        return int(np.prod(self.values.shape))
