"""Which attribute orders the frames of a slice in time: decided by how it varies, never by the vendor's name.

An attribute orders a group if, in every slice, each frame has a value of its own, and the values rise with
InstanceNumber or are the same set in every slice. (Values of one phase may differ between slices, as the R-R interval.)
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from hexdicom.dicom.attributes import number, text, value
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

INSTANCE_NUMBER = "InstanceNumber"
CANDIDATES = (
    "TriggerTime",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalCardiacTriggerDelayTime",
    "AcquisitionTime",
    "FrameAcquisitionDateTime",
    "ContentTime",
    "DimensionIndexValues",  # without the spatial ones: diffusion b-value and direction, for example
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    INSTANCE_NUMBER,
)
STRONG = CANDIDATES[:4]  # they count phases: two frames of a slice with one value are duplicates
_CLOCKS = {"AcquisitionTime", "ContentTime", "FrameAcquisitionDateTime"}


@dataclass(frozen=True, slots=True)
class TimeValue:
    """One candidate: its keyword, its value as it stands in the header, and what sorts it."""

    keyword: str
    text: str
    order: tuple[float, ...]


class Timed(Protocol):
    """A frame that may tell its time."""

    @property
    def times(self) -> tuple[TimeValue, ...]: ...


T = TypeVar("T", bound=Timed)


def time_values(data_set: Dataset, keywords: Sequence[str] = CANDIDATES) -> tuple[TimeValue, ...]:
    """Those candidates that a data set holds as plain attributes. A value that cannot be read is no candidate."""
    found = []
    for keyword in keywords:
        if keyword == "DimensionIndexValues":  # an index means something only with its sequence: see multiframe
            continue
        with suppress(SeriesError):
            if value(data_set, keyword) is not None:
                shown = text(data_set, keyword)
                order = _clock(keyword, shown) if keyword in _CLOCKS else (number(data_set, keyword) or 0.0,)
                found.append(TimeValue(keyword, shown, order))
    return tuple(found)


def time_of(frame: Timed, keyword: str) -> TimeValue | None:
    return next((found for found in frame.times if found.keyword == keyword), None)


def choose(slices: Sequence[Sequence[T]]) -> tuple[str, list[list[T]]] | None:
    """The attribute that orders all slices, and the slices in that order; None if nothing orders them."""
    for keyword in CANDIDATES:
        ordered = _ordered(slices, keyword)
        if ordered is not None:
            return keyword, ordered
    return None


def repeats(slices: Sequence[Sequence[T]]) -> tuple[str, list[tuple[T, T]]] | None:
    """Duplicates: (kept, repeated) pairs of frames of one slice and one phase, and the attribute that counts phases.

    Only where the group is a full rectangle without them, where they are few, and where they have no system: a value
    that repeats alike in every slice is a further dimension (several beats, several directions). The frame of lower
    InstanceNumber is kept.
    """
    for keyword in STRONG:
        counts = [Counter(found.order if (found := time_of(f, keyword)) else () for f in slice_) for slice_ in slices]
        if any(() in count or len(count) != len(counts[0]) or len(count) < 2 for count in counts):
            continue
        extra = sum(count.total() - len(count) for count in counts)
        alike = len({tuple(count[order] for order in sorted(count)) for count in counts}) == 1
        if not extra:
            return None
        if (alike and len(counts) > 1) or extra * 2 > len(counts) * len(counts[0]):
            continue
        pairs = []
        for slice_ in slices:
            kept: dict[tuple[float, ...], T] = {}
            for frame in sorted(slice_, key=_instance_order):
                order = _order(frame, keyword)
                if order in kept:
                    pairs.append((kept[order], frame))
                kept.setdefault(order, frame)
        return keyword, pairs
    return None


def _ordered(slices: Sequence[Sequence[T]], keyword: str) -> list[list[T]] | None:
    out = []
    for frames in slices:
        if any(time_of(frame, keyword) is None for frame in frames):
            return None
        ordered = sorted(frames, key=lambda frame: _order(frame, keyword))
        if len({_order(frame, keyword) for frame in ordered}) < len(ordered):
            return None
        out.append(ordered)
    return out if all(map(_rises, out)) or _same_values(out, keyword) else None


def _rises(frames: Sequence[T]) -> bool:
    """InstanceNumber agrees with the order, or does not tell."""
    orders = [_instance_order(frame) for frame in frames]
    return () in orders or len(set(orders)) < len(orders) or orders == sorted(orders)


def _same_values(slices: Sequence[Sequence[T]], keyword: str) -> bool:
    return len(slices) > 1 and len({tuple(_order(frame, keyword) for frame in frames) for frames in slices}) == 1


def _order(frame: Timed, keyword: str) -> tuple[float, ...]:
    found = time_of(frame, keyword)
    return found.order if found else ()


def _instance_order(frame: Timed) -> tuple[float, ...]:
    return _order(frame, INSTANCE_NUMBER)


def _clock(keyword: str, shown: str) -> tuple[float, ...]:
    """TM and DT values (PS3.5 6.2) as (date, seconds); a UTC offset is constant within a series and left out."""
    digits = shown.replace(":", "").split("+")[0].split("-")[0].strip()
    date, clock = (digits[:8], digits[8:]) if keyword == "FrameAcquisitionDateTime" else ("0", digits)
    try:
        seconds = float(clock[0:2] or 0) * 3600 + float(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
        return float(date), seconds
    except ValueError as error:
        raise SeriesError(f"{keyword} is not a time.") from error
