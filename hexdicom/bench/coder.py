"""What a codec must be able to do to be measured, and what is common to all of them. A codec that needs no number of ours is
told what a container around it would know anyhow: shape, type, lowest value and how many bits the values need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = NDArray[Any]


class Unfit(Exception):
    """A codec that cannot run: not installed, or not made for these values. The message is the reason; this is no failure."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What surrounds a bitstream in any archive: shape (T, Z, Y, X), type and value range of the series. Not counted as bytes."""

    shape: tuple[int, int, int, int]
    dtype: str
    lowest: int
    highest: int

    @classmethod
    def of(cls, values: Values) -> Layout:
        t, z, y, x = values.shape
        return cls((t, z, y, x), values.dtype.name, int(values.min()), int(values.max()))

    @property
    def voxels(self) -> int:
        return int(np.prod(self.shape))

    @property
    def bits(self) -> int:
        """Bits that hold every value, counted from the lowest; at least 2, the least that JPEG-LS knows."""
        return max((self.highest - self.lowest).bit_length(), 2)

    def moved(self, values: Values) -> Values:
        """The values counted from the lowest, as uint8 where that holds them, else uint16: what image codecs take."""
        return (values.astype(np.int32) - self.lowest).astype(np.uint8 if self.bits <= 8 else np.uint16)

    def moved_back(self, values: Values) -> Values:
        """The reverse of `moved`, with shape and type of the series."""
        return (values.astype(np.int32) + self.lowest).astype(self.dtype).reshape(self.shape)


class Coder(Protocol):
    """A codec as it is measured."""

    def version(self) -> str:
        """Name and version of the program behind it. Raises Unfit where it is not installed."""

    def load(self) -> None:
        """Import what it needs, so that no import is timed."""

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        """Everything that must be kept, in one piece or many. Raises Unfit for values that it is not made for."""

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        """The values, (T, Z, Y, X)."""


@runtime_checkable
class Stepper(Protocol):
    """A coder that fits a model step by step, and may stop before it has done all."""

    def steps_done(self) -> tuple[int, int]:
        """After encoding: how many were done, and how many were asked for."""
