"""Archive objects that nobody vouches for: whatever is done to one, it is an error in words, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import tracemalloc
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from hexdicom import pipeline
from hexdicom.codec import Profile
from hexdicom.dicom.archive import join, read_part
from hexdicom.dicom.columns import LONGEST_CELL
from hexdicom.dicom.headers import MAGIC, Header, decode_headers, encode_headers
from hexdicom.dicom.phantom import beating_heart
from hexdicom.dicom.pixels import locate_pixel_data
from hexdicom.dicom.private import Element, tag
from hexdicom.dicom.restore import instances, open_archive
from hexdicom.dicom.streams import Writer
from hexdicom.dicom.wrapper import written
from hexdicom.errors import ArchiveError, BitstreamError, HexdicomError

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import FileDataset

pytestmark = pytest.mark.usefixtures("stored_codec")
NOW = datetime(2026, 1, 2, 3, 4, 5)
MOST_MEMORY = 64 << 20


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    for ds in beating_heart(slices=1, phases=3, rows=16, columns=16):
        ds.save_as(folder / f"{ds.InstanceNumber}.dcm", enforce_file_format=True)
    return pipeline.compress([folder], tmp_path / "out", Profile(), now=NOW).series[0].archives[0]


def restored(data: bytes) -> list[str]:
    """The states of what an archive object gives back. Raises nothing but HexdicomError."""
    opened = open_archive([read_part(data)])
    values = pipeline.codec.decode(opened.archive.payload).values
    return [one.state for one in instances(opened, values)]


def test_it_is_sound_to_begin_with(archive: Path) -> None:
    assert restored(archive.read_bytes()) == ["restored"] * 3


def test_cut_off_anywhere(archive: Path) -> None:
    data = archive.read_bytes()
    for end in {*range(0, len(data), 37), *range(len(data) - 40, len(data))}:
        with pytest.raises(ArchiveError):
            restored(data[:end])


def test_flipped_bits_anywhere(archive: Path) -> None:
    """Never another instance, never a crash. Bits outside our block may flip unnoticed: a peer may change those."""
    data = archive.read_bytes()
    rng = random.Random(1)
    for _ in range(1500):
        at = rng.randrange(128, len(data))
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        try:
            states = restored(bytes(flipped))
        except HexdicomError:
            continue
        assert states == ["restored"] * 3


@pytest.mark.parametrize("element", Element)
def test_every_element_missing_empty_or_changed(archive: Path, element: Element) -> None:
    for change in ("missing", "empty", "short", "long", "zeros"):
        ds = dcmread(archive)
        found = ds[tag(element)]
        if change == "missing":
            del ds[tag(element)]
        elif found.VR == "UL":
            found.value = {"empty": None, "short": 0, "long": 0xFFFFFFFF, "zeros": 0}[change]
        else:
            found.value = {"empty": b"", "short": found.value[:4], "long": found.value[::-1], "zeros": bytes(64)}[change]
        out = io.BytesIO()
        ds.save_as(out)
        with pytest.raises(HexdicomError):
            restored(out.getvalue())


def test_absurd_lengths_cost_no_memory(archive: Path) -> None:
    data = archive.read_bytes()
    tracemalloc.start()
    try:
        for element in (Element.MANIFEST, Element.HEADERS, Element.PAYLOAD):
            at = data.index(struct.pack("<HH2sH", tag(element) >> 16, tag(element) & 0xFFFF, b"OB", 0))
            for length in (0xFFFFFFFE, 0x7FFFFFFE, 0xFFFFFFFF, 0):
                with pytest.raises(HexdicomError):
                    restored(data[: at + 8] + struct.pack("<I", length) + data[at + 12 :])
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def header(ds: FileDataset) -> Header:
    file = written(ds)
    span = locate_pixel_data(file)
    return Header(file[: span.start], file[span.end :], span.data_set, span.transfer_syntax_uid)


def directory(*numbers: int) -> bytes:
    """A header table of three instances whose directory says this."""
    inner, writer = Writer(), Writer()
    for number in numbers:
        inner.number(number)
    writer.raw(MAGIC)
    writer.number(3)
    writer.stream(inner.bytes())
    writer.stream(b"\1" * 100)
    return writer.bytes()


@pytest.mark.parametrize(
    "numbers",
    [
        (),
        (0,),
        (1, 0, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0, 0),
        (1, 2, 0, 2, 0, 0, 0, 1, 0, 1 << 40),
        (1, 2, 0, 2, 0, 0, 0, 1, 1, 0, LONGEST_CELL, 0),
        (1, 2, 0, 2, 0, 0, 0, 1, 1, 0, LONGEST_CELL, 1),
        (1, 2, 0, 2, 0, 0, 0, 1, 2, 0, 0),
        (1, 2, 0, 2, 0, 0, 0, 1, 3, 3, 3, 3),
        (1, 2, 0, 200_000, 0, 0, 0, 1, 0, 0),
        (1, 1 << 30, 0, 2),
        (3, 1, 0, 1, 0, 1, 0, 5, 5, 5),
        (1, 1, 0, 0, 0, 0, 1 << 24),
    ],
)
def test_header_tables_that_lie(numbers: tuple[int, ...]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            list(decode_headers(directory(*numbers)))
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def test_a_header_that_repeats_itself_without_end() -> None:
    """A few bytes of directory, a long cell named a million times: stopped before it is put together."""
    inner, writer = Writer(), Writer()
    inner.number(1)
    inner.number(1_000_001)
    inner.number(0)  # the pixels
    inner.number(2)
    inner.raw(b"\0" * 999_999)  # column 1 again and again
    inner.raw(b"\0\0\0")
    inner.number(1)
    inner.number(0)
    inner.string(bytes(1 << 20))
    writer.raw(MAGIC)
    writer.number(3)
    writer.stream(inner.bytes())
    writer.stream(b"")
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="larger than it can be"):
            list(decode_headers(writer.bytes()))
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_header_tables(data: st.DataObject) -> None:
    sources = list(beating_heart(slices=1, phases=4, rows=16, columns=16))
    blob = bytearray(encode_headers([header(ds) for ds in sources]))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(4, len(blob) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(blob)) | st.just(len(blob)))
    with suppress(ArchiveError):
        list(decode_headers(bytes(blob[:end])))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for reader in (
        lambda: read_part(data),
        lambda: list(decode_headers(MAGIC + data)),
        lambda: read_part(bytes(128) + b"DICM" + data),
    ):
        with pytest.raises(ArchiveError):
            reader()


def test_headers_and_payload_of_another_archive(archive: Path) -> None:
    """Each is sound in itself; together they are not what the manifest says."""
    ours = join([read_part(archive.read_bytes())])
    for element, length, digest, value in (
        (Element.HEADERS, Element.HEADERS_LENGTH, Element.HEADERS_SHA256, encode_headers([])),
        (Element.PAYLOAD, Element.PAYLOAD_LENGTH, Element.PAYLOAD_SHA256, ours.payload[:-1]),
    ):
        changed = dcmread(archive)
        changed[tag(element)].value = value + b"\0" * (len(value) % 2)
        changed[tag(length)].value = len(value)
        changed[tag(digest)].value = hashlib.sha256(value).digest()
        out = io.BytesIO()
        changed.save_as(out)
        with pytest.raises((ArchiveError, BitstreamError), match="match its manifest"):
            restored(out.getvalue())
