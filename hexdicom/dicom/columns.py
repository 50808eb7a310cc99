"""One column of a header table: the same place of every header, as bytes. Coded exactly; what is common is written once.

A cell is an element as it was received, header and value. A column is one of
    constant    every cell is the same
    fixed       cells of one length: the common beginning, then the rest of each
    ragged      cells of several lengths: the same with lengths
    indexed     few different cells: those as a column of their own, then which one it is
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hexdicom.dicom.streams import Reader, Writer
from hexdicom.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CONSTANT, _FIXED, _RAGGED, _INDEXED = range(4)
LONGEST_CELL: Final = 1 << 28
LARGE: Final = 1 << 15
"""Cells that take more than this many bytes together get a stream of their own."""

_ARRANGEMENTS: Final[tuple[Callable[[bytes, int], bytes], ...]] = (
    lambda data, width: data,
    lambda data, width: b"".join(data[k::2] for k in range(2)),  # 16-bit numbers: byte planes
    lambda data, width: b"".join(data[k::width] for k in range(width)),  # the same byte of every cell side by side
)


def write_column(cells: Sequence[bytes], directory: Writer, pool: Writer, large: list[bytes]) -> None:
    """Append the description of `cells` to `directory`, and the varying bytes to `pool`, or to `large` where many."""
    first = cells[0]
    distinct = list(dict.fromkeys(cells))
    if len(distinct) == 1:
        directory.number(_CONSTANT)
        directory.string(first)
        return
    if 2 * len(distinct) <= len(cells) and max(map(len, distinct)) > len(_index_bytes([0], len(distinct))):
        directory.number(_INDEXED)
        directory.number(len(distinct))
        write_column(distinct, directory, pool, large)
        place = {cell: k for k, cell in enumerate(distinct)}
        pool.raw(_index_bytes([place[cell] for cell in cells], len(distinct)))
        return
    prefix = _common_beginning(min(distinct), max(distinct))
    lengths = [len(cell) for cell in cells]
    fixed = min(lengths) == max(lengths)
    directory.number(_FIXED if fixed else _RAGGED)
    directory.string(prefix)
    if fixed:
        directory.number(len(first) - len(prefix))
    else:
        for length in lengths:
            pool.number(length - len(prefix))
    rest = b"".join(cell[len(prefix) :] for cell in cells)
    directory.number(int(len(rest) > LARGE))
    if len(rest) > LARGE:
        large.append(_best_stream(rest, len(first) - len(prefix) if fixed else 1))
    else:
        pool.raw(rest)


class Budget:
    """Bytes that the columns of one table may still take, all together."""

    def __init__(self, bytes_left: int) -> None:
        self._left = bytes_left

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ArchiveError("The headers in the archive object are larger than they can be.")


def read_column(
    count: int, directory: Reader, pool: Reader, large: Reader, budget: Budget, *, indexed: bool = True
) -> Sequence[bytes]:
    """`count` cells; equal ones share memory. Raises ArchiveError."""
    kind = directory.number(_INDEXED if indexed else _RAGGED)
    if kind == _CONSTANT:
        return [directory.string()] * count
    if kind == _INDEXED:
        different = directory.number(count)
        cells = read_column(different, directory, pool, large, budget, indexed=False)
        return [cells[k] for k in _indexes(pool, count, different)]
    prefix = directory.string()
    if kind == _FIXED:
        widths = [directory.number(LONGEST_CELL)] * count
    elif count > pool.left:
        raise ArchiveError("A header column of the archive object is cut off.")
    else:
        widths = [pool.number(LONGEST_CELL) for _ in range(count)]
    total = sum(widths)
    budget.take(total + count * len(prefix))
    rest = _read_stream(large, total, widths[0] if kind == _FIXED and widths else 1) if directory.number(1) else pool.raw(total)
    cells, position = [], 0
    for width in widths:
        cells.append(prefix + rest[position : position + width])
        position += width
    return cells


def _common_beginning(one: bytes, other: bytes) -> bytes:
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return one[:at]
    return one[: len(other)]


def _best_stream(data: bytes, width: int) -> bytes:
    """The coded stream of the arrangement that comes out smallest, with the number of the arrangement before it."""
    candidates = []
    for number, arrange in enumerate(_ARRANGEMENTS):
        writer = Writer()
        writer.number(number)
        writer.stream(arrange(data, width))
        candidates.append(writer.bytes())
    return min(candidates, key=len)


def _read_stream(large: Reader, length: int, width: int) -> bytes:
    arrangement = large.number(len(_ARRANGEMENTS) - 1)
    data = large.stream(length)
    if len(data) != length:
        raise ArchiveError("A header column of the archive object has the wrong length.")
    if arrangement == 0:
        return data
    step = 2 if arrangement == 1 else max(1, width)
    out = bytearray(length)
    position = 0
    for k in range(step):
        size = len(range(k, length, step))
        out[k::step] = data[position : position + size]
        position += size
    return bytes(out)


def _index_bytes(indexes: Sequence[int], different: int) -> bytes:
    """One, two or four byte planes, the lowest first."""
    width = _index_width(different)
    return b"".join(bytes(index >> 8 * plane & 0xFF for index in indexes) for plane in range(width))


def _indexes(pool: Reader, count: int, different: int) -> list[int]:
    planes = [pool.raw(count) for _ in range(_index_width(different))]
    indexes = [sum(byte << 8 * plane for plane, byte in enumerate(digits)) for digits in zip(*planes, strict=True)]
    if indexes and max(indexes) >= different:
        raise ArchiveError("A header column of the archive object points outside itself.")
    return indexes


def _index_width(different: int) -> int:
    return 1 if different <= 1 << 8 else 2 if different <= 1 << 16 else 4
