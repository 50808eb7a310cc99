"""Small real series, and one run over them that the tests of results and reports share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hexdicom.bench.peers import LOSSLESS, Peer, near
from hexdicom.bench.result import Machine, Run
from hexdicom.bench.runner import measure
from hexdicom.dicom.phantom import beating_heart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def heart() -> NDArray[Any]:
    """(3, 2, 32, 40) int16 with negative values."""
    frames = [ds.pixel_array for ds in beating_heart(slices=2, phases=3, rows=32, columns=40)]
    values = np.stack(frames).reshape(2, 3, 32, 40).swapaxes(0, 1)
    return np.ascontiguousarray(values).astype(np.int16) - 100


@pytest.fixture(scope="session")
def deep() -> NDArray[Any]:
    """(2, 2, 24, 32) uint16 that need all 16 bits: more than x265 has."""
    noise = np.random.default_rng(7).integers(0, 500, (2, 2, 24, 32))
    values = noise + 2000 * np.arange(32)
    values[0, 0, 0, 0] = 65535
    return values.astype(np.uint16)


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Run]:
    """A run as the command line makes it."""

    def made(series: Sequence[tuple[str, NDArray[Any]]], peers: Sequence[Peer]) -> Run:
        run = Run(
            suite="lossless",
            command="hexdicom bench run a.npy",
            date="2026-11-22T10:00:00+00:00",
            hexdicom="0.1.0",
            commit="",
            python="3.12.1",
            packages={"numpy": "2.4"},
            machine=Machine("a processor", 2, 8 << 30, "", "Linux"),
            rounds=1,
            against=("JPEG-LS", "JPEG XL"),
        )
        for found in measure([(name, partial(np.copy, values)) for name, values in series], peers, 1, lambda _: None):
            run = run.with_one(found)
        return run

    return made


@pytest.fixture(scope="session")
def everyone(run_of: Callable[..., Run], heart: NDArray[Any], deep: NDArray[Any]) -> Run:
    """Every peer on one series, two on another; with them one that breaks, one that breaks its promise, one that nobody has."""
    strangers = [
        Peer("breaks", "", "imagecodecs", {"name": "png"}),
        Peer("lies", "", "jpeg-ls", {"max_error": 3}),
        Peer("absent", "", "imagecodecs", {"name": "jetraw"}),
    ]
    run = run_of([("heart", heart)], [*LOSSLESS, near(2), *strangers])
    second = run_of([("deep", deep)], [peer for peer in LOSSLESS if peer.name in ("JPEG XL", "x265")])
    for found in (*second.series, *second.results, *second.skipped):
        run = run.with_one(found)
    return run
