from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hexdicom.dicom.headers import MAGIC, Header, decode_headers, encode_headers
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.pixels import locate_pixel_data
from hexdicom.dicom.verify import by_instance_uid
from hexdicom.dicom.wrapper import written
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path


def split(file: bytes) -> Header:
    span = locate_pixel_data(file)
    return Header(file[: span.start], file[span.end :], span.data_set, span.transfer_syntax_uid)


def check(headers: list[Header]) -> bytes:
    blob = encode_headers(headers)
    assert list(decode_headers(blob)) == [(header.before, header.after) for header in headers]
    return blob


def test_headers_of_every_layout_come_back(series: Any) -> None:
    cine = series.cine(series.noise((3, 2, 8, 6)))
    volumes = [series.enhanced(series.noise((1, 3, 8, 6)), number) for number in range(4)]
    mosaics = [series.mosaic(series.noise((5, 8, 6)), number, csa=True) for number in range(3)]
    for data_sets in (cine, volumes, mosaics):
        for syntax in series.syntaxes[:3]:
            check([split(series.part10(ds, syntax)) for ds in data_sets])


def test_headers_that_have_nothing_in_common_come_back(series: Any) -> None:
    files = [
        series.part10(series.image(series.noise((4, 4)), 1, PatientName="A^B"), series.syntaxes[0]),
        series.part10(series.enhanced(series.noise((2, 2, 4, 4)), 2), series.syntaxes[1]),
        series.part10(
            series.image(series.noise((4, 4)), 3, SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎"), series.syntaxes[2]
        ),
    ]
    check([split(file) for file in files])


def test_what_follows_the_pixels_comes_back(series: Any) -> None:
    ds = series.image(series.noise((4, 4)), 1)
    ds.add_new(0xFFFCFFFC, "OB", bytes(30))  # Data Set Trailing Padding
    check([split(series.part10(ds)), split(series.part10(series.image(series.noise((4, 4)), 2)) + b"odd")])


def test_a_series_costs_little_more_than_one_header() -> None:
    headers = [split(written(ds)) for ds in beating_heart(slices=4, phases=25, rows=16, columns=16)]
    blob = check(headers)
    one = len(encode_headers(headers[:1]))
    assert len(blob) < one + 40 * len(headers)


def test_no_headers_are_a_table_too() -> None:
    assert list(decode_headers(encode_headers([]))) == []


def test_another_form_is_refused() -> None:
    with pytest.raises(ArchiveError, match="form"):
        next(decode_headers(b"HXH9" + encode_headers([])[len(MAGIC) :]))


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "most"),
    [
        ("fmri/siemens-enhanced", 24_000),
        ("fmri/ge-classic", 52_000),
        ("asl/siemens-mosaic", 29_000),
        ("asl/philips-multiphase", 4_600),
        ("dwi/canon-enhanced-4d", 3_200),
        ("edge/dynamic-3x3", 19_000),
    ],
)
def test_headers_of_every_scanner_come_back_within_a_size(real_data: Path, folder: str, most: int) -> None:
    files = sorted(by_instance_uid((real_data / folder).iterdir()).values())
    blob = check([split(file.read_bytes()) for file in files])
    assert len(blob) <= most
