"""How long a viewer waits: to open an archive, for a frame of a slice not seen yet, for any other frame; and for everything."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from hexdicom.codec.frames import Frames

_SLICES = 3  # of an archive whose slices are decoded one by one


def measure(bitstream: bytes, preview: bool, rounds: int, device: str) -> dict[str, Any]:
    """The fields of docs/cli-json.md; times are those of the fastest round. Raises BitstreamError, ProfileError."""

    def opened() -> Frames:
        return codec.open(bitstream, preview=preview, device=device)

    frames = opened()
    frames.frame(0, 0)  # what is compiled or loaded for the first time is not what is measured
    times, slices = frames.shape[:2]
    shown = np.unique(np.linspace(0, slices - 1, _SLICES if frames.slices_alone else slices).astype(int)).tolist()
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        took, frames = _timed(opened)
        waits = np.array([[_timed(partial(frames.frame, t, z))[0] for t in range(times)] for z in shown])
        first, others = waits[:, 0], waits[:, 1:] if times > 1 else waits
        one = {"open_seconds": took, "new_slice_seconds": float(np.median(first))}
        one |= {"frame_seconds": float(np.median(others)), "slowest_frame_seconds": float(others.max())}
        found.append(one | {"all_seconds": _timed(lambda: opened().values())[0]})
    info = codec.inspect(bitstream)
    head = {"shape": list(info.shape), "bytes": len(bitstream), "lossless": info.lossless, "slices_alone": frames.slices_alone}
    return head | {key: min(one[key] for one in found) for key in found[0]}


def _timed(what: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter()
    found = what()
    return perf_counter() - start, found
