"""Geometry as the manifest keeps it: exact, small, and not to be trusted when it comes back."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexdicom.dicom.geometry import Geometry, source_values
from hexdicom.dicom.plan import FrameRef
from hexdicom.errors import ArchiveError


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any layout: frames of the volume dealt to sources, in any order, perhaps as tiles."""
    y, x = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(["uint8", "int8", "uint16", "int16"]))
    if draw(st.booleans()):  # mosaics
        times, slices = draw(st.integers(1, 4)), draw(st.integers(1, 10))
        side = int(np.ceil(np.sqrt(slices)))
        refs = [FrameRef(t, 0, z) for t in range(times) for z in range(slices)]
        tiles, counts = (side, side), [1] * times
    else:
        counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
        refs = draw(st.permutations([FrameRef(i, n) for i, count in enumerate(counts) for n in range(count)]))
        times = draw(st.sampled_from([t for t in range(1, len(refs) + 1) if len(refs) % t == 0]))
        slices, tiles = len(refs) // times, (1, 1)
    size = y * x * tiles[0] * tiles[1] * np.dtype(dtype).itemsize
    return Geometry(
        shape=(times, slices, y, x),
        dtype=dtype,
        tiles=tiles,
        frames=tuple(refs),
        lengths=tuple(count * size + (count * size) % 2 for count in counts),
        big_endian=tuple(draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts)))),
    )


@given(geometries())
def test_json_gives_it_back(geometry: Geometry) -> None:
    assert Geometry.from_json(json.loads(json.dumps(geometry.to_json()))) == geometry


@given(geometries(), st.integers(0, 2**32 - 1))
def test_every_voxel_is_in_one_place_of_one_source(geometry: Geometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 120, geometry.shape).astype(geometry.dtype)
    sources = list(source_values(geometry, values))
    assert [len(source) for source in sources] == list(geometry.lengths)
    back = np.zeros_like(values)
    for at, ref in enumerate(geometry.frames):
        size = geometry.frame_bytes
        order = ">" if geometry.big_endian[ref.instance] else "<"
        raw = sources[ref.instance][ref.frame * size : (ref.frame + 1) * size]
        picture = np.frombuffer(raw, np.dtype(geometry.dtype).newbyteorder(order))
        _, slices, y, x = geometry.shape
        rows = picture.reshape(geometry.tiles[0] * y, geometry.tiles[1] * x)
        top, left = (part * side for part, side in zip(divmod(ref.tile, geometry.tiles[1]), (y, x), strict=True))
        back[at // slices, at % slices] = rows[top : top + y, left : left + x]
    np.testing.assert_array_equal(back, values)


def test_four_hundred_single_frames_are_a_few_numbers() -> None:
    frames = tuple(FrameRef(at, 0) for at in range(400))
    geometry = Geometry((20, 20, 256, 256), "int16", (1, 1), frames, (131072,) * 400, (False,) * 400)
    assert len(json.dumps(geometry.to_json())) < 250


SOUND: dict[str, Any] = Geometry(
    (2, 2, 3, 3), "uint8", (1, 1), tuple(FrameRef(at // 2, at % 2) for at in range(4)), (18, 18), (False, True)
).to_json()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [2, 2, 3]),
        ("shape", [2, 2, 3, 70000]),
        ("shape", [2, 2, 0, 3]),
        ("shape", [1 << 30, 1 << 30, 3, 3]),
        ("shape", [2.0, 2, 3, 3]),
        ("shape", None),
        ("dtype", "float32"),
        ("dtype", None),
        ("tiles", [1, 60000]),
        ("tiles", [2, 2]),
        ("instances", [0, 4]),
        ("instances", [0, 1 << 39]),
        ("instances", [5, 4]),
        ("instances", [-1, 4]),
        ("instances", "0,4"),
        ("instances", [0, 0, 1, 4]),
        ("instances", [0]),
        ("frames", [1 << 39, 4]),
        ("frames", [0, 4]),
        ("frames", [0, -4]),
        ("tile", [1, 4]),
        ("lengths", [1 << 39, 2]),
        ("lengths", [17, 2]),
        ("lengths", [18, 1]),
        ("lengths", [18, 3]),
        ("big_endian", [0, 1]),
    ],
    ids=str,
)
def test_hostile_json(key: str, value: Any) -> None:
    changed = copy.deepcopy(SOUND)
    changed[key] = value
    with pytest.raises(ArchiveError):
        Geometry.from_json(changed)
    del changed[key]
    with pytest.raises(ArchiveError):
        Geometry.from_json(changed)


@pytest.mark.parametrize("data", [None, [], "x", 7], ids=str)
def test_json_of_something_else(data: Any) -> None:
    with pytest.raises(ArchiveError):
        Geometry.from_json(data)
