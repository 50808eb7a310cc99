"""A complete rectangle of frames as a SeriesPlan."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from pydicom.uid import UID

from hexdicom.dicom.pixels import NATIVE
from hexdicom.dicom.plan import FrameRef, SeriesPlan
from hexdicom.dicom.time_key import time_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.dicom.stack import Slice, Slot


def series_plan(slices: Sequence[Slice], keyword: str) -> SeriesPlan:
    """slices: of equal length, from the lowest up, each in the order of time. keyword: what that order is."""
    first = slices[0].slots[0].instance
    times = len(slices[0].slots)
    sources: dict[str, int] = {}
    frames: list[FrameRef] = []
    for time in range(times):
        for slice_ in slices:
            slot = slice_.slots[time]
            source = sources.setdefault(slot.instance.sop_instance_uid, len(sources))
            frames += [FrameRef(source, slot.index, tile) for tile in range(first.images)]
    members = {slot.instance.sop_instance_uid: slot.instance for slice_ in slices for slot in slice_.slots}
    rows, columns = first.rows // first.tiles[0], first.columns // first.tiles[1]
    return SeriesPlan(
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        series_description=first.series_description,
        modality=first.modality,
        layout=first.layout,
        sources=tuple(members[uid].path for uid in sources),
        sop_instance_uids=tuple(sources),
        shape=(times, len(slices) * first.images, rows, columns),
        frames=tuple(frames),
        time_key=keyword,
        time_values=tuple(found.text if (found := time_of(slot, keyword)) else "" for slot in slices[0].slots),
        tiles=first.tiles,
        spacing=_spacing(slices),
        notes=_notes(slices, times),
    )


def _spacing(slices: Sequence[Slice]) -> tuple[float, float, float] | None:
    frame = slices[0].slots[0].frame
    steps = [after.position - before.position for before, after in pairwise(slices)]
    distance = median(steps) if steps else frame.thickness
    if not distance or frame.spacing is None:
        return None
    return round(distance, 4), frame.spacing[0], frame.spacing[1]


def _notes(slices: Sequence[Slice], times: int) -> tuple[str, ...]:
    slots: list[Slot] = [slot for slice_ in slices for slot in slice_.slots]
    first = slots[0].instance
    notes = []
    rescales = {slot.frame.rescale for slot in slots}
    if len(rescales) > 1:
        per_time = all(len({slice_.slots[time].frame.rescale for slice_ in slices}) == 1 for time in range(times))
        notes.append(
            f"RescaleSlope or RescaleIntercept differs per {'time point' if per_time else 'frame'} "
            f"({len(rescales)} pairs of values): stored values are archived, the headers keep the pairs."
        )
    if first.announced_times > times:
        notes.append(f"The header announces {first.announced_times} time points and {times} were received.")
    if first.layout == "mosaic" and len({(slot.frame.position, slot.frame.orientation) for slot in slots}) > 1:
        notes.append("The position differs between time points (motion correction): the headers keep it.")
    notes += [
        f"Compressed source ({UID(uid).name}): its pixels and attributes are archived, not its stream."
        for uid in sorted({slot.instance.transfer_syntax_uid for slot in slots} - NATIVE)
    ]
    return tuple(notes)
