"""What a caller of the codec gets back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """Called now and then with the name of the step and the share of it that is done, 0 to 1."""

    def __call__(self, step: str, fraction: float) -> None: ...


def silent(step: str, fraction: float) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True, slots=True)
class LayerSize:
    """A layer of the bitstream and the bytes it takes."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """What an encoding cost and what it is worth. Sizes in bytes, times in seconds, PSNR in dB (None: exact).

    PSNR: the peak is max − min of the stored values of the series. worst_frame_psnr_db: of the frame (one slice at one time) that
    came out worst, under the same peak. ssim: see `metrics.ssim`. All three are measured on what the bitstream decodes to.
    encode_seconds: of all but the proof; fit_seconds, of the planes, are part of it, and in exact kinds beside the rest.
    """

    shape: tuple[int, int, int, int]
    bytes: int
    layers: tuple[LayerSize, ...]
    profile: str
    max_error: int
    psnr_db: float | None
    device: str
    fit_seconds: float
    encode_seconds: float
    verify_seconds: float
    worst_frame_psnr_db: float | None = None
    ssim: float | None = None

    @property
    def bits_per_voxel(self) -> float:
        t, z, y, x = self.shape
        return 8 * self.bytes / (t * z * y * x)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A bitstream and the report of how it was made."""

    bitstream: bytes
    report: EncodeReport


@dataclass(frozen=True, slots=True)
class Info:
    """What a bitstream says of itself, read without decoding it."""

    version: int
    shape: tuple[int, int, int, int]
    dtype: str
    max_error: int | None
    layers: tuple[LayerSize, ...]

    @property
    def lossless(self) -> bool:
        return self.max_error == 0
