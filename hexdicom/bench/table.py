"""A table of a report, as data, and how its figures are written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """strong: the best of its row. ours: of our codec."""

    text: str
    strong: bool = False
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """words: how many columns from the left hold words; numbers follow. long: for those who look something up."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    long: bool = False


def percent(ratio: float) -> str:
    """0.9 is −10.0 %."""
    return f"{100 * (ratio - 1):+.1f} %".replace("-", "−")


def times(ratio: float) -> str:
    """A factor with as many digits as a noisy machine is good for."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2g}"


def seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"
