"""The networks that ship with the package. A number, once shipped, means the same weights for ever: archives name it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from hexdicom.codec.network import weights
from hexdicom.codec.reader import unzstd
from hexdicom.errors import UnsupportedVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


BEST = 0  # in a profile: whichever predicts the series best


@dataclass(frozen=True, slots=True)
class Prior:
    """number: by which a layer names it. hidden: widths of the hidden layers."""

    number: int
    hidden: tuple[int, ...]
    network: weights.Network


@cache
def load(number: int) -> Prior:
    """Raises UnsupportedVersion where this hexdicom has no prior of that number."""
    resource = resources.files(__package__).joinpath("priors", f"{number}.bin")
    if not resource.is_file():
        raise UnsupportedVersion(
            f"The residual layer builds on prior {number}, which this hexdicom does not have.", hint="Update hexdicom."
        )
    hidden, integers = _parsed(resource.read_bytes())
    return Prior(number, hidden, weights.from_flat(integers, hidden))


def shipped() -> list[int]:
    """The numbers there are"""
    folder = resources.files(__package__).joinpath("priors")
    return sorted(int(entry.name.removesuffix(".bin")) for entry in folder.iterdir() if entry.name.endswith(".bin"))


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
