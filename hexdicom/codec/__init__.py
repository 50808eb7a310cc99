"""The codec: volumes to bytes and back. Knows no DICOM, no files, no clock but a stopwatch.

Torch is imported when the first volume is coded, not before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hexdicom.codec import container
from hexdicom.codec.interface import Encoded, EncodeReport, Info, LayerSize, Progress, silent
from hexdicom.codec.profile import Profile
from hexdicom.volume import CineVolume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexdicom.codec.frames import Frames

__all__ = [
    "EncodeReport",
    "Encoded",
    "Info",
    "LayerSize",
    "Profile",
    "Progress",
    "attach",
    "attachment",
    "curve",
    "decode",
    "encode",
    "inspect",
    "open",
    "preview",
]


def encode(
    volume: CineVolume, profile: Profile, *, device: str = "auto", verify: bool = True, progress: Progress | None = None
) -> Encoded:
    """Encode a series, decode the result, and compare, before it is returned.

    device: `auto`, `cpu` or `cuda`; the bitstream decodes to the same bits on each.
    verify: False leaves the proof to a caller who decodes what he stored, and would otherwise pay for it twice.
    Raises VolumeError, ProfileError, VerificationError.

    >>> import numpy as np
    >>> from hexdicom.volume import CineVolume
    >>> series = CineVolume(np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5))
    >>> bool((decode(encode(series, Profile()).bitstream).values == series.values).all())
    True
    """
    from hexdicom.codec import hexplane

    return hexplane.encode(volume, profile, device, verify, progress or silent)


def decode(
    bitstream: bytes, *, slices: Sequence[int] | None = None, device: str = "auto", progress: Progress | None = None
) -> CineVolume:
    """The series, bit for bit as the encoder saw it decoded. Raises BitstreamError, ProfileError.

    slices: only these, in this order, (T, len(slices), Y, X). Of an exact archive a slice is the least that is decoded
    alone; it takes its share of the time that the series takes.
    """
    return CineVolume(open(bitstream, device=device).values(None, slices, progress or silent))


def preview(bitstream: bytes, *, times: Sequence[int] | None = None, device: str = "auto") -> CineVolume:
    """What the six planes alone show, of all times or of those named: (len(times), Z, Y, X). Raises BitstreamError."""
    return CineVolume(open(bitstream, preview=True, device=device).values(times))


def open(bitstream: bytes, *, preview: bool = False, device: str = "auto", keep: int = 1 << 28) -> Frames:
    """Parse a bitstream once and get frames of it, as a viewer does. Raises BitstreamError, ProfileError.

    preview: what the six planes alone show, which in an exact archive is there much sooner.
    keep: bytes of decoded slices of an exact archive that are kept, those asked for last; one at least.

    Of the lossy profile all that frames have in common is decoded here, and a frame takes milliseconds. Of an exact archive the
    first frame of a slice takes the share of that slice in the time of all, the others nothing.

    >>> import numpy as np
    >>> from hexdicom.volume import CineVolume
    >>> series = CineVolume(np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5))
    >>> frames = open(encode(series, Profile()).bitstream)
    >>> frames.shape, frames.frame(1, 2).tolist() == series.values[1, 2].tolist()
    ((2, 3, 4, 5), True)
    """
    from hexdicom.codec import hexplane

    return hexplane.opened(bitstream, preview, device, keep)


def curve(
    volume: CineVolume, ratios: tuple[float, float], points: int, *, device: str = "auto", progress: Progress | None = None
) -> list[EncodeReport]:
    """What the lossy profile makes of a series, from the first ratio (about) to the second: sizes, and qualities on what decodes.

    Raises VolumeError, ProfileError.
    """
    from hexdicom.codec import hexplane

    return hexplane.curve(volume, ratios, points, device, progress or silent)


def inspect(bitstream: bytes) -> Info:
    """What the bitstream says of itself; checks its checksums, decodes nothing. Raises BitstreamError."""
    parsed = container.unpack(bitstream)
    layers = tuple(LayerSize(layer.name, len(layer.data)) for layer in parsed.layers)
    return Info(parsed.version, parsed.shape, parsed.dtype, parsed.max_error, layers)


def attach(bitstream: bytes, data: bytes) -> bytes:
    """The bitstream with bytes of the caller's own, which the codec keeps and checks but does not look into.

    Raises BitstreamError; an attachment that is there is replaced.
    """
    parsed = container.unpack(bitstream)
    layers = [layer for layer in parsed.layers if layer.kind != container.ATTACHMENT]
    return container.pack(replace(parsed, layers=(*layers, container.Layer(container.ATTACHMENT, data))))


def attachment(bitstream: bytes) -> bytes | None:
    """What `attach` put there. Raises BitstreamError."""
    return container.unpack(bitstream).layer(container.ATTACHMENT)
