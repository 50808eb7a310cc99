"""Frames into stacks of slices: what is shown, from where it is seen, where it lies, and which echo it is.

A stack holds frames of one kind, one orientation and one echo, sorted along the slice normal. Positions are compared
with a tolerance, because headers round them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from hexdicom.dicom.frame import Frame
    from hexdicom.dicom.instance import Instance
    from hexdicom.dicom.time_key import TimeValue

_SAME_DIRECTION = 1e-3  # of direction cosines
_SAME_DIRECTION_MOSAIC = 0.1  # prospective motion correction turns a mosaic a little between time points
_SAME_POSITION_MM = 0.05
_SAME_POSITION = 0.1  # of the slice distance, where that is less
_SAME_STACK_MM = 1.0  # sideways


@dataclass(frozen=True, slots=True)
class Slot:
    """One frame of one instance."""

    instance: Instance
    index: int
    frame: Frame

    @property
    def times(self) -> tuple[TimeValue, ...]:
        return self.frame.times


@dataclass(frozen=True, slots=True)
class Slice:
    """The frames of one place. position: along the normal, in mm."""

    position: float
    slots: tuple[Slot, ...]


def slots_of(instances: Iterable[Instance]) -> list[Slot]:
    return [Slot(instance, index, frame) for instance in instances for index, frame in enumerate(instance.frames)]


def stacks(slots: Sequence[Slot]) -> list[tuple[Slice, ...]]:
    """Divide the frames of one series into stacks."""
    found = []
    for alike in _divide(slots, _kind):
        for view in _views(alike):
            for stack in _side_by_side(view):
                slices = _slices(stack)
                if any(len({slot.frame.echo for slot in slice_.slots}) > 1 for slice_ in slices):
                    found += [_slices(one_echo) for one_echo in _divide(stack, lambda slot: slot.frame.echo)]
                else:
                    found.append(slices)
    return found


def difference(one: Slot, other: Slot) -> str:
    """In which way two frames of one object fall into different stacks."""
    if one.frame.component != other.frame.component or one.frame.image_type != other.frame.image_type:
        return "components or kinds of image"
    if not _close(_orientation(one), _orientation(other), _SAME_DIRECTION):
        return "views"
    return "stacks or echoes"


def _divide(slots: Sequence[Slot], key: Callable[[Slot], Hashable]) -> list[list[Slot]]:
    groups: dict[Hashable, list[Slot]] = {}
    for slot in slots:
        groups.setdefault(key(slot), []).append(slot)
    return list(groups.values())


def _kind(slot: Slot) -> Hashable:
    instance, frame = slot.instance, slot.frame
    spacing = tuple(round(size, 4) for size in frame.spacing) if frame.spacing else None
    return (
        *(instance.layout, instance.rows, instance.columns, instance.dtype, instance.images),
        *(frame.image_type, frame.component, frame.placed, spacing),
    )


def _views(slots: Sequence[Slot]) -> list[list[Slot]]:
    tolerance = _SAME_DIRECTION_MOSAIC if slots[0].instance.layout == "mosaic" else _SAME_DIRECTION
    views: list[list[Slot]] = []
    for slot in slots:
        for view in views:
            if _close(_orientation(view[0]), _orientation(slot), tolerance):
                view.append(slot)
                break
        else:
            views.append([slot])
    return views


def _side_by_side(view: Sequence[Slot]) -> list[list[Slot]]:
    """Stacks whose slices lie beside each other, at the same height: the two breasts, for example."""
    if not view[0].frame.placed or view[0].instance.layout == "mosaic":
        return [list(view)]
    places = np.array([slot.frame.position for slot in view]) @ _axes(view[0]).T  # (frames, 3): x, y, height
    clusters = _clusters(places[:, 2], _tolerance(view[0]))
    if all(np.ptp(places[cluster, :2], axis=0).max() <= _SAME_STACK_MM for cluster in clusters):
        return [list(view)]
    centres: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    divided: list[list[Slot]] = []
    for slot, place in zip(view, places[:, :2], strict=True):
        for centre, stack in zip(centres, divided, strict=True):
            if np.abs(centre - place).max() <= _SAME_STACK_MM:
                stack.append(slot)
                break
        else:
            centres.append(place)
            divided.append([slot])
    return divided


def _slices(stack: Sequence[Slot]) -> tuple[Slice, ...]:
    first = stack[0]
    if first.instance.layout == "mosaic":
        return (Slice(0.0, tuple(stack)),)
    heights = np.array([_height(slot, first) for slot in stack])
    clusters = _clusters(heights, _tolerance(first))
    return tuple(Slice(float(heights[cluster[0]]), tuple(stack[at] for at in sorted(cluster))) for cluster in clusters)


def _clusters(heights: np.ndarray[tuple[int], np.dtype[np.float64]], tolerance: float) -> list[list[int]]:
    """Indices of equal heights, from the lowest up."""
    clusters: list[list[int]] = []
    for at in np.argsort(heights, kind="stable").tolist():
        if clusters and heights[at] - heights[clusters[-1][0]] <= tolerance:
            clusters[-1].append(at)
        else:
            clusters.append([at])
    return clusters


def _height(slot: Slot, first: Slot) -> float:
    if slot.frame.placed and slot.frame.position is not None:
        return float(_axes(first)[2] @ np.array(slot.frame.position))
    return slot.frame.location or 0.0


def _axes(slot: Slot) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Directions of a row, of a column, and of the normal, in the patient (PS3.3 C.7.6.2.1.1)."""
    cosines = np.array(_orientation(slot))
    return np.array([cosines[:3], cosines[3:], np.cross(cosines[:3], cosines[3:])])


def _tolerance(slot: Slot) -> float:
    return min(_SAME_POSITION_MM, _SAME_POSITION * (slot.frame.thickness or 1.0))


def _orientation(slot: Slot) -> tuple[float, ...]:
    return (slot.frame.orientation or (0.0,) * 6) if slot.frame.placed else (0.0,) * 6


def _close(one: tuple[float, ...], other: tuple[float, ...], tolerance: float) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))
