from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset

from hexdicom.dicom.elements import EXPLICIT, IMPLICIT, REST, Coding, coding_of, pieces
from hexdicom.dicom.pixels import read_meta

if TYPE_CHECKING:
    from collections.abc import Sequence


def joined(data: bytes, coding: Coding, *, deep: bool = True) -> bytes:
    return b"".join(data[piece.begin : piece.end] for piece in pieces(data, 0, len(data), coding, deep=deep))


def nested() -> Dataset:
    inner, outer, ds = Dataset(), Dataset(), Dataset()
    inner.CodeValue = "1"
    outer.PurposeOfReferenceCodeSequence = [inner, inner]
    outer.ReferencedSOPInstanceUID = "1.2.3"
    ds.ReferencedImageSequence = [outer, outer]
    ds.PatientName = "Müller^Jörg"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.private_block(0x0043, "SOMEBODY", create=True).add_new(0x29, "OB", b"\1\2\3\4")
    return ds


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_pieces_cover_every_transfer_syntax(series: Any, undefined: bool, deep: bool) -> None:
    for syntax in series.syntaxes[:3]:
        ds = series.image(series.noise((4, 4)), 1)
        ds.update(nested())
        for sequence in (ds["ReferencedImageSequence"], ds.ReferencedImageSequence[0]["PurposeOfReferenceCodeSequence"]):
            sequence.is_undefined_length = undefined
        for item in ds.ReferencedImageSequence:
            item.is_undefined_length_sequence_item = undefined
        file = series.part10(ds, syntax)
        start = read_meta(file)[1]
        found = list(pieces(file, start, len(file), coding_of(syntax), deep=deep))
        assert b"".join(file[piece.begin : piece.end] for piece in found) == file[start:]
        assert not any(REST in piece.path for piece in found)
        paths = [piece.path for piece in found]
        code_value = (0x00081140, 0x0040A170, 0x00080100)
        assert paths.count(code_value) == (4 if deep or undefined else 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\xff" * 50, b"\x08\0\x05\0CS\xff\xff", b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" * 200, bytes(1000)],
)
@pytest.mark.parametrize("coding", [EXPLICIT, IMPLICIT, Coding(implicit=False, big=True)])
def test_whatever_the_bytes_are_they_are_covered(data: bytes, coding: Coding) -> None:
    assert joined(data, coding) == data
    assert joined(data, coding, deep=False) == data


def test_what_is_not_understood_is_one_last_piece() -> None:
    data = b"\x08\0\x05\0CS\x02\0AB" + b"?" * 40
    found: Sequence[Any] = list(pieces(data, 0, len(data), EXPLICIT))
    assert [piece.path for piece in found] == [(0x00080005,), (REST,)]
    assert found[1].end == len(data)
