"""Image codecs on every frame by itself, as a PACS stores them."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hexdicom.bench.coder import Layout, Unfit, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "jpeg2k": {"reversible": True, "level": 0, "codecformat": "j2k"},  # a bare code stream: no .jp2 around it
        "htj2k": {"reversible": True},
        "jpegxl": {"lossless": True, "effort": 7},
    }
)
_TAKES_BITS: Final = ("jpeg2k", "jpegxl")


@dataclass(frozen=True, slots=True)
class Imagecodecs:
    """A codec of imagecodecs. name: `jpeg2k`, `htj2k` or `jpegxl`."""

    name: str

    def version(self) -> str:
        images = optional("imagecodecs")
        if not getattr(images, self.name.upper()).available:
            raise Unfit(f"imagecodecs {images.__version__} was built without {self.name}")
        return str(getattr(images, f"{self.name}_version")())

    def load(self) -> None:
        images = optional("imagecodecs")
        getattr(images, f"{self.name}_encode")(np.zeros((16, 16), np.uint16), **OPTIONS[self.name])  # extensions load on first use

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        run: Callable[..., bytes] = getattr(optional("imagecodecs"), f"{self.name}_encode")
        options = {**OPTIONS[self.name], **({"bitspersample": layout.bits} if self.name in _TAKES_BITS else {})}
        return [bytes(run(frame, **options)) for frame in _frames(values, layout)]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        run: Callable[[bytes], Values] = getattr(optional("imagecodecs"), f"{self.name}_decode")
        return layout.moved_back(np.stack([run(piece) for piece in pieces]))


@dataclass(frozen=True, slots=True)
class JpegLs:
    """CharLS through pyjpegls, which tells it how many bits are stored: with 16 for everything, as imagecodecs does, JPEG-LS sets
    its thresholds too high for most MR and needs up to a quarter more.

    max_error: NEAR.
    """

    max_error: int = 0

    def version(self) -> str:
        optional("jpeg_ls", package="pyjpegls")
        return f"CharLS in pyjpegls {importlib.metadata.version('pyjpegls')}"

    def load(self) -> None:
        optional("jpeg_ls", package="pyjpegls")

    def encode(self, values: Values, layout: Layout) -> list[bytes]:
        highest_near = min(255, (2**layout.bits - 1) // 2)
        if self.max_error > highest_near:
            raise Unfit(f"JPEG-LS has no NEAR of {self.max_error} for {layout.bits} bits: {highest_near} at most")
        run = optional("jpeg_ls").encode_buffer
        _, _, rows, columns = layout.shape
        frames = _frames(values, layout)
        return [bytes(run(frame.tobytes(), rows, columns, 1, layout.bits, lossy_error=self.max_error)) for frame in frames]

    def decode(self, pieces: Sequence[bytes], layout: Layout) -> Values:
        run = optional("jpeg_ls").decode_buffer
        dtype = np.dtype("u1" if layout.bits <= 8 else "<u2")
        return layout.moved_back(np.stack([np.frombuffer(run(piece)[0], dtype) for piece in pieces]))


def _frames(values: Values, layout: Layout) -> Values:
    """(T · Z, Y, X), unsigned."""
    return np.ascontiguousarray(layout.moved(values)).reshape(-1, *layout.shape[2:])


def optional(module: str, *, package: str = "") -> Any:
    """A module that only the bench needs. Raises Unfit where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unfit(f"{package or module} is not installed (pip install 'hexdicom[bench]')") from error
