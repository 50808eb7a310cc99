"""Matching of stored objects by attributes, as PS3.4 C.2.2.2 has it: single value, UID list, wildcard, range.

SQL narrows down to candidates; `matches` decides, so that every database gives the same answer.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from sqlalchemy import func, or_

from hexdicom_services.catalog.keys import KEYS

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

UIDS = frozenset(keyword for keyword in KEYS if keyword.endswith("UID"))
RANGES = frozenset(keyword for keyword in KEYS if keyword.endswith(("Date", "Time")))
NAMES = frozenset(keyword for keyword in KEYS if keyword.endswith("Name"))
_LISTS = 500  # values in one SQL list


def candidates(table: Table, keyword: str, wanted: str) -> ColumnElement[bool]:
    """A condition that every row which matches fulfils. wanted: not empty; several UIDs are set apart by backslashes.

    table: one with the columns of KEYS.
    """
    column = table.c[KEYS[keyword].column]
    if keyword in UIDS:
        values = wanted.split("\\")
        return or_(*(column.in_(values[start : start + _LISTS]) for start in range(0, len(values), _LISTS)))
    if keyword in RANGES and "-" in wanted:
        low = wanted.partition("-")[0].strip()
        return column >= (low or "0")  # an absent date or time is "" and never in a range
    if keyword in NAMES or any(sign in wanted for sign in "*?"):
        literal = re.sub(r"([\\%_])", r"\\\1", wanted.rstrip("^") if keyword in NAMES else wanted)
        pattern = literal.replace("*", "%").replace("?", "_")
        like = column.ilike(f"%{pattern}%" if keyword in NAMES else pattern, escape="\\")
        return like if wanted.isascii() else column != ""  # SQL folds the case of ASCII letters only
    return func.trim(column) == wanted


def matches(keyword: str, wanted: str, value: str) -> bool:
    """Whether a value is what was asked for."""
    if keyword in UIDS:
        return value in wanted.split("\\")
    if keyword in RANGES and "-" in wanted:
        low, _, high = (part.strip() for part in wanted.partition("-"))
        return bool(value) and (not low or value >= low) and (not high or value <= high or value.startswith(high))
    if keyword in NAMES:
        asked = wanted.rstrip("^").casefold()
        groups = [value, *value.split("=")]  # alphabetic, ideographic, phonetic
        return any(_like(asked, group.rstrip("^").casefold()) for group in groups)
    return _like(wanted, value.strip())


def _like(pattern: str, value: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
