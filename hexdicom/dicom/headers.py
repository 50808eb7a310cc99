"""Everything of the received files that is not pixel values, as one table: exact, and small where the files are alike.

Every file is cut into pieces (`elements`), the pieces of the same place in all files make a column (`columns`), and the
order of the columns in a file is its structure, which most files of a series share. Byte layout: docs/format.md, "Headers".
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hexdicom.dicom.columns import Budget, read_column, write_column
from hexdicom.dicom.elements import EXPLICIT, Coding, coding_of, pieces
from hexdicom.dicom.streams import Reader, Writer
from hexdicom.errors import ArchiveError, SeriesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAGIC: Final = b"HXH1"
_PIXELS: Final = 0  # the column number that stands for the pixel values
_MOST_INSTANCES: Final = 1 << 20
_MOST_CELLS: Final = 1 << 25
_LARGEST_DIRECTORY: Final = 1 << 26
_LARGEST_TABLE: Final = 1 << 28
_LARGEST_HEADER: Final = 1 << 28  # of one instance

_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """A Part 10 file around its pixel values.

    before: preamble, file meta group, and the data set up to and including the header of Pixel Data.
    after: what follows the pixel values: a pad byte, more elements, trailing bytes.
    data_set: offset of the data set in `before`.
    transfer_syntax_uid: how the data set is written.
    """

    before: bytes
    after: bytes
    data_set: int
    transfer_syntax_uid: str

    def file(self, pixels: bytes) -> bytes:
        return b"".join((self.before, pixels, self.after))


def encode_headers(headers: Sequence[Header]) -> bytes:
    """The table of all headers, in order. Raises SeriesError where they are larger than a table may be."""
    numbers: dict[_Key, int] = {}
    cells: list[list[bytes]] = []
    structures: dict[tuple[int, ...], int] = {}
    rows: list[int] = []
    count = 0
    for header in headers:
        row: list[int] = []
        for key, cell in _cells(header):
            if key is None:
                row.append(_PIXELS)
                continue
            number = numbers.setdefault(key, len(numbers) + 1)
            if number > len(cells):
                cells.append([])
            cells[number - 1].append(cell)
            row.append(number)
        count += len(row)
        rows.append(structures.setdefault(tuple(row), len(structures)))
        if count > _MOST_CELLS:
            raise SeriesError("The headers of the series have too many elements for one archive object.")
    directory, pool, large = Writer(), Writer(), list[bytes]()
    directory.number(len(structures))
    for structure in structures:
        _write_structure(directory, structure)
    for index in rows:
        directory.number(index)
    directory.number(len(cells))
    for column in cells:
        write_column(column, directory, pool, large)
    described, pooled = directory.bytes(), pool.bytes()
    if len(described) > _LARGEST_DIRECTORY or sum(map(len, _written(cells))) > _LARGEST_TABLE:
        raise SeriesError("The headers of the series are too large for one archive object.")
    writer = Writer()
    writer.raw(MAGIC)
    writer.number(len(headers))
    writer.stream(described)
    writer.stream(pooled)
    writer.raw(b"".join(large))
    return writer.bytes()


def decode_headers(blob: bytes | memoryview) -> Iterator[tuple[bytes, bytes]]:
    """(before, after) of every file, in order. Raises ArchiveError, before anything larger than a table is allocated."""
    reader = Reader(blob)
    if reader.raw(len(MAGIC)) != MAGIC:
        raise ArchiveError("The headers in the archive object are not in a form that this version reads.")
    instances = reader.number(_MOST_INSTANCES)
    directory = Reader(reader.stream(_LARGEST_DIRECTORY))
    pool = Reader(reader.stream(_LARGEST_TABLE))
    structures = [_read_structure(directory) for _ in range(directory.number(instances))]
    rows = [directory.number(len(structures) - 1) for _ in range(instances)] if structures else []
    used = _uses(structures, rows)
    budget = Budget(_LARGEST_TABLE)
    numbers = range(1, directory.number(directory.left) + 1)
    columns = [iter(read_column(used[number], directory, pool, reader, budget)) for number in numbers]
    directory.end()
    pool.end()
    reader.end()
    if used and max(used) > len(columns):
        raise ArchiveError("The headers in the archive object point outside themselves.")
    for row in rows:
        yield _rebuilt(structures[row], columns)


def _written(cells: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    """Every cell that is written: the different ones of each column."""
    for column in cells:
        yield from dict.fromkeys(column)


def _cells(header: Header) -> Iterator[tuple[_Key | None, bytes]]:
    """(column key, bytes) of every piece; the key None stands for the pixel values."""
    coding = coding_of(header.transfer_syntax_uid)
    preamble = min(132, header.data_set)
    yield ("preamble",), header.before[:preamble]
    yield from _zone("meta", header.before, preamble, header.data_set, EXPLICIT)
    yield from _zone("data", header.before, header.data_set, len(header.before), coding)
    yield None, b""
    yield from _zone("data", header.after, 0, len(header.after), coding)


def _zone(name: str, data: bytes, start: int, stop: int, coding: Coding) -> Iterator[tuple[_Key, bytes]]:
    for piece in pieces(data, start, stop, coding):
        yield (name, piece.path), data[piece.begin : piece.end]


def _write_structure(writer: Writer, structure: Sequence[int]) -> None:
    """Column numbers, each as the zigzag difference to the one before."""
    writer.number(len(structure))
    previous = 0
    for number in structure:
        step = number - previous
        writer.number(2 * step if step >= 0 else -2 * step - 1)
        previous = number


def _read_structure(reader: Reader) -> array[int]:
    structure = array("I")
    previous = 0
    for _ in range(reader.number(reader.left)):
        step = reader.number(1 << 32)
        previous += step // 2 if step % 2 == 0 else -(step + 1) // 2
        if not 0 <= previous <= _MOST_CELLS:
            raise ArchiveError("The structure of the headers in the archive object is damaged.")
        structure.append(previous)
    if structure.count(_PIXELS) != 1:
        raise ArchiveError("A header in the archive object does not have exactly one place for pixels.")
    return structure


def _uses(structures: Sequence[array[int]], rows: Sequence[int]) -> Counter[int]:
    """How many cells each column has."""
    used: Counter[int] = Counter()
    total = 0
    for index, times in Counter(rows).items():
        total += times * len(structures[index])
        if total > _MOST_CELLS:
            raise ArchiveError("The headers in the archive object have more elements than they can have.")
        for number, count in Counter(structures[index]).items():
            used[number] += times * count
    return used


def _rebuilt(structure: array[int], columns: Sequence[Iterator[bytes]]) -> tuple[bytes, bytes]:
    before: list[bytes] = []
    after: list[bytes] = []
    current, size = before, 0
    for number in structure:
        if number == _PIXELS:
            current = after
            continue
        cell = next(columns[number - 1])
        size += len(cell)
        if size > _LARGEST_HEADER:
            raise ArchiveError("A header in the archive object is larger than it can be.")
        current.append(cell)
    return b"".join(before), b"".join(after)
