"""The networks that ship with the package, and that archives name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from hexdicom.codec import shipped
from hexdicom.codec.network import weights
from hexdicom.codec.reader import unzstd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FOLDER = shipped.folder(__package__, "priors")
BEST = 0  # in a profile: whichever of the widest predicts the series best; narrow ones are quick, and learn less


@dataclass(frozen=True, slots=True)
class Prior:
    """number: by which a layer names it. hidden: widths of the hidden layers."""

    number: int
    hidden: tuple[int, ...]
    network: weights.Network


@cache
def load(number: int) -> Prior:
    """Raises UnsupportedVersion where this hexdicom has no prior of that number."""
    hidden, integers = _parsed(shipped.read(_FOLDER, number, "The residual layer builds on prior"))
    return Prior(number, hidden, weights.from_flat(integers, hidden))


def numbers() -> list[int]:
    """Those of the shipped priors."""
    return shipped.numbers(_FOLDER)


def candidates(number: int) -> list[Prior]:
    """The prior that a profile asks for, or those that BEST stands for."""
    if number != BEST:
        return [load(number)]
    shipped_priors = [load(one) for one in numbers()]
    return [one for one in shipped_priors if one.hidden == max(other.hidden for other in shipped_priors)]


def from_bytes(data: bytes) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """-> (widths of the hidden layers, weights in units of 1.0)"""
    hidden, integers = _parsed(data)
    return hidden, integers / weights.units(hidden)


def _parsed(data: bytes) -> tuple[tuple[int, ...], NDArray[np.int32]]:
    plain = unzstd(data, 1 << 20, "prior")
    return tuple(np.frombuffer(plain[:6], "<u2").tolist()), np.frombuffer(plain[6:], "<i4")


def to_bytes(flat: NDArray[np.float64], hidden: Sequence[int]) -> bytes:
    """A file for the priors folder. flat: weights in units of 1.0, in the order of `Network.flat`."""
    integers = np.rint(flat * weights.units(hidden)).astype(np.int64)
    network = weights.from_flat(integers, hidden)
    plain = np.array(hidden, "<u2").tobytes() + network.flat().astype("<i4").tobytes()
    return zstandard.ZstdCompressor(level=19).compress(plain)
