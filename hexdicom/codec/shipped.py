"""Weights that ship with the package, each in a file named by the number by which layers name it.

A number, once shipped, means the same weights for ever.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from hexdicom.errors import UnsupportedVersion

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def folder(package: str | None, name: str) -> Traversable:
    """A folder beside a module of that package."""
    assert package is not None
    return resources.files(package).joinpath(name)


def numbers(weights: Traversable) -> list[int]:
    """The numbers there are."""
    return sorted(int(entry.name.removesuffix(".bin")) for entry in weights.iterdir() if entry.name.endswith(".bin"))


def read(weights: Traversable, number: int, what: str) -> bytes:
    """The file of a number. what: who needs what, for the error. Raises UnsupportedVersion where this hexdicom does not have it."""
    file = weights.joinpath(f"{number}.bin")
    if not file.is_file():
        raise UnsupportedVersion(f"{what} {number}, which this hexdicom does not have.", hint="Update hexdicom.")
    return file.read_bytes()
