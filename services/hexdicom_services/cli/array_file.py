"""Arrays on disk: .npy, .nii and .nii.gz as stored integers, and back to the very file they came from.

A NIfTI file holds its values with x running fastest, then y, z and t; that is the memory order of (T, Z, Y, X), so nothing is
reordered. What the codec does not know (the NIfTI header, or the type of the numbers where it is not one of the codec's)
is attached to the bitstream in the .hxd file: docs/array-files.md.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from hexdicom import codec
from hexdicom.errors import BitstreamError, VolumeError
from hexdicom.volume import DTYPES, CineVolume

if TYPE_CHECKING:
    from pathlib import Path

Values = NDArray[Any]
_NIFTI_2: Final = (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
_LIMIT: Final = 1 << 26  # bytes of a NIfTI header with its extensions
_ENDINGS: Final = (".npy", ".nii", ".nii.gz")


@dataclass(frozen=True, slots=True)
class Origin:
    """How an array lay on disk. dtype: of its numbers there. header: of the NIfTI file up to its voxels, else empty."""

    dtype: str
    header: bytes = b""


def ending(path: Path) -> str:
    """.npy, .nii or .nii.gz. Raises VolumeError for anything else."""
    for known in _ENDINGS:
        if path.name.lower().endswith(known):
            return known
    raise VolumeError(f"{path.name} is not a file of an array.", hint=f"Known endings: {', '.join(_ENDINGS)}.")


def read(path: Path) -> tuple[CineVolume, Origin | None]:
    """The stored integers of a file; the origin is None where they and their type say everything. Raises VolumeError."""
    kind = ending(path)
    try:
        data = path.read_bytes()
        if kind == ".npy":
            array = np.load(io.BytesIO(data), allow_pickle=False)
            values = _integers(array, path.name)
            return CineVolume(values), Origin(array.dtype.str) if array.dtype != values.dtype else None
        if kind == ".nii.gz":
            data = gzip.decompress(data)
        return _read_nifti(data, path.name)
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise VolumeError(f"{path} cannot be read: {error}.") from error


def write(path: Path, volume: CineVolume, origin: Origin | None) -> None:
    """The array with the type that it had, as .npy or NIfTI by the ending of `path`. Raises VolumeError."""
    kind = ending(path)
    values = volume.values if origin is None else volume.values.astype(origin.dtype)
    if kind == ".npy":
        with path.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        return
    header = origin.header if origin is not None and origin.header else _new_header(volume, values.dtype)
    data = header + values.tobytes()
    path.write_bytes(gzip.compress(data, compresslevel=6, mtime=0) if kind == ".nii.gz" else data)


def attach(bitstream: bytes, origin: Origin | None) -> bytes:
    """The content of an .hxd file."""
    if origin is None:
        return bitstream
    head = json.dumps({"dtype": origin.dtype}).encode()
    return codec.attach(bitstream, zlib.compress(struct.pack("<I", len(head)) + head + origin.header, 9))


def attached(bitstream: bytes) -> Origin | None:
    """What `attach` put there. Raises BitstreamError where it is damaged."""
    blob = codec.attachment(bitstream)
    if blob is None:
        return None
    try:
        inflater = zlib.decompressobj()
        plain = inflater.decompress(blob, _LIMIT)
        (size,) = struct.unpack_from("<I", plain)
        dtype = np.dtype(json.loads(plain[4 : 4 + size])["dtype"])
    except (zlib.error, struct.error, ValueError, KeyError, TypeError) as error:
        raise BitstreamError("The attachment of the bitstream does not describe an array file.") from error
    if dtype.kind not in "iuf" or inflater.unconsumed_tail:
        raise BitstreamError("The attachment of the bitstream does not describe an array file.")
    return Origin(dtype.str, plain[4 + size :])


def _read_nifti(data: bytes, name: str) -> tuple[CineVolume, Origin]:
    kind: Any = nibabel.Nifti2Header if data[:4] in _NIFTI_2 else nibabel.Nifti1Header
    try:
        header = kind.from_fileobj(io.BytesIO(data))
        shape, dtype = header.get_data_shape(), header.get_data_dtype()
    except (nibabel.spatialimages.HeaderDataError, nibabel.wrapstruct.WrapStructError) as error:
        raise VolumeError(f"{name} is not a NIfTI file: {error}.") from error
    offset = int(header["vox_offset"])
    if header["magic"].item()[:2] != b"n+" or offset < header.sizeof_hdr:
        raise VolumeError(f"{name} is not a NIfTI file with header and voxels in one.", hint="Convert the pair to .nii.")
    if len(shape) > 4 and set(shape[4:]) == {1}:
        shape = shape[:4]
    if not 3 <= len(shape) <= 4 or dtype.kind not in "iuf":
        raise VolumeError(f"{name} has shape {shape} of {dtype}.", hint="Expected 3 or 4 axes of plain numbers.")
    x, y, z, t = (*shape, 1)[:4]
    array = np.frombuffer(data, dtype, count=x * y * z * t, offset=offset).reshape(t, z, y, x)
    dx, dy, dz = (float(step) for step in header.get_zooms()[:3])
    return CineVolume(_integers(array, name), (dz, dy, dx)), Origin(dtype.str, data[:offset])


def _integers(array: Values, name: str) -> Values:
    """The same numbers as one of the codec's types. Raises VolumeError where they do not fit exactly."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype.name in DTYPES:
        return np.ascontiguousarray(native)
    if native.size == 0 or native.dtype.kind not in "iuf":
        raise VolumeError(f"{name} holds {array.dtype} of shape {array.shape}.", hint="Expected numbers.")
    low, high = native.min(), native.max()
    for candidate in ("int16", "uint16"):
        limits = np.iinfo(candidate)
        if limits.min <= low and high <= limits.max:
            values = native.astype(candidate)
            if np.array_equal(values, native) and not np.any(np.signbit(native) & (values == 0)):
                return values
    raise VolumeError(
        f"The numbers of {name} ({array.dtype}, {low:g} to {high:g}) are not 16-bit integers.",
        hint="The codec codes stored values: scale and round them first, or give the file with scl_slope.",
    )


def _new_header(volume: CineVolume, dtype: np.dtype[Any]) -> bytes:
    """A NIfTI-1 header up to the voxels for values that came without one."""
    t, z, y, x = volume.shape
    make: Any = nibabel.Nifti1Header
    header = make()
    header.set_data_shape((x, y, z, t))
    header.set_data_dtype(dtype)
    dz, dy, dx = volume.spacing or (1.0, 1.0, 1.0)
    header.set_zooms((dx, dy, dz, 1.0))
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    return bytes(header.binaryblock) + b"\0" * 4
