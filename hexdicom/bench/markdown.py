"""A run as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexdicom.bench.findings import findings, method, setting, title
from hexdicom.bench.tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hexdicom.bench.result import Run
    from hexdicom.bench.table import Cell, Table


def text(run: Run) -> str:
    """The whole report, without the charts."""
    parts = [f"# {title(run)}", _bullets(findings(run))]
    parts += [_section(table) for table in tables(run)]
    parts += ["## How it was measured", *method(run), _bullets(f"{name}: {_plain(value)}" for name, value in setting(run))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(table: Table) -> str:
    rule = ["---" if column < table.words else "---:" for column in range(len(table.head))]
    rows = [_row(table.head), _row(rule), *(_row([_shown(cell) for cell in row]) for row in table.rows)]
    return "\n\n".join(part for part in (f"## {table.title}", table.note, "\n".join(rows)) if part)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(cell: Cell) -> str:
    return f"**{_plain(cell.text)}**" if cell.strong else _plain(cell.text)


def _plain(words: str) -> str:
    """Words that Markdown takes for nothing else, on one line."""
    for sign in ("\\", "|", "<", "*", "_", "`"):
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
