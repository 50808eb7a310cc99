"""Arrays on disk: what is read, what is refused, and that the same file comes back."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest

from hexdicom import codec
from hexdicom.codec.container import STORED, Container, Layer, pack
from hexdicom.errors import BadChecksum, BitstreamError, VolumeError
from hexdicom.volume import CineVolume
from hexdicom_services.cli.array_file import Origin, attach, attached, ending, read, write

if TYPE_CHECKING:
    from pathlib import Path

BITSTREAM = pack(Container((1, 1, 1, 1), "int16", 0, (Layer(STORED, b""),)))
AFFINE = np.diag([1.5, 2.0, 8.0, 1.0])


def values(dtype: str) -> Any:
    rng = np.random.default_rng(3)
    return rng.integers(0, 250, (5, 4, 3, 6)).astype(dtype)  # (X, Y, Z, T) as NIfTI has it


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_comes_back_as_the_same_file(tmp_path: Path, dtype: str, name: str) -> None:
    array = values(dtype)
    image = nibabel.Nifti1Image(array, AFFINE, dtype=array.dtype)
    image.header.set_data_dtype(array.dtype)
    image.header["descrip"] = b"kept"
    image.to_filename(tmp_path / name)

    volume, origin = read(tmp_path / name)
    assert volume.shape == (6, 3, 4, 5)
    np.testing.assert_array_equal(volume.values, array.T)
    write(tmp_path / f"b-{name}", volume, origin)
    first, again = (tmp_path / name).read_bytes(), (tmp_path / f"b-{name}").read_bytes()
    if name.endswith(".gz"):
        first, again = gzip.decompress(first), gzip.decompress(again)
    assert first == again


def test_scaled_nifti_is_coded_as_its_stored_integers(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(values("int16"), AFFINE)
    image.header.set_slope_inter(0.25, 10)
    image.to_filename(tmp_path / "scaled.nii")
    volume, origin = read(tmp_path / "scaled.nii")
    assert volume.values.dtype == np.int16
    write(tmp_path / "back.nii", volume, origin)
    back = nibabel.load(tmp_path / "back.nii")
    np.testing.assert_array_equal(back.get_fdata(), nibabel.load(tmp_path / "scaled.nii").get_fdata())
    np.testing.assert_array_equal(back.affine, AFFINE)


def test_nifti2_and_three_axes(tmp_path: Path) -> None:
    nibabel.Nifti2Image(values("int16")[..., 0], AFFINE).to_filename(tmp_path / "two.nii")
    volume, origin = read(tmp_path / "two.nii")
    assert volume.shape == (1, 3, 4, 5)
    write(tmp_path / "back.nii", volume, origin)
    assert (tmp_path / "back.nii").read_bytes() == (tmp_path / "two.nii").read_bytes()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int64", "float32", ">u2"])
def test_npy_comes_back_with_its_type(tmp_path: Path, dtype: str) -> None:
    array = (values("uint8").T // 2).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    volume, origin = read(tmp_path / "a.npy")
    write(tmp_path / "b.npy", volume, attached(attach(BITSTREAM, origin)))
    back = np.load(tmp_path / "b.npy")
    assert back.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)


def test_npy_to_nifti_gets_a_sensible_header(tmp_path: Path) -> None:
    write(tmp_path / "new.nii.gz", CineVolume(values("int16").T.copy(), (8.0, 2.0, 1.5)), None)
    image = nibabel.load(tmp_path / "new.nii.gz")
    assert image.shape == (5, 4, 3, 6)
    assert image.header.get_zooms() == (1.5, 2.0, 8.0, 1.0)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), values("int16"))


@pytest.mark.parametrize(
    "array", [np.full((2, 2, 2, 2), 0.5), np.full((2, 2, 2, 2), 70000), np.array([[[[np.nan]]]]), np.array([[[[-0.0]]]])]
)
def test_numbers_that_would_change_are_refused(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(VolumeError, match="are not 16-bit integers"):
        read(tmp_path / "a.npy")


def test_what_is_not_an_array_is_refused(tmp_path: Path) -> None:
    for name in ("a.npy", "a.nii", "a.nii.gz"):
        (tmp_path / name).write_bytes(b"nonsense" * 100)
        with pytest.raises(VolumeError):
            read(tmp_path / name)
    with pytest.raises(VolumeError, match="cannot be read"):
        read(tmp_path / "absent.npy")
    with pytest.raises(VolumeError, match="Known endings"):
        ending(tmp_path / "a.mat")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(VolumeError):
        read(tmp_path / "pickled.npy")


def test_attachments_that_are_no_origin_are_errors_in_words() -> None:
    assert attached(attach(BITSTREAM, Origin("<f4", b"header" * 60))) == Origin("<f4", b"header" * 60)
    assert attached(BITSTREAM) is None
    damaged = bytearray(attach(BITSTREAM, Origin("<f4")))
    damaged[-1] ^= 1
    with pytest.raises(BadChecksum):
        attached(bytes(damaged))
    for nonsense in (b"", b"nonsense", zlib.compress(b"\2\0\0\0{}")):
        with pytest.raises(BitstreamError):
            attached(codec.attach(BITSTREAM, nonsense))
    with pytest.raises(BitstreamError):
        attached(attach(BITSTREAM, Origin("object")))
