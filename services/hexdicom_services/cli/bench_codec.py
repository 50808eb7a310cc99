"""Lossless codecs on the same values: size and time, each decoded and compared."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from hexdicom import codec
from hexdicom.codec.profile import Profile
from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.series import plan_files
from hexdicom.errors import NotFound, VerificationError
from hexdicom_services.cli import array_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hexdicom.volume import CineVolume

    Coder = tuple[Callable[[NDArray[Any]], list[bytes]], Callable[[list[bytes]], NDArray[Any]]]


OURS = "hexdicom"


def measure(sources: Sequence[Path], only: set[str], device: str, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """One entry per series and codec. Raises NotFound where there is nothing to measure, VerificationError."""
    found = False
    for name, volume in _volumes(sources):
        found = True
        for title, (encode, decode) in _coders(device).items():
            if only and title not in only:
                continue
            say(f"{name}: {title}")
            started = time.perf_counter()
            pieces = encode(volume.values)
            encoded = time.perf_counter()
            back = decode(pieces)
            decoded = time.perf_counter()
            expected = volume.values if title == OURS else _moved(volume.values)
            if not np.array_equal(back.reshape(volume.shape), expected):
                raise VerificationError(f"{title} did not give {name} back.")
            total = sum(map(len, pieces))
            yield {
                "series": name,
                "shape": volume.shape,
                "codec": title,
                "bytes": total,
                "bits_per_voxel": 8 * total / volume.voxels,
                "encode_seconds": encoded - started,
                "decode_seconds": decoded - encoded,
            }
    if not found:
        raise NotFound("There is no 4-D series and no array among the sources.", hint="`hexdicom explain` says why not.")


def _volumes(sources: Sequence[Path]) -> Iterator[tuple[str, CineVolume]]:
    arrays = [path for path in sources if path.name.lower().endswith((".npy", ".nii", ".nii.gz"))]
    for path in arrays:
        yield path.name, array_file.read(path)[0]
    others = [path for path in sources if path not in arrays]
    if others:
        for plan in plan_files(others).groups:
            yield plan.series_description or plan.series_instance_uid, assemble(plan)


def _coders(device: str) -> dict[str, Coder]:
    """Ours, and those of the packages that are installed."""
    from hexdicom.volume import CineVolume

    coders: dict[str, Coder] = {
        OURS: (
            lambda values: [codec.encode(CineVolume(values), Profile(), device=device, verify=False).bitstream],
            lambda pieces: codec.decode(pieces[0], device=device).values,
        )
    }
    peers: dict[str, tuple[str, dict[str, Any]]] = {
        "JPEG-LS": ("jpegls", {}),
        "JPEG 2000": ("jpeg2k", {"reversible": True, "level": 0}),
        "JPEG XL": ("jpegxl", {"lossless": True, "effort": 7}),
    }
    images = _optional("imagecodecs")
    if images is not None:
        for title, (name, options) in peers.items():
            if getattr(images, name.upper()).available:
                coders[title] = _frame_by_frame(getattr(images, f"{name}_encode"), getattr(images, f"{name}_decode"), options)
    tomoz = _optional("tomoz")
    if tomoz is not None:
        coders["tomoz"] = _slice_by_slice_in_time(tomoz)
    return coders


def _frame_by_frame(encode: Callable[..., bytes], decode: Callable[[bytes], Any], options: dict[str, Any]) -> Coder:
    """A 2-D codec on every frame. These codecs want unsigned values: signed ones are moved up by half their range."""

    def encode_all(values: NDArray[Any]) -> list[bytes]:
        frames = _moved(values).reshape(-1, *values.shape[2:])
        return [encode(np.ascontiguousarray(frame), **options) for frame in frames]

    def decode_all(pieces: list[bytes]) -> NDArray[Any]:
        return np.stack([decode(piece) for piece in pieces])

    return encode_all, decode_all


def _slice_by_slice_in_time(tomoz: Any) -> Coder:
    """A 3-D codec at its best on a series: one stack of all slices, the times of each slice together."""

    def encode_all(values: NDArray[Any]) -> list[bytes]:
        stack = np.ascontiguousarray(_moved(values).swapaxes(0, 1))  # (Z, T, Y, X)
        return [np.array(stack.shape[:2], "<u2").tobytes() + tomoz.encode(stack.reshape(-1, *stack.shape[2:]))]

    def decode_all(pieces: list[bytes]) -> NDArray[Any]:
        slices, times = np.frombuffer(pieces[0][:4], "<u2")
        stack = tomoz.decode(pieces[0][4:])  # (Z · T, Y, X)
        return np.ascontiguousarray(stack.reshape(slices, times, *stack.shape[1:]).swapaxes(0, 1))

    return encode_all, decode_all


def _moved(values: NDArray[Any]) -> NDArray[Any]:
    """The same differences, unsigned, from 0 up."""
    unsigned: NDArray[Any] = (values.astype(np.int32) - min(int(values.min()), 0)).astype(f"u{values.itemsize}")
    return unsigned


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
