"""The model-based codecs of the paper as they are measured: encoding is fitting. Torch is imported when one is used."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.bench.coder import Layout, Values


@dataclass(frozen=True, slots=True)
class Fit:
    """model: `planes`, `nerf` or `siren`. ratio: stored size of the series over the size of the parameters.

    steps, seconds: when to stop, whichever comes first; 0 seconds: no bound. device: `auto`, `cpu` or `cuda`.
    """

    model: str
    ratio: float
    steps: int
    seconds: float = 0
    device: str = "auto"
    done: list[int] = field(default_factory=list, compare=False)

    def version(self) -> str:
        return f"torch {importlib.metadata.version('torch')}"

    def load(self) -> None:
        _descent()

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        data, done = _descent().encode(self.model, values, layout, self.ratio, self.steps, self.seconds, self.device)
        self.done.append(done)
        return [data]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        values: Values = _descent().decode(self.model, pieces[0], layout, self.ratio, self.device)
        return values

    def steps_done(self) -> tuple[int, int]:
        """Of the round that did the fewest, and how many were asked for."""
        return min(self.done), self.steps


def _descent() -> Any:
    return importlib.import_module("hexdicom.bench.fitted.descent")
