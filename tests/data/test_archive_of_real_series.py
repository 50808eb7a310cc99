"""Every real series into an archive and back, byte for byte, and what its headers cost."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.headers import Header, encode_headers
from hexdicom.dicom.pixels import locate_pixel_data

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.data, pytest.mark.usefixtures("stored_codec")]
NOW = datetime(2026, 1, 2, 3, 4, 5)
GE_HISTOGRAM = b"\x43\0\x29\x10OB\0\0"


@pytest.mark.parametrize(
    ("folder", "archived"),
    [
        ("cine/ge-sax", 400),
        ("fmri/siemens-enhanced", 20),
        ("fmri/ge-classic", 150),
        ("asl/siemens-mosaic", 85),
        ("asl/philips-multiphase", 48),
        ("dwi/canon-enhanced-4d", 1),
        ("edge/dynamic-3x3", 9),
        ("edge/interrupted-enhanced", 0),
        ("edge/mixed-folder", 46),
        ("edge/mosaic-transfer-syntaxes", 0),
    ],
)
def test_everything_comes_back(real_data: Path, tmp_path: Path, folder: str, archived: int) -> None:
    report = pipeline.compress([real_data / folder], tmp_path / "out", Profile(), now=NOW)
    assert sum(group.instances for group in report.series) == archived
    restored = pipeline.restore([tmp_path / "out"], tmp_path / "back", now=NOW)
    assert restored.ok
    assert hashes(tmp_path / "back") == hashes(real_data / folder)


def test_headers_of_the_cine_series(real_data: Path) -> None:
    """GE writes a histogram of the image before it was rounded, 2 kB per instance: next to it, all else costs nothing."""
    headers, bare = [], []
    for path in sorted((real_data / "cine/ge-sax").iterdir()):
        data = path.read_bytes()
        span = locate_pixel_data(data)
        at = data.index(GE_HISTOGRAM)
        headers.append(Header(data[: span.start], data[span.end :], span.data_set, span.transfer_syntax_uid))
        without = data[:at] + data[at + 12 + 2068 : span.start]
        bare.append(Header(without, data[span.end :], span.data_set, span.transfer_syntax_uid))
    assert len(encode_headers(headers)) < 180_000
    assert len(encode_headers(bare)) < 8_000


def hashes(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
