"""What leads from a volume back to the Pixel Data of its sources: small plain data, kept in the archive's manifest."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.dicom.plan import FrameRef
from hexdicom.errors import ArchiveError
from hexdicom.volume import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

_MOST_FRAMES = 1 << 20
_LARGEST_SIDE = 1 << 16


@dataclass(frozen=True, slots=True)
class Geometry:
    """shape: (T, Z, Y, X). dtype: of the stored values. tiles: (tile rows, tile columns) of a mosaic, else (1, 1).

    frames: T·Z references, time-major. lengths: of the native Pixel Data value of each source, in bytes; odd pixels are
    followed by one zero (PS3.5 8.1.1). big_endian: of each source.

    Raises ArchiveError where the parts contradict each other.
    """

    shape: tuple[int, int, int, int]
    dtype: str
    tiles: tuple[int, int]
    frames: tuple[FrameRef, ...]
    lengths: tuple[int, ...]
    big_endian: tuple[bool, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or not all(0 < side < _LARGEST_SIDE for side in (*self.shape, *self.tiles)):
            raise ArchiveError("The geometry of the archive is not that of a volume.")
        if math.prod(self.tiles) > 4 * self.shape[1]:  # a square grid of n tiles has at most 4·n places
            raise ArchiveError("The geometry of the archive has more tiles than slices.")
        if len(self.frames) != self.shape[0] * self.shape[1] or len(self.lengths) != len(self.big_endian):
            raise ArchiveError("The geometry of the archive is incomplete.")
        sources, tiles = len(self.lengths), math.prod(self.tiles)
        if any(not (0 <= ref.instance < sources and 0 <= ref.tile < tiles and ref.frame >= 0) for ref in self.frames):
            raise ArchiveError("The geometry of the archive points outside its sources.")
        stored = self.stored_frames()
        for length, frames in zip(self.lengths, stored, strict=True):
            if length not in (frames * self.frame_bytes, even(frames * self.frame_bytes)):
                raise ArchiveError("A source of the archive does not hold whole frames.")
        used = Counter((ref.instance, ref.frame) for ref in self.frames)
        if len(set(self.frames)) != len(self.frames) or len(used) != sum(stored):
            raise ArchiveError("The geometry of the archive names a frame twice, or leaves one out.")

    def stored_frames(self) -> list[int]:
        """How many frames each source holds."""
        out = [0] * len(self.lengths)
        for ref in self.frames:
            out[ref.instance] = max(out[ref.instance], ref.frame + 1)
        return out

    @property
    def frame_bytes(self) -> int:
        """Of one stored frame: a whole mosaic, where it is one."""
        return math.prod(self.shape[2:]) * math.prod(self.tiles) * np.dtype(self.dtype).itemsize

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dumps: lists of whole numbers as runs [step, count, …]."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "tiles": list(self.tiles),
            "instances": _runs([ref.instance for ref in self.frames]),
            "frames": _runs([ref.frame for ref in self.frames]),
            "tile": _runs([ref.tile for ref in self.frames]),
            "lengths": _runs(self.lengths),
            "big_endian": _runs([int(big) for big in self.big_endian]),
        }

    @classmethod
    def from_json(cls, data: Any) -> Geometry:
        """Raises ArchiveError for anything that `to_json` did not write."""
        try:
            t, z, y, x = map(_whole, data["shape"])
            tile_rows, tile_columns = map(_whole, data["tiles"])
            count = t * z
            if not 0 < count <= _MOST_FRAMES:
                raise ArchiveError("The geometry of the archive has too many frames.")
            instances, frames, tiles = (_unrolled(data[name], count, exact=True) for name in ("instances", "frames", "tile"))
            lengths = _unrolled(data["lengths"], count, exact=False)
            big_endian = _unrolled(data["big_endian"], len(lengths), exact=True)
            return cls(
                shape=(t, z, y, x),
                dtype=str(data["dtype"]),
                tiles=(tile_rows, tile_columns),
                frames=tuple(map(FrameRef, instances, frames, tiles)),
                lengths=tuple(lengths),
                big_endian=tuple(map(bool, big_endian)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError("The geometry of the archive cannot be read.") from error


def source_values(geometry: Geometry, values: NDArray[Any]) -> Iterator[bytes]:
    """The Pixel Data value of each source in turn, as it was stored natively; values: (T, Z, Y, X)."""
    return values_of(geometry, range(len(geometry.lengths)), values, range(geometry.shape[1]))


def values_of(geometry: Geometry, sources: Iterable[int], values: NDArray[Any], slices: Sequence[int]) -> Iterator[bytes]:
    """The same of some sources; values: (T, len(slices), Y, X), of these slices alone, which hold all that the sources need."""
    where = {slice_: at for at, slice_ in enumerate(slices)}
    by_source = _places(geometry)
    stored = geometry.stored_frames()
    for source in sources:
        pixels = empty_frames(geometry, stored[source])
        for time, slice_, ref in by_source[source]:
            row, column = divmod(ref.tile, geometry.tiles[1])
            pixels[ref.frame, row, :, column] = values[time, where[slice_]]
        value = pixels.astype(stored_type(geometry, geometry.big_endian[source]), copy=False).tobytes()
        yield value + bytes(geometry.lengths[source] - len(value))


def slices_of(geometry: Geometry) -> list[frozenset[int]]:
    """For each source, the slices that its frames are of."""
    return [frozenset(slice_ for _, slice_, _ in places) for places in _places(geometry)]


def _places(geometry: Geometry) -> list[list[tuple[int, int, FrameRef]]]:
    """For each source, its frames: (time, slice, where it stands in the source)."""
    slices = geometry.shape[1]
    by_source: list[list[tuple[int, int, FrameRef]]] = [[] for _ in geometry.lengths]
    for at, ref in enumerate(geometry.frames):
        by_source[ref.instance].append((at // slices, at % slices, ref))
    return by_source


def empty_frames(geometry: Geometry, frames: int) -> NDArray[Any]:
    """Zeros (frames, tile rows, Y, tile columns, X) for the stored frames of one source."""
    _, _, y, x = geometry.shape
    rows, columns = geometry.tiles
    return np.zeros((frames, rows, y, columns, x), geometry.dtype)


def stored_type(geometry: Geometry, big_endian: bool) -> np.dtype[Any]:
    return np.dtype(geometry.dtype).newbyteorder(">" if big_endian else "<")


def even(length: int) -> int:
    """The length with its padding (PS3.5 7.1.1)."""
    return length + length % 2


def _runs(numbers: Sequence[int]) -> list[int]:
    """[step, count, …]: steps from one number to the next, beginning at 0, with how often each comes in a row."""
    steps = [after - before for before, after in pairwise((0, *numbers))]
    return [part for step, run in groupby(steps) for part in (step, len(list(run)))]


def _unrolled(runs: Any, most: int, *, exact: bool) -> list[int]:
    if not isinstance(runs, list) or len(runs) % 2:
        raise ArchiveError("The geometry of the archive cannot be read.")
    pairs = [(_whole(step), _whole(count)) for step, count in zip(runs[::2], runs[1::2], strict=True)]
    total = sum(count for _, count in pairs)
    if any(count < 1 for _, count in pairs) or total > most or (exact and total != most):
        raise ArchiveError("The geometry of the archive is incomplete.")
    out, last = [], 0
    for step, count in pairs:
        out += [last + step * (nth + 1) for nth in range(count)]
        last = out[-1]
    return out


def _whole(number: Any) -> int:
    if type(number) is not int or abs(number) > 1 << 40:
        raise ArchiveError("The geometry of the archive cannot be read.")
    return number
