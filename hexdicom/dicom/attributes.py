"""Typed values of a data set: what pydicom raises for a broken value becomes a SeriesError here, and nowhere else."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence as DicomSequence

from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def value(data_set: Dataset, keyword: str) -> Any:
    """The value of an attribute; None where it is absent or empty. Raises SeriesError."""
    try:
        found = data_set.get(keyword)
    except UNREADABLE as error:
        raise SeriesError(f"The attribute {keyword} cannot be read.") from error
    if found is None or isinstance(found, int | float | DicomSequence):
        return found
    return found if len(found) else None


def private_value(data_set: Dataset, group: int, creator: str, element: int) -> Any:
    """The value of a private attribute, wherever its block lies (PS3.5 7.8.1); None where it is absent. SeriesError."""
    try:
        return data_set.private_block(group, creator)[element].value
    except KeyError:
        return None
    except UNREADABLE as error:
        raise SeriesError(f"The private attributes of {creator} cannot be read.") from error


def text(data_set: Dataset, keyword: str) -> str:
    """The value as text, several values with a backslash between them; "" where it is absent."""
    return "\\".join(texts(data_set, keyword))


def texts(data_set: Dataset, keyword: str) -> tuple[str, ...]:
    found = value(data_set, keyword)
    if found is None:
        return ()
    if isinstance(found, str | bytes | int | float) or not hasattr(found, "__iter__") or hasattr(found, "components"):
        found = [found]
    return tuple(str(part).strip(" \0") for part in found)


def numbers(data_set: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers; None where the attribute is absent. Raises SeriesError for another count."""
    found = value(data_set, keyword)
    if found is None:
        return None
    parts = [found] if isinstance(found, str | int | float) else list(found)
    try:
        out = tuple(float(part) for part in parts)
    except UNREADABLE as error:
        raise SeriesError(f"{keyword} is not a number.") from error
    if len(out) != count or not all(map(math.isfinite, out)):
        raise SeriesError(f"{keyword} should hold {count} finite number{'s' * (count > 1)} and holds {len(out)}.")
    return out


def number(data_set: Dataset, keyword: str) -> float | None:
    found = numbers(data_set, keyword, 1)
    return found[0] if found else None


def whole(data_set: Dataset, keyword: str, absent: int) -> int:
    """A whole number, or `absent`."""
    found = number(data_set, keyword)
    if found is None:
        return absent
    if found != int(found):
        raise SeriesError(f"{keyword} is not a whole number.")
    return int(found)


def items(data_set: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; none where it is absent."""
    found = value(data_set, keyword)
    if found is None:
        return ()
    if not isinstance(found, DicomSequence):
        raise SeriesError(f"{keyword} is not a sequence.")
    return found
