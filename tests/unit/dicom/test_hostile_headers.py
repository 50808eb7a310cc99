"""Files from anywhere: planning never raises, and every file is accounted for once."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from hexdicom.dicom.assemble import assemble
from hexdicom.dicom.series import plan_files
from hexdicom.errors import SeriesError

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

SLOW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

# Tags that assembly reads, with the VR that they have.
READ = [
    (0x00080008, "CS"), (0x00080016, "UI"), (0x00080018, "UI"), (0x00080032, "TM"), (0x00080033, "TM"), (0x00080060, "CS"),
    (0x0008103E, "LO"), (0x00089208, "CS"), (0x00180050, "DS"), (0x00180081, "DS"), (0x00181060, "DS"), (0x00181090, "IS"),
    (0x0020000E, "UI"), (0x00200013, "IS"), (0x00200032, "DS"), (0x00200037, "DS"), (0x00200100, "IS"), (0x00201041, "DS"),
    (0x00280002, "US"), (0x00280004, "CS"), (0x00280008, "IS"), (0x00280010, "US"), (0x00280011, "US"), (0x00280030, "DS"),
    (0x00280100, "US"), (0x00280103, "US"), (0x00281053, "DS"), (0x52009229, "SQ"), (0x52009230, "SQ"), (0x00080005, "CS"),
]  # fmt: skip
VRS = ["CS", "DS", "IS", "US", "UI", "SQ", "FD", "OB", "UN", "AT", "PN", "TM", "LO"]


def element(tag: int, vr: str, value: bytes) -> bytes:
    head = tag.to_bytes(4, "big")
    head = head[1::-1] + head[3:1:-1] + vr.encode()
    value += b"\0" * (len(value) % 2)
    if vr in ("OB", "UN", "SQ"):
        return head + b"\0\0" + len(value).to_bytes(4, "little") + value
    return head + len(value).to_bytes(2, "little") + value


def planned(paths: list[Path]) -> Any:
    assembly = plan_files(paths)
    seen = [path for group in assembly.groups for path in group.sources]
    seen += [passed.path for passed in assembly.passed_through]
    assert sorted(seen) == sorted(paths)
    for group in assembly.groups:
        with contextlib.suppress(SeriesError):
            assemble(group)
    assert all(passed.reason for passed in assembly.passed_through)
    return assembly


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@SLOW
@given(data=st.data())
def test_an_attribute_with_any_bytes(series: Any, tmp_path: Path, data: st.DataObject) -> None:
    """The header keeps its form, and one value is anything."""
    tag, vr = data.draw(st.sampled_from(READ))
    vr = data.draw(st.sampled_from([vr, *VRS]))
    numbers = st.sampled_from([b"", b"-1", b"1e400", b"nan", b"0", b"99999999999", b"1\\2", b"\\\\", b"1,5", b"abc", b"-"])
    value = data.draw(st.binary(max_size=12) | numbers)
    paths = []
    for count, ds in enumerate(series.cine(series.noise((2, 2, 4, 4)))):
        raw = series.part10(ds)
        meta = raw.index(b"\x08\x00", 132 + 12 + int.from_bytes(raw[140:144], "little"))
        parts, position = [], meta
        while position < len(raw):  # put the element in its place
            found = int.from_bytes(raw[position : position + 2], "little") << 16
            found |= int.from_bytes(raw[position + 2 : position + 4], "little")
            if found > tag:
                break
            long = raw[position + 4 : position + 6] in (b"OB", b"OW", b"UN", b"SQ")
            length = raw[position + 8 : position + 12] if long else raw[position + 6 : position + 8]
            end = position + (12 if long else 8) + int.from_bytes(length, "little")
            parts += [raw[position:end]] if found != tag else []
            position = end
        paths.append(tmp_path / f"{count}.dcm")
        paths[-1].write_bytes(raw[:meta] + b"".join(parts) + element(tag, vr, value) + raw[position:])
    planned(paths)


@SLOW
@given(data=st.data())
def test_flipped_bytes(series: Any, tmp_path: Path, data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]))
    kind = data.draw(st.sampled_from(["cine", "enhanced", "mosaic"]))
    values = series.noise((2, 3, 4, 4))
    data_sets: list[Dataset] = {
        "cine": lambda: series.cine(values),
        "enhanced": lambda: [series.enhanced(values, 1)],
        "mosaic": lambda: [series.mosaic(volume, t + 1, csa=True) for t, volume in enumerate(values)],
    }[kind]()
    paths = []
    for count, ds in enumerate(data_sets):
        raw = bytearray(series.part10(ds, syntax))
        for _ in range(data.draw(st.integers(0, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.none() | st.integers(0, len(raw)))
        paths.append(tmp_path / f"{kind}{count}.dcm")
        paths[-1].write_bytes(bytes(raw[:cut]))
    planned(paths)


@SLOW
@given(content=st.binary(max_size=200), magic=st.booleans())
def test_any_bytes(tmp_path: Path, content: bytes, magic: bool) -> None:
    path = tmp_path / "any"
    path.write_bytes(bytes(128) + b"DICM" + content if magic else content)
    assert not planned([path]).groups


def test_a_header_that_asks_for_the_world(series: Any, tmp_path: Path) -> None:
    """65535 × 65535 compressed pixels in a file of a kilobyte."""
    paths = []
    for count, ds in enumerate(series.cine(series.noise((2, 1, 4, 4), "uint16"))):
        ds.Rows = ds.Columns = 65535
        ds.PixelData = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\4\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
        paths.append(tmp_path / f"{count}.dcm")
        paths[-1].write_bytes(series.part10(ds, "1.2.840.10008.1.2.5"))
    assembly = planned(paths)
    assert all("too many for its size" in passed.reason for passed in assembly.passed_through)
