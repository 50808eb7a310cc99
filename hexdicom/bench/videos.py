"""Video codecs of ffmpeg along t: one video of all slices, the times of each slice together. The start of ffmpeg is timed too."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from hexdicom.bench import ffmpeg
from hexdicom.bench.coder import Layout, Unfit, Values
from hexdicom.errors import HexdicomError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class _Kind:
    """encoder: in ffmpeg. depths: grey formats by the bits that they hold. container: the leanest that carries it."""

    encoder: str
    depths: Mapping[int, str]
    container: str
    options: tuple[str, ...]


_FFV1: Final = ("-level", "3", "-coder", "1", "-context", "1", "-g", "9999", "-slicecrc", "0")
_X265: Final = ("-preset", "veryslow", "-x265-params", "lossless=1:keyint=9999:log-level=error")
KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "x265": _Kind("libx265", {8: "gray", 10: "gray10le", 12: "gray12le"}, "hevc", _X265),
        "ffv1": _Kind("ffv1", {8: "gray", 10: "gray10le", 12: "gray12le", 16: "gray16le"}, "nut", _FFV1),
    }
)


@dataclass(frozen=True, slots=True)
class Video:
    """A lossless video codec. name: `x265` or `ffv1`."""

    name: str

    def version(self) -> str:
        kind = KINDS[self.name]
        return ffmpeg.version(kind.encoder, kind.depths[max(kind.depths)])

    def load(self) -> None:
        ffmpeg.program()

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        kind, (_, _, rows, columns) = KINDS[self.name], layout.shape
        depth = self._depth(layout)
        stack = np.ascontiguousarray(layout.moved(values).swapaxes(0, 1)).astype(_sample(depth))  # (Z, T, Y, X)
        source = ["-f", "rawvideo", "-pix_fmt", kind.depths[depth], "-s", f"{columns}x{rows}", "-r", "30", "-i", "-"]
        return [ffmpeg.run([*source, "-c:v", kind.encoder, *kind.options, "-f", kind.container, "-"], stack.tobytes())]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        kind, (t, z, y, x) = KINDS[self.name], layout.shape
        depth = self._depth(layout)
        target = ["-f", "rawvideo", "-pix_fmt", kind.depths[depth], "-fps_mode", "passthrough", "-"]
        raw = ffmpeg.run(["-f", kind.container, "-i", "-", *target], pieces[0])
        stack = np.frombuffer(raw, _sample(depth))
        if stack.size != layout.voxels:
            raise HexdicomError(f"ffmpeg gave {stack.size / (y * x):g} frames back, of {t * z}.")
        return layout.moved_back(stack.reshape(z, t, y, x).swapaxes(0, 1))

    def _depth(self, layout: Layout) -> int:
        """The fewest bits that hold the values. Raises Unfit."""
        fitting = [depth for depth in KINDS[self.name].depths if depth >= layout.bits]
        if not fitting:
            raise Unfit(f"{self.name} has {max(KINDS[self.name].depths)} bits at most; these values need {layout.bits}")
        return min(fitting)


def _sample(depth: int) -> str:
    return "u1" if depth == 8 else "<u2"
