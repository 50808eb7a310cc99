"""The codec as a whole: planes, then the residual layer, in one container. Decoding is integer arithmetic throughout."""

from __future__ import annotations

import math
from concurrent.futures import CancelledError
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from hexdicom.codec import container, fit, planes, residual, stored, synthesis
from hexdicom.codec.container import FILTERED, PLANES, RESIDUAL, STORED, Container, Layer
from hexdicom.codec.frames import Frames
from hexdicom.codec.interface import Encoded, EncodeReport, LayerSize
from hexdicom.codec.parallel import threads
from hexdicom.codec.sparse import control
from hexdicom.errors import ProfileError, VerificationError
from hexdicom.metrics import psnr, ssim, worst_frame_psnr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hexdicom.codec.interface import Progress
    from hexdicom.codec.profile import Profile
    from hexdicom.volume import CineVolume

_SMALLEST = 4096  # voxels; below, the parameters of a model outweigh what it saves
_SMALL = 1 << 20
_SMALL_PREVIEW, _FEW_CHANNELS, _FEW_HIDDEN = 4096, 4, 8  # a preview of fewer bytes has more use for nodes than for channels


def encode(volume: CineVolume, profile: Profile, device: str, verify: bool, progress: Progress) -> Encoded:
    """See `hexdicom.codec.encode`."""
    container.check_shape(volume.shape)
    start = perf_counter()
    on = resolve(device)
    values = volume.values.astype(np.int32)
    bound = None if profile.kind == "lossy" else profile.max_error
    if volume.voxels < _SMALLEST or values.min() == values.max():
        layers, fitted, bound = [Layer(STORED, stored.encode(volume.values))], start, 0
        expected = values
    elif bound is None:
        overhead = container.short_overhead(volume.shape)
        layer, expected = control.encode(values, profile, volume.values.nbytes, overhead, on, progress)
        layers, fitted = [Layer(FILTERED, layer)], perf_counter()
    else:
        layer, exact, expected, fitting = _exact(values, bound, profile, on, progress)
        layers, fitted = [Layer(PLANES, layer), Layer(RESIDUAL, exact)], start + fitting
        if volume.voxels < _SMALL or 16 * len(exact) < volume.voxels:
            # a small or nearly empty series: a model is not always worth its parameters
            whole = stored.encode(volume.values)
            if len(whole) <= sum(len(layer.data) for layer in layers):
                layers, expected, bound = [Layer(STORED, whole)], values, 0
    bitstream = container.pack(Container(volume.shape, volume.values.dtype.name, bound, tuple(layers)))
    encoded = perf_counter()
    errors = np.abs(expected - values)
    if bound is not None and errors.max() > bound:
        raise VerificationError(f"A value would come out {errors.max()} away; at most {bound} is allowed. Nothing was written.")
    if bound is None and np.square(errors, dtype=np.float64).mean() > values.var():
        raise VerificationError(
            "The planes came out worse than a flat grey; nothing was written.", hint="Ask for more bytes or a higher quality."
        )
    if verify:
        decoded = Frames(bitstream, False, on, 0).values(progress=lambda _, fraction: progress("verify", fraction))
        if not np.array_equal(decoded, expected):
            raise VerificationError("The bitstream does not decode to what was encoded; nothing was written.")
    verified = perf_counter()
    seconds = fitted - start, encoded - start, verified - encoded
    report = _report(volume, expected, bitstream, tuple(layers), profile.name, on, seconds)
    return Encoded(bitstream, report)


def curve(volume: CineVolume, ratios: tuple[float, float], points: int, device: str, progress: Progress) -> list[EncodeReport]:
    """See `hexdicom.codec.curve`."""
    container.check_shape(volume.shape)
    on, values, found = resolve(device), volume.values.astype(np.int32), []
    if values.min() == values.max():
        raise ProfileError("A constant series has no curve of sizes and qualities.")
    most, least = (max(1, int(volume.values.nbytes / ratio)) for ratio in (min(ratios), max(ratios)))
    overhead, start = container.short_overhead(volume.shape), perf_counter()
    for data, decoded in control.curve(values, most - overhead, least - overhead, points, on, progress):
        layers = (Layer(FILTERED, data),)
        bitstream = container.pack(Container(volume.shape, volume.values.dtype.name, None, layers))
        seconds = perf_counter() - start
        found.append(_report(volume, decoded, bitstream, layers, "lossy", on, (seconds, seconds, 0.0)))
        start = perf_counter()
        progress("points", len(found) / points)
    return found


def _report(
    volume: CineVolume, decoded: NDArray[np.int32], bitstream: bytes, layers: tuple[Layer, ...], profile: str, on: torch.device,
    seconds: tuple[float, float, float],
) -> EncodeReport:  # fmt: skip
    """seconds: fit, encode (the fit too), verify."""
    level = psnr(volume.values, decoded)
    exact = math.isinf(level)
    return EncodeReport(
        shape=volume.shape,
        bytes=len(bitstream),
        layers=tuple(LayerSize(layer.name, len(layer.data)) for layer in layers),
        profile=profile,
        max_error=int(np.abs(volume.values.astype(np.int32) - decoded).max()),
        psnr_db=None if exact else level,
        device=on.type,
        fit_seconds=seconds[0],
        encode_seconds=seconds[1],
        verify_seconds=seconds[2],
        worst_frame_psnr_db=None if exact else worst_frame_psnr(volume.values, decoded),
        ssim=None if exact else ssim(volume.values, decoded),
    )


def opened(bitstream: bytes, preview: bool, device: str, keep: int) -> Frames:
    """See `hexdicom.codec.open`."""
    return Frames(bitstream, preview, resolve(device), keep)


def resolve(device: str) -> torch.device:
    """`auto` is the GPU where there is one. TF32 would round the integers that doubles carry exactly, but doubles never use it."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise ProfileError(f"Device {device!r} is not available here.", hint="Use auto or cpu.")
    return torch.device(device)


def _exact(
    values: NDArray[np.int32], bound: int, profile: Profile, device: torch.device, progress: Progress
) -> tuple[bytes, bytes, NDArray[np.int32], float]:
    """-> (planes layer, residual layer, what that decodes to, seconds that the planes took).

    The planes are fitted beside the rest, where there is a core for them: their small steps can use one thread only.
    """
    ended = False

    def beside(step: str, fraction: float) -> None:
        if ended:
            raise CancelledError

    def planes_of() -> tuple[bytes, float]:
        start = perf_counter()
        layer = _planes(values, profile, device, beside if workers.count > 1 else progress)
        return layer, perf_counter() - start

    with threads(device) as workers:
        fitting = workers.start(planes_of)
        try:
            exact, expected = residual.encode(values, bound, profile, device, progress)
            layer, seconds = fitting.result()
        finally:
            ended = True
    return layer, exact, expected, seconds


def _planes(values: NDArray[np.int32], profile: Profile, device: torch.device, progress: Progress) -> bytes:
    """The planes layer of an exact encoding, which is there for the preview."""
    if 2 * values.size / profile.ratio < _SMALL_PREVIEW:
        few = min(profile.channels, _FEW_CHANNELS), min(profile.hidden, _FEW_HIDDEN)
        profile = replace(profile, channels=few[0], hidden=few[1])
    t, z, y, x = values.shape
    size = planes.adaptive_size((t, z, y, x), 2 * values.size, profile.ratio, profile.channels, profile.hidden)
    model = fit.fit(values, size, profile.steps, device, progress)
    return synthesis.to_bytes(synthesis.rounded(model, int(values.min()), int(values.max())))
