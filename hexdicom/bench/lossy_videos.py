"""Lossy video codecs of ffmpeg, tuned for PSNR, on values stretched to all the bits that they have: one video of the whole series,
along t (the times of each slice together) or, as the paper runs HEVC, along z (the slices of each time together).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from hexdicom.bench import ffmpeg
from hexdicom.errors import HexdicomError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hexdicom.bench.coder import Layout, Values

_RATE: Final = ("-r", "30")


@dataclass(frozen=True, slots=True)
class _Kind:
    """encoder: in ffmpeg. bits of a sample in the format `pixels`; chroma: whether grey must carry empty colour planes.

    quality: the option of the setting, {} for its number.
    """

    encoder: str
    pixels: str
    bits: int
    chroma: bool
    container: str
    options: tuple[str, ...]
    quality: tuple[str, str]


_HEVC: Final = ("-preset", "slow", "-tune", "psnr")
_AV1: Final = ("-preset", "3", "-g", "9999", "-svtav1-params", "tune=1")  # tune 1: PSNR
KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "hevc": _Kind(
            "libx265", "gray12le", 12, False, "hevc", _HEVC, ("-x265-params", "qp={}:keyint=9999:info=0:log-level=error")
        ),
        "av1": _Kind("libsvtav1", "yuv420p10le", 10, True, "obu", _AV1, ("-crf", "{}")),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LossyVideo:
    """name: `hevc` or `av1`. along: `t` or `z`. quality: qp of HEVC, crf of AV1."""

    name: str
    along: str
    quality: int

    def version(self) -> str:
        return ffmpeg.version(KINDS[self.name].encoder, KINDS[self.name].pixels)

    def load(self) -> None:
        ffmpeg.program()

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        kind, (_, _, y, x) = KINDS[self.name], layout.shape
        frames = self._ordered(_stretched(values, layout, kind.bits)).reshape(-1, y * x)
        grey = np.full((len(frames), _samples(kind, y, x)), 1 << kind.bits - 1, "<u2")
        grey[:, : y * x] = frames
        option, value = kind.quality
        source = ["-f", "rawvideo", "-pix_fmt", kind.pixels, "-s", f"{x}x{y}", *_RATE, "-i", "-"]
        target = ["-c:v", kind.encoder, *kind.options, option, value.format(self.quality), "-f", kind.container, "-"]
        return [ffmpeg.run([*source, *target], grey.tobytes())]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        kind, (t, z, y, x) = KINDS[self.name], layout.shape
        target = ["-f", "rawvideo", "-pix_fmt", kind.pixels, "-fps_mode", "passthrough", "-"]
        samples = np.frombuffer(ffmpeg.run(["-f", kind.container, "-i", "-", *target], pieces[0]), "<u2")
        if samples.size != t * z * _samples(kind, y, x):
            raise HexdicomError(f"ffmpeg gave {samples.size / _samples(kind, y, x):g} frames back, of {t * z}.")
        frames = samples.reshape(t * z, -1)[:, : y * x]
        stack = frames.reshape(z, t, y, x).swapaxes(0, 1) if self.along == "t" else frames.reshape(t, z, y, x)
        return _shrunk(stack, layout, kind.bits)

    def _ordered(self, values: Values) -> Values:
        return np.ascontiguousarray(values.swapaxes(0, 1) if self.along == "t" else values)


def _samples(kind: _Kind, rows: int, columns: int) -> int:
    """Of a frame, with its colour planes."""
    return rows * columns + (2 * ((rows + 1) // 2) * ((columns + 1) // 2) if kind.chroma else 0)


def _stretched(values: Values, layout: Layout, bits: int) -> Values:
    """The range of the series as 0 … 2^bits − 1, to the nearest integer: a codec's steps are steps of that scale."""
    gain = ((1 << bits) - 1) / max(1, layout.highest - layout.lowest)
    stretched: Values = np.rint((values.astype(np.float32) - layout.lowest) * gain).astype("<u2")
    return stretched


def _shrunk(samples: Values, layout: Layout, bits: int) -> Values:
    """The reverse, to the nearest stored value."""
    gain = max(1, layout.highest - layout.lowest) / ((1 << bits) - 1)
    shrunk: Values = np.rint(samples.astype(np.float32) * gain + layout.lowest).clip(layout.lowest, layout.highest)
    return shrunk.astype(layout.dtype)
