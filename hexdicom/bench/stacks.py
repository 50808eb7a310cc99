"""tomoz, a codec of 3-D stacks, at its best on a series: one stack of all slices, the times of each slice together."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.bench.coder import Layout, Unfit, Values

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Tomoz:
    """tomoz with the models that come with it, and as many threads as it likes."""

    def version(self) -> str:
        _tomoz()
        return f"tomoz {importlib.metadata.version('tomoz')}"

    def load(self) -> None:
        _tomoz()

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        stack = np.ascontiguousarray(layout.moved(values).swapaxes(0, 1)).reshape(-1, *layout.shape[2:])  # (Z · T, Y, X)
        return [bytes(_tomoz().encode(stack, bits=layout.bits))]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        t, z, y, x = layout.shape
        stack = np.asarray(_tomoz().decode(pieces[0]))  # (Z · T, Y, X)
        return layout.moved_back(stack.reshape(z, t, y, x).swapaxes(0, 1))


def _tomoz() -> Any:
    try:
        return importlib.import_module("tomoz")
    except ImportError as error:
        raise Unfit("tomoz is not installed (pip install 'hexdicom[bench]')") from error
