"""Lossy wavelet codecs of imagecodecs: JPEG 2000 on every frame by itself, SPERR on stacks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom.bench.coder import Unfit
from hexdicom.bench.images import optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.bench.coder import Layout, Values


@dataclass(frozen=True, slots=True)
class LossyJpeg2000:
    """psnr: of each frame, in dB, with the range of the series as the peak."""

    psnr: float

    def version(self) -> str:
        return str(optional("imagecodecs").jpeg2k_version())

    def load(self) -> None:
        optional("imagecodecs").jpeg2k_encode(np.zeros((16, 16), np.uint16), level=40)

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        run = optional("imagecodecs").jpeg2k_encode
        # its own peak is what the bits hold, not what the series reaches
        level = self.psnr + 20 * math.log10(((1 << layout.bits) - 1) / max(1, layout.highest - layout.lowest))
        options: dict[str, Any] = {"level": level, "reversible": False, "codecformat": "j2k", "bitspersample": layout.bits}
        frames = np.ascontiguousarray(layout.moved(values)).reshape(-1, *layout.shape[2:])
        return [bytes(run(frame, **options)) for frame in frames]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        run = optional("imagecodecs").jpeg2k_decode
        frames = np.stack([run(piece) for piece in pieces])
        return layout.moved_back(frames.clip(0, layout.highest - layout.lowest))


@dataclass(frozen=True, slots=True)
class Sperr:
    """SPERR in three dimensions, one stack for each slice with its times (along `t`) or for each time with its slices (`z`).

    rate: bits per voxel.
    """

    along: str
    rate: float

    def version(self) -> str:
        return str(optional("imagecodecs").sperr_version())

    def load(self) -> None:
        optional("imagecodecs").sperr_encode(np.zeros((16, 16, 16), np.float32), 1.0, "bpp")

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        run = optional("imagecodecs").sperr_encode
        if layout.shape["tz".index(self.along)] < 2:
            raise Unfit(f"SPERR has no stack of one frame, and there is one along {self.along}")
        moved = layout.moved(values)
        stacks = np.ascontiguousarray(moved.swapaxes(0, 1) if self.along == "t" else moved).astype(np.float32)
        return [bytes(run(stack, self.rate, "bpp", numthreads=1)) for stack in stacks]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        run = optional("imagecodecs").sperr_decode
        stacks = np.rint(np.stack([run(piece, numthreads=1) for piece in pieces])).clip(0, layout.highest - layout.lowest)
        return layout.moved_back(np.ascontiguousarray(stacks.swapaxes(0, 1) if self.along == "t" else stacks))
