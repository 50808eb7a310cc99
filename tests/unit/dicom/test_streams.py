from __future__ import annotations

import os
import random

import pytest

from hexdicom.dicom.streams import Reader, Writer
from hexdicom.errors import ArchiveError


@pytest.mark.parametrize("value", [b"", b"a", bytes(100_000), os.urandom(2000), b"abc" * 5000, bytes(range(256)) * 40])
def test_a_stream_comes_back(value: bytes) -> None:
    writer = Writer()
    writer.stream(value)
    writer.number(300)
    reader = Reader(writer.bytes())
    assert reader.stream(len(value)) == value
    assert reader.number(300) == 300
    reader.end()


@pytest.mark.parametrize("coder", range(4))
def test_every_compressor_comes_back(coder: int) -> None:
    from hexdicom.dicom import streams

    value = random.Random(1).randbytes(500) * 9
    assert streams._decoded(*streams._coded(value)[coder], len(value)) == value


def test_nothing_longer_than_allowed_is_read() -> None:
    writer = Writer()
    writer.stream(bytes(1000))
    with pytest.raises(ArchiveError, match="at most 999"):
        Reader(writer.bytes()).stream(999)


@pytest.mark.parametrize("coder", [1, 2, 3])
def test_a_bomb_is_not_unpacked_beyond_what_it_declares(coder: int) -> None:
    from hexdicom.dicom import streams

    coded = streams._coded(bytes(1 << 26))[coder][1]
    assert len(streams._decoded(coder, coded, 100)) <= 101
    writer = Writer()
    writer.number(coder)
    writer.number(100)
    writer.string(coded)
    with pytest.raises(ArchiveError):
        Reader(writer.bytes()).stream(1 << 20)


def test_a_number_has_an_end() -> None:
    with pytest.raises(ArchiveError):
        Reader(b"\xff" * 20).number(1 << 70)
    with pytest.raises(ArchiveError):
        Reader(b"\xff").number(1000)


def test_leftovers_are_an_error() -> None:
    with pytest.raises(ArchiveError, match="3 bytes too many"):
        Reader(b"abc").end()
