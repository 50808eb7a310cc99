"""From a plan to the 4-D volume of stored values, and back to the Pixel Data of each source.

Values keep all allocated bits: nothing is masked, scaled or extended. What would not come back exactly is refused here,
before anything is archived.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.pixels.utils import iter_pixels

from hexdicom.dicom.attributes import UNREADABLE
from hexdicom.dicom.geometry import Geometry, empty_frames, even, source_values, stored_type
from hexdicom.dicom.instance import read_header
from hexdicom.dicom.pixels import DEFLATED_LITTLE, PixelSpan, locate_pixel_data, pixel_value
from hexdicom.errors import ArchiveError, SeriesError, VolumeError
from hexdicom.volume import CineVolume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hexdicom.dicom.plan import SeriesPlan


def geometry_of(plan: SeriesPlan) -> Geometry:
    """How the group's pixels are stored in its sources. Reads headers. Raises SeriesError, OSError."""
    spans = [locate_pixel_data(path) for path in plan.sources]
    return _geometry(plan, spans)


def assemble(plan: SeriesPlan) -> CineVolume:
    """Read the pixels of a group, one source at a time; (T, Z, Y, X) in the type that the sources allocate.

    Raises SeriesError where a source cannot be decoded, or would not come back exactly from the volume; OSError.
    """
    spans = [locate_pixel_data(path) for path in plan.sources]
    geometry = _geometry(plan, spans)
    values = np.empty(geometry.shape, geometry.dtype)
    places: list[list[int]] = [[] for _ in plan.sources]
    for at, ref in enumerate(geometry.frames):
        places[ref.instance].append(at)
    for source, frames in enumerate(geometry.stored_frames()):
        path = plan.sources[source]
        rebuilt = empty_frames(geometry, frames)  # (frames, tile rows, Y, tile columns, X)
        stored = _stored(path, spans[source], geometry, frames * geometry.frame_bytes).reshape(rebuilt.shape)
        for at in places[source]:
            row, column = divmod(geometry.frames[at].tile, geometry.tiles[1])
            tile = stored[geometry.frames[at].frame, row, :, column]  # (Y, X)
            values[divmod(at, geometry.shape[1])] = tile
            rebuilt[geometry.frames[at].frame, row, :, column] = tile
        if not np.array_equal(rebuilt, stored):
            raise SeriesError(f"The unused tiles of the mosaic {path.name} are not empty.")
    return CineVolume(values, plan.spacing)


def disassemble(geometry: Geometry, values: NDArray[Any]) -> list[bytes]:
    """The Pixel Data value of each source: as received where it was native, little endian where it was compressed.

    `geometry.source_values` gives one at a time. Raises VolumeError where the values do not fit the geometry.
    """
    if values.shape != geometry.shape or values.dtype != np.dtype(geometry.dtype):
        raise VolumeError(f"Values {values.dtype} {values.shape} do not fit the geometry {geometry.dtype} {geometry.shape}.")
    return list(source_values(geometry, values))


def _geometry(plan: SeriesPlan, spans: list[PixelSpan]) -> Geometry:
    first = read_header(plan.sources[0])
    if first.refusal:
        raise SeriesError(first.refusal)
    per_source = [0] * len(plan.sources)
    for ref in plan.frames:
        per_source[ref.instance] = max(per_source[ref.instance], ref.frame + 1)
    frame_bytes = first.rows * first.columns * np.dtype(first.dtype).itemsize
    lengths = [span.length if span.native else even(frames * frame_bytes) for span, frames in zip(spans, per_source, strict=True)]
    try:
        return Geometry(
            shape=plan.shape,
            dtype=first.dtype,
            tiles=plan.tiles,
            frames=plan.frames,
            lengths=tuple(lengths),
            big_endian=tuple(span.big_endian for span in spans),
        )
    except ArchiveError as error:
        raise SeriesError("The files have changed since they were planned.") from error


def _stored(path: Path, span: PixelSpan, geometry: Geometry, size: int) -> NDArray[Any]:
    """The stored values of one source, `size` bytes, in the order of the file."""
    if span.native or span.transfer_syntax_uid == DEFLATED_LITTLE:
        value = pixel_value(path, span)
        if len(value) not in (size, even(size)) or any(value[size:]):
            raise SeriesError(f"The Pixel Data of {path.name} has an unexpected length or padding.")
        return np.frombuffer(value[:size], stored_type(geometry, span.big_endian))
    frames = _decoded(path)
    if frames.dtype != np.dtype(geometry.dtype) or frames.nbytes != size:
        raise SeriesError(f"The compressed pixels of {path.name} are not what its header says.")
    return frames


def _decoded(path: Path) -> NDArray[Any]:
    """(frames, rows, columns) of a compressed source, as the decoder gives them. Raises SeriesError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.stack(list(iter_pixels(path, raw=True)))
    except (*UNREADABLE, RuntimeError) as error:
        raise SeriesError(f"The compressed pixels of {path.name} cannot be decoded.") from error
