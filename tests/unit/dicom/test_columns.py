from __future__ import annotations

import random

import pytest

from hexdicom.dicom.columns import LARGE, Budget, read_column, write_column
from hexdicom.dicom.streams import Reader, Writer
from hexdicom.errors import ArchiveError

RANDOM = random.Random(1)
COLUMNS = {
    "constant": [b"abc"] * 7,
    "empty": [b""] * 3,
    "fixed": [b"UI%03d" % k for k in range(40)],
    "ragged": [b"IS" + str(k).encode() for k in range(0, 5000, 7)],
    "one is the beginning of another": [b"ab", b"abc", b"a", b""],
    "indexed": [RANDOM.choice([b"GRADIENT", b"RF", b""]) for _ in range(100)],
    "many indexed": [b"value %05d" % (k % 300) for k in range(900)],
    "large": [RANDOM.randbytes(LARGE // 8) for _ in range(12)],
    "large, 16 bit": [b"".join(RANDOM.randrange(9).to_bytes(2, "little") for _ in range(4000)) for _ in range(9)],
    "large, odd": [RANDOM.randbytes(4097) for _ in range(9)],
    "large, ragged": [RANDOM.randbytes(5000 + k) for k in range(9)],
    "one": [b"only"],
}


def coded(cells: list[bytes]) -> tuple[Reader, Reader, Reader]:
    directory, pool, large = Writer(), Writer(), list[bytes]()
    write_column(cells, directory, pool, large)
    return Reader(directory.bytes()), Reader(pool.bytes()), Reader(b"".join(large))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back(name: str) -> None:
    cells = COLUMNS[name]
    readers = coded(cells)
    assert list(read_column(len(cells), *readers, Budget(1 << 30))) == cells
    for reader in readers:
        reader.end()


def test_a_column_stays_within_its_budget() -> None:
    cells = COLUMNS["fixed"]
    with pytest.raises(ArchiveError, match="larger than they can be"):
        read_column(len(cells), *coded(cells), Budget(10))


def test_a_column_of_indexes_of_indexes_is_refused() -> None:
    directory = Reader(b"\3\1" * 5000)
    with pytest.raises(ArchiveError):
        read_column(5, directory, Reader(b""), Reader(b""), Budget(100))
