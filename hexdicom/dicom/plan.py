"""How received instances make 4-D groups: the answer of `series.plan`, as plain data.

A group is one (time, slice) rectangle of frames of equal geometry, component and value type: what one archive object holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Layout = Literal["single-frame", "multi-frame", "mosaic"]


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Where one 2-D slice of the volume lies: instance (index into SeriesPlan.sources), frame, and mosaic tile (else 0).

    All count from 0. Tiles count row by row from the upper left.
    """

    instance: int
    frame: int
    tile: int = 0


@dataclass(frozen=True, slots=True)
class Hole:
    """A place of the (time, slice) rectangle for which no frame was received."""

    time: int
    slice: int


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One 4-D group.

    sources: the files of the group's instances, ordered by the first frame they hold.
    sop_instance_uids: in the order of `sources`.
    shape: (T, Z, Y, X).
    frames: T·Z references, time-major: frames[t * Z + z].
    tiles: mosaics only: (tile rows, tile columns); (1, 1) otherwise.
    time_key: the attribute that orders time (its keyword), `time_values` its T values as they stand in the first slice.
    spacing: (dz, dy, dx) in mm, where the attributes say it.
    component: `magnitude`, `phase`, … or "" where the series has only one kind.
    notes: what a reader should know (for example: RescaleSlope differs per phase).
    """

    study_instance_uid: str
    series_instance_uid: str
    series_description: str
    modality: str
    layout: Layout
    sources: tuple[Path, ...]
    sop_instance_uids: tuple[str, ...]
    shape: tuple[int, int, int, int]
    frames: tuple[FrameRef, ...]
    time_key: str
    time_values: tuple[str, ...]
    tiles: tuple[int, int] = (1, 1)
    spacing: tuple[float, float, float] | None = None
    component: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PassedThrough:
    """A file that is archived untouched, and why. `holes` is set where an incomplete group is the reason."""

    path: Path
    reason: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a pile of files contains: every file is in exactly one group or in `passed_through`."""

    groups: tuple[SeriesPlan, ...]
    passed_through: tuple[PassedThrough, ...]
