"""How commands speak: tables and JSON on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hexdicom.codec import Progress

PARTLY_DONE = 4
"""Exit code where some instances were brought home and others were not."""

# Text is printed as it is: a [section] of the configuration, or a description with brackets, is no markup of rich.
_PLAIN: Final[Any] = {"highlight": False, "markup": False, "emoji": False}

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


def screen() -> Console:
    """Where results go. Not a terminal: as wide as the content needs."""
    return Console(width=None if sys.stdout.isatty() else 160, **_PLAIN)


def messages() -> Console:
    """Where progress and messages go."""
    return Console(stderr=True, **_PLAIN)


def emit(document: object) -> None:
    """The one JSON document of a command."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def table(*columns: str, right: Sequence[str] = (), title: str = "") -> Table:
    """An empty table; the columns in `right` hold numbers."""
    made = Table(title=title or None, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def size(number: float) -> str:
    """Bytes for people: 6.9 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000 or unit == "GB":
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


@contextmanager
def steps() -> Iterator[Progress]:
    """A callback `(step, fraction)`: on a terminal a bar per step, with the time that is left of it; elsewhere a line per step."""
    console = messages()
    if not console.is_terminal:
        seen: set[str] = set()

        def tell(step: str, fraction: float) -> None:
            if step not in seen:
                seen.add(step)
                console.print(f"{step} …")

        yield tell
        return
    left = TimeRemainingColumn(elapsed_when_finished=True)  # by the speed of the last 30 seconds
    bars = Bars(TextColumn("{task.description:<16}"), BarColumn(), TaskProgressColumn(), left, console=console)
    tasks: dict[str, Any] = {}

    def draw(step: str, fraction: float) -> None:
        if step not in tasks:
            for other in tasks.values():
                bars.update(other, completed=1.0)
            tasks[step] = bars.add_task(step, total=1.0)
        bars.update(tasks[step], completed=fraction)

    with bars:
        yield draw


def counted(callback: Progress, step: str) -> Callable[[int, int], None]:
    """The same callback for work that counts `(done, total)`."""
    return lambda done, total: callback(f"{step} ({total})", done / max(total, 1))


def many(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "item"):  # a NumPy number
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
