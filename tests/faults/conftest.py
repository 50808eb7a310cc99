"""What the faults of a run came to: how many were tried, how many instances were at stake, how many were lost."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Tally:
    """tried: faults by what was going on. instances: acknowledged ones that were looked for after a fault; lost: not found."""

    tried: Counter[str] = field(default_factory=Counter)
    instances: int = 0
    lost: int = 0


@pytest.fixture
def memory_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: for a process that is killed it is as good as a disk, and many times as fast."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="hexdicom-faults-", dir=memory) as folder:
        yield Path(folder)


_TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    return request.config.stash.setdefault(_TALLY, Tally())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(_TALLY, None)
    if tally is None or not tally.tried:
        return
    terminalreporter.section("faults")
    for name, number in sorted(tally.tried.items()):
        terminalreporter.write_line(f"{number:5d}  {name}")
    total = tally.tried.total()
    terminalreporter.write_line(
        f"{total} faults tried, {tally.instances} acknowledged instances looked for afterwards, {tally.lost} lost"
    )
