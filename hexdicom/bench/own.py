"""Our codec as it is measured. It does not decode what it wrote while it is timed: the others do not, and it is decoded after."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hexdicom import __version__, codec
from hexdicom.codec.profile import Profile
from hexdicom.volume import CineVolume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hexdicom.bench.coder import Layout, Values


@dataclass(frozen=True, slots=True)
class Hexdicom:
    """profile: the fields of a hexdicom.codec.profile.Profile. device: `auto`, `cpu` or `cuda`."""

    profile: Mapping[str, Any]
    device: str

    def version(self) -> str:
        return f"hexdicom {__version__}"

    def load(self) -> None:
        importlib.import_module("hexdicom.codec.hexplane")  # and torch

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        return [codec.encode(CineVolume(values), Profile(**self.profile), device=self.device, verify=False).bitstream]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        return codec.decode(pieces[0], device=self.device).values
