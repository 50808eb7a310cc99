"""Whatever the bytes around the pixels are, the header table gives them back."""

from __future__ import annotations

import io

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from hexdicom.dicom.columns import Budget, read_column, write_column
from hexdicom.dicom.headers import Header, decode_headers, encode_headers
from hexdicom.dicom.streams import Reader, Writer
from hexdicom.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

SYNTAXES = st.sampled_from([IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
                b"\xfe\xff\x0d\xe0\0\0\0\0",
                b"\xfe\xff\xdd\xe0\0\0\0\0",
                b"\xfe\xff\x00\xe0\x08\0\0\0",
                b"\x08\0\x40\x11SQ\0\0\x10\0\0\0",
                b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff",
                b"\x08\0\x05\0CS\2\0AB",
                b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff",
                b"\x10\0\x10\0\4\0\0\0A^B ",
            ]
        ),
        max_size=12,
    ).map(b"".join),
)


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    """Elements of any public or private tag and VR, nested, of defined and undefined length."""
    ds = Dataset()
    for _ in range(draw(st.integers(0, 5))):
        group, element = draw(st.integers(8, 0x7FDF)), draw(st.integers(1, 0xFFFF))
        vr = draw(st.sampled_from(["LO", "DS", "UI", "OB", "OW", "UN", "UT", "AT", "SQ", "FD", "US"]))
        if vr == "SQ" and depth:
            ds.add_new((group, element), "SQ", draw(st.lists(data_sets(depth - 1), max_size=3)))
            ds[group, element].is_undefined_length = draw(st.booleans())
        elif vr in ("OB", "OW", "UN"):
            ds.add_new((group, element), "OB", draw(st.binary(max_size=20).filter(lambda data: len(data) % 2 == 0)))
            ds[group, element].VR = vr  # as such, pydicom would give UN the VR of its dictionary
        elif vr in ("LO", "UT"):
            ds.add_new((group, element), vr, draw(st.text("abc äö", max_size=12)))
        elif vr in ("US", "FD"):
            ds.add_new((group, element), vr, draw(st.integers(0, 65535)))
    ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def encoded(ds: Dataset, syntax: str) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = syntax != EXPLICIT_VR_BIG_ENDIAN, syntax == IMPLICIT_VR_LITTLE_ENDIAN
    write_dataset(out, ds)
    return io.BytesIO(out.getvalue()).getvalue()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.lists(st.tuples(data_sets(), BYTES, SYNTAXES), max_size=4))
def test_any_data_set_comes_back(sources: list[tuple[Dataset, bytes, str]]) -> None:
    check([Header(bytes(132) + encoded(ds, syntax), after, 132, syntax) for ds, after, syntax in sources])


@settings(deadline=None)
@given(st.lists(st.tuples(BYTES, BYTES, st.integers(0, 200), SYNTAXES), max_size=5))
def test_any_bytes_come_back(sources: list[tuple[bytes, bytes, int, str]]) -> None:
    check([Header(before, after, min(cut, len(before)), syntax) for before, after, cut, syntax in sources])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=40))
def test_any_column_comes_back(cells: list[bytes]) -> None:
    directory, pool, large = Writer(), Writer(), list[bytes]()
    write_column(cells, directory, pool, large)
    readers = (Reader(directory.bytes()), Reader(pool.bytes()), Reader(b"".join(large)))
    assert list(read_column(len(cells), *readers, Budget(1 << 20))) == cells


def check(headers: list[Header]) -> None:
    assert list(decode_headers(encode_headers(headers))) == [(header.before, header.after) for header in headers]
