"""Where the frames that were not received would lie in the (time, slice) rectangle: an estimate, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.dicom.plan import Hole

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY_SECONDS = 86400.0


def holes(slices: Sequence[Sequence[tuple[float, ...]]]) -> tuple[Hole, ...]:
    """The empty places of a rectangle as long as the longest slice.

    slices: per slice, what sorts its frames, rising. Where all slices share their values, a hole is a value that
    a slice lacks. Else the times of a shorter slice are laid along those of a full one, as they fit best.
    """
    times = max(map(len, slices))
    shared = sorted({order for frames in slices for order in frames})
    reference = shared if len(shared) == times else next(list(frames) for frames in slices if len(frames) == times)
    axis = [_scalar(order) for order in reference]
    found = []
    for at, frames in enumerate(slices):
        if len(frames) < times:
            taken = _places([_scalar(order) for order in frames], axis)
            found += [Hole(time, at) for time in range(times) if time not in taken]
    return tuple(sorted(found, key=lambda hole: (hole.time, hole.slice)))


def _scalar(order: tuple[float, ...]) -> float:
    out = 0.0
    for part in order:
        out = out * _DAY_SECONDS + part
    return out


def _places(values: Sequence[float], axis: Sequence[float]) -> set[int]:
    """Indices of the axis for rising values: as they are where that fits, else moved along the axis."""
    near = (axis[-1] - axis[0]) / (len(axis) - 1) / 4 * len(values)  # on average within a quarter of a step
    spare = len(axis) - len(values)
    best: tuple[float, list[int]] | None = None
    for shift in (0.0, *(axis[start] - values[0] for start in range(spare + 1))):
        cost, places, free = 0.0, [], 0
        for count, value in enumerate(values):
            distance, place = min((abs(axis[at] - value - shift), at) for at in range(free, spare + count + 1))
            cost += distance
            places.append(place)
            free = place + 1
        if best is None or cost < best[0]:
            best = cost, places
        if shift == 0.0 and cost <= near:
            break
    return set(best[1]) if best else set()
